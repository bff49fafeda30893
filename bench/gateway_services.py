"""What the benchmark of the gateway runs, each in a process of its own.

- `upstream`: Twitch's extension PubSub and an OAuth2 provider, as cheap as they can be made;
- `floor`: the barest service that signs and makes one call;
- `gateway`: the gateway, with an extension that it was told of by hand instead of by a cluster.

Each reads a line of JSON, tells its port in another, and ends with its input.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httptools
import httpx
import jwt
import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

from bench.processes import run_until_end_of_input
from controller.clients.extensions import Extensions
from controller.clients.fetch import Fetcher
from controller.clients.http import new_http_client
from controller.gateway.app import make_app
from controller.gateway.authorizer import Authorizer
from controller.gateway.catalog import Catalog, Endpoint
from controller.gateway.metrics import GatewayMetrics
from controller.gateway.providers import Provider
from controller.gateway.server import Server
from controller.logs import set_up_logging
from controller.policies.extension_secrets import SharedSecret
from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from controller.sensitive import Sensitive
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["CHANNELS_A_TOKEN", "CLIENT_ID", "TOKENS"]

CLIENT_ID = "benchmark"
OWNER_ID = "1000"
TOKENS = 50
CHANNELS_A_TOKEN = 100

_KEY = b"0123456789abcdef0123456789abcdef"
_LIFETIME = 3600


class _Upstream(asyncio.Protocol):
    """Answers by the path alone: messages with 204, tokens with the channels of their account."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url, self._body = url, b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url.endswith(b"/pubsub"):
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        number = int(self._body.partition(b"token-")[2].partition(b"&")[0])
        first = number * CHANNELS_A_TOKEN
        channels = [str(channel) for channel in range(first, first + CHANNELS_A_TOKEN)]
        claims = {"active": True, "exp": int(time.time()) + _LIFETIME, "twitch_channels": channels}
        body = json.dumps(claims).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)


async def _upstream(_: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", 0)
    _tell(server.sockets[0].getsockname()[1])
    await run_until_end_of_input()
    server.close()


def _floor_app(url: str) -> FastAPI:
    """No check, no bound, no metric, no log line: the work that nobody can leave out."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=5) as http:
            app.state.http = http
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/send/")
    async def send(request: Request) -> Response:
        body = await request.json()
        channel = request.headers["X-Twitch-User-Id"]
        claims = {
            "exp": int(time.time()) + 120,
            "user_id": OWNER_ID,
            "role": "external",
            "channel_id": channel,
            "pubsub_perms": {"send": ["broadcast"]},
        }
        token = jwt.encode(claims, _KEY, algorithm="HS256")
        message = {"type": body["type"], "data": body["data"], "version": body.get("version", 0)}
        told = await app.state.http.post(
            url + "/extensions/pubsub",
            headers={"Authorization": f"Bearer {token}", "Client-Id": CLIENT_ID},
            json={
                "target": ["broadcast"],
                "broadcaster_id": channel,
                "is_global_broadcast": False,
                "message": json.dumps(message),
            },
        )
        content = {
            "status": told.status_code,
            "content_type": told.headers.get("Content-Type", ""),
            "content": told.text,
        }
        return Response(json.dumps(content), media_type="application/json")

    return app


async def _floor(configuration: dict[str, Any]) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    _tell(listener.getsockname()[1])
    app = _floor_app(configuration["upstream"])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    task = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    await run_until_end_of_input()
    server.should_exit = True
    await task


def _catalog(upstream: str) -> Catalog:
    now = time.time()
    secret = Sensitive(base64.b64encode(_KEY).decode())
    provider = Provider(
        introspection_url=upstream + "/introspect",
        client_id="gateway",
        client_secret=Sensitive("gateway-secret"),
        channels_claim="twitch_channels",
    )
    served = Endpoint(
        key=Key(EXTENSION, "benchmark", "benchmark"),
        client_id=CLIENT_ID,
        owner_id=OWNER_ID,
        version="1.0.0",
        secrets=(SharedSecret(secret, now - _LIFETIME, now + 24 * _LIFETIME),),
        oauth=provider,
    )
    catalog = Catalog([served])
    catalog.ready = True
    return catalog


async def _gateway(configuration: dict[str, Any]) -> None:
    upstream = configuration["upstream"]
    settings = Settings(
        helix_url=upstream, gateway_address="127.0.0.1:0", allowed_fetch_hosts=("127.0.0.1",)
    )
    async with (
        new_http_client(settings) as http,
        Fetcher(settings.allowed_fetch_hosts, settings.gateway_timeout) as fetcher,
    ):
        extensions = Extensions(http, settings)
        app = make_app(_catalog(upstream), Authorizer(fetcher), extensions, GatewayMetrics())
        server = Server(app, settings)
        task = asyncio.get_running_loop().create_task(server.run())
        await _until_open(server.address[1])
        _tell(server.address[1])
        await run_until_end_of_input()
        server.stop()
        await task


async def _until_open(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def _tell(port: int) -> None:
    print(json.dumps({"port": port}), flush=True)


if __name__ == "__main__":
    set_up_logging("INFO", "text")
    _MAINS = {"upstream": _upstream, "floor": _floor, "gateway": _gateway}
    uvloop.run(_MAINS[sys.argv[1]](json.loads(sys.stdin.readline())))
