"""Where the segments of a playlist stand in time, from look to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from controller.feeds.hls.markers import Marker, Sense
    from controller.feeds.hls.playlist import MediaPlaylist
    from controller.feeds.hls.signs import Sign

__all__ = ["Place", "Timeline"]

_DRIFT = 3  # target durations; an estimate that is further off than this begins anew


class Place(NamedTuple):
    """A segment, or the place behind the last one.

    Attributes:
        sequence: Its media sequence number.
        time: When it begins, in seconds since the epoch.
        exact: By EXT-X-PROGRAM-DATE-TIME; else it is estimated from when it was first listed.
        markers: The tags before it.
    """

    sequence: int
    time: float
    exact: bool
    markers: Sequence[Marker]


class Timeline:
    """Tells which segments are new, and when each begins.

    Attributes:
        begin: When the first segment that is listed begins.
        edge: When the last segment that is listed ends; 0: nothing was looked at.
        done: Senses that were told of a place which may be listed again: the one behind the last
            segment, at the last look.
    """

    def __init__(self) -> None:
        self.begin = self.edge = 0.0
        self.done: set[tuple[int, Sense]] = set()
        self._first = self._next = -1
        self._exact = False
        self._followed_from = 0

    def advance(self, playlist: MediaPlaylist, now: float) -> list[Place] | None:
        """The places that were not listed at the last look; None: the playlist is an older one.

        The place behind the last segment of the last look is listed again: more may stand there.
        """
        segments = playlist.segments
        first, following = segments[0].sequence, segments[-1].sequence
        times = self._times(playlist, now)
        exact = segments[-1].time is not None
        if self._next >= 0 and following < self._next:
            later = exact and self._exact and times[-1] > self.edge
            if following >= self._first and not later:
                return None  # an edge server that is behind
            self._next = -1  # the origin counts anew
            self.done.clear()
        known = self._next
        self._first, self._next = first, following
        self.begin, self.edge, self._exact = times[0], times[-1], exact
        self.done = {each for each in self.done if each[0] == known}
        self._followed_from = known if known >= first else first + 1
        begin = max(0, known - first) if known >= 0 else 0
        return [
            Place(segment.sequence, time, segment.time is not None, segment.markers)
            for segment, time in zip(segments[begin:], times[begin:], strict=True)
        ]

    def note(self, signs: Iterable[Sign]) -> None:
        """Remember what was told of the place behind the last segment."""
        self.done |= {
            (sign.sequence, sign.sense)
            for sign in signs
            if sign.sequence is not None and sign.sequence == self._next
        }

    def followed(self, sequence: int) -> bool:
        """Whether the segment before this one was listed, at this look or the last one."""
        return sequence >= self._followed_from

    def _times(self, playlist: MediaPlaylist, now: float) -> list[float]:
        """When each segment begins: by the playlist, or on from before, or so as to end now."""
        segments = playlist.segments
        listed = [segment.time for segment in segments]
        at = next((at for at, time in enumerate(listed) if time is not None), None)
        if at is None:
            at = self._next - segments[0].sequence
            seen = self._next >= 0 and not self._exact and 0 <= at < len(segments)
            ahead = sum(segment.duration for segment in segments[at:]) if seen else 0.0
            if not seen or abs(self.edge + ahead - now) > _DRIFT * playlist.target:
                at, listed[-1] = len(segments) - 1, now
            else:
                listed[at] = self.edge
        times = [listed[at] or now] * len(segments)
        for later in range(at + 1, len(segments)):
            told = listed[later]
            ends = times[later - 1] + segments[later - 1].duration
            times[later] = ends if told is None else told
        for earlier in range(at - 1, -1, -1):
            times[earlier] = times[earlier + 1] - segments[earlier].duration
        return times
