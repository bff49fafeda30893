"""An ad break in a playlist, and what is told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.feeds.hls.attributes import instant_of, number_of
from controller.feeds.hls.markers import MAX_BREAK
from controller.resources.fields import rfc3339
from controller.scte35.signal import as_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.feeds.hls.signs import Sign

__all__ = ["Break", "Occurrence", "ended", "started", "stitched"]


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
class Break:
    """A break that was told, or is about to be.

    Attributes:
        sign: All that is known of it.
        joined: It ran already when it was first seen.
        last_out: Media sequence number of the last start that marks it.
        named: Its id as it was told; what is learned later does not change it.
    """

    sign: Sign
    joined: bool
    last_out: int | None = None
    named: str | None = None

    @property
    def begin(self) -> float:
        """In seconds since the epoch."""
        return self.sign.time

    @property
    def planned_end(self) -> float:
        """In seconds since the epoch."""
        return self.begin + self.length

    @property
    def length(self) -> float:
        """Seconds; the longest there is where it is not told."""
        return self.sign.duration or MAX_BREAK

    def missed(self, now: float) -> float:
        """Seconds of it that were over when it was first seen."""
        return max(self.sign.elapsed, now - self.begin) if self.joined else 0.0

    @property
    def id(self) -> str:
        """Names it: the same whoever looks, and whenever, as far as the tags are the same."""
        if self.named is not None:
            return self.named
        sign = self.sign
        name = sign.splice or sign.range or "break"
        # Packagers round dates and EXTINF: those who look later find some milliseconds more.
        when = rfc3339(round(sign.time)) if sign.exact else f"segment-{sign.sequence}"
        return f"{name}@{when}"


def started(brk: Break, now: float) -> Occurrence:
    """The start of a break."""
    brk.named = brk.id
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


def ended(brk: Break | None, sign: Sign) -> Occurrence:
    """The end of a break; None: of one that nobody saw begin."""
    when = rfc3339(round(sign.time, 3)) if sign.exact else f"segment-{sign.sequence}"
    name = brk.id if brk is not None else f"break@{when}"
    payload = {"type": "ad_break_end", "id": name, **_common(sign)}
    # A clock that was set back between tells no length.
    if brk is not None and sign.time > brk.begin:
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


def stitched(commercial: str, attributes: Mapping[str, str], edge: float) -> Occurrence:
    """Ads that Twitch stitched in, as a commercial of theirs."""
    begin = instant_of(attributes.get("START-DATE"))
    filled = number_of(attributes.get("X-TV-TWITCH-AD-POD-FILLED-DURATION"))
    length = filled or number_of(attributes.get("DURATION"))
    payload: dict[str, Any] = {"type": "stitched_ad", "id": commercial, "source": "EXT-X-DATERANGE"}
    if length:
        payload["duration_sec"] = length
    if begin is not None:
        payload["programDateTime"] = rfc3339(round(begin, 3))
    return Occurrence(f"{commercial}/stitched", edge if begin is None else begin, payload)
