"""How packagers mark an ad break, one function a dialect: the tags before a segment."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, get_args

from controller.scte35.bits import crc32_mpeg2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DIALECTS", "Dialect", "Moment", "splice_insert"]

Dialect = Literal["elemental", "enhanced", "adobe", "daterange", "scte35", "twitch"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A segment's place in an ad break.

    Attributes:
        event_id: Of the splice.
        start: When the break began, in seconds since the epoch.
        duration: Seconds of it.
        elapsed: Seconds of it before the segment.
        over: The segment is the first one after it.
    """

    event_id: int
    start: float
    duration: float
    elapsed: float
    over: bool


def splice_insert(event_id: int, *, out: bool, duration: float = 0.0) -> bytes:
    """A `splice_info_section` with an immediate `splice_insert`."""
    flags = 0x50 | (0x80 if out else 0) | (0x20 if out else 0)
    ticks = round(duration * 90_000)
    body = event_id.to_bytes(4, "big") + bytes([0x7F, flags | 0x0F])
    if out:
        body += ((0xFE << 32) | ticks).to_bytes(5, "big")
    body += bytes(4)  # unique_program_id, avail_num, avails_expected
    head = bytes(6) + ((0xFFF << 12) | len(body)).to_bytes(4, "big")[1:] + b"\x05"
    content = b"\x00" + head[:5] + b"\x00" + head[6:] + body + bytes(2)
    length = len(content) + 4
    section = b"\xfc" + (0x3000 | length).to_bytes(2, "big") + content
    return section + crc32_mpeg2(section).to_bytes(4, "big")


def _elemental(at: Moment) -> list[str]:
    if at.over:
        return ["#EXT-X-CUE-IN"]
    if at.elapsed:
        return [f"# EXT-X-CUE-OUT-CONT: {at.elapsed:.3f}/{at.duration:.3f}"]
    return [f"#EXT-X-CUE-OUT:{at.duration:.3f}"]


def _enhanced(at: Moment) -> list[str]:
    section = base64.b64encode(
        splice_insert(at.event_id, out=not at.over, duration=at.duration)
    ).decode()
    if at.over:
        return [f"#EXT-OATCLS-SCTE35:{section}", "#EXT-X-CUE-IN"]
    if at.elapsed:
        told = f"ElapsedTime={at.elapsed:.3f},Duration={at.duration:.3f},SCTE35={section}"
        return [f"#EXT-X-CUE-OUT-CONT:{told}"]
    return [
        f"#EXT-OATCLS-SCTE35:{section}",
        f"#EXT-X-ASSET:CAID=0x{at.event_id:016X}",
        f"#EXT-X-CUE-OUT:{at.duration:.3f}",
    ]


def _adobe(at: Moment) -> list[str]:
    if at.over:
        return []
    elapsed = f',ELAPSED="{at.elapsed:.3f}"' if at.elapsed else ""
    told = f'DURATION="{at.duration:.3f}",ID="0",TYPE="SpliceOut",TIME="{at.start % 1000:.3f}"'
    return [f"#EXT-X-CUE:{told}{elapsed}"]


def _daterange(at: Moment) -> list[str]:
    section = splice_insert(at.event_id, out=not at.over, duration=at.duration).hex().upper()
    named = f'#EXT-X-DATERANGE:ID="{at.event_id}"'
    if at.over:
        return [f"{named},DURATION={at.duration:.3f},SCTE35-IN=0x{section}"]
    # It is there again at each segment of the break.
    planned = f"PLANNED-DURATION={at.duration:.3f}"
    return [f'{named},START-DATE="{_date(at.start)}",{planned},SCTE35-OUT=0x{section}']


def _scte35(at: Moment) -> list[str]:
    section = base64.b64encode(
        splice_insert(at.event_id, out=not at.over, duration=at.duration)
    ).decode()
    state = "CUE-IN=YES" if at.over else f"CUE-OUT={'CONT' if at.elapsed else 'YES'}"
    elapsed = f",ELAPSED={at.elapsed:.3f}" if at.elapsed and not at.over else ""
    return [f'#EXT-X-SCTE35:ID="{at.event_id}",CUE="{section}",{state}{elapsed}']


def _twitch(at: Moment) -> list[str]:
    if at.over:
        return []
    told = (
        f'ID="stitched-ad-{at.event_id}",CLASS="twitch-stitched-ad",START-DATE="{_date(at.start)}",'
        f'DURATION={at.duration:.3f},X-TV-TWITCH-AD-COMMERCIAL-ID="{at.event_id}",'
        f'X-TV-TWITCH-AD-POD-FILLED-DURATION="{at.duration:.3f}"'
    )
    return [f"#EXT-X-DATERANGE:{told}"]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


DIALECTS: Final[Mapping[Dialect, Callable[[Moment], list[str]]]] = dict(
    zip(
        get_args(Dialect),
        (_elemental, _enhanced, _adobe, _daterange, _scte35, _twitch),
        strict=True,
    )
)
