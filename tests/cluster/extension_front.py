"""A Twitch with extension PubSub, in front of the simulated one: what it does not know, goes on."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["CLIENT_ID", "OWNER_ID", "ExtensionFront", "Received", "extension_front"]

CLIENT_ID, OWNER_ID = "ext0client0id", "27419011"
_FAR = "2126-01-01T00:00:00Z"


@dataclass(frozen=True)
class Received:
    """A message that Twitch took: when, for which channel and target, and what it said."""

    time: float
    channel: str
    target: str
    body: dict[str, Any]


@dataclass
class ExtensionFront:
    """One extension with one secret that never ends.

    Attributes:
        behind: Helix of the simulated Twitch.
        secret: Base64 text of the shared secret.
        received: The messages that were taken, in their order.
        lose: So many of the next answers are lost, after the message was taken.
        delay: Seconds between a message and its answer.
    """

    behind: str
    secret: str = base64.b64encode(b"a secret of the front, 32 bytes!").decode()
    url: str = ""
    received: list[Received] = field(default_factory=list)
    lose: int = 0
    delay: float = 0.0

    def names(self) -> list[str]:
        """What the messages carried as n."""
        return [each.body["data"]["n"] for each in self.received]

    async def secrets(self, request: web.Request) -> web.Response:
        self._claims(request)
        listed = [{"content": self.secret, "active_at": "2026-01-01T00:00:00Z", "expires_at": _FAR}]
        return web.json_response({"data": [{"format_version": 1, "secrets": listed}]})

    async def pubsub(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), await request.json()
        (target,) = body["target"]
        channel = "all" if body["is_global_broadcast"] else body["broadcaster_id"]
        if claims["channel_id"] != channel or claims["pubsub_perms"] != {"send": [target]}:
            raise web.HTTPForbidden
        told = json.loads(body["message"])
        self.received.append(Received(time.time(), channel, target, told))
        await asyncio.sleep(self.delay)
        if self.lose:
            self.lose -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)

    async def onwards(self, request: web.Request) -> web.Response:
        kept = ("Authorization", "Client-Id", "Content-Type")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        url = self.behind + request.raw_path.removeprefix("/front")
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method, url, headers=headers, data=await request.read()
            ) as answer,
        ):
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")},
            )

    def _claims(self, request: web.Request) -> dict[str, Any]:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        key = base64.b64decode(self.secret)
        needs = {"require": ["exp", "user_id", "role"]}
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["HS256"], options=needs)  # type: ignore[arg-type]
        assert (claims["user_id"], claims["role"]) == (OWNER_ID, "external")
        assert request.headers["Client-Id"] == CLIENT_ID
        return claims


@asynccontextmanager
async def extension_front(helix_url: str) -> AsyncIterator[ExtensionFront]:
    """Serve it on a free port of loopback."""
    front = ExtensionFront(helix_url)
    app = web.Application()
    app.router.add_get("/front/extensions/jwt/secrets", front.secrets)
    app.router.add_post("/front/extensions/pubsub", front.pubsub)
    app.router.add_route("*", "/{rest:.*}", front.onwards)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    front.url = f"http://127.0.0.1:{runner.addresses[0][1]}/front"
    try:
        yield front
    finally:
        await runner.cleanup()
