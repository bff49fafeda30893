"""A simulated OAuth2 provider on loopback, for the demo, the tests and users' own CI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from aiohttp import web

from controller.sandbox.faults import CONTROL_PATH, fault_middleware
from controller.sandbox.oauth.control import Control, refuse_surplus
from controller.sandbox.oauth.endpoints import Endpoints, basic_credentials, form_token
from controller.sandbox.oauth.provider import HOST, Provider, Seen
from controller.sandbox.oauth.tokens import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

__all__ = ["OAuthSimulator"]

_LINE_LIMIT = 128 * 1024
_BODY_LIMIT = 256 * 1024


class OAuthSimulator(Provider):
    """A provider of its own: `async with OAuthSimulator() as oauth: … oauth.introspection_url`.

    All methods belong to the event loop that started it.

    Args:
        clock: Seconds since the epoch.
        port: To listen on; 0: any that is free.
        remember: How many requests `requests` holds, the newest ones.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, port: int = 0, remember: int = 1000
    ) -> None:
        super().__init__(clock, port, remember)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to listen; after `stop`, on the same port and with what it knew."""
        app = web.Application(
            middlewares=[self._record, refuse_surplus, fault_middleware(self.faults)],
            client_max_size=_BODY_LIMIT,
        )
        Endpoints(self).add_routes(app)
        Control(self).add_routes(app)
        runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,  # a delay ends with its connection
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
            shutdown_timeout=1,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        client, _ = basic_credentials(request)
        token = await form_token(request)
        named = fingerprint(token) if token else ""
        seen = Seen(self._clock(), request.method, request.path, client, named)
        self.requests.append(seen)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            seen.status = refusal.status
            raise
        seen.status = response.status
        return response
