"""One HTTP connection of the gateway: uvicorn's, within bounds.

What is added: heads and requests that never end are not waited for, and connections are taken up
to a number; a wish for another protocol is ignored; and while the server drains, each answer tells
the client to come back on another connection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_CONNECTIONS", "MAX_HEAD", "Connection", "State"]

MAX_HEAD = 32 * 1024
"""Bytes of the request line and the headers together."""

MAX_CONNECTIONS = 4000
"""Connections at once; further ones get 503."""

_READ_WITHIN = 30.0  # seconds from the first byte of a request to its last
_STUCK = 120.0  # seconds after which a connection on which nothing happens is broken off
_LINGER = 1.0  # seconds in which a connection that was just made may bring its request
_LAST_BYTES = 3.0  # seconds in which a request that has begun may bring the rest at the end

_REASONS = {
    400: ("Bad Request", "This is not a valid HTTP/1.1 request."),
    431: (
        "Request Header Fields Too Large",
        f"The request line and the headers have more than {MAX_HEAD} bytes.",
    ),
    503: ("Service Unavailable", "Too many connections."),
}


class State(ServerState):
    """What the connections share."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False

    def drain(self) -> None:
        """From now on each answer is the last of its connection."""
        self.draining = True
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.close_after_answer()


class Connection(HttpToolsProtocol):
    """A connection."""

    server_state: State
    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._reading = False  # a request has begun, and is not complete
        self._in_head = False
        self._went_on = False  # a request began, or more of a body came, with the last data
        self._around = 0  # bytes around the body: of a head without an end, of trailers
        self._touched = self.loop.time()
        self._fault = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head or trailers without an end."""
        self._went_on = False
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._reading and not self._went_on:
            self._around += len(data)
            if self._around > MAX_HEAD:
                self._refuse(431)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to stay: a client that sends nothing more may still wait for its answer."""
        if self._reading or self.cycle is None or self.cycle.response_complete:
            return False
        self.close_after_answer()
        return True

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._reading = self._in_head = self._went_on = True
        self._around = 0
        self._touched = self.loop.time()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after the body is none (RFC 9110, 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._went_on = True
        self._around = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Let the application answer."""
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
        """Have read the whole request."""
        if not self.parser.should_upgrade():
            self._reading = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Have answered."""
        self._touched = self.loop.time()
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close, or let the request that is there be answered, or the one that may come."""
        self.close_after_answer()
        self.loop.call_later(_LINGER, self._close_if_idle)
        self.loop.call_later(_LAST_BYTES, self._abort_if_reading)

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

    def _abort_if_reading(self) -> None:
        if self._reading:
            self.transport.abort()

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        if not self._in_head and self.cycle is not None and self.cycle.response_started:
            self.transport.abort()  # it has its answer, and goes on all the same
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
