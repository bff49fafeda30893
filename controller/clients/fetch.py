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

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from controller.clients.http import tls_context
from controller.clients.network_errors import in_words
from controller.clients.transport import Transport
from controller.errors import PermanentError, TransientError
from controller.policies.addresses import is_literal, is_public
from controller.policies.gateway_checks import allows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["MAX_ANSWER", "FetchFailed", "FetchForbidden", "Fetched", "Fetcher"]

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read."""

_AT_ONCE = 64  # calls to one host
_LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=30)
_NAMES_AT_ONCE = 64
_PORTS = {"http": 80, "https": 443}


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
        self._guard = _Guard(self._allowed)
        self._http = httpx.AsyncClient(
            transport=Transport(tls_context(), _LIMITS, resolver=self._guard),
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
        if is_literal(host):  # which nobody resolves
            self._guard.look(host, parsed.port or _PORTS[parsed.scheme], host)
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


class _Guard(AbstractResolver):
    """Resolves to public addresses, and to those of allowed hosts.

    The connection goes to an address that was looked at; TLS is told the URL's host all the same:
    names in certificates are checked against that.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = tuple(allowed)
        self._resolver = _Resolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve, and look at each address."""
        del family
        addresses = await self._resolver.resolve(host, port)
        for address in addresses:
            self.look(host, port, address)
        return [_resolved(host, port, address) for address in addresses]

    def look(self, host: str, port: int, address: str) -> None:
        """Refuse an address that is not public.

        Raises:
            FetchForbidden: It is not.
        """
        if not is_public(address) and not allows(self._allowed, _url_of(host, port)):
            msg = (
                f"{host} is at {address}, which is not a public address; the setting"
                " ALLOWED_FETCH_HOSTS can allow it"
            )
            raise FetchForbidden(msg)

    async def close(self) -> None:
        """Nothing: the threads end with the process."""


def _resolved(host: str, port: int, address: str) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=family,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


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
            raise OSError(msg) from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _answered(self, name: tuple[str, int], asked: asyncio.Future[list[Any]]) -> None:
        del self._asking[name]
        if not asked.cancelled():
            asked.exception()  # whoever waits gets it; where nobody does, it is no news
