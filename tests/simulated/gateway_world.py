"""The gateway with a Twitch and an OAuth2 provider made by hand, all over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import httpx
import jwt
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
from controller.policies.extension_secrets import SharedSecret
from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

__all__ = [
    "CHANNEL",
    "CLIENT_ID",
    "KEY",
    "ORIGIN",
    "World",
    "a_secret",
    "helper_token",
    "open_world",
]

CLIENT_ID = "deck"
OWNER_ID = "27419011"
CHANNEL = "123456"
KEY = b"0123456789abcdef0123456789abcdef"
ORIGIN = "https://deck.ext-twitch.tv"


def a_secret(key: bytes = KEY, *, begin: float = -60, end: float = 3600) -> SharedSecret:
    """A secret that counts from `begin` to `end`, in seconds from now."""
    now = time.time()
    return SharedSecret(Sensitive(base64.b64encode(key).decode()), now + begin, now + end)


@dataclass
class Call:
    """What Twitch was asked."""

    path: str
    query: dict[str, str]
    client_id: str
    claims: dict[str, Any]
    body: dict[str, Any]


@dataclass
class Upstream:
    """Twitch and the provider: what they were asked, and what they answer."""

    calls: list[Call] = field(default_factory=list)
    status: int = 204
    text: str = ""
    content_type: str = "text/plain"
    delay: float = 0
    broken: bool = False  # the connection ends without an answer
    accounts: dict[str, list[str]] = field(default_factory=dict)  # by token
    asked: list[str] = field(default_factory=list)  # tokens, as the provider saw them
    provider_down: bool = False

    async def twitch(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, KEY, algorithms=["HS256"])
        self.calls.append(
            Call(
                request.path,
                dict(request.query),
                request.headers["Client-Id"],
                claims,
                await request.json(),
            )
        )
        await asyncio.sleep(self.delay)
        if self.broken:
            assert request.transport is not None
            request.transport.close()
        if self.status == 204:
            return web.Response(status=204)
        return web.Response(
            status=self.status,
            body=self.text.encode(),
            headers={"Content-Type": self.content_type},
        )

    async def introspect(self, request: web.Request) -> web.Response:
        token = str((await request.post())["token"])
        self.asked.append(token)
        if self.provider_down:
            return web.Response(status=500)
        channels = self.accounts.get(token)
        return web.json_response({"active": channels is not None, "twitch_channels": channels})


@dataclass
class World:
    """A gateway and its surroundings.

    Attributes:
        client: Calls the gateway; `good` are the headers of a request that is let through.
    """

    upstream: Upstream
    app: FastAPI
    catalog: Catalog
    metrics: GatewayMetrics
    served: Endpoint
    client: httpx.AsyncClient
    url: str

    def serve(self, *others: Endpoint, **changes: Any) -> None:  # noqa: ANN401 - of each field
        """Serve the extension with these changes, and others."""
        self.served = replace(self.served, **changes)
        self.catalog.replace([self.served, *others])

    def provider(self, client_id: str) -> Provider:
        """Another one at the same place."""
        return Provider(self.url + "/introspect", client_id, Sensitive("secret"))

    def good(self, **headers: str | None) -> dict[str, str]:
        """Headers of /send/; None: without that one. `X_Y` stands for X-Y."""
        all_of_them = {
            "Authorization": "Bearer good",
            "X-Twitch-Client-Id": CLIENT_ID,
            "X-Twitch-User-Id": CHANNEL,
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        return {name: value for name, value in all_of_them.items() if value is not None}

    async def send(self, body: object = None, **headers: str | None) -> httpx.Response:
        """POST /send/; bytes go as they are."""
        body = {"type": "deck", "data": {"cards": ["ace"]}} if body is None else body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post("/send/", content=content, headers=self.good(**headers))

    async def setup(self, token: str | None = None, **headers: str | None) -> httpx.Response:
        """POST /setup/ as the broadcaster."""
        token = helper_token() if token is None else token
        given = {"Authorization": f"Bearer {token}", "X-Twitch-Extension-Version": "1.2.3"}
        return await self.client.post("/setup/", headers=self.good(**(given | headers)))

    def exposed(self) -> str:
        """The metrics as Prometheus sees them."""
        return generate_latest(self.metrics.registry).decode()


def helper_token(key: bytes = KEY, *, without: tuple[str, ...] = (), **claims: Any) -> str:  # noqa: ANN401 - JSON
    """A JWT of Twitch's helper, of the broadcaster."""
    now = int(time.time())
    all_of_them = {
        "exp": now + 600,
        "iat": now,
        "opaque_user_id": f"U{CHANNEL}",
        "user_id": CHANNEL,
        "channel_id": CHANNEL,
        "role": "broadcaster",
        "is_unlinked": False,
    } | claims
    given = {name: value for name, value in all_of_them.items() if name not in without}
    return jwt.encode(given, key, algorithm="HS256")


@asynccontextmanager
async def open_world(twitch_within: float = PATIENCE) -> AsyncIterator[World]:
    """Run everything; the gateway itself is called without a socket.

    Args:
        twitch_within: Seconds for a call to Twitch.
    """
    upstream = Upstream(accounts={"good": [CHANNEL, "123654"]})
    server = web.Application()
    server.router.add_post("/helix/extensions/pubsub", upstream.twitch)
    server.router.add_put("/helix/extensions/required_configuration", upstream.twitch)
    server.router.add_post("/introspect", upstream.introspect)
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        settings = Settings(
            helix_url=url + "/helix", call_timeout=twitch_within, allowed_fetch_hosts=("127.0.0.1",)
        )
        http = await stack.enter_async_context(new_http_client(settings))
        fetcher = await stack.enter_async_context(Fetcher(settings.allowed_fetch_hosts, PATIENCE))
        served = Endpoint(
            key=Key(EXTENSION, "games", "deck-tracker"),
            client_id=CLIENT_ID,
            owner_id=OWNER_ID,
            version="1.0.0",
            secrets=(a_secret(),),
            required_configuration="COMPLETE",
            oauth=Provider(url + "/introspect", "gateway", Sensitive("secret")),
            allowed_origins=frozenset({ORIGIN}),
        )
        catalog, metrics = Catalog([served]), GatewayMetrics()
        catalog.ready = True
        app = make_app(catalog, Authorizer(fetcher), Extensions(http, settings), metrics)
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://gateway", verify=False
            )
        )
        yield World(upstream, app, catalog, metrics, served, client, url)
