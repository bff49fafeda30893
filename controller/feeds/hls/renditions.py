"""Which rendition of a master playlist is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from controller.feeds.hls.playlist import MasterPlaylist, Rendition
    from controller.feeds.hls.spec import RenditionChoice

__all__ = ["Choice", "NoSuchRendition", "choose"]


class NoSuchRendition(ValueError):
    """A master playlist does not offer what a rule wants; the message lists what it offers."""


class Choice(NamedTuple):
    """What a rule wants; the lowest bandwidth of what fits is read.

    Attributes:
        name: Its name.
        height: Lines of its picture.
        audio_only: It has no picture.
    """

    name: str | None = None
    height: int | None = None
    audio_only: bool = False

    @classmethod
    def of(cls, spec: RenditionChoice | None) -> Choice:
        """Read it from a rule."""
        if spec is None:
            return cls()
        return cls(spec.name, spec.height, bool(spec.audio_only))


def choose(master: MasterPlaylist, choice: Choice) -> Rendition:
    """Choose a rendition.

    Raises:
        NoSuchRendition: None fits.
    """
    fitting = [each for each in master.renditions if _fits(each, choice)]
    if not fitting:
        offered = ", ".join(_shown(each) for each in master.renditions[:20])
        msg = f"the master playlist has no such rendition; it offers: {offered}"
        raise NoSuchRendition(msg)
    return min(fitting, key=lambda each: each.bandwidth)


def _fits(rendition: Rendition, choice: Choice) -> bool:
    if choice.name is not None:
        return rendition.name == choice.name
    if choice.height is not None:
        return rendition.height == choice.height
    return rendition.audio_only or not choice.audio_only


def _shown(rendition: Rendition) -> str:
    picture = f"{rendition.height} lines" if rendition.height else "audio only"
    if rendition.height is None and not rendition.audio_only:
        picture = "unknown height"
    return f"{rendition.name or '(no name)'} ({picture})"
