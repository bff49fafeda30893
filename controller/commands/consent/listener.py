"""A web server for one answer: on loopback, on the path of the redirect URI, and nothing else."""

from __future__ import annotations

import errno
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from controller.commands.consent.redirects import page_for
from controller.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.commands.consent.redirects import Answer, Redirect

__all__ = ["listen"]

_IPV6 = "::1"
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_GRACE = 2.0  # seconds for the last page to reach the browser
_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",  # the address of the page holds the code
}


@asynccontextmanager
async def listen(redirect: Redirect, take: Callable[[str], Answer]) -> AsyncIterator[None]:
    """Serve the redirect URI.

    Args:
        redirect: With addresses of this machine.
        take: Is given the query of each request; its answer becomes the page.

    Raises:
        OperatorError: The port cannot be had.
    """

    async def serve(request: web.BaseRequest) -> web.Response:
        if request.method != "GET" or request.rel_url.raw_path != redirect.path:
            return web.Response(status=404, text="not found\n", headers=_HEADERS)
        status, page = page_for(take(request.rel_url.raw_query_string))
        return web.Response(status=status, text=page, content_type="text/html", headers=_HEADERS)

    runner = web.ServerRunner(web.Server(serve, access_log=None), shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        for address in redirect.addresses:
            await _bind(runner, address, redirect)
        yield
    finally:
        await runner.cleanup()


async def _bind(runner: web.ServerRunner, address: str, redirect: Redirect) -> None:
    try:
        await web.TCPSite(runner, address, redirect.port).start()
    except OSError as error:
        if address == _IPV6 and error.errno in _NO_SUCH_ADDRESS and len(redirect.addresses) > 1:
            return  # a machine without IPv6
        why = os.strerror(error.errno) if error.errno else str(error)
        # One of two taken is taken: the browser might bring the code to a stranger.
        msg = (
            f"cannot listen on {address} port {redirect.port} for {redirect.uri}: {why}. End the"
            " program that uses the port, or let the application register a redirect URI with"
            " another one (dev.twitch.tv/console)"
        )
        raise OperatorError(msg) from None
