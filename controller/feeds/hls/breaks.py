"""Looks at a playlist, one after the other → the ad breaks that began and ended. Pure.

A break is told once, whatever number of tags mark it and however often they are listed. A look may
come late, twice, from an edge server that is behind, or after the origin counts anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from controller.feeds.hls.attributes import instant_of, number_of
from controller.feeds.hls.markers import MAX_BREAK, Sense
from controller.feeds.hls.signs import STITCHED, Sign, merge_ranges, range_signs, segment_signs
from controller.feeds.hls.timeline import Timeline
from controller.resources.fields import rfc3339
from controller.scte35.signal import as_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.feeds.hls.playlist import MediaPlaylist

__all__ = ["BreakTracker", "Occurrence"]

_REMEMBERED: Final = 200  # breaks
_CLOSE: Final = 2.0  # seconds; two signs of one break are that close at least


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What happened in a playlist.

    Attributes:
        id: The same whoever looks at the playlist, and whenever.
        time: When, in seconds since the epoch.
        payload: The event.
    """

    id: str
    time: float
    payload: Mapping[str, Any]


@dataclass(slots=True)
class _Break:
    """A break that was told, or is about to be."""

    sign: Sign
    joined: bool
    end: float | None = None
    last_sequence: int | None = None

    @property
    def begin(self) -> float:
        return self.sign.time

    @property
    def planned_end(self) -> float:
        return self.begin + self.length

    @property
    def length(self) -> float:
        return self.sign.duration or MAX_BREAK

    def missed(self, now: float) -> float:
        """Seconds of it that were over when it was first seen."""
        return max(self.sign.elapsed, now - self.begin) if self.joined else 0.0

    @property
    def id(self) -> str:
        sign = self.sign
        name = sign.splice or sign.range or "break"
        when = rfc3339(round(sign.time, 3)) if sign.exact else f"segment-{sign.sequence}"
        return f"{name}@{when}"


@dataclass(slots=True)
class _Found:
    """What one look brings."""

    starts: list[_Break] = field(default_factory=list)
    ends: list[tuple[_Break | None, Sign]] = field(default_factory=list)
    order: list[tuple[str, int]] = field(default_factory=list)

    def start(self, brk: _Break) -> None:
        self.order.append(("start", len(self.starts)))
        self.starts.append(brk)

    def end(self, brk: _Break | None, sign: Sign) -> None:
        self.order.append(("end", len(self.ends)))
        self.ends.append((brk, sign))


class BreakTracker:
    """The breaks of one playlist."""

    def __init__(self) -> None:
        self._timeline = Timeline()
        self._open: _Break | None = None
        self._told: deque[_Break] = deque(maxlen=_REMEMBERED)
        self._ranges: dict[str, dict[str, str]] = {}
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
        found = _Found()
        # What ends goes before what begins at the same instant.
        for sign in sorted(signs, key=lambda each: (each.time, each.sense is not Sense.IN)):
            self._take(sign, found)
        self._end_by_plan(edge, found)
        return self._occurrences(found, now) + self._stitched_ads()

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
        self._end_by_plan(sign.time, found)
        if sign.sense is Sense.IN:
            self._end(sign, found)
        elif self._is_told(sign):
            return
        elif sign.sense is Sense.OUT:
            self._begin(sign, found, joined=False)
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
            current.last_sequence = sign.sequence or current.last_sequence
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

    def _is_of(self, brk: _Break, sign: Sign) -> bool:
        if sign.range is not None and sign.range == brk.sign.range:
            return True
        if _differ(brk.sign, sign):
            return False
        if sign.splice is not None and sign.splice == brk.sign.splice:
            return True
        if sign.sense is Sense.CONTINUES or brk.sign.duration is not None:
            return True
        # A packager may repeat a bare start at each segment.
        follows = brk.last_sequence is not None and sign.sequence == brk.last_sequence + 1
        return follows or abs(sign.time - brk.begin) <= max(_CLOSE, self._target)

    def _begin(self, sign: Sign, found: _Found, *, joined: bool) -> None:
        if self._open is not None:
            found.end(self._open, sign)
            self._close(sign.time)
        self._open = brk = _Break(sign, joined, last_sequence=sign.sequence)
        self._told.append(brk)
        found.start(brk)

    def _end(self, sign: Sign, found: _Found) -> None:
        current = self._open
        if sign.range is not None:
            if sign.range in self._range_ends:
                return
            if sign.time > self._timeline.edge + self._target:
                return  # announced, and not there yet
            self._range_ends.add(sign.range)
        if current is not None and sign.time > current.begin:
            found.end(current, sign)
            self._close(sign.time)
        elif current is None and sign.time - self._last_end > 3 * max(_CLOSE, self._target):
            found.end(None, sign)
            self._last_end = sign.time

    def _end_by_plan(self, until: float, found: _Found) -> None:
        """End a break that no tag ended in time."""
        current = self._open
        if current is None or until < current.planned_end + 2 * self._target:
            return
        found.end(current, Sign(Sense.IN, current.planned_end, current.sign.exact))
        self._close(current.planned_end)

    def _close(self, time: float) -> None:
        assert self._open is not None  # noqa: S101 - by those that call
        self._open.end, self._last_end, self._open = time, time, None

    # What is told

    def _occurrences(self, found: _Found, now: float) -> list[Occurrence]:
        told = []
        for what, number in found.order:
            if what == "start" and found.starts[number].missed(now) >= found.starts[number].length:
                continue  # seen for the first time when it was over
            if what == "start":
                told.append(_started(found.starts[number], now))
            else:
                told.append(_ended(*found.ends[number]))
        return told

    def _stitched_ads(self) -> list[Occurrence]:
        told = []
        for name, attributes in self._ranges.items():
            if attributes.get("CLASS") != STITCHED and not name.startswith("stitched-ad-"):
                continue
            commercial = attributes.get("X-TV-TWITCH-AD-COMMERCIAL-ID") or name
            if commercial in self._stitched:
                continue
            self._stitched[commercial] = None
            told.append(_stitched(commercial, attributes, self._timeline.edge))
        while len(self._stitched) > _REMEMBERED:
            del self._stitched[next(iter(self._stitched))]
        return told


