"""Serves an ASGI application over HTTP, within bounds, and ends without dropping a request.

uvicorn does the work. What is added: it is told when to end and not by a signal; before it ends it
goes on for a while with `Connection: close` on each answer, so that clients move to other replicas
by themselves; and a client that is slow, or sends an endless head, is not waited for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from controller.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp

    from controller.settings import Settings

__all__ = ["MAX_CONNECTIONS", "MAX_HEAD", "Server"]

MAX_HEAD = 32 * 1024
"""Bytes of the request line and the headers together."""

MAX_CONNECTIONS = 4000
"""Connections at once; further ones get 503."""

_KEEP_ALIVE = 75.0
_READ_WITHIN = 30.0  # seconds from the first byte of a request to its last
_STUCK = 120.0  # seconds after which a connection on which nothing happens is broken off
_LINGER = 1.0  # seconds in which a connection that was just made may bring its request
_CLOSING = 0.05  # seconds in which the event loop is sure to have closed a socket
_BACKLOG = 2048

_REASONS = {
    400: ("Bad Request", "This is not a valid HTTP/1.1 request."),
    431: (
        "Request Header Fields Too Large",
        f"The request line and the headers have more than {MAX_HEAD} bytes.",
    ),
    503: ("Service Unavailable", "Too many connections."),
}


class Server:
    """An HTTP server; GATEWAY_ADDRESS says where. It listens when `run` begins.

    Args:
        app: Answers.
        settings: Where, and how long the end may take.

    Attributes:
        address: Host and port that it listens on.

    Raises:
        SettingsError: The address cannot be listened on.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._drain = settings.gateway_drain
        self._socket = _bind(settings.gateway_address)
        host, port = self._socket.getsockname()[:2]
        self.address: tuple[str, int] = host, port
        # A call to the OAuth provider, one to Twitch, and some time to read and to write.
        last = round(2 * settings.gateway_timeout + 5)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=round(_KEEP_ALIVE),
                timeout_graceful_shutdown=last,
                backlog=_BACKLOG,
            )
        )
        # It tells of each client that speaks no HTTP.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    @property
    def started(self) -> bool:
        """Whether it listens, or did."""
        return self._uvicorn.started

    async def run(self) -> None:
        """Serve until `stop` has been called and all answers are given."""
        await self._uvicorn.serve(sockets=[self._socket])

    async def listens(self) -> None:
        """Wait until connections are taken; `run` is under way."""
        await self._uvicorn.listens.wait()

    async def drain(self) -> None:
        """Go on for GATEWAY_DRAIN, and let each client come back on another connection."""
        self._uvicorn.state.drain()
        await asyncio.sleep(self._drain)

    def stop(self) -> None:
        """Take no more connections; `run` ends when the requests that are there have answers."""
        self._uvicorn.state.drain()
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Give up the address, where `run` was never called."""
        self._socket.close()


class _State(ServerState):
    """What the connections share."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False

    def drain(self) -> None:
        """From now on each answer is the last of its connection."""
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, _Protocol):
                connection.close_after_answer()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = self.state = _State()
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's business."""
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.state.connections):
                if isinstance(connection, _Protocol):
                    connection.break_off_if_stuck(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # To close a listening socket resets what the kernel has accepted and the loop has not. So
        # the loops' are closed first, and the last of it is emptied right before it is closed.
        last = [listener.dup() for listener in sockets or ()]
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        await asyncio.sleep(_CLOSING)
        for connection in _take_waiting(last):
            await asyncio.get_running_loop().connect_accepted_socket(self._new_protocol, connection)
        await super().shutdown()

    def _new_protocol(self) -> _Protocol:
        return _Protocol(self.config, self.state, self.lifespan.state)


class _Protocol(HttpToolsProtocol):
    """A connection."""

    server_state: _State
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._reading = False  # a request has begun, and is not complete
        self._in_head = False
        self._head = 0  # bytes of a head beyond those that came with its beginning
        self._touched = self.loop.time()
        self._fault = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        in_head = self._in_head
        self._unset_keepalive_if_required()
        self._parse(data)
        if in_head and self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(431)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to stay: a client that sends nothing more may still wait for its answer."""
        if self._reading or self.cycle is None or self.cycle.response_complete:
            return False
        self.close_after_answer()
        return True

    def on_message_begin(self) -> None:
        self._reading = self._in_head = True
        self._head = 0
        self._touched = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError
            return  # `_parse` goes on
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD:
            self._fault = 431
            raise httptools.HttpParserError  # ends the parsing
        super().on_headers_complete()
        if self.server_state.draining:
            self.close_after_answer()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._reading = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        self._touched = self.loop.time()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close, or let the request that is there be answered, or the one that may come."""
        self.close_after_answer()
        self.loop.call_later(_LINGER, self._close_if_idle)

    def close_after_answer(self) -> None:
        """Tell the client with the answer under way that it is the last one."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def break_off_if_stuck(self, now: float) -> None:
        """Close a connection on which nothing has happened for too long."""
        if now > self._touched + (_READ_WITHIN if self._reading else _STUCK):
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        """Parse; a wish for another protocol is as if it were not there (RFC 9110, 7.8).

        The parser would take the body for the beginning of that protocol: some clients wish for
        HTTP/2 with the first request that they send.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as before
            except httptools.HttpParserError:
                self._refuse(self._fault)
                return
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        """The request line and the headers of the request that was begun."""
        version = self.parser.get_http_version().encode()
        line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)
        kept = (b"%b: %b" % header for header in self.headers if header[0] != b"upgrade")
        return b"\r\n".join((line, *kept, b"", b""))

    def _close_if_idle(self) -> None:
        if not self._reading and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        reason, detail = _REASONS[status]
        body = json.dumps({"detail": detail}).encode()
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n"
            + ("retry-after: 1\r\n\r\n" if status == 503 else "\r\n")
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _take_waiting(listeners: Iterable[socket.socket]) -> list[socket.socket]:
    """Accept what waits, and close; without an await in between."""
    taken = []
    for listener in listeners:
        with suppress(BlockingIOError):
            while True:
                taken.append(listener.accept()[0])
        listener.close()
    for connection in taken:
        connection.setblocking(False)
    return taken


def _bind(address: str) -> socket.socket:
    """Take the address; connections are refused until the server listens."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    everywhere = host in {"", "::"} and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends each answer at once; else it may wait for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if everywhere:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, _port(port)))
    except (OSError, ValueError) as error:
        bound.close()
        msg = f"TWITCH_OPERATOR_GATEWAY_ADDRESS: cannot listen on {address!r} (host:port): {error}"
        raise SettingsError(msg) from error
    return bound


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        msg = f"there is no port {number}"
        raise ValueError(msg)
    return number
