"""HLS → events: one task for each playlist of a feed."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit, urlunsplit

from controller.clients.fetch import Fetcher
from controller.errors import OperatorError
from controller.events import Event
from controller.feeds.base import FeedHealth, HealthChanged, Malformed
from controller.feeds.hls.following import Following
from controller.feeds.hls.origin import Origin
from controller.feeds.hls.playlist import InvalidPlaylist, MasterPlaylist, parse_playlist
from controller.feeds.hls.renditions import NoSuchRendition, choose
from controller.feeds.hls.spec import HlsSettings
from controller.policies.gateway_checks import host_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.feeds.base import Sink
    from controller.feeds.hls.keys import HlsKey
    from controller.feeds.hls.occurrences import Occurrence
    from controller.feeds.hls.origin import Loaded
    from controller.feeds.hls.playlist import MediaPlaylist
    from controller.settings import Settings

__all__ = ["HlsFeed"]

_ASIDE: Final = 64 * 1024  # characters; more are parsed beside the event loop
_FEW: Final = 1000  # segments, an EXT-X-DATERANGE as ten; more are looked at in a thread
_AT_ONCE: Final = 1000  # requests to one host: each playlist has one, and servers hold it back


class _Playlist:
    """Follows one playlist.

    Args:
        url: Of the master or the media playlist.
        key: Which rendition of a master.
        origin: Reads playlists.
        sink: Takes what happens.
        since: Nothing older is told, in seconds since the epoch.
    """

    def __init__(self, url: str, key: HlsKey, origin: Origin, sink: Sink, since: float) -> None:
        self.following = Following()
        self._url = url
        self._key = key
        self._origin = origin
        self._sink = sink
        self._since = since
        self._media: str | None = None
        self._validators: Mapping[str, str] = {}
        self._health = self.following.health
        self._arrived = time.monotonic()
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            changed = False
            try:
                changed = await self._look()
            except (OperatorError, InvalidPlaylist, NoSuchRendition) as error:
                found = self.following.failed(error, time.time(), of_rendition=self._is_rendition)
                # The master may offer other renditions by now.
                self._media, self._validators = None, {}
                await self._tell(found)
                if isinstance(error, InvalidPlaylist):
                    self._sink.tell(Malformed(f"playlist of {host_of(self._url)}: {error}"))
            await asyncio.sleep(self.following.pause(random.random(), changed=changed))  # noqa: S311

    @property
    def _is_rendition(self) -> bool:
        return self._media is not None and self._media != self._url

    async def _look(self) -> bool:
        """Read the playlist; return whether it changed."""
        playlist = await self._read()
        now = time.time()
        if playlist is None:
            await self._tell(self.following.unchanged(now))
            return False
        if len(playlist.segments) + 10 * len(playlist.date_ranges) < _FEW:
            found = self.following.read(playlist, now)
        else:
            found = await asyncio.to_thread(self.following.read, playlist, now)
        await self._tell(found)
        return self.following.moved

    async def _read(self) -> MediaPlaylist | None:
        """The playlist as it is now; None: it did not change."""
        if self._media is None:
            loaded = await self._load(self._url, {})
            parsed = await _parsed(loaded.text or "")
            if not isinstance(parsed, MasterPlaylist):
                self._media, self._validators = self._url, loaded.validators
                return parsed
            self._media = urljoin(loaded.url, choose(parsed, self._key.rendition).uri)
        held = self.following.holds_back
        url, patience, validators = self._media, 0.0, self._validators
        if held is not None:
            url, patience, validators = _held(url, held), 3 * self.following.target, {}
        loaded = await self._load(url, validators, patience)
        self._validators = loaded.validators
        if loaded.text is None:
            return None
        playlist = await _parsed(loaded.text)
        if isinstance(playlist, MasterPlaylist):
            msg = "a master playlist names another master playlist as its rendition"
            raise InvalidPlaylist(msg)
        return playlist

    async def _load(self, url: str, validators: Mapping[str, str], patience: float = 0.0) -> Loaded:
        loaded = await self._origin.load(url, validators, patience)
        self._arrived = time.monotonic()
        return loaded

    async def _tell(self, found: list[Occurrence]) -> None:
        if self.following.health != self._health:
            self._health = self.following.health
            self._sink.tell(HealthChanged((self._url,)))
        for each in found:
            if each.time >= self._since:
                event = Event(self._url, each.id, each.time, self._arrived, each.payload)
                await self._sink.put(event)


async def _parsed(text: str) -> MasterPlaylist | MediaPlaylist:
    if len(text) < _ASIDE:
        return parse_playlist(text)
    return await asyncio.to_thread(parse_playlist, text)


def _held(url: str, sequence: int) -> str:
    """The URL with the directive that lets the server hold the request back until a segment."""
    parts = urlsplit(url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=f"{query}_HLS_msn={sequence}"))


class HlsFeed:
    """The playlists that are read with the same headers and of the same rendition.

    Args:
        key: Headers and rendition.
        settings: Timeouts, and which hosts may be called.
        sink: Takes what happens.
    """

    def __init__(self, key: HlsKey, settings: Settings, sink: Sink) -> None:
        self._key = key
        self._sink = sink
        timeout = settings.part(HlsSettings).timeout
        self._fetcher = Fetcher(settings.allowed_fetch_hosts, timeout, _AT_ONCE)
        self._origin = Origin(self._fetcher, dict(key.headers), key.host)
        self._playlists: dict[str, _Playlist] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        """Whether all its loops run."""
        return all(not playlist.task.done() for playlist in self._playlists.values())

    def want(self, windows: Mapping[str, float], gone: Iterable[str]) -> None:
        """Follow some playlists more and some no more."""
        for url in gone:
            playlist = self._playlists.pop(url, None)
            if playlist is not None:
                self._stop(playlist)
        now = time.time()
        for url, window in windows.items():
            if url not in self._playlists:
                self._playlists[url] = _Playlist(
                    url, self._key, self._origin, self._sink, now - window
                )

    def _stop(self, playlist: _Playlist) -> None:
        playlist.task.cancel()
        self._closing.add(playlist.task)
        playlist.task.add_done_callback(self._closing.discard)

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        """The worst of these playlists."""
        states = [self._playlists[url].following.health for url in topics if url in self._playlists]
        return min(
            states,
            key=lambda health: {False: 0, None: 1, True: 2}[health.connected],
            default=FeedHealth(None, "Connecting", "the first request is under way"),
        )

    def last_poll_of(self, topics: Iterable[str]) -> float | None:
        """When the playlist that was read longest ago was read."""
        reads = [self._playlists[url].following.last for url in topics if url in self._playlists]
        known = [at for at in reads if at is not None]
        return min(known) if known and len(known) == len(reads) else None

    def check(self, now: float) -> None:
        """Nothing: a playlist that is silent is noticed by its own loop."""
        del now

    async def close(self) -> None:
        """Stop, and give the connections back."""
        for playlist in self._playlists.values():
            self._stop(playlist)
        self._playlists.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._fetcher.__aexit__()
