"""httpx over aiohttp's connections.

httpx' own pool (httpcore) looks at each connection before and after each request, which costs more
CPU than the request itself as soon as some are under way at once; aiohttp's does not.

What failed before the request began to leave is a `ConnectError` or a `ConnectTimeout`, and nothing
else is: such a call cannot have been acted on. aiohttp's exceptions do not tell that (a connection
reset after the request is a `ClientConnectionError`, too), so it is traced.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import aiohttp
import httpx
from yarl import URL

from controller.tracing.tracer import DECIDING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from aiohttp.abc import AbstractResolver

    from controller.term import Term

__all__ = ["Sending", "Transport"]

_CHUNK = 2**16
_READING = ("GET", "HEAD")
_TURNS = 3  # of the loop, in which the end of a kept connection is seen that the server closed


class Sending:
    """Whether a request has begun to leave; the value of the extension `sending` of a request."""

    def __init__(self) -> None:
        self.begun = False


class Transport(httpx.AsyncBaseTransport):
    """Makes requests by aiohttp.

    A request may carry a `Sending` as its extension `sending`, for a caller who gives a call up by
    itself and then has to know whether it began.

    Args:
        ssl_context: For https.
        limits: Connections at once (a further call waits), and for how many seconds one is kept.
        term: Whether this process may make changing calls; None: always.
        resolver: Finds the addresses of each new connection, none of which may be another; None:
            the machine's own, and proxies of the environment are used.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext,
        limits: httpx.Limits,
        term: Term | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._ssl_context = ssl_context
        self._term = term
        self._limits = limits
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:  # it needs a running loop
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(self._begins)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._ssl_context,
                    limit=self._limits.max_connections or 0,
                    keepalive_timeout=self._limits.keepalive_expiry,
                    resolver=self._resolver,
                    use_dns_cache=self._resolver is None,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=[trace],
                middlewares=[_only_once],
                # To look for proxies at each request costs more than the rest of it.
                trust_env=self._resolver is None and bool(getproxies()),
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one request; the body of its answer is still to be read.

        Raises:
            NotLeading: It would change something, and this process may not; it did not leave.
            httpx.TransportError: Anything else that kept the answer away.
        """
        self._check(request.method)
        deciding = DECIDING.get()
        if deciding is None:
            return await self._request(request)
        with deciding.call(request.method, str(request.url)) as call:
            response = await self._request(request)
            call.answered(response.status_code)
            return response

    async def _request(self, request: httpx.Request) -> httpx.Response:
        session, body = self._opened(), await request.aread()
        sending: Sending = request.extensions.get("sending") or Sending()
        sending.begun = False
        timeout = request.extensions.get("timeout", {})
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        try:
            answer = await session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=body or None,
                skip_auto_headers=("Content-Type", "User-Agent"),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=timeout.get("connect"), sock_read=timeout.get("read")
                ),
                trace_request_ctx=sending,
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(error, begun=sending.begun) from error
        return httpx.Response(
            answer.status,
            headers=list(answer.raw_headers),
            stream=_Body(answer),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (answer.reason or "").encode(errors="replace"),
            },
        )

    def _check(self, method: str) -> None:
        if self._term is not None and method not in _READING:
            self._term.check()

    async def _begins(
        self,
        _session: aiohttp.ClientSession,
        context: Any,  # noqa: ANN401 - aiohttp's own
        sent: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        # Called right before the first byte leaves: to connect may have taken seconds.
        # A proxy is asked for a tunnel by a request of its own, which is not traced.
        self._check(sent.method)
        context.trace_request_ctx.begun = True

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; when it is closed, its connection is free."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_chunked(_CHUNK):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _failure(error, begun=True) from error

    async def aclose(self) -> None:
        self._answer.release()  # closes the connection if there is more to read


class _BrokenError(aiohttp.ClientError):
    """A connection broke; `__cause__` has how."""


async def _only_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET or PUT on its own: who calls decides that."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(str(error)) from error


def _failure(error: Exception, *, begun: bool) -> httpx.TransportError:
    """What a failure means, in httpx' terms."""
    told = str(error)
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout(told) if begun else httpx.ConnectTimeout(told)
    if not begun:
        return httpx.ConnectError(told)
    if isinstance(error.__cause__ or error, OSError):
        return httpx.ReadError(told)
    return httpx.RemoteProtocolError(told)
