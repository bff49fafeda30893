"""Looks at a playlist, one after the other → the ad breaks that began and ended. Pure.

A break is told once, whatever number of tags mark it and however often they are listed. A look may
come late, twice, from an edge server that is behind, or after the origin counts anew.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from controller.feeds.hls.attributes import instant_of
from controller.feeds.hls.markers import Sense
from controller.feeds.hls.occurrences import Break, ended, started, stitched
from controller.feeds.hls.signs import STITCHED, Sign, merge_ranges, range_signs, segment_signs
from controller.feeds.hls.timeline import Timeline
from controller.scte35.signal import Turn

if TYPE_CHECKING:
    from controller.feeds.hls.occurrences import Occurrence
    from controller.feeds.hls.playlist import MediaPlaylist

__all__ = ["BreakTracker"]

_REMEMBERED: Final = 200  # breaks
_OVER: Final = 0.25  # seconds; a start that is that near to a planned end is the next one
_CLOSE: Final = 2.0  # seconds; two signs of one break are that close at least


_Found = list[tuple[Break | None, Sign | None]]
"""What one look brings, in its order: a break that begins, or one that ends and by what sign.

It is told when the look is over: until then, other tags may tell more of a break.
"""


class BreakTracker:
    """The breaks of one playlist."""

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._open: Break | None = None
        self._told: deque[Break] = deque(maxlen=_REMEMBERED)
        self._ranges: dict[str, dict[str, str]] = {}
        self._range_starts: set[str] = set()
        self._range_ends: set[str] = set()
        self._stitched: dict[str, None] = {}
        self._last_end = 0.0
        self._target = 0.0

    def look(self, playlist: MediaPlaylist, now: float) -> list[Occurrence]:
        """What happened since the last look, oldest first.

        Args:
            playlist: As it is now.
            now: The present time.
        """
        self._target = playlist.target
        new = self._timeline.advance(playlist, now)
        if new is None:
            return []
        edge = self._timeline.edge
        self._ranges = merge_ranges(self._ranges, playlist.date_ranges)
        self._range_starts &= self._ranges.keys()
        self._range_ends &= self._ranges.keys()
        signs = [
            sign
            for place in new
            for sign in segment_signs(place.markers, place.time, place.sequence, exact=place.exact)
            if (place.sequence, sign.sense) not in self._timeline.done
        ]
        self._timeline.note(signs)
        for attributes in self._ranges.values():
            if attributes.get("CLASS") != STITCHED:
                signs += range_signs(attributes, edge)
        signs += self._next_of_class()
        found: _Found = []
        for sign in _in_order(signs):
            self._take(sign, found)
        self._end_by_plan(edge, found)
        return _told(found, now) + self._stitched_ads()

    # Signs

    def _next_of_class(self) -> list[Sign]:
        """The end of a break with END-ON-NEXT: where the next of its CLASS begins."""
        current = self._open
        if current is None or current.sign.end_on_next is None:
            return []
        begins = [
            instant_of(attributes.get("START-DATE")) or 0.0
            for attributes in self._ranges.values()
            if attributes.get("CLASS") == current.sign.end_on_next
        ]
        later = [begin for begin in begins if begin > current.begin]
        return [Sign(Sense.IN, min(later), True, range=current.sign.range)] if later else []

    def _take(self, sign: Sign, found: _Found) -> None:
        if sign.range is not None and sign.time > self._timeline.edge + self._target:
            return  # announced, and not there yet
        self._end_by_plan(sign.time, found)
        if self._open is not None and sign.is_within(self._open.sign):
            return  # a spot of the pod that runs
        if sign.sense is Sense.IN:
            self._end(sign, found)
        elif self._is_told(sign):
            return
        elif sign.sense is Sense.OUT:
            before = sign.time < self._timeline.begin - self._target
            self._begin(sign, found, joined=sign.range is not None and before)
        else:
            began = Sign(
                Sense.OUT, sign.time - sign.elapsed, sign.exact, sign.sequence, sign.tags,
                sign.splice, sign.range, sign.duration, sign.elapsed, sign.section, sign.problem,
            )  # fmt: skip
            seen = sign.sequence is not None and self._timeline.followed(sign.sequence)
            self._begin(began, found, joined=not (seen and sign.elapsed <= self._target))

    def _is_told(self, sign: Sign) -> bool:
        """Whether the sign is one more of a break that is known; it may tell more of it."""
        begin = sign.time - sign.elapsed
        near = max(_CLOSE, self._target)
        current = self._open
        if current is not None and self._is_of(current, sign):
            current.sign.add(sign)
            if sign.sense is Sense.OUT and sign.sequence is not None:
                current.last_out = sign.sequence
            return True
        if sign.range in self._range_starts:
            return True
        if sign.sense is Sense.CONTINUES:
            near *= 3  # where a break stands is told in whole segments
            if self._last_end and sign.time - self._last_end <= near:
                return True
        for brk in self._told:
            same = sign.range is not None and sign.range == brk.sign.range
            if same or (abs(brk.begin - begin) <= near and not _differ(brk.sign, sign)):
                return True
        return False

    def _is_of(self, brk: Break, sign: Sign) -> bool:
        if sign.range is not None and sign.range == brk.sign.range:
            return True
        if _differ(brk.sign, sign):
            return False
        # A packager may repeat a start at each segment.
        follows = brk.last_out is not None and sign.sequence == brk.last_out + 1
        if sign.sense is Sense.OUT and sign.sequence is not None and not follows:
            over = brk.sign.duration is not None and sign.time >= brk.planned_end - _OVER
            if over or (sign.is_behind(brk.sign) and sign.time < brk.begin - _CLOSE):
                return False  # the next one, perhaps by a clock that was set back
        if sign.splice is not None and sign.splice == brk.sign.splice:
            return True
        if sign.sense is Sense.CONTINUES or brk.sign.duration is not None:
            return True
        return follows or abs(sign.time - brk.begin) <= max(_CLOSE, self._target)

    def _begin(self, sign: Sign, found: _Found, *, joined: bool) -> None:
        if self._open is not None:
            found.append((self._open, sign))
            self._close(sign.time)
        self._open = brk = Break(sign, joined, last_out=sign.sequence)
        self._told.append(brk)
        if sign.range is not None:
            self._range_starts.add(sign.range)
        found.append((brk, None))

    def _end(self, sign: Sign, found: _Found) -> None:
        current = self._open
        if sign.turn is Turn.CANCEL and (current is None or _differ(current.sign, sign)):
            return  # another one is called off
        if sign.range is not None:
            if sign.range in self._range_ends:
                return
            self._range_ends.add(sign.range)
        if current is not None and (sign.time > current.begin or sign.is_behind(current.sign)):
            found.append((current, sign))
            self._close(sign.time)
        elif current is None and sign.time - self._last_end > 3 * max(_CLOSE, self._target):
            found.append((None, sign))
            self._last_end = sign.time

    def _end_by_plan(self, until: float, found: _Found) -> None:
        """End a break that no tag ended in time."""
        current = self._open
        if current is None or until < current.planned_end + 2 * self._target:
            return
        found.append((current, Sign(Sense.IN, current.planned_end, current.sign.exact)))
        self._close(current.planned_end)

    def _close(self, time: float) -> None:
        self._last_end, self._open = time, None

    # What is told

    def _stitched_ads(self) -> list[Occurrence]:
        told = []
        for name, attributes in self._ranges.items():
            if attributes.get("CLASS") != STITCHED and not name.startswith("stitched-ad-"):
                continue
            commercial = attributes.get("X-TV-TWITCH-AD-COMMERCIAL-ID") or name
            if commercial in self._stitched:
                continue
            self._stitched[commercial] = None
            told.append(stitched(commercial, attributes, self._timeline.edge))
        while len(self._stitched) > max(_REMEMBERED, len(self._ranges)):
            del self._stitched[next(iter(self._stitched))]
        return told


def _told(found: _Found, now: float) -> list[Occurrence]:
    told = []
    for brk, end in found:
        if end is not None:
            told.append(ended(brk, end))
        elif brk is not None and brk.missed(now) < brk.length:  # else it was over already
            told.append(started(brk, now))
    return told


def _differ(one: Sign, other: Sign) -> bool:
    """Whether two signs name two breaks."""
    splices = one.splice is not None and other.splice is not None and one.splice != other.splice
    ranges = one.range is not None and other.range is not None and one.range != other.range
    same = (one.splice is not None and one.splice == other.splice) or (
        one.range is not None and one.range == other.range
    )
    return (splices or ranges) and not same


def _in_order(signs: list[Sign]) -> list[Sign]:
    """By time, those of segments by their place too: a clock may be set back between two.

    What ends goes before what begins at the same instant.
    """
    latest, keyed = 0.0, []
    for sign in signs:
        if sign.sequence is not None:
            latest = max(latest, sign.time)
        when = sign.time if sign.sequence is None else latest
        keyed.append((when, sign.sense is not Sense.IN or when != sign.time, sign))
    return [sign for *_, sign in sorted(keyed, key=lambda each: each[:2])]
