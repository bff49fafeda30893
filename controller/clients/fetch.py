"""HTTP to URLs that a resource names, which must not lead into the cluster.

Whoever may write a resource chooses such a URL. So it is https (http only to hosts of the setting
ALLOWED_FETCH_HOSTS), its host is resolved once for each connection and every address of it must be
public (or the host be one of that setting), and the connection goes to the very address that was
looked at. Redirects are not followed. Answers are bounded in size and time, and their bodies never
become part of an error. What one host is slow with keeps no call to another waiting.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpcore
import httpx
from httpcore import AnyIOBackend, AsyncNetworkBackend

from controller.clients.http import tls_context
from controller.clients.network_errors import in_words
from controller.errors import PermanentError, TransientError
from controller.policies.addresses import is_public
from controller.policies.gateway_checks import allows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from httpcore import SOCKET_OPTION, AsyncNetworkStream

__all__ = ["MAX_ANSWER", "FetchFailed", "FetchForbidden", "Fetched", "Fetcher"]

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read."""

_AT_ONCE = 64  # calls to one host
_IDLE = 100  # connections that are kept
_KEEP_ALIVE = 30.0
_NAMES_AT_ONCE = 64


class FetchForbidden(PermanentError):
    """A URL that must not be called; the message says why, and what would allow it."""


class FetchFailed(TransientError):
    """A call that came to nothing."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer.

    Attributes:
        status: HTTP status.
        body: At most as many bytes as were to be read, as they came.
        headers: Of the answer; names in any case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Fetcher:
    """Calls URLs of resources; use it as an async context manager.

    Args:
        allowed_hosts: The setting ALLOWED_FETCH_HOSTS.
        timeout: Seconds for one call, the wait for others to the same host included.
        at_once: Calls to one host.
    """

    def __init__(
        self, allowed_hosts: Sequence[str], timeout: float, at_once: int = _AT_ONCE
    ) -> None:
        self._at_once = at_once
        self._allowed = tuple(allowed_hosts)
        self._timeout = timeout
        self._rooms: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._http = httpx.AsyncClient(
            transport=_Transport(_Guard(self._allowed)),
            timeout=httpx.Timeout(self._timeout),
            follow_redirects=False,
            trust_env=False,
            headers={
                "User-Agent": "twitch-operator",
                "Accept": "application/json",
                # What is packed could be far larger than what was read of it.
                "Accept-Encoding": "identity",
            },
        )
        # Cookies would be kept without bound, and carried from one resource's URL to another's.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        limit: int = MAX_ANSWER,
        patience: float = 0.0,
    ) -> Fetched:
        """GET a URL.

        Args:
            url: Where.
            headers: Beside those of every call.
            limit: Bytes of the answer's body that are read.
            patience: Seconds that the answer may take in addition to the timeout.

        Raises:
            FetchForbidden: It must not be called.
            FetchFailed: It came to nothing.
        """
        within = self._timeout + patience
        request = self._http.build_request(
            "GET", self._checked(url), headers=headers, timeout=within
        )
        return await self._call(request, limit=limit, within=within)

    async def post(
        self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None
    ) -> Fetched:
        """POST a form to a URL.

        Args:
            url: Where.
            form: Its fields.
            login: User and password of HTTP Basic, as they stand in the header.

        Raises:
            FetchForbidden: It must not be called.
            FetchFailed: It came to nothing.
        """
        request = self._http.build_request("POST", self._checked(url), data=dict(form))
        return await self._call(request, httpx.BasicAuth(*login) if login else None)

    def _checked(self, url: str) -> httpx.URL:
        """Look at what can be told from the URL itself."""
        try:
            parts, parsed = urlsplit(url), httpx.URL(url)
            port, host = parts.port, parsed.host  # each looks at more than was looked at before
        except (ValueError, httpx.InvalidURL):
            msg = "the URL cannot be read"
            raise FetchForbidden(msg) from None
        if not parts.hostname or parsed.userinfo or port == 0:
            msg = "the URL must have a host, and no user"
            raise FetchForbidden(msg)
        if parts.hostname.lower() not in (host.lower(), parsed.raw_host.decode("ascii")):
            msg = f"the host of the URL is ambiguous: {parts.hostname} or {host}"
            raise FetchForbidden(msg)
        if parts.scheme != "https" and not (parts.scheme == "http" and allows(self._allowed, url)):
            msg = (
                f"the URL of {host} is not https; http is for the hosts of the setting"
                " ALLOWED_FETCH_HOSTS alone"
            )
            raise FetchForbidden(msg)
        return parsed

    async def _call(
        self,
        request: httpx.Request,
        auth: httpx.Auth | None = None,
        *,
        limit: int = MAX_ANSWER,
        within: float | None = None,
    ) -> Fetched:
        host = request.url.host
        # Weakly held: a host that nobody calls needs no place.
        room = self._rooms.setdefault(request.url.netloc.decode(), asyncio.Semaphore(self._at_once))
        try:
            async with asyncio.timeout(within or self._timeout), room:
                response = await self._http.send(request, auth=auth, stream=True)
                try:
                    body = await _read(response, host, limit)
                    return Fetched(response.status_code, body, response.headers)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as error:
            msg = f"{host} did not answer: {in_words(error)}"
            raise FetchFailed(msg) from error


async def _read(response: httpx.Response, host: str, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            msg = f"{host} answered with more than {limit} bytes"
            raise FetchFailed(msg)
    return bytes(body)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx' own, with a pool whose connections are looked at before they are made."""

    def __init__(self, guard: _Guard) -> None:
        context = tls_context()
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=_IDLE,
            keepalive_expiry=_KEEP_ALIVE,
            network_backend=guard,
        )


