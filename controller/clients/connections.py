"""A pool of HTTP/1.1 connections that costs the same however many there are.

httpcore's own looks at each connection, busy or idle, before and after each request: with some
thirty calls at once that is more work than the calls themselves. Here the idle ones lie on a stack,
and a call takes the one on top without a look at the others.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict, deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["Transport"]

_Connection: TypeAlias = httpcore.AsyncConnectionInterface
_Host: TypeAlias = tuple[bytes, bytes, int]


class Transport(httpx.AsyncHTTPTransport):
    """httpx' own, with this pool.

    Args:
        ssl_context: For https.
        limits: Connections at once (a further call waits, for as long as its caller does), those
            to one host that are kept while there is no call, and for how many seconds.
    """

    def __init__(self, ssl_context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=ssl_context, limits=limits, trust_env=False)
        self._pool = _Pool(ssl_context, limits)


class _Pool(httpcore.AsyncConnectionPool):
    """What httpx calls of a pool, done anew; connections are made as httpcore makes them."""

    def __init__(self, ssl_context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(ssl_context=ssl_context, keepalive_expiry=limits.keepalive_expiry)
        self._room = asyncio.Semaphore(limits.max_connections or sys.maxsize)
        self._most_idle = limits.max_keepalive_connections or 0
        self._busy: set[_Connection] = set()
        self._idle: defaultdict[_Host, deque[_Connection]] = defaultdict(deque)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Call over an idle connection, or a new one."""
        origin = request.url.origin
        idle = self._idle[origin.scheme, origin.host, origin.port]
        await self._wait_for_room(request)
        try:
            connection = await _take(idle) or self.create_connection(origin)
            self._busy.add(connection)
        except BaseException:
            self._room.release()
            raise
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            self._leave(connection)  # it has closed itself
            raise
        stream = cast("_Stream", response.stream)
        return httpcore.Response(
            response.status,
            headers=response.headers,
            content=_Body(stream, partial(self._give_back, connection, idle)),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        connections = [*self._busy, *chain.from_iterable(self._idle.values())]
        self._idle.clear()
        for connection in connections:
            await connection.aclose()

    async def _give_back(self, connection: _Connection, idle: deque[_Connection]) -> None:
        """Keep a connection whose answer was read, and drop one that nobody needs any more."""
        self._leave(connection)
        if connection.is_idle():
            idle.append(connection)
        if len(idle) > 1 and (len(idle) > self._most_idle or idle[0].has_expired()):
            await idle.popleft().aclose()

    async def _wait_for_room(self, request: httpcore.Request) -> None:
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("pool")):
                await self._room.acquire()
        except TimeoutError:
            msg = "all connections are busy"
            raise httpcore.PoolTimeout(msg) from None

    def _leave(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        self._room.release()


async def _take(idle: deque[_Connection]) -> _Connection | None:
    """The connection that was used last, if the server did not close it meanwhile."""
    while idle:
        connection = idle.pop()
        if not connection.has_expired():
            return connection
        await connection.aclose()
    return None


class _Stream(Protocol):
    """The body of an answer, as a connection gives it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class _Body:
    """The body of an answer; when it is closed, its connection is free."""

    def __init__(self, stream: _Stream, done: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._done = done
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._stream.aclose()
        finally:
            await self._done()
