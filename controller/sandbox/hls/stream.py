"""A live stream on a clock: its playlists as text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from controller.sandbox.hls.dialects import DIALECTS, Dialect, Moment

__all__ = ["Break", "Dialect", "Stream", "StreamOptions"]

_RENDITIONS = (
    ("audio_only", 160_000, None, "mp4a.40.2"),
    ("360p", 630_000, "640x360", "avc1.4D401E,mp4a.40.2"),
    ("720p", 2_300_000, "1280x720", "avc1.4D401F,mp4a.40.2"),
)


class StreamOptions(BaseModel):
    """How a stream is packaged; JSON of the same fields is taken by the control endpoints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("live", pattern=r"^[a-z0-9_-]{1,64}$", description="First part of its path.")
    dialect: Dialect = Field("enhanced", description="How ad breaks are marked.")
    target: float = Field(2.0, ge=0.1, le=10, description="Seconds of each segment.")
    window: int = Field(5, ge=1, le=1000, description="Segments that are listed.")
    dates: bool = Field(True, description="Tell the time of each segment.")
    blocking: bool = Field(False, description="Hold a request back until the segment it names.")


@dataclass(frozen=True, slots=True)
class Break:
    """An ad break.

    Attributes:
        event_id: Of the splice.
        first: Sequence number of its first segment.
        segments: How many there are in it.
        duration: Seconds of it.
    """

    event_id: int
    first: int
    segments: int
    duration: float


class Stream:
    """A live stream.

    Args:
        options: How it is packaged.
        began: When its first segment began, in seconds since the epoch.
    """

    def __init__(self, options: StreamOptions, began: float) -> None:
        self.options = options
        self.began = began
        self.offset = 0
        self.ended_at: float | None = None
        self.breaks: list[Break] = []

    def last(self, now: float) -> int:
        """Sequence number of the last segment that is whole; below 0: none is."""
        until = now if self.ended_at is None else min(now, self.ended_at)
        return math.floor((until - self.began) / self.options.target) - 1

    def begins(self, sequence: int) -> float:
        """When a segment begins, in seconds since the epoch."""
        return self.began + sequence * self.options.target

    def add_break(self, duration: float, now: float) -> Break:
        """Let an ad break begin with the segment that is recorded next."""
        first = max(0, self.last(now) + 2)
        segments = max(1, math.ceil(duration / self.options.target))
        made = Break(1000 + len(self.breaks), first, segments, duration)
        self.breaks.append(made)
        return made

    def end(self, now: float) -> None:
        """Go off air."""
        self.ended_at = now

    def restart(self, now: float) -> None:
        """Let the packager count its segments anew from here on."""
        self.offset = max(0, self.last(now) - self.options.window + 1)

    def master(self) -> str:
        """The master playlist."""
        lines = ["#EXTM3U"]
        for name, bandwidth, resolution, codecs in _RENDITIONS:
            picture = f",RESOLUTION={resolution}" if resolution else ""
            told = f'BANDWIDTH={bandwidth},CODECS="{codecs}"{picture},NAME="{name}"'
            lines += [f"#EXT-X-STREAM-INF:{told}", f"{name}.m3u8"]
        return "\n".join(lines) + "\n"

    def media(self, now: float) -> str:
        """The playlist of each rendition."""
        options = self.options
        last = self.last(now)
        first = max(0, last - options.window + 1)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{math.ceil(options.target)}",
            f"#EXT-X-MEDIA-SEQUENCE:{max(0, first - self.offset)}",
        ]
        if options.blocking:
            lines.append("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES")
        for sequence in range(first, last + 1):
            if options.dates:
                at = datetime.fromtimestamp(self.begins(sequence), UTC)
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{at.isoformat(timespec='milliseconds')}")
            lines += self._tags(sequence)
            lines += [f"#EXTINF:{options.target:.3f},", f"segment-{sequence}.ts"]
        lines += self._tags(last + 1)
        if self.ended_at is not None and now >= self.ended_at:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"

    def _tags(self, sequence: int) -> list[str]:
        tags: list[str] = []
        for each in self.breaks:
            over = sequence == each.first + each.segments
            if each.first <= sequence < each.first + each.segments or over:
                elapsed = (sequence - each.first) * self.options.target
                start = self.begins(each.first)
                moment = Moment(each.event_id, start, each.duration, elapsed, over)
                tags += DIALECTS[self.options.dialect](moment)
        return tags
