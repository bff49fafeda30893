"""A gateway on loopback between the other Twitch and an OAuth2 provider that says what it is told.

Written from the contract alone: tests reach the gateway by HTTP and by nothing else.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import httpx
from aiohttp import web
from prometheus_client import generate_latest

from controller.clients.extensions import Extensions
from controller.clients.fetch import Fetcher
from controller.clients.http import new_http_client
from controller.gateway.app import make_app
from controller.gateway.authorizer import Authorizer
from controller.gateway.catalog import Catalog, Endpoint
from controller.gateway.metrics import GatewayMetrics
from controller.gateway.providers import Provider
from controller.gateway.server import Server
from controller.policies.extension_secrets import SharedSecret
from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.other_extensions import OtherExtensions
from tests.simulated.harness import NEVER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.other_extensions import Arrived

__all__ = ["CHANNEL", "CLIENT_ID", "ORIGIN", "REQUIRED", "VERSION", "Book", "Stand", "new_stand"]

CLIENT_ID, OWNER, VERSION = "d72hk844mgvex3kbfhrgjtdoeqrh0t", "27419011", "1.3.0"
CHANNEL, REQUIRED = "1111", "COMPLETE"
ORIGIN = f"https://{CLIENT_ID}.ext-twitch.tv"
LOGIN = ("the-gateway", "secret of: the gateway")


class Book:
    """The provider: what it answers about each token, and how often it was asked.

    Attributes:
        told: Status and body of the answer, by token; others are not active.
        asked: The tokens, as they were asked about.
    """

    def __init__(self) -> None:
        self.told: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.url = ""

    def token(self, *, status: int = 200, raw: bytes | None = None, **claims: object) -> str:
        """A new token, about which this is said; by default it is good for one channel."""
        text = secrets.token_urlsafe(24)
        whole = {"active": True, "exp": int(time.time()) + 600, "twitch_channels": [CHANNEL]}
        body = json.dumps({k: v for k, v in (whole | claims).items() if v is not None}).encode()
        self.told[text] = (status, body if raw is None else raw)
        return text

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        token = str(form["token"])
        self.asked.append(token)
        login = request.headers.get("Authorization", "").removeprefix("Basic ")
        pair = base64.b64decode(login).decode().split(":")
        if tuple(unquote_plus(part) for part in pair) != LOGIN:
            return web.Response(status=401)
        status, body = self.told.get(token, (200, b'{"active": false}'))
        if not body:
            await asyncio.sleep(NEVER)
        if status == 0 and request.transport is not None:
            request.transport.abort()
        kind = {"Content-Type": "application/json", "Location": "https://example.com/"}
        return web.Response(status=status or 200, body=body, headers=kind)


@dataclass
class Stand:
    """The gateway, and what stands around it."""

    url: str
    http: httpx.AsyncClient
    twitch: OtherExtensions
    book: Book
    catalog: Catalog
    metrics: GatewayMetrics

    # What a client sends

    def headers(self, **changes: str | None) -> dict[str, str]:
        """Headers of a good /send/; None leaves one out, `client_id` and so on replace one."""
        whole: dict[str, str | None] = {
            "authorization": f"Bearer {self.book.token()}",
            "user_id": CHANNEL,
            "client_id": CLIENT_ID,
            "version": None,
        }
        names = {
            "authorization": "Authorization",
            "user_id": "X-Twitch-User-Id",
            "client_id": "X-Twitch-Client-Id",
            "version": "X-Twitch-Extension-Version",
        }
        chosen = whole | changes
        return {names[k]: v for k, v in chosen.items() if v is not None}

    async def send(
        self, body: object = None, *, raw: bytes | None = None, **changes: str | None
    ) -> httpx.Response:
        """POST /send/ with a good message or another, and good headers but for the changes."""
        if raw is None:
            raw = json.dumps(body or {"type": "card", "data": {"name": "Island"}}).encode()
        return await self.http.post("/send/", headers=self.headers(**changes), content=raw)

    async def set_up(self, **changes: str | None) -> httpx.Response:
        """POST /setup/, with good headers but for the changes; `jwt` replaces the token."""
        jwt = changes.pop("jwt", None) or self.helper()
        headers = {"authorization": f"Bearer {jwt}", "version": VERSION, **changes}
        return await self.http.post("/setup/", headers=self.headers(**headers))

    def helper(self, **claims: object) -> str:
        """A JWT of Twitch's helper; None leaves a claim out."""
        return self.twitch.helper_token(CLIENT_ID, **claims)

    async def raw(self, request: bytes) -> bytes:
        """What comes back for some bytes on a connection of their own, until it pauses."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answer = b""
        with suppress(ConnectionError, TimeoutError):
            writer.write(request)
            while True:
                async with asyncio.timeout(0.3 if answer else 2):
                    data = await reader.read(65_536)
                if not data:
                    break
                answer += data
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer

    # What came of it

    @property
    def arrived(self) -> list[Arrived]:
        """The messages that Twitch took."""
        return self.twitch.extension(CLIENT_ID).arrived

    @property
    def required(self) -> dict[str, tuple[str, str]]:
        return self.twitch.extension(CLIENT_ID).required

    @property
    def series(self) -> list[str]:
        """The metrics, a line each."""
        return [
            line
            for line in generate_latest(self.metrics.registry).decode().splitlines()
            if not line.startswith("#")
        ]

    @property
    def failures(self) -> list[str]:
        """The metrics that count requests which the gateway failed at."""
        counts = [line for line in self.series if 'status="500"' in line]
        return [line for line in counts if "_total{" in line and not line.endswith(" 0.0")]

    # What is changed

    def forget(self) -> None:
        """As in the beginning, but for the rate limits."""
        mine = self.twitch.extension(CLIENT_ID)
        mine.arrived.clear()
        mine.required.clear()
        self.twitch.calls.clear()
        self.twitch.forget_troubles()
        self.book.asked.clear()
        self.serve()

    def serve(self, *known: SharedSecret, **changes: Any) -> None:  # noqa: ANN401 - of any field
        """Serve the extension with these secrets instead."""
        fields: dict[str, Any] = {
            "key": Key(EXTENSION, "tv", "deck"),
            "client_id": CLIENT_ID,
            "owner_id": OWNER,
            "version": VERSION,
            "secrets": known or (self.secret(),),
            "required_configuration": REQUIRED,
            "oauth": self.provider,
            "allowed_origins": frozenset({ORIGIN}),
        }
        self.catalog.replace([Endpoint(**fields | changes)])
        self.catalog.ready = True

    @property
    def provider(self) -> Provider:
        return Provider(
            introspection_url=self.book.url,
            client_id=LOGIN[0],
            client_secret=Sensitive(LOGIN[1]),
        )

    def secret(self, text: str = "", *, active: float = -60, ends: float = 1e6) -> SharedSecret:
        """The extension's secret, or another; times from now."""
        now = time.time()
        text = text or self.twitch.extension(CLIENT_ID).keys[0].text
        return SharedSecret(Sensitive(text), now + active, now + ends)


