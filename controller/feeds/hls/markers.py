"""Tags that mark an ad break at a segment, in each dialect → what they say.

EXT-X-DATERANGE is apart: it has a time of its own, and no place among the segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from controller.feeds.hls.attributes import attributes_of, number_of
from controller.scte35.section import InvalidSection, SpliceSection, decode, from_base64, from_hex
from controller.scte35.signal import Turn, signal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_BREAK", "Marker", "Sense", "read_marker", "read_section", "seconds_of"]

MAX_BREAK: Final = 3600.0
"""Seconds; a break that is said to be longer has a length that is not known."""


class Sense(Enum):
    """What a marker says about the segment that follows it."""

    OUT = "out"
    CONTINUES = "continues"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Marker:
    """A tag that marks an ad break.

    Attributes:
        tag: Its name.
        sense: What it says; None: nothing by itself.
        id: The break's, as the tag has it.
        duration: Seconds of the break; None: not told, or not a length that a break can have.
        elapsed: Seconds of the break that are over.
        section: The SCTE-35 in it.
        problem: Why its SCTE-35 cannot be read.
    """

    tag: str
    sense: Sense | None
    id: str | None = None
    duration: float | None = None
    elapsed: float | None = None
    section: SpliceSection | None = None
    problem: str | None = None


def seconds_of(text: str | None) -> float | None:
    """A length of a break: more than 0 s and at most `MAX_BREAK`; None: it is not one."""
    seconds = number_of(text)
    return seconds if seconds is not None and 0 < seconds <= MAX_BREAK else None


def _elapsed_of(*texts: str | None) -> float | None:
    """The first that is a time within a break; None: none is."""
    seconds = (number_of(text) for text in texts)
    return next((s for s in seconds if s is not None and 0 <= s <= MAX_BREAK), None)


def read_section(text: str | None) -> tuple[SpliceSection | None, str | None]:
    """The SCTE-35 in base64 or (with 0x) in hexadecimal; or why it cannot be read."""
    if not text:
        return None, None
    stripped = text.strip().strip('"')
    try:
        data = from_hex(stripped) if stripped[:2] in {"0x", "0X"} else from_base64(stripped)
        return decode(data), None
    except InvalidSection as error:
        return None, str(error)


def read_marker(tag: str, value: str) -> Marker | None:
    """Read a tag.

    Args:
        tag: Its name, as in `EXT-X-CUE-OUT`.
        value: What follows the colon.

    Returns:
        None: it does not mark an ad break.
    """
    reader = _READERS.get(tag)
    return reader(tag, value) if reader is not None else None


def _cue_attributes(value: str) -> tuple[str, Mapping[str, str]]:
    """A length or progress that goes before the attributes, and the attributes."""
    first, _, rest = value.partition(",")
    return ("", attributes_of(value)) if "=" in first else (first, attributes_of(rest))


def _cue_out(tag: str, value: str) -> Marker:
    first, attributes = _cue_attributes(value)
    section, problem = read_section(attributes.get("SCTE35") or attributes.get("CUE"))
    duration = attributes.get("DURATION", first)
    named = attributes.get("BREAKID") or attributes.get("ID")
    elapsed = _elapsed_of(attributes.get("ELAPSED"), attributes.get("ELAPSEDTIME"))
    sense = Sense.CONTINUES if elapsed else Sense.OUT
    return Marker(tag, sense, named, seconds_of(duration), elapsed, section, problem)


def _cue_continues(tag: str, value: str) -> Marker:
    first, attributes = _cue_attributes(value)
    section, problem = read_section(attributes.get("SCTE35") or attributes.get("CUE"))
    elapsed = attributes.get("ELAPSEDTIME") or attributes.get("ELAPSED")
    duration = attributes.get("DURATION")
    if first:
        elapsed, _, duration = first.partition("/")
    named = attributes.get("BREAKID") or attributes.get("ID")
    return Marker(
        tag, Sense.CONTINUES, named, seconds_of(duration), _elapsed_of(elapsed), section, problem
    )


def _cue_in(tag: str, value: str) -> Marker:
    attributes = attributes_of(value)
    return Marker(tag, Sense.IN, attributes.get("BREAKID") or attributes.get("ID"))


def _adobe(tag: str, value: str) -> Marker | None:
    attributes = attributes_of(value)
    kind = attributes.get("TYPE", "").lower()
    if kind not in {"spliceout", "splicein"}:
        return None
    if kind == "splicein":
        return Marker(tag, Sense.IN, attributes.get("ID"))
    elapsed = _elapsed_of(attributes.get("ELAPSED"))
    # Their ID counts cues, and tells nothing of the break that other tags call otherwise.
    sense = Sense.CONTINUES if elapsed else Sense.OUT
    return Marker(tag, sense, None, seconds_of(attributes.get("DURATION")), elapsed)


def _bare_section(tag: str, value: str) -> Marker:
    section, problem = read_section(value)
    return Marker(tag, _sense_of(section), section=section, problem=problem)


def _scte35(tag: str, value: str) -> Marker:
    attributes = attributes_of(value)
    section, problem = read_section(attributes.get("CUE") or (None if attributes else value))
    elapsed = _elapsed_of(attributes.get("ELAPSED"))
    sense = _told_sense(tag, attributes) or _sense_of(section)
    if elapsed and sense is Sense.OUT:
        sense = Sense.CONTINUES
    duration = seconds_of(attributes.get("DURATION"))
    return Marker(tag, sense, None, duration, elapsed, section, problem)


def _told_sense(tag: str, attributes: Mapping[str, str]) -> Sense | None:
    """What the attributes say, which goes before what the section says."""
    out, back = attributes.get("CUE-OUT", "").upper(), attributes.get("CUE-IN", "").upper()
    if back == "YES" or tag.endswith("-IN"):
        return Sense.IN
    if out == "CONT":
        return Sense.CONTINUES
    return Sense.OUT if out == "YES" or tag.endswith("-OUT") else None


def _sense_of(section: SpliceSection | None) -> Sense | None:
    signal = signal_of(section) if section is not None else None
    if signal is None:
        return None
    return Sense.OUT if signal.turn is Turn.START else Sense.IN


_READERS: Final[Mapping[str, Callable[[str, str], Marker | None]]] = {
    "EXT-X-CUE-OUT": _cue_out,
    "EXT-X-CUE-OUT-CONT": _cue_continues,
    "EXT-X-CUE-CONT": _cue_continues,
    "EXT-X-CUE-SPAN": _cue_continues,
    "EXT-X-CUE-IN": _cue_in,
    "EXT-X-CUE": _adobe,
    "EXT-OATCLS-SCTE35": _bare_section,
    "EXT-X-OATCLS-SCTE35": _bare_section,
    "EXT-X-SPLICEPOINT-SCTE35": _bare_section,
    "EXT-X-SCTE35": _scte35,
    "EXT-X-SCTE35-OUT": _scte35,
    "EXT-X-SCTE35-IN": _scte35,
}
