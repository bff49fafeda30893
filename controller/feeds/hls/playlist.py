"""A playlist's text → its renditions, or its segments with the markers before them. Pure.

Own code, because libraries for HLS pass over a third of the tags that mark ad breaks, and because a
window of some hours is read again at each refresh. RFC 8216, and its second edition's extensions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from controller.feeds.hls.attributes import attributes_of, instant_of, number_of, split_tag
from controller.feeds.hls.markers import read_marker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.feeds.hls.markers import Marker

__all__ = [
    "InvalidPlaylist",
    "MasterPlaylist",
    "MediaPlaylist",
    "Rendition",
    "Segment",
    "parse_playlist",
]

_HEAD: Final = "#EXTM3U"
_MAX_SEGMENTS: Final = 50_000
_MAX_MARKERS: Final = 5_000
_MAX_RENDITIONS: Final = 200
_DEFAULT_TARGET: Final = 6.0  # seconds, where none is told
_LONGEST_TARGET: Final = 60.0
_LONGEST_SEGMENT: Final = 600.0


class InvalidPlaylist(ValueError):
    """What is not a playlist; the message says why."""


class Rendition(NamedTuple):
    """One of the playlists that a master playlist offers.

    Attributes:
        uri: As the master has it, perhaps relative to it.
        bandwidth: Bits a second; 0: not told.
        height: Lines of the picture; None: not told, or it is audio alone.
        name: `NAME` or `STABLE-VARIANT-ID`, else of its video group.
        audio_only: No codec and no resolution of a picture.
    """

    uri: str
    bandwidth: int
    height: int | None
    name: str
    audio_only: bool


@dataclass(frozen=True, slots=True)
class MasterPlaylist:
    """A multivariant playlist.

    Attributes:
        renditions: As listed.
    """

    renditions: tuple[Rendition, ...]


@dataclass(slots=True)
class Segment:
    """A segment, or the place behind the last one.

    Attributes:
        sequence: Its media sequence number.
        duration: Seconds; 0 for the place behind the last one.
        time: When it begins, by EXT-X-PROGRAM-DATE-TIME, in seconds since the epoch; None: unknown.
        markers: Those before it.
        discontinuity: It does not follow on the one before it.
    """

    sequence: int
    duration: float = 0.0
    time: float | None = None
    markers: list[Marker] = field(default_factory=list)
    discontinuity: bool = False


@dataclass(slots=True)
class MediaPlaylist:
    """A media playlist.

    Attributes:
        segments: As listed, and behind them the place where the next one will stand.
        date_ranges: Attributes of each EXT-X-DATERANGE.
        target: `EXT-X-TARGETDURATION` in seconds.
        ended: It has EXT-X-ENDLIST.
        blocks: The server holds a request back until a segment is there.
    """

    segments: list[Segment] = field(default_factory=list)
    date_ranges: list[Mapping[str, str]] = field(default_factory=list)
    target: float = _DEFAULT_TARGET
    ended: bool = False
    blocks: bool = False

    @property
    def next(self) -> Segment:
        """The place behind the last segment."""
        return self.segments[-1]


def parse_playlist(text: str) -> MasterPlaylist | MediaPlaylist:
    """Read a playlist.

    Raises:
        InvalidPlaylist: It is none, or it is larger than any that is worth reading.
    """
    lines = text.lstrip("\ufeff").split("\n")
    if not lines[0].strip().startswith(_HEAD):
        msg = "it does not begin with #EXTM3U"
        raise InvalidPlaylist(msg)
    if any(line.startswith("#EXT-X-STREAM-INF") for line in lines):
        return _master(lines)
    return _Reader().read(lines)


def _master(lines: list[str]) -> MasterPlaylist:
    found: list[Rendition] = []
    pending: Mapping[str, str] | None = None
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#"):
            tag = split_tag(stripped)
            if tag is not None and tag[0] == "EXT-X-STREAM-INF":
                pending = attributes_of(tag[1])
        elif stripped and pending is not None:
            found.append(_rendition(stripped, pending))
            pending = None
    if not found or len(found) > _MAX_RENDITIONS:
        msg = f"it lists {len(found)} renditions: 1 to {_MAX_RENDITIONS} are read"
        raise InvalidPlaylist(msg)
    return MasterPlaylist(tuple(found))


def _rendition(uri: str, attributes: Mapping[str, str]) -> Rendition:
    _, _, lines = attributes.get("RESOLUTION", "").partition("x")
    height = number_of(lines)
    codecs = attributes.get("CODECS", "").lower()
    pictures = ("avc", "hvc", "hev", "av01", "vp0", "dvh", "mp4v")
    audio = height is None and bool(codecs) and not any(kind in codecs for kind in pictures)
    names = ("NAME", "STABLE-VARIANT-ID", "VIDEO")
    return Rendition(
        uri,
        int(number_of(attributes.get("BANDWIDTH")) or 0),
        int(height) if height else None,
        next((attributes[name] for name in names if attributes.get(name)), ""),
        audio or attributes.get("VIDEO") == "audio_only",
    )


class _Reader:
    """Reads a media playlist, line by line."""

    def __init__(self) -> None:
        self._playlist = MediaPlaylist()
        self._next = Segment(0)
        self._sequence = 0
        self._markers = 0

    def read(self, lines: list[str]) -> MediaPlaylist:
        """Read all lines."""
        playlist = self._playlist
        for each in lines:
            line = each.strip()
            if line.startswith("#"):
                self._tag(line)
            elif line:
                self._segment()
        for number, segment in enumerate((*playlist.segments, self._next)):
            segment.sequence = self._sequence + number
        playlist.segments.append(self._next)
        _spread_times(playlist.segments)
        return playlist

    def _segment(self) -> None:
        self._playlist.segments.append(self._next)
        self._next = Segment(0)
        if len(self._playlist.segments) > _MAX_SEGMENTS:
            msg = f"it lists more than {_MAX_SEGMENTS} segments"
            raise InvalidPlaylist(msg)

    def _tag(self, line: str) -> None:
        if line.startswith("#EXTINF:"):
            told = number_of(line[8:].split(",", 1)[0]) or 0.0
            self._next.duration = min(max(0.0, told), _LONGEST_SEGMENT)
            return
        tag = split_tag(line)
        if tag is None:
            return
        name, value = tag
        match name:
            case "EXT-X-PROGRAM-DATE-TIME":
                self._next.time = instant_of(value)
            case "EXT-X-DISCONTINUITY":
                self._next.discontinuity = True
            case "EXT-X-MEDIA-SEQUENCE":
                self._sequence = max(0, int(number_of(value) or 0))
            case "EXT-X-TARGETDURATION":
                told = number_of(value) or _DEFAULT_TARGET
                self._playlist.target = min(max(told, 0.5), _LONGEST_TARGET)
            case "EXT-X-ENDLIST":
                self._playlist.ended = True
            case "EXT-X-SERVER-CONTROL":
                blocks = attributes_of(value).get("CAN-BLOCK-RELOAD", "")
                self._playlist.blocks = blocks.upper() == "YES"
            case "EXT-X-SKIP":
                msg = "it is a delta update, which was not asked for"
                raise InvalidPlaylist(msg)
            case _:
                self._mark(name, value)

    def _mark(self, name: str, value: str) -> None:
        if name == "EXT-X-DATERANGE":
            self._playlist.date_ranges.append(attributes_of(value))
        else:
            marker = read_marker(name, value)
            if marker is None:
                return
            self._next.markers.append(marker)
        self._markers += 1
        if self._markers > _MAX_MARKERS:
            msg = f"it has more than {_MAX_MARKERS} markers"
            raise InvalidPlaylist(msg)


def _spread_times(segments: list[Segment]) -> None:
    """Tell the times of all segments from those that have one; a discontinuity breaks the chain."""
    known: float | None = None
    for segment in segments:
        if segment.time is None and not segment.discontinuity:
            segment.time = known
        known = None if segment.time is None else segment.time + segment.duration
    following: Segment | None = None
    for segment in reversed(segments):
        if segment.time is None and following is not None and following.time is not None:
            joined = not following.discontinuity
            segment.time = following.time - segment.duration if joined else None
        following = segment