def new_text() -> str:
    """A shared secret of nobody's."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


@asynccontextmanager
async def new_stand(
    *, twitch_within: float = PATIENCE, provider_within: float = PATIENCE
) -> AsyncIterator[Stand]:
    """A stand with one extension and one provider, and the seconds for a call to either."""
    book = Book()
    async with OtherExtensions() as twitch, _served(book) as url:
        book.url = url
        twitch.add_extension(CLIENT_ID, OWNER)
        twitch.slowness = NEVER
        settings = Settings(
            helix_url=twitch.helix_url,
            call_timeout=twitch_within,
            gateway_address="127.0.0.1:0",
            gateway_drain=0.1,
        )
        catalog, metrics = Catalog(), GatewayMetrics()
        async with (
            new_http_client(settings) as calls,
            Fetcher(("127.0.0.1",), provider_within) as fetcher,
        ):
            app = make_app(catalog, Authorizer(fetcher), Extensions(calls, settings), metrics)
            server = Server(app, settings)
            serving = asyncio.create_task(server.run())
            at = "http://{}:{}".format(*server.address)
            async with httpx.AsyncClient(
                base_url=at, trust_env=False, verify=False, timeout=2 * PATIENCE
            ) as http:
                stand = Stand(at, http, twitch, book, catalog, metrics)
                stand.serve()
                async with asyncio.timeout(60):
                    await server.listens()
                yield stand
            server.stop()
            await serving


@asynccontextmanager
async def _served(book: Book) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/introspect", book.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/introspect"
    finally:
        await runner.cleanup()
