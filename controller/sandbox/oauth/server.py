"""A simulated OAuth2 provider on loopback, for the demo, the tests and users' own CI."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from aiohttp import web

from controller.sandbox.faults import CONTROL_PATH, FaultPlan, fault_middleware
from controller.sandbox.oauth.control import Control, refuse_surplus
from controller.sandbox.oauth.endpoints import (
    INTROSPECTION_PATH,
    Endpoints,
    basic_credentials,
    form_token,
)
from controller.sandbox.oauth.keys import SigningKeys
from controller.sandbox.oauth.tokens import TokenOrder, Tokens, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aiohttp.typedefs import Handler

__all__ = ["OAuthSimulator", "Seen"]

_HOST = "127.0.0.1"
_LINE_LIMIT = 128 * 1024
_BODY_LIMIT = 256 * 1024


@dataclass(slots=True)
class Seen:
    """A request that reached the provider.

    Attributes:
        time: When it came, seconds since the epoch.
        method: Such as POST.
        path: Without the query.
        client: Who logged in by HTTP Basic, rightly or not; empty: nobody.
        token: Fingerprint of the token that was asked about; empty: none was.
        status: Of the answer; None while there is none.
    """

    time: float
    method: str
    path: str
    client: str
    token: str
    status: int | None = None


class OAuthSimulator:
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
        self.keys = SigningKeys()
        self.tokens = Tokens(self.keys, clock)
        self.faults = FaultPlan()
        self.requests: deque[Seen] = deque(maxlen=remember)
        self._clock = clock
        self._secrets: dict[str, str] = {}
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """The base of all addresses."""
        return f"http://{_HOST}:{self._port}"

    @property
    def issuer(self) -> str:
        """The claim iss of its tokens; discovery is below it."""
        return self.url

    @property
    def introspection_url(self) -> str:
        """Where a token is asked about."""
        return f"{self.url}{INTROSPECTION_PATH}"

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
            await web.TCPSite(runner, _HOST, self._port).start()
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

    def add_client(self, client_id: str, client_secret: str) -> None:
        """Let somebody introspect; a known one gets this secret in place of its former."""
        self._secrets[client_id] = client_secret

    def clients(self) -> list[str]:
        """The ids of those who may introspect."""
        return list(self._secrets)

    def knows(self, client_id: str, client_secret: str) -> bool:
        """Whether these are a client's id and secret."""
        return bool(client_id) and self._secrets.get(client_id) == client_secret

    def token(  # noqa: PLR0913 - all but the first by name
        self,
        account: str = "account",
        *,
        channels: Iterable[str] | None = (),
        lifetime: float | None = 3600,
        form: Literal["opaque", "jwt"] = "opaque",
        audience: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Issue an access token; the arguments are those of `TokenOrder`."""
        order = TokenOrder(
            account=account,
            channels=None if channels is None else tuple(channels),
            lifetime=lifetime,
            form=form,
            audience=audience,
            claims=dict(claims or {}),
        )
        return self.issue(order)

    def issue(self, order: TokenOrder) -> str:
        """Issue an access token."""
        return self.tokens.issue(order, self.issuer)

    def revoke(self, *, token: str | None = None, account: str | None = None) -> int:
        """Take back one token, or all of an account; returns how many were good before.

        A JWT that was taken back still verifies: only introspection tells.
        """
        return self.tokens.revoke(token=token, account=account)

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
