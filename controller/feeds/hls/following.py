"""One playlist from look to look: what happened, how its feed is, and when to look again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.backoff import backoff
from controller.clients.fetch import FetchForbidden
from controller.feeds.base import FeedHealth
from controller.feeds.hls.breaks import BreakTracker
from controller.feeds.hls.occurrences import Occurrence
from controller.feeds.hls.origin import PlaylistRefused
from controller.feeds.hls.playlist import InvalidPlaylist
from controller.feeds.hls.renditions import NoSuchRendition
from controller.resources.fields import rfc3339

if TYPE_CHECKING:
    from controller.feeds.hls.playlist import MediaPlaylist

__all__ = ["Following"]

_STALLED: Final = 3  # target durations without a new segment
_MOST_PAUSE: Final = 5.0  # seconds after a failure; a longer one would cost cues that are young
_POLLS: Final = 300.0  # seconds without blocking reload after one came to nothing
_DENIED: Final = frozenset({401, 403})
_GONE: Final = frozenset({404, 410})
_LIVE: Final = FeedHealth(True, "Succeeded", "the playlist is live")


class Following:
    """What is known of one playlist.

    Attributes:
        health: Of the feed, as far as this playlist goes.
        last: When a playlist was last read, in seconds since the epoch; None: never.
        moved: Whether the last one had new segments.
    """

    def __init__(self) -> None:
        self.health = FeedHealth(None, "Connecting", "the first request is under way")
        self.last: float | None = None
        self._tracker = BreakTracker()
        self._target = 2.0
        self._moved = 0.0
        self._end: tuple[int, float] | None = None
        self._offline: bool | None = None
        self._stalled = False
        self._blocks = False
        self._polls_until = 0.0
        self._failures = 0
        self.moved = False

    # What was read

    def read(self, playlist: MediaPlaylist, now: float) -> list[Occurrence]:
        """Take a playlist; return what happened since the last one."""
        end = playlist.next.sequence, playlist.next.time or 0.0
        self.moved, self._end = end != self._end, end
        self._target, self._failures = playlist.target, 0
        self._blocks = playlist.blocks and now >= self._polls_until
        self.last = now
        found = self._tracker.look(playlist, now)
        if playlist.ended:
            return found + self._goes_offline(playlist.next.time or now)
        if self.moved:
            self._moved = now
            found = self._goes_on(playlist.next.time or now) + found
        return found + self.unchanged(now)

    def unchanged(self, now: float) -> list[Occurrence]:
        """Take note that the server has nothing new; return whether that is an event by itself."""
        self.last, self._failures = now, 0
        if self._offline or self._stalled or now - self._moved <= _STALLED * self._target:
            return []
        self._stalled = True
        since = rfc3339(round(self._moved))
        told = f"the playlist has had no new segment since {since}: see the encoder and its origin"
        self.health = FeedHealth(False, "FeedStale", told)
        return [_happened("stalled", now, since=since)]

    def failed(
        self, error: Exception, now: float, *, of_rendition: bool = False
    ) -> list[Occurrence]:
        """Take note that nothing could be read.

        Args:
            error: Why.
            now: The present time.
            of_rendition: A master playlist named what could not be read: it may name another now.
        """
        self._failures += 1
        if self._blocks:
            self._blocks, self._polls_until = False, now + _POLLS
        gone = isinstance(error, PlaylistRefused) and error.status in _GONE
        if gone and self._end is not None:
            looks_again = of_rendition and self._failures == 1
            return [] if looks_again else self._goes_offline(now)
        self.health = _health_of(error)
        return []

    def pause(self, jitter: float, *, changed: bool) -> float:
        """Seconds until the next look; 0: the server holds the next request back.

        Args:
            jitter: 0..1, to spread those that failed together.
            changed: Whether the last look brought something new (RFC 8216, section 6.3.4).
        """
        if self._failures:
            return backoff(self._failures, jitter, first=self._target / 2, most=_MOST_PAUSE)
        if self._offline:
            return min(self._target, _MOST_PAUSE)
        if self._blocks and changed:
            return 0.0
        return self._target if changed else self._target / 2

    @property
    def holds_back(self) -> int | None:
        """Number of the segment until which the server is asked to hold the request back."""
        return self._end[0] if self._blocks and self._end is not None else None

    @property
    def target(self) -> float:
        """Seconds of the playlist's target duration."""
        return self._target

    # Whether it is on air

    def _goes_on(self, now: float) -> list[Occurrence]:
        was_offline, self._offline = self._offline, False
        self._stalled = False
        self.health = _LIVE
        return [_happened("stream_online", now)] if was_offline else []

    def _goes_offline(self, now: float) -> list[Occurrence]:
        if self._offline:
            return []
        began, self._offline = self._offline, True
        told = "the stream is off air: retrying until its playlist is live again"
        self.health = FeedHealth(True, "StreamOffline", told)
        return [] if began is None else [_happened("stream_offline", now)]


def _happened(kind: str, at: float, **fields: Any) -> Occurrence:  # noqa: ANN401 - JSON
    when = rfc3339(round(at, 3))
    payload = {"type": kind, "id": f"{kind}@{when}", "programDateTime": when, **fields}
    return Occurrence(payload["id"], at, payload)


def _health_of(error: Exception) -> FeedHealth:
    told = str(error)
    match error:
        case PlaylistRefused(status=status) if status in _DENIED:
            return FeedHealth(False, "AccessDenied", told)
        case PlaylistRefused(status=status) if status in _GONE:
            return FeedHealth(False, "PlaylistNotFound", f"{told}: retrying until there is one")
        case FetchForbidden():
            return FeedHealth(False, "HostNotAllowed", told)
        case NoSuchRendition():
            return FeedHealth(False, "RenditionNotFound", told)
        case InvalidPlaylist():
            return FeedHealth(False, "InvalidPlaylist", f"not an HLS playlist: {told}")
    return FeedHealth(False, "TransientError", f"{told}; retrying")
