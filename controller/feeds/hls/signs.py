"""The signs of ad breaks in one look at a playlist: when each stands, and what it says.

What several tags say at one segment is one sign; so is what EXT-X-DATERANGE tags say of one ID.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from controller.feeds.hls.attributes import instant_of
from controller.feeds.hls.markers import Sense, read_section, seconds_of
from controller.scte35.signal import Turn, signal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.feeds.hls.markers import Marker
    from controller.scte35.section import SpliceSection

__all__ = ["STITCHED", "Sign", "merge_ranges", "range_signs", "segment_signs"]

STITCHED: Final = "twitch-stitched-ad"
"""CLASS of the EXT-X-DATERANGE tags that Twitch sets for the ads it stitches in."""

_SECTIONS: Final = frozenset(
    {"EXT-OATCLS-SCTE35", "EXT-X-OATCLS-SCTE35", "EXT-X-SPLICEPOINT-SCTE35", "EXT-X-SCTE35"}
    | {"EXT-X-DATERANGE"}
)
_EXPLICIT: Final = ("EXT-X-CUE-OUT", "EXT-X-CUE", "EXT-X-SCTE35-OUT")


@dataclass(slots=True)
class Sign:
    """What is said of a break at one place.

    Attributes:
        sense: It begins, goes on or ends.
        time: When, in seconds since the epoch.
        exact: By the playlist's own clock; else it is estimated.
        sequence: Media sequence number of the segment; None: an EXT-X-DATERANGE.
        tags: Names of those that say it.
        splice: `splice_event_id` or BREAKID; None: not told.
        range: ID of the EXT-X-DATERANGE; None: it is not one.
        duration: Seconds of the break; None: not told.
        elapsed: Seconds of it that are over.
        section: The SCTE-35.
        problem: Why SCTE-35 in it cannot be read.
        end_on_next: CLASS whose next start ends the break.
    """

    sense: Sense
    time: float
    exact: bool
    sequence: int | None = None
    tags: list[str] = field(default_factory=list)
    splice: str | None = None
    range: str | None = None
    duration: float | None = None
    elapsed: float = 0.0
    section: SpliceSection | None = None
    problem: str | None = None
    end_on_next: str | None = None

    @property
    def turn(self) -> Turn | None:
        """What its section says; None: nothing, or a tag of another kind says it too."""
        signal = signal_of(self.section) if self.section is not None else None
        plain = signal is not None and _SECTIONS.issuperset(self.tags)
        return signal.turn if signal is not None and plain else None

    def is_within(self, outer: Sign) -> bool:
        """Whether its section marks a part of what the other's does: a spot of a pod."""
        if self.sense is Sense.IN and self.turn is None:
            return False
        own, others = _level_of(self.section), _level_of(outer.section)
        return own is not None and others is not None and own > others

    def is_behind(self, other: Sign) -> bool:
        """Whether its segment comes after the other's, whatever their times."""
        if self.sequence is None or other.sequence is None:
            return False
        return self.sequence > other.sequence

    def add(self, other: Sign) -> None:
        """Take from another sign of the same break what this one lacks."""
        self.tags += [tag for tag in other.tags if tag not in self.tags]
        self.splice = self.splice or other.splice
        self.range = self.range or other.range
        self.duration = self.duration or other.duration
        self.section = self.section or other.section
        self.problem = self.problem or other.problem
        self.end_on_next = self.end_on_next or other.end_on_next


