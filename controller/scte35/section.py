"""Decodes `splice_info_section` (ANSI/SCTE 35 2023r1, section 9)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from controller.scte35.bits import BitReader, TooShort, crc32_mpeg2
from controller.scte35.descriptors import Segmentation, read_segmentations

__all__ = [
    "TICKS",
    "InvalidSection",
    "SpliceInsert",
    "SpliceSection",
    "decode",
    "from_base64",
    "from_hex",
]

TICKS: Final = 90_000
"""Units of times and durations in a second."""

WRAP: Final = 1 << 33
"""Presentation times are counted modulo this: some 26.5 hours."""

_MAX_SECTION: Final = 4096 + 3  # bytes
_TABLE_ID: Final = 0xFC
_UNKNOWN_LENGTH: Final = 0xFFF
_SPLICE_NULL, _SPLICE_INSERT, _TIME_SIGNAL = 0x00, 0x05, 0x06
_COMMANDS: Final = {
    _SPLICE_NULL: "splice_null",
    0x04: "splice_schedule",
    _SPLICE_INSERT: "splice_insert",
    _TIME_SIGNAL: "time_signal",
    0x07: "bandwidth_reservation",
    0xFF: "private_command",
}


class InvalidSection(ValueError):
    """What is not a splice information section; the message says why."""


@dataclass(frozen=True, slots=True)
class SpliceInsert:
    """A `splice_insert` command.

    Attributes:
        event_id: `splice_event_id`.
        cancelled: `splice_event_cancel_indicator`; nothing else is known then.
        out_of_network: An ad break begins; False: it ends.
        immediate: `splice_immediate_flag`.
        pts: Presentation time in ticks, pts_adjustment applied; None: immediate, or not known.
        duration: Of the break, in ticks; None: not told.
        auto_return: The break ends by itself after `duration`.
        unique_program_id: Of the programme.
        avail_num: Which of the avails of the break it is.
        avails_expected: How many there are.
    """

    event_id: int
    cancelled: bool
    out_of_network: bool = False
    immediate: bool = False
    pts: int | None = None
    duration: int | None = None
    auto_return: bool = False
    unique_program_id: int = 0
    avail_num: int = 0
    avails_expected: int = 0


@dataclass(frozen=True, slots=True)
class SpliceSection:
    """A section.

    Attributes:
        command: Name of the command, as in `splice_insert`; unknown ones are `0x..`.
        encrypted: Its command and its descriptors cannot be read.
        pts_adjustment: Ticks that were added to all its presentation times.
        tier: Of authorization.
        insert: The command, if it is `splice_insert`.
        pts: Of `time_signal`, in ticks, pts_adjustment applied; None: none is told.
        segmentations: Of the descriptors.
    """

    command: str
    encrypted: bool
    pts_adjustment: int
    tier: int
    insert: SpliceInsert | None = None
    pts: int | None = None
    segmentations: tuple[Segmentation, ...] = ()


def from_base64(text: str) -> bytes:
    """The bytes of a section in base64, with or without padding.

    Raises:
        InvalidSection: It is not base64.
    """
    stripped = text.strip().rstrip("=")
    try:
        return base64.b64decode(stripped + "=" * (-len(stripped) % 4), validate=True)
    except (binascii.Error, ValueError):
        msg = "not base64"
        raise InvalidSection(msg) from None


def from_hex(text: str) -> bytes:
    """The bytes of a section in hexadecimal, with or without 0x in front.

    Raises:
        InvalidSection: It is not hexadecimal.
    """
    digits = text.strip()
    digits = digits[2:] if digits[:2] in {"0x", "0X"} else digits
    try:
        return binascii.unhexlify(digits)
    except (binascii.Error, ValueError):
        msg = "not hexadecimal"
        raise InvalidSection(msg) from None


def decode(data: bytes) -> SpliceSection:
    """Decode a section.

    Raises:
        InvalidSection: It is none, is cut off, or its CRC is wrong.
    """
    try:
        return _decode(data)
    except TooShort as error:
        msg = f"cut off: {error}"
        raise InvalidSection(msg) from None


def _decode(data: bytes) -> SpliceSection:
    if len(data) > _MAX_SECTION:
        msg = f"longer than {_MAX_SECTION} bytes"
        raise InvalidSection(msg)
    head = BitReader(data)
    if head.take(8) != _TABLE_ID:
        msg = f"table_id is 0x{data[0]:02X}, not 0xFC"
        raise InvalidSection(msg)
    head.take(4)  # section_syntax_indicator, private_indicator, sap_type
    length = head.take(12)
    if length + 3 > len(data):
        msg = f"cut off: section_length is {length}, and {len(data) - 3} bytes follow"
        raise InvalidSection(msg)
    section = data[: length + 3]
    if crc32_mpeg2(section) != 0:
        msg = "the CRC is wrong"
        raise InvalidSection(msg)
    reader = BitReader(section[3:-4])
    version = reader.take(8)
    if version != 0:
        msg = f"protocol_version {version} is not known"
        raise InvalidSection(msg)
    encrypted = reader.flag()
    reader.take(6)  # encryption_algorithm
    adjustment = reader.take(33)
    reader.take(8)  # cw_index
    tier = reader.take(12)
    size, command = reader.take(12), reader.take(8)
    name = _COMMANDS.get(command, f"0x{command:02X}")
    if encrypted:
        return SpliceSection(name, True, adjustment, tier)
    known_size = None if size == _UNKNOWN_LENGTH else size
    insert, pts, segmentations = _content(reader, command, known_size, adjustment)
    return SpliceSection(name, False, adjustment, tier, insert, pts, segmentations)


def _content(
    reader: BitReader, command: int, size: int | None, adjustment: int
) -> tuple[SpliceInsert | None, int | None, tuple[Segmentation, ...]]:
    body = reader if size is None else BitReader(reader.take_bytes(size))
    insert, pts = None, None
    if command == _SPLICE_INSERT:
        insert = _read_insert(body, adjustment)
    elif command == _TIME_SIGNAL:
        pts = _read_time(body, adjustment)
    elif size is None and command != _SPLICE_NULL:
        return None, None, ()  # where the descriptors begin is not known
    return insert, pts, read_segmentations(reader.take_bytes(reader.take(16)))


def _read_insert(reader: BitReader, adjustment: int) -> SpliceInsert:
    event_id, cancelled = reader.take(32), reader.flag()
    reader.take(7)
    if cancelled:
        return SpliceInsert(event_id, True)
    out, program, has_duration, immediate = (reader.flag() for _ in range(4))
    reader.take(4)
    pts = None
    if program and not immediate:
        pts = _read_time(reader, adjustment)
    elif not program:
        times = []
        for _ in range(reader.take(8)):
            reader.take(8)  # component_tag
            times.append(None if immediate else _read_time(reader, adjustment))
        pts = next((time for time in times if time is not None), None)
    duration, auto_return = None, False
    if has_duration:
        auto_return = reader.flag()
        reader.take(6)
        duration = reader.take(33)
    program_id, number, expected = reader.take(16), reader.take(8), reader.take(8)
    return SpliceInsert(
        event_id, False, out, immediate, pts, duration, auto_return, program_id, number, expected
    )


def _read_time(reader: BitReader, adjustment: int) -> int | None:
    if not reader.flag():
        reader.take(7)
        return None
    reader.take(6)
    return (reader.take(33) + adjustment) % WRAP
