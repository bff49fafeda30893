"""SCTE-35 sections: what they say, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sandbox.hls.dialects import splice_insert
from controller.scte35.bits import crc32_mpeg2
from controller.scte35.section import InvalidSection, SpliceSection, decode, from_base64, from_hex
from controller.scte35.signal import Signal, Turn, as_fields, signal_of

OUT_249 = "/DAxAAAAAAAAAP/wFAUAAAD5f+//vbeKtH4AUmNiAAAAAAAMAQpDVUVJUJ8xMjEqiKYAKA=="
OUT_2284 = "/DAgAAAAAAAAAP/wDwUAAAjsf/9+AKTLgAAAAAAAAAcCe8k="
PLACEMENT_START = "/DAnAAAAAAAAAP/wBQb+AA27oAARAg9DVUVJAAAAAX+HCQA0AAE0xUZn"
PLACEMENT_END = "/DAnAAAAAAAAAP/wBQb+ADbugAARAg9DVUVJAAAAAX+HCQA1AAA3v5+Q"


def section(
    body: bytes, command: int, descriptors: bytes = b"", *, adjustment: int = 0, flags: int = 0,
    size: int | None = None,
) -> bytes:  # fmt: skip
    """A section around a command, with the CRC that it must have."""
    length = len(body) if size is None else size
    tier_and_length = ((0xFFF << 12) | length).to_bytes(3, "big")
    head = bytes([0, flags | adjustment >> 32]) + (adjustment & 0xFFFFFFFF).to_bytes(4, "big")
    content = head + b"\0" + tier_and_length + bytes([command]) + body
    content += len(descriptors).to_bytes(2, "big") + descriptors
    whole = b"\xfc" + (0x3000 | len(content) + 4).to_bytes(2, "big") + content
    return whole + crc32_mpeg2(whole).to_bytes(4, "big")


def time(ticks: int) -> bytes:
    return ((0xFE << 32) | ticks).to_bytes(5, "big")


def segmentation(kind: int, *, event: int = 7, duration: int | None = None) -> bytes:
    flags = 0x80 | (0x40 if duration is not None else 0) | 0x3F
    body = b"CUEI" + event.to_bytes(4, "big") + b"\x7f" + bytes([flags])
    body += duration.to_bytes(5, "big") if duration is not None else b""
    body += b"\0\0" + bytes([kind, 1, 1])
    return bytes([2, len(body)]) + body


def read(text: str) -> SpliceSection:
    return decode(from_base64(text))


def test_a_splice_out_of_the_network_begins_a_break() -> None:
    signal = signal_of(read(OUT_249))
    assert signal is not None
    assert (signal.turn, signal.event_id) == (Turn.START, 249)
    assert signal.duration == pytest.approx(59.993, abs=0.001)
    assert signal.pts == pytest.approx(83087.66, abs=0.01)
    assert signal_of(read(OUT_2284)) == Signal(Turn.START, 2284, 120.0)


def test_placement_opportunities_begin_and_end_a_break() -> None:
    assert signal_of(read(PLACEMENT_START)) == Signal(Turn.START, 1, None, 10.0, 2)
    assert signal_of(read(PLACEMENT_END)) == Signal(Turn.END, 1, None, 40.0, 2)


@pytest.mark.parametrize("kind", range(256))
def test_each_segmentation_type_begins_ends_or_says_nothing(kind: int) -> None:
    signal = signal_of(decode(section(time(0), 6, segmentation(kind))))
    wanted = {
        **dict.fromkeys((0x22, 0x30, 0x32, 0x34, 0x36), Turn.START),
        **dict.fromkeys((0x23, 0x31, 0x33, 0x35, 0x37), Turn.END),
    }.get(kind)
    assert (signal.turn if signal is not None else None) is wanted


def test_of_an_end_and_a_start_in_one_section_the_start_counts() -> None:
    loop = segmentation(0x35, event=1) + segmentation(0x34, event=2, duration=30 * 90_000)
    assert signal_of(decode(section(time(0), 6, loop))) == Signal(Turn.START, 2, 30.0, 0.0, 2)


def test_presentation_times_wrap() -> None:
    adjusted = decode(section(time(900_000), 6, segmentation(0x30), adjustment=8_589_034_592))
    assert signal_of(adjusted) == Signal(Turn.START, 7, None, 0.0, 4)


def test_a_length_of_the_command_may_be_unknown() -> None:
    unknown = section(time(90_000), 6, segmentation(0x30), size=0xFFF)
    assert signal_of(decode(unknown)) == Signal(Turn.START, 7, None, 1.0, 4)


def test_a_cancelled_splice_calls_the_break_off() -> None:
    cancelled = decode(section((5).to_bytes(4, "big") + b"\xff", 5))
    assert signal_of(cancelled) == Signal(Turn.CANCEL, 5)
    assert as_fields(cancelled)["splice_event_cancel_indicator"] is True


def test_an_encrypted_section_says_nothing() -> None:
    encrypted = decode(section(time(0), 6, segmentation(0x30), flags=0x80))
    assert signal_of(encrypted) is None
    assert as_fields(encrypted)["encrypted_packet"] is True


def test_null_and_private_commands_say_nothing() -> None:
    for command in (0x00, 0x04, 0x07, 0xFF, 0x42):
        assert signal_of(decode(section(b"", command))) is None


def test_the_restrictions_of_delivery_are_kept() -> None:
    (descriptor,) = as_fields(read(PLACEMENT_START))["segmentation"]
    assert descriptor["segmentation_type"] == "Provider Placement Opportunity Start"
    assert descriptor["archive_allowed"] is True
    assert descriptor["web_delivery_allowed"] is False


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "cut off"),
        (b"\x47" + bytes(30), "table_id is 0x47"),
        (from_base64(OUT_249)[:-1], "cut off: section_length"),
        (from_base64(OUT_249)[:-1] + b"\0", "the CRC is wrong"),
        (bytes(5000), "longer than"),
    ],
)
def test_what_is_not_a_section_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidSection, match=problem):
        decode(data)


@pytest.mark.parametrize("text", ["not base64!", "ä", "A", "////=/"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidSection):
        decode(from_base64(text))


@pytest.mark.parametrize("text", ["0xZZ", "0x123", "ä"])
def test_what_is_not_hexadecimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidSection):
        from_hex(text)


@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(0.1, 90_000))
def test_what_is_encoded_is_decoded(event_id: int, out: bool, duration: float) -> None:
    signal = signal_of(decode(splice_insert(event_id, out=out, duration=duration)))
    assert signal is not None
    assert (signal.turn, signal.event_id) == (Turn.START if out else Turn.END, event_id)
    assert signal.duration == (pytest.approx(duration, abs=1e-4) if out else None)


@given(st.binary(max_size=80), st.sampled_from([0, 4, 5, 6, 7, 255]), st.binary(max_size=80))
def test_no_bytes_are_too_odd(body: bytes, command: int, descriptors: bytes) -> None:
    for data in (body, section(body, command, descriptors), section(body, command, size=0xFFF)):
        try:
            decoded = decode(data)
        except InvalidSection:
            continue
        as_fields(decoded)
        signal_of(decoded)
