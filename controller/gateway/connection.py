"""One HTTP connection of the gateway: uvicorn's, within bounds.

What is added to uvicorn:

- Heads have a limit of bytes and headers, requests a limit of time, the server one of connections.
- What a client sends before it has its answer is not parsed, but for a few small requests: each
  parsed request takes several KiB. Answers, refusals too, come in the order of the requests.
- A connection that closes while its client is still sending, be it the rest of a request or further
  ones, goes on reading for a while. Else the kernel resets it, and the client loses the answer.
- An Upgrade to another protocol is ignored.
- While the server drains, each answer tells the client to come back on another connection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_CONNECTIONS", "MAX_HEAD", "MAX_HEADERS", "Connection", "State"]

MAX_HEAD = 32 * 1024
"""Bytes of the request line and the headers together."""

MAX_HEADERS = 100
"""Headers of a request."""

MAX_CONNECTIONS = 4000
"""Connections at once; further ones get 503."""

_READ_WITHIN = 30.0  # seconds from the first byte of a request to its last
_STUCK = 120.0  # seconds after which a connection on which nothing happens is broken off
_LINGER = 1.0  # seconds in which a connection that was just made may bring its request
_LAST_BYTES = 3.0  # seconds in which a request that has begun may bring the rest at the end

# Bytes that are parsed at once. No request is shorter than 18 bytes: so few are parsed at once.
_SLICE = 256
_SLICE_OF_CHUNKS = 1024
_READ_ON_WITHIN = 5.0  # seconds in which the rest of a request is read and dropped after its answer
_READ_ON_BYTES = 16 * 1024 * 1024
_READ_ON_BYTES_REFUSED = 256 * 1024  # where it was not a request

_REASONS = {
    400: ("Bad Request", "This is not a valid HTTP/1.1 request."),
    431: (
        "Request Header Fields Too Large",
        f"The limit is {MAX_HEADERS} headers, and {MAX_HEAD} bytes with the request line.",
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
        self._held = b""  # received, and not parsed up to `_at`
        self._at = 0
        self._body_left: int | None = None  # bytes of the body that are to come; None: chunks
        self._refusal: int | None = None  # to be sent after the answers that are due before it
        self._to_drop: int | None = None  # bytes that may still come after the last answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse a connection too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._write_refusal(503)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse, or keep it until the requests before it have their answers."""
        if self._to_drop is not None:
            self._drop(len(data))
            return
        self._unset_keepalive_if_required()
        self._held = self._held[self._at :] + data
        self._at = 0
        self._parse_held()

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
            if len(self.headers) >= MAX_HEADERS:
                self._fault = 431
                raise httptools.HttpParserError
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._went_on = True
        self._around = 0
        if self._body_left is not None:
            self._body_left -= len(body)
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
        lengths = [value for name, value in self.headers if name == b"content-length"]
        self._body_left = int(lengths[0]) if lengths else None
        super().on_headers_complete()
        if self.cycle is not None:
            self.cycle.transport = _AnswerTransport(self)  # type: ignore[assignment]  # as much as it uses
        if self.server_state.draining:
            self.close_after_answer()

    def on_message_complete(self) -> None:
        """Have read the whole request."""
        if not self.parser.should_upgrade():
            self._reading = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Have answered: go on with what came meanwhile."""
        self._touched = self.loop.time()
        if self._to_drop is not None:
            self.flow.resume_reading()
            return
        super().on_response_complete()
        if self._refusal is not None and not self._unanswered:
            self._refuse(self._refusal)
        self._parse_held()

    def shutdown(self) -> None:
        """Close, or let the request that is there be answered, or the one that may come."""
        self.close_after_answer()
        self.loop.call_later(_LINGER, self._close_if_idle)
        self.loop.call_later(_LAST_BYTES, self._abort_if_reading)

    def close_after_answer(self) -> None:
        """Tell the client with the answer under way that it is the last one."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def finish(self, *, read_on: int = _READ_ON_BYTES) -> None:
        """Close after the last answer; read on where the client is still sending."""
        if not (self._reading or self._held) or self.transport.is_closing():
            self.transport.close()
            return
        self._held, self._to_drop = b"", read_on
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_READ_ON_WITHIN, self.transport.abort)

    def break_off_if_stuck(self, now: float) -> None:
        """Close a connection on which nothing has happened for too long."""
        if now > self._touched + (_READ_WITHIN if self._reading else _STUCK):
            self.transport.abort()

    @property
    def _unanswered(self) -> bool:
        """Whether a request that was read whole, or one that waits in line, has no answer yet."""
        if self.pipeline:
            return True
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not self._in_body

    @property
    def _in_body(self) -> bool:
        return self._reading and not self._in_head

    def _parse_held(self) -> None:
        """Parse what was received, up to the first request that has to wait for an answer."""
        while self._at < len(self._held) and not self._at_end:
            if self._unanswered:
                self.flow.pause_reading()
                return
            data = self._held[self._at : self._at + self._slice()]
            self._at += len(data)
            self._went_on = False
            self._parse(data)
            if self._reading and not self._went_on:
                self._around += len(data)
                if self._around > MAX_HEAD:
                    self._refuse(431)
        self._held, self._at = b"", 0

    @property
    def _at_end(self) -> bool:
        """Whether nothing more is parsed."""
        over = self._refusal is not None or self._to_drop is not None
        return over or self.transport.is_closing()

    def _slice(self) -> int:
        """How many bytes to parse at once."""
        if not self._in_body:
            return _SLICE
        return _SLICE_OF_CHUNKS if self._body_left is None else max(1, self._body_left)

    def _drop(self, size: int) -> None:
        self._to_drop = (self._to_drop or 0) - size
        if self._to_drop < 0:
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
        """Answer what cannot be read, after the requests before it, and close."""
        if self.transport.is_closing():
            return
        self._refusal = status
        if self._unanswered:
            self.flow.pause_reading()
            return
        if self._in_body and self.cycle is not None and self.cycle.response_started:
            self.transport.abort()  # it has its answer, and goes on all the same
            return
        self._write_refusal(status)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the refusal is the answer
            self.cycle.message_event.set()
        self._reading = True  # of what cannot be parsed, more may come
        self.finish(read_on=_READ_ON_BYTES_REFUSED)

    def _write_refusal(self, status: int) -> None:
        reason, detail = _REASONS[status]
        body = json.dumps({"detail": detail}).encode()
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n"
            + ("retry-after: 1\r\n\r\n" if status == 503 else "\r\n")
        )
        self.transport.write(head.encode() + body)


class _AnswerTransport:
    """As much of a transport as an answer needs; its end is the connection's business."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        """Have given the last answer."""
        self._connection.finish()
