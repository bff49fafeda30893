"""What a section says about ad breaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from controller.scte35.descriptors import TYPES
from controller.scte35.section import TICKS

if TYPE_CHECKING:
    from controller.scte35.descriptors import Segmentation
    from controller.scte35.section import SpliceSection

__all__ = ["Signal", "Turn", "as_fields", "signal_of"]

_STARTS: Final = frozenset({0x22, 0x30, 0x32, 0x34, 0x36})
_ENDS: Final = frozenset({0x23, 0x31, 0x33, 0x35, 0x37})
# Where a section has several, the outermost says how long the break is.
_OUTERMOST: Final = (0x22, 0x23, 0x36, 0x37, 0x34, 0x35, 0x32, 0x33, 0x30, 0x31)


class Turn(Enum):
    """Which way a section turns a break."""

    START = "start"
    END = "end"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Signal:
    """What a section says about an ad break.

    Attributes:
        turn: It begins, ends or is called off.
        event_id: Of the splice or the segmentation.
        duration: Seconds; None: not told.
        pts: Presentation time in seconds; None: at once, or not told.
        level: Of the segmentation, 0 is the outermost; None: it is a splice, or called off.
    """

    turn: Turn
    event_id: int
    duration: float | None = None
    pts: float | None = None
    level: int | None = None


def signal_of(section: SpliceSection) -> Signal | None:
    """What a section says about an ad break; None: nothing, or it is encrypted."""
    if section.insert is not None:
        insert = section.insert
        if insert.cancelled:
            return Signal(Turn.CANCEL, insert.event_id)
        turn = Turn.START if insert.out_of_network else Turn.END
        return Signal(turn, insert.event_id, _seconds(insert.duration), _seconds(insert.pts))
    known = [each for each in section.segmentations if each.cancelled or each.type_id in _OUTERMOST]
    if not known:
        return None
    outermost = min(known, key=_rank)
    if outermost.cancelled:
        return Signal(Turn.CANCEL, outermost.event_id)
    turn = Turn.START if outermost.type_id in _STARTS else Turn.END
    duration = outermost.duration or None  # 0 is used for "not known"
    level = _OUTERMOST.index(outermost.type_id) // 2
    return Signal(turn, outermost.event_id, _seconds(duration), _seconds(section.pts), level)


def _rank(segmentation: Segmentation) -> tuple[bool, bool, int]:
    """Starts before ends (a section may end one break and begin the next), cancelled ones last."""
    if segmentation.cancelled:
        return True, True, 0
    return False, segmentation.type_id in _ENDS, _OUTERMOST.index(segmentation.type_id)


def _seconds(ticks: int | None) -> float | None:
    return None if ticks is None else ticks / TICKS


def as_fields(section: SpliceSection) -> dict[str, Any]:
    """A section as the JSON object that rules look at; names are those of the standard."""
    fields: dict[str, Any] = {"splice_command": section.command, "tier": section.tier}
    if section.encrypted:
        return fields | {"encrypted_packet": True}
    insert = section.insert
    if insert is not None:
        fields["splice_event_id"] = insert.event_id
        if insert.cancelled:
            return fields | {"splice_event_cancel_indicator": True}
        fields |= {
            "out_of_network_indicator": insert.out_of_network,
            "splice_immediate_flag": insert.immediate,
            "auto_return": insert.auto_return,
            "unique_program_id": insert.unique_program_id,
            "avail_num": insert.avail_num,
            "avails_expected": insert.avails_expected,
        }
    pts = insert.pts if insert is not None else section.pts
    duration = insert.duration if insert is not None else None
    fields |= _present(pts_time_sec=_seconds(pts), break_duration_sec=_seconds(duration))
    if section.segmentations:
        fields["segmentation"] = [_descriptor(each) for each in section.segmentations]
    return fields


def _descriptor(segmentation: Segmentation) -> dict[str, Any]:
    fields: dict[str, Any] = {"segmentation_event_id": segmentation.event_id}
    if segmentation.cancelled:
        return fields | {"segmentation_event_cancel_indicator": True}
    return (
        fields
        | {
            "segmentation_type_id": segmentation.type_id,
            "segmentation_type": TYPES.get(segmentation.type_id, f"0x{segmentation.type_id:02X}"),
            "upid_type": segmentation.upid_type,
            "upid": _upid(segmentation.upid),
            "segment_num": segmentation.number,
            "segments_expected": segmentation.expected,
        }
        | _present(
            segmentation_duration_sec=_seconds(segmentation.duration),
            web_delivery_allowed=segmentation.web_delivery_allowed,
            no_regional_blackout=segmentation.no_regional_blackout,
            archive_allowed=segmentation.archive_allowed,
            device_restrictions=segmentation.device_restrictions,
        )
    )


def _upid(upid: bytes) -> str:
    """As text where it is printable ASCII, else in hexadecimal."""
    text = upid.decode("ascii", errors="replace")
    return text if text.isascii() and text.isprintable() else upid.hex()


def _present(**fields: object) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
