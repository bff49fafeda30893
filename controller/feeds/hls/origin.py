"""GETs playlists: redirects, gzip and conditional requests, all of them bounded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from controller.clients.fetch import FetchFailed
from controller.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clients.fetch import Fetched, Fetcher
    from controller.sensitive import Sensitive

__all__ = ["Loaded", "Origin", "PlaylistRefused"]

_MAX_BYTES: Final = 4 * 1024 * 1024
_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED: Final = 304


class PlaylistRefused(OperatorError):
    """The server answered with something else than the playlist.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, host: str, status: int) -> None:
        super().__init__(f"{host} answered with status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Loaded:
    """A playlist as it was served.

    Attributes:
        url: Where it was in the end; what it names is relative to this.
        text: Its text; None: it did not change.
        validators: Headers for the next request, so that it answers only what changed.
    """

    url: str
    text: str | None
    validators: Mapping[str, str] = field(default_factory=dict)


class Origin:
    """Reads playlists with the headers of one Secret.

    Args:
        fetcher: Calls the URLs.
        headers: Name → value; sent to `host` alone.
        host: Host that the Secret allows.
    """

    def __init__(self, fetcher: Fetcher, headers: Mapping[str, Sensitive], host: str) -> None:
        self._fetcher = fetcher
        self._headers = headers
        self._host = host

    async def load(
        self, url: str, validators: Mapping[str, str] | None = None, patience: float = 0.0
    ) -> Loaded:
        """Read a playlist.

        Args:
            url: Of the playlist.
            validators: Of what was read before from the same URL.
            patience: Seconds for which the server may hold the request back.

        Raises:
            FetchForbidden: The URL must not be called.
            FetchFailed: The call came to nothing, or the answer is not text of a sensible size.
            PlaylistRefused: The server answered with an error.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await self._fetcher.get(
                url,
                {
                    "Accept": "*/*",
                    "Accept-Encoding": "gzip",
                    **self._own(url),
                    **(validators or {}),
                },
                limit=_MAX_BYTES,
                patience=patience,
            )
            if answer.status in _REDIRECTS and "location" in answer.headers:
                url = urljoin(url, answer.headers["location"])
                continue
            return _loaded(url, answer, validators or {})
        msg = f"{_host_of(url)} redirects more than {_MAX_REDIRECTS} times"
        raise FetchFailed(msg)

    def _own(self, url: str) -> dict[str, str]:
        if urlsplit(url).hostname != self._host:
            return {}
        return {name: value.reveal() for name, value in self._headers.items()}


def _loaded(url: str, answer: Fetched, validators: Mapping[str, str]) -> Loaded:
    if answer.status == _NOT_MODIFIED and validators:
        return Loaded(url, None, validators)
    if not 200 <= answer.status < 300:
        raise PlaylistRefused(_host_of(url), answer.status)
    found = {
        condition: answer.headers[name]
        for name, condition in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
        if name in answer.headers
    }
    return Loaded(url, _text(url, answer), found)


def _text(url: str, answer: Fetched) -> str:
    body = answer.body
    if answer.headers.get("content-encoding", "").lower() in {"gzip", "x-gzip"}:
        body = _unzipped(url, body)
    # A byte that is not UTF-8 spoils its line, not the playlist.
    return body.decode("utf-8", errors="replace")


def _unzipped(url: str, body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, _MAX_BYTES)
    except zlib.error:
        msg = f"{_host_of(url)} answered with something that is not gzip, as its header says"
        raise FetchFailed(msg) from None
    if unzip.unconsumed_tail:
        msg = f"{_host_of(url)} answered with more than {_MAX_BYTES} bytes"
        raise FetchFailed(msg)
    if not unzip.eof or unzip.unused_data:
        msg = f"{_host_of(url)} answered with gzip that is cut off, or of several parts"
        raise FetchFailed(msg)
    return plain


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or ""