def _differ(one: Sign, other: Sign) -> bool:
    """Whether two signs name two breaks."""
    splices = one.splice is not None and other.splice is not None and one.splice != other.splice
    ranges = one.range is not None and other.range is not None and one.range != other.range
    same = (one.splice is not None and one.splice == other.splice) or (
        one.range is not None and one.range == other.range
    )
    return (splices or ranges) and not same


def _started(brk: _Break, now: float) -> Occurrence:
    sign, elapsed = brk.sign, brk.missed(now)
    payload = {
        "type": "ad_break_start",
        "id": brk.id,
        "joined": brk.joined,
        "elapsed_sec": round(elapsed, 3),
        **_common(sign),
    }
    if sign.duration is not None:
        payload["duration_sec"] = round(sign.duration - elapsed, 3)
    return Occurrence(f"{brk.id}/start", sign.time + elapsed, payload)


def _ended(brk: _Break | None, sign: Sign) -> Occurrence:
    when = rfc3339(round(sign.time, 3)) if sign.exact else f"segment-{sign.sequence}"
    name = brk.id if brk is not None else f"break@{when}"
    payload = {"type": "ad_break_end", "id": name, **_common(sign)}
    if brk is not None:
        payload["elapsed_sec"] = payload["duration_sec"] = round(sign.time - brk.begin, 3)
    return Occurrence(f"{name}/end", sign.time, payload)


def _common(sign: Sign) -> dict[str, Any]:
    fields: dict[str, Any] = {"source": sign.tags[0] if sign.tags else "", "tags": sign.tags}
    if sign.exact:
        fields["programDateTime"] = rfc3339(round(sign.time, 3))
    if sign.section is not None:
        fields["scte35"] = as_fields(sign.section)
    if sign.problem is not None:
        fields["scte35_problem"] = sign.problem
    return fields


def _stitched(commercial: str, attributes: Mapping[str, str], edge: float) -> Occurrence:
    begin = instant_of(attributes.get("START-DATE"))
    filled = number_of(attributes.get("X-TV-TWITCH-AD-POD-FILLED-DURATION"))
    length = filled or number_of(attributes.get("DURATION"))
    payload: dict[str, Any] = {"type": "stitched_ad", "id": commercial, "source": "EXT-X-DATERANGE"}
    if length:
        payload["duration_sec"] = length
    if begin is not None:
        payload["programDateTime"] = rfc3339(round(begin, 3))
    return Occurrence(f"{commercial}/stitched", edge if begin is None else begin, payload)
