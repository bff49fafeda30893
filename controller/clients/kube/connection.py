"""Requests to the API server, by the official client.

Only the client's transport is used (`ApiClient` with its kubeconfig and in-cluster loaders), on raw
JSON: the typed API classes would triple the memory and gain nothing for custom resources.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from controller.clients.kube.answers import (
    KubeNotLeading,
    KubeUnavailable,
    read_answer,
    values_of,
)
from controller.clients.network_errors import in_words
from controller.errors import NotLeading, OperatorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTResponse

    from controller.term import Term

__all__ = ["DRY_RUN", "Connection"]

DRY_RUN = [("dryRun", "All")]
"""The query by which the API server only finds out what a write would lead to."""

_MANAGER = ("fieldManager", "twitch-operator")
# Who writes what, for `kubectl get --show-managed-fields`. Flux takes back what managers named
# kubectl… have changed, and so must not take the plug-in for one.
_WRITES = ("PATCH", "POST", "PUT")
_TIMEOUT = 10.0
_GRACE = 1.0  # seconds for which a write may last beyond the deadline before which it began
_LOG_IN_INTERVAL = 10.0


class Connection:
    """A connection to the API server, which logs in again by itself.

    Use as an async context manager. Every call raises `KubeUnavailable` when the API server is away
    or overloaded, and a `KubeError` when it refuses.

    Args:
        load: Finds the API server and how to log in; asked again after a 401, because credentials
            of a kubeconfig may expire.
        term: Until when this process may write; None: always.

    Attributes:
        on_answer: Called with the method, the kind and the status of each call; None: no answer.
    """

    def __init__(
        self, load: Callable[[], Awaitable[Configuration]], term: Term | None = None
    ) -> None:
        self._load = load
        self._term = term
        self._client: ApiClient | None = None
        self._loaded = 0.0
        self.on_answer: Callable[[str, str, int | None], None] = lambda *_: None

    async def __aenter__(self) -> Self:
        self._client = ApiClient(await self._load())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._client.configuration.host) if self._client is not None else "(none)"

    async def merge(
        self, path: str, kind: str, changes: Mapping[str, Any], *, dry_run: bool = False
    ) -> dict[str, Any]:
        """Change some fields of a resource by a merge patch."""
        content_type = "application/merge-patch+json"
        query = DRY_RUN if dry_run else None
        return await self.call(
            "PATCH", path, kind, query=query, body=dict(changes), content_type=content_type
        )

    async def call(
        self,
        method: str,
        path: str,
        kind: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Any = None,  # noqa: ANN401 - JSON
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Make one request, if it changes nothing or this process may write.

        Args:
            method: Of HTTP.
            path: Below the API server's URL.
            kind: Of what is answered.
            query: Of the URL.
            body: JSON.
            content_type: Of the body.

        Raises:
            KubeNotLeading: This process may not write.
        """
        within = _TIMEOUT
        if self._term is not None and method != "GET":
            try:
                self._term.check()
            except NotLeading as error:
                raise KubeNotLeading(str(error)) from error
            within = min(within, self._term.left + _GRACE)
        return await self.request(
            method, path, kind, within, query=query, body=body, content_type=content_type
        )

    async def request(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        path: str,
        kind: str,
        within: float,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Any = None,  # noqa: ANN401 - JSON
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Make one request for at most so many seconds, whether this process may write or not."""
        limits = aiohttp.ClientTimeout(within)
        try:
            response = await self._send(method, path, query or [], limits, body, content_type)
            content = await response.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self.on_answer(method, kind, None)
            msg = f"the API server did not answer: {in_words(error)} ({self.host})"
            raise KubeUnavailable(msg) from error
        self.on_answer(method, kind, response.status)
        if response.status == 401:
            await self._log_in_again()
        hidden = values_of(body["data"]) if kind == "Secret" and body is not None else ()
        return read_answer(method, path, response.status, content, kind, hidden)

    async def _send(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        limits: aiohttp.ClientTimeout,
        body: Any = None,  # noqa: ANN401 - JSON
        content_type: str = "application/json",
    ) -> RESTResponse:
        if self._client is None:
            msg = "Kube is used outside of its context"
            raise RuntimeError(msg)
        # Without the body: it is JSON already, and need not be walked through.
        method, url, headers, _, _ = await self._client.param_serialize(
            method,
            path,
            query_params=[*query, _MANAGER] if method in _WRITES else query,
            header_params={"Accept": "application/json", "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        return await self._client.call_api(method, url, headers, body, _request_timeout=limits)

    async def stream(
        self, path: str, query: list[tuple[str, str]], connect: float, within: float
    ) -> AsyncIterator[dict[str, Any]]:
        """Watch: yield what the API server tells, line by line.

        Args:
            path: Below the API server's URL.
            query: Of the URL.
            connect: Seconds in which a connection must be there.
            within: Seconds after which it ends.
        """
        limits = aiohttp.ClientTimeout(within, connect=connect)
        try:
            response = await self._send("GET", path, query, limits)
            try:
                if response.status != 200:
                    read_answer("GET", path, response.status, await response.read(), "WatchEvent")
                async for line in response.response.content:
                    yield json.loads(line)
            finally:
                response.response.close()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            msg = f"the API server broke off: {in_words(error)} ({self.host})"
            raise KubeUnavailable(msg) from error

    async def _log_in_again(self) -> None:
        """Read the credentials anew; the caller's next try uses them."""
        now = time.monotonic()
        if now < self._loaded + _LOG_IN_INTERVAL:
            return
        self._loaded = now
        try:
            client = ApiClient(await self._load())
        except OperatorError as error:
            raise KubeUnavailable(str(error)) from error
        old, self._client = self._client, client
        if old is not None:
            # Calls under way on it fail as if the API server had been away, and are repeated.
            await old.close()
