"""A simulated origin on loopback, and what it can be told under `/_sandbox`."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from controller.sandbox.faults import CONTROL_PATH, Fault, FaultPlan, fault_middleware
from controller.sandbox.hls.stream import Break, Stream, StreamOptions
from controller.sandbox.orders import bad_order, described, order_middleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

__all__ = ["HlsSimulator", "Seen"]

_HOST = "127.0.0.1"
_TYPE = "application/vnd.apple.mpegurl"
_TICK = 0.02
_FAULTS = TypeAdapter(list[Fault])


@dataclass(slots=True)
class Seen:
    """A request that reached the origin.

    Attributes:
        time: When it came, in seconds since the epoch.
        path: Its path and query.
        authorization: Its header Authorization.
        status: Of the answer; None while there is none.
    """

    time: float
    path: str
    authorization: str
    status: int | None = None


class _BreakOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    duration: float = Field(30.0, gt=0, le=3600, description="Seconds of the ad break.")


_ENDPOINTS: tuple[tuple[str, str, str, type[BaseModel] | None], ...] = (
    ("GET", "", "This list.", None),
    ("GET", "/requests", "The last requests, oldest first.", None),
    ("GET", "/streams", "The streams.", None),
    ("POST", "/streams", "Begin a stream, or begin it anew.", StreamOptions),
    ("POST", "/streams/{name}/breaks", "An ad break, from the next segment on.", _BreakOrder),
    ("POST", "/streams/{name}/end", "Go off air: the playlist ends.", None),
    ("POST", "/streams/{name}/restart", "Count the segments anew.", None),
    ("DELETE", "/streams/{name}", "Remove it: its playlists are not found.", None),
    ("POST", "/faults", "Let requests go wrong: one fault, or a list.", Fault),
    ("DELETE", "/faults", "Take back all faults.", None),
)
_refuse_surplus = order_middleware(CONTROL_PATH, _ENDPOINTS)


class HlsSimulator:
    """An origin: `async with HlsSimulator() as hls: hls.begin(); … hls.url_of("live")`.

    All methods belong to the event loop that started it.

    Args:
        clock: Seconds since the epoch.
        port: To listen on; 0: any that is free.
        remember: How many requests `requests` holds, the newest ones.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, port: int = 0, remember: int = 1000
    ) -> None:
        self.faults = FaultPlan()
        self.requests: deque[Seen] = deque(maxlen=remember)
        self.streams: dict[str, Stream] = {}
        self._clock = clock
        self._port = port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(
            middlewares=[self._record, _refuse_surplus, fault_middleware(self.faults)]
        )
        self._add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _HOST, self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base of all addresses."""
        return f"http://{_HOST}:{self._port}"

    def url_of(self, name: str) -> str:
        """The master playlist of a stream."""
        return f"{self.url}/{name}/master.m3u8"

    # Orders

    def begin(self, options: StreamOptions | None = None) -> Stream:
        """Begin a stream whose window is full."""
        options = options or StreamOptions()
        began = self._clock() - (options.window + 1) * options.target
        made = self.streams[options.name] = Stream(options, began)
        return made

    def advertise(self, name: str, duration: float) -> Break:
        """Let an ad break begin with the next segment of a stream."""
        return self.streams[name].add_break(duration, self._clock())

    # Playlists

    def _add_routes(self, app: web.Application) -> None:
        at = CONTROL_PATH + "/streams"
        app.add_routes(
            [
                web.get(CONTROL_PATH, self._index),
                web.get(CONTROL_PATH + "/requests", self._seen),
                web.post(CONTROL_PATH + "/faults", self._add_faults),
                web.delete(CONTROL_PATH + "/faults", self._clear_faults),
                web.get(at, self._list),
                web.post(at, self._begin),
                web.post(at + "/{name}/breaks", self._advertise),
                web.post(at + "/{name}/end", self._end),
                web.post(at + "/{name}/restart", self._restart),
                web.delete(at + "/{name}", self._remove),
                web.get("/{name}/master.m3u8", self._master),
                web.get("/{name}/{rendition}.m3u8", self._media),
            ]
        )

    async def _master(self, request: web.Request) -> web.Response:
        return web.Response(text=self._stream(request).master(), content_type=_TYPE)

    async def _media(self, request: web.Request) -> web.Response:
        stream = self._stream(request)
        wanted = request.query.get("_HLS_msn", "")
        if stream.options.blocking and wanted.isdigit():
            until = self._clock() + 3 * stream.options.target
            while stream.last(self._clock()) - stream.offset < int(wanted):
                if self._clock() > until:
                    raise web.HTTPServiceUnavailable
                await asyncio.sleep(_TICK)
        body = stream.media(self._clock()).encode()
        etag = f'"{zlib.crc32(body):08x}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        answer = web.Response(body=body, content_type=_TYPE, headers={"ETag": etag})
        answer.enable_compression()
        return answer

    def _stream(self, request: web.Request) -> Stream:
        stream = self.streams.get(request.match_info["name"])
        if stream is None:
            raise web.HTTPNotFound
        return stream

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        seen = Seen(self._clock(), request.path_qs, request.headers.get("Authorization", ""))
        self.requests.append(seen)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            seen.status = refusal.status
            raise
        seen.status = response.status
        return response

    # Control over HTTP

    async def _index(self, _request: web.Request) -> web.Response:
        endpoints = [described(m, CONTROL_PATH + p, does, body) for m, p, does, body in _ENDPOINTS]
        return web.json_response({"service": "simulated HLS origin", "endpoints": endpoints})

    async def _seen(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(seen) for seen in self.requests])

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            text = (await request.read()).strip()
            self.faults.add(
                *_FAULTS.validate_json(text if text.startswith(b"[") else b"[%b]" % text)
            )
        except ValidationError as error:
            raise bad_order(error, Fault) from None
        return web.Response(status=204)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return web.Response(status=204)

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response(
            [
                stream.options.model_dump()
                | {"url": self.url_of(name), "breaks": [asdict(each) for each in stream.breaks]}
                for name, stream in self.streams.items()
            ]
        )

    async def _begin(self, request: web.Request) -> web.Response:
        try:
            options = StreamOptions.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            raise bad_order(error, StreamOptions) from None
        self.begin(options)
        return web.json_response({"url": self.url_of(options.name)})

    async def _advertise(self, request: web.Request) -> web.Response:
        stream = self._stream(request)
        try:
            order = _BreakOrder.model_validate_json(await request.read() or b"{}")
        except ValidationError as error:
            raise bad_order(error, _BreakOrder) from None
        return web.json_response(asdict(stream.add_break(order.duration, self._clock())))

    async def _end(self, request: web.Request) -> web.Response:
        self._stream(request).end(self._clock())
        return web.Response(status=204)

    async def _restart(self, request: web.Request) -> web.Response:
        self._stream(request).restart(self._clock())
        return web.Response(status=204)

    async def _remove(self, request: web.Request) -> web.Response:
        self._stream(request)
        del self.streams[request.match_info["name"]]
        return web.Response(status=204)
