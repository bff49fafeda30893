"""Segmentation descriptors of a section (ANSI/SCTE 35 2023r1, section 10.3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from controller.scte35.bits import BitReader, TooShort

__all__ = ["TYPES", "Segmentation", "read_segmentations"]

_TAG: Final = 0x02
_CUEI: Final = 0x43554549
TYPES: Final = {
    0x00: "Not Indicated",
    0x01: "Content Identification",
    0x10: "Program Start",
    0x11: "Program End",
    0x12: "Program Early Termination",
    0x13: "Program Breakaway",
    0x14: "Program Resumption",
    0x15: "Program Runover Planned",
    0x16: "Program Runover Unplanned",
    0x17: "Program Overlap Start",
    0x18: "Program Blackout Override",
    0x19: "Program Join",
    0x20: "Chapter Start",
    0x21: "Chapter End",
    0x22: "Break Start",
    0x23: "Break End",
    0x24: "Opening Credit Start",
    0x25: "Opening Credit End",
    0x26: "Closing Credit Start",
    0x27: "Closing Credit End",
    0x30: "Provider Advertisement Start",
    0x31: "Provider Advertisement End",
    0x32: "Distributor Advertisement Start",
    0x33: "Distributor Advertisement End",
    0x34: "Provider Placement Opportunity Start",
    0x35: "Provider Placement Opportunity End",
    0x36: "Distributor Placement Opportunity Start",
    0x37: "Distributor Placement Opportunity End",
    0x40: "Unscheduled Event Start",
    0x41: "Unscheduled Event End",
    0x50: "Network Start",
    0x51: "Network End",
}
"""Names of `segmentation_type_id`, as far as the operator may show them."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A segmentation descriptor.

    Attributes:
        event_id: `segmentation_event_id`.
        cancelled: `segmentation_event_cancel_indicator`; nothing else is known then.
        type_id: `segmentation_type_id`.
        duration: In ticks of 90 kHz; None: not told.
        upid_type: `segmentation_upid_type`.
        upid: `segmentation_upid`.
        number: `segment_num`.
        expected: `segments_expected`.
        web_delivery_allowed: A delivery restriction; None: delivery is not restricted.
        no_regional_blackout: The same.
        archive_allowed: The same.
        device_restrictions: The same; 3 is none.
    """

    event_id: int
    cancelled: bool
    type_id: int = 0
    duration: int | None = None
    upid_type: int = 0
    upid: bytes = b""
    number: int = 0
    expected: int = 0
    web_delivery_allowed: bool | None = None
    no_regional_blackout: bool | None = None
    archive_allowed: bool | None = None
    device_restrictions: int | None = None


def read_segmentations(loop: bytes) -> tuple[Segmentation, ...]:
    """The segmentation descriptors of a descriptor loop; others are passed over.

    Raises:
        TooShort: A descriptor is cut off.
    """
    found, reader = [], BitReader(loop)
    while reader.left >= 16:
        tag, length = reader.take(8), reader.take(8)
        body = BitReader(reader.take_bytes(length))
        if tag == _TAG and body.left >= 32 and body.take(32) == _CUEI:
            found.append(_read(body))
    return tuple(found)


def _read(reader: BitReader) -> Segmentation:
    event_id, cancelled = reader.take(32), reader.flag()
    reader.take(7)
    if cancelled:
        return Segmentation(event_id, True)
    program, has_duration, unrestricted = (reader.flag() for _ in range(3))
    web = blackout = archive = None
    devices = None
    if unrestricted:
        reader.take(5)
    else:
        web, blackout, archive = (reader.flag() for _ in range(3))
        devices = reader.take(2)
    if not program:
        for _ in range(reader.take(8)):
            reader.take(48)  # component_tag, reserved, pts_offset
    duration = reader.take(40) if has_duration else None
    upid_type = reader.take(8)
    upid = reader.take_bytes(reader.take(8))
    try:
        type_id, number, expected = reader.take(8), reader.take(8), reader.take(8)
    except TooShort as error:
        msg = f"in a segmentation descriptor: {error}"
        raise TooShort(msg) from None
    return Segmentation(
        event_id, False, type_id, duration, upid_type, upid, number, expected,
        web, blackout, archive, devices,
    )  # fmt: skip