def segment_signs(
    markers: Sequence[Marker], time: float, sequence: int, *, exact: bool
) -> list[Sign]:
    """What the tags before a segment say: at most one sign of each sense, in their order.

    Args:
        markers: The tags.
        time: When the segment begins.
        sequence: Its media sequence number.
        exact: Whether the time is the playlist's own.
    """
    found: dict[Sense, Sign] = {}
    # A section says "start" for as long as a tag that goes on repeats it.
    goes_on = any(m.sense is Sense.CONTINUES for m in markers)
    begins = any(m.sense is Sense.OUT and m.tag in _EXPLICIT for m in markers)
    for marker in markers:
        sense = marker.sense
        if sense is None:
            continue
        if goes_on and sense is not Sense.IN:
            sense = Sense.OUT if begins else Sense.CONTINUES
        sign = Sign(
            sense, time, exact, sequence, [marker.tag], _splice_of(marker.section) or marker.id,
            None, marker.duration or _duration_of(marker.section), marker.elapsed or 0.0,
            marker.section, marker.problem,
        )  # fmt: skip
        if sense not in found:
            found[sense] = sign
            continue
        if found[sense].is_within(sign):  # a pod and its first spot begin at one place
            found[sense].section, found[sense].splice = sign.section, sign.splice
            found[sense].duration = sign.duration
        if marker.duration is not None and found[sense].section is not None:
            found[sense].duration = marker.duration  # a tag's own word goes before the section's
        found[sense].add(sign)
        found[sense].elapsed = max(found[sense].elapsed, sign.elapsed)
    problem = next((m.problem for m in markers if m.problem), None)
    for sign in found.values():
        sign.problem = sign.problem or problem
    return list(found.values())


def range_signs(attributes: Mapping[str, str], edge: float) -> list[Sign]:
    """What the EXT-X-DATERANGE tags of one ID say, merged.

    Args:
        attributes: Of all of them.
        edge: Where the playlist ends: what ends without a time ends there.
    """
    name = attributes.get("ID", "")
    begin, end = instant_of(attributes.get("START-DATE")), instant_of(attributes.get("END-DATE"))
    out, back = attributes.get("SCTE35-OUT"), attributes.get("SCTE35-IN")
    section, problem = read_section(out or attributes.get("SCTE35-CMD"))
    signal = signal_of(section) if section is not None else None
    length = _range_length(attributes, begin, end)
    splice = _splice_of(section)
    found = []
    starts = bool(out) or (signal is not None and signal.turn is Turn.START)
    if starts and begin is not None:
        duration = length or _duration_of(section)
        ends = attributes.get("END-ON-NEXT", "").upper() == "YES"
        found.append(
            Sign(
                Sense.OUT,
                begin,
                True,
                None,
                ["EXT-X-DATERANGE"],
                splice,
                name,
                duration,
                0.0,
                section,
                problem,
                attributes.get("CLASS") if ends else None,
            )
        )
    if back or (signal is not None and signal.turn is not Turn.START and not out):
        own = begin if not starts else None
        told = end or own or (begin + length if begin is not None and length else None)
        found.append(
            Sign(
                Sense.IN,
                edge if told is None else told,
                told is not None,
                None,
                ["EXT-X-DATERANGE"],
                splice,
                name,
                section=section,
                problem=problem,
            )
        )
    return found


def _range_length(
    attributes: Mapping[str, str], begin: float | None, end: float | None
) -> float | None:
    told = seconds_of(attributes.get("DURATION"))
    if told is None and begin is not None and end is not None and end > begin:
        told = seconds_of(f"{end - begin:.3f}")
    return told or seconds_of(attributes.get("PLANNED-DURATION"))


def _splice_of(section: SpliceSection | None) -> str | None:
    signal = signal_of(section) if section is not None else None
    return str(signal.event_id) if signal is not None else None


def _level_of(section: SpliceSection | None) -> int | None:
    signal = signal_of(section) if section is not None else None
    return signal.level if signal is not None else None


def _duration_of(section: SpliceSection | None) -> float | None:
    signal = signal_of(section) if section is not None else None
    if signal is None or signal.duration is None:
        return None
    return seconds_of(f"{signal.duration:.6f}")


def merge_ranges(
    known: dict[str, dict[str, str]], listed: Iterable[Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """The attributes by ID: those that are listed, with what was known of them before."""
    merged: dict[str, dict[str, str]] = {}
    for attributes in listed:
        name = attributes.get("ID", "")
        if name:
            whole = merged.setdefault(name, dict(known.get(name, {})))
            # An end often repeats the tag, without a date or with its own.
            begin = whole.get("START-DATE")
            whole.update(attributes)
            own = attributes.get("START-DATE")
            if "SCTE35-IN" in attributes and own and begin and own != begin:
                whole.setdefault("END-DATE", own)
            if begin is not None and "SCTE35-OUT" in whole:
                whole["START-DATE"] = begin
    return merged
