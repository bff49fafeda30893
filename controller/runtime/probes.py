"""/healthz, /readyz and /metrics over HTTP."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from controller.errors import SettingsError
from controller.runtime.families import exposition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from prometheus_client import CollectorRegistry

    from controller.settings import Settings

__all__ = ["serve_probes"]

logger = logging.getLogger(__name__)

_NAMES = {
    "/healthz": "TWITCH_OPERATOR_HEALTH_ADDRESS",
    "/metrics": "TWITCH_OPERATOR_METRICS_ADDRESS",
}


@asynccontextmanager
async def serve_probes(
    settings: Settings,
    registry: CollectorRegistry,
    alive: Callable[[], bool],
    ready: Callable[[], bool],
) -> AsyncIterator[None]:
    """Serve what the settings ask for; one server where both addresses are the same.

    With port 0 the kernel chooses a free one; the log says which.

    Args:
        settings: HEALTH_ADDRESS and METRICS_ADDRESS; empty: not served.
        registry: The metrics that are exposed.
        alive: Whether the process does its work; where not, it should be started anew.
        ready: Whether it has seen the resources.
    """

    async def healthz(_: web.Request) -> web.Response:
        return _answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _answer(alive() and ready())

    async def expose(_: web.Request) -> web.Response:
        text = await exposition(registry)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    routes: dict[str, dict[str, Callable[[web.Request], Awaitable[web.Response]]]] = {}
    if settings.health_address:
        routes.setdefault(settings.health_address, {}).update(
            {"/healthz": healthz, "/readyz": readyz}
        )
    if settings.metrics_address:
        routes.setdefault(settings.metrics_address, {})["/metrics"] = expose
    async with AsyncExitStack() as stack:
        for address, handlers in routes.items():
            await stack.enter_async_context(_serve(address, handlers))
        yield


@asynccontextmanager
async def _serve(
    address: str, handlers: dict[str, Callable[[web.Request], Awaitable[web.Response]]]
) -> AsyncIterator[None]:
    app = web.Application()
    for path, handler in handlers.items():
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, _, port = address.rpartition(":")
    try:
        await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    except (OSError, ValueError) as error:
        await runner.cleanup()
        names = [name for path, name in _NAMES.items() if path in handlers]
        why = f"cannot listen on {address!r} (host:port): {_why(error)}"
        msg = f"{' and '.join(names)}: {why}"
        raise SettingsError(msg) from error
    for found in runner.addresses:
        logger.info("serving %s on %s port %d", ", ".join(handlers), *found[:2])
    try:
        yield
    finally:
        await runner.cleanup()


def _why(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError) or error.errno != errno.EADDRINUSE:
        return str(error)
    return (
        f"{os.strerror(errno.EADDRINUSE)}. If another twitch-operator serves there, end one of the"
        " two where they watch the same namespaces: both would act. Else set another address"
    )


def _answer(good: bool) -> web.Response:
    return web.Response(text="ok\n") if good else web.Response(text="not ok\n", status=503)