class _Guard(AsyncNetworkBackend):
    """Connects to public addresses, and to those of allowed hosts.

    TLS is told the URL's host all the same: names in certificates are checked against that.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = tuple(allowed)
        self._backend = AnyIOBackend()
        self._resolver = _Resolver()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Resolve, look, and connect to an address that was looked at."""
        addresses = await self._resolver.resolve(host, port)
        if not allows(self._allowed, _url_of(host, port)):
            closed = [address for address in addresses if not is_public(address)]
            if closed:
                msg = (
                    f"{host} is at {closed[0]}, which is not a public address; the setting"
                    " ALLOWED_FETCH_HOSTS can allow it"
                )
                raise FetchForbidden(msg)
        problem: Exception | None = None
        share = timeout / len(addresses) if timeout and addresses else timeout
        for address in addresses:
            try:
                return await self._backend.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore.ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """No URL leads to a socket of this machine."""
        del path, timeout, socket_options
        msg = "sockets of this machine must not be called"
        raise FetchForbidden(msg)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _url_of(host: str, port: int) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return f"https://{bracketed}:{port}"


class _Resolver:
    """Resolves names in threads of its own, one for a name however many ask.

    A name server that is slow holds one thread, and not those that others need.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_NAMES_AT_ONCE, thread_name_prefix="resolver")
        self._asking: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host, each once."""
        asking = self._asking.get((host, port))
        if asking is None:
            look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            asking = asyncio.get_running_loop().run_in_executor(self._threads, look)
            self._asking[host, port] = asking
            asking.add_done_callback(partial(self._answered, (host, port)))
        try:
            # Those who go away take the answer from nobody else.
            found = await asyncio.shield(asking)
        except (OSError, UnicodeError) as error:
            msg = "the host's name cannot be resolved"
            raise httpcore.ConnectError(msg) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _answered(self, name: tuple[str, int], asked: asyncio.Future[list[Any]]) -> None:
        del self._asking[name]
        if not asked.cancelled():
            asked.exception()  # whoever waits gets it; where nobody does, it is no news
