"""`spec.feed.hls`, and what the environment sets for it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from controller.resources.common import SecretReference, SpecModel
from controller.resources.fields import WHOLE, Flag, Matching
from controller.settings import Part, Seconds

__all__ = ["HlsSettings", "HlsSpec", "RenditionChoice"]


class HlsSettings(Part):
    """How playlists are read."""

    timeout: Seconds = Field(5.0, description="Timeout of a request for a playlist.")


class RenditionChoice(SpecModel):
    """One of the renditions of a master playlist."""

    exactly_one_of: ClassVar = ("name", "height", "audio_only")

    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Its name: NAME, STABLE-VARIANT-ID or VIDEO in EXT-X-STREAM-INF."""

    height: Annotated[int, Field(ge=1, le=8640), WHOLE] | None = None
    """Lines of its picture, such as 720."""

    audio_only: Flag | None = None
    """The rendition without a picture."""


class HlsSpec(SpecModel):
    """An HLS playlist in which an encoder or packager marks ad breaks."""

    url: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        Matching(
            r"^https?://[^\s/?#@\\]+(/[^\s#\\]*)?$",
            "must be an https URL without user and fragment, such as"
            " https://origin.example.com/live/master.m3u8",
        ),
    ]
    """URL of the master or the media playlist. It must be https at a public address, or at a host
    of the operator's setting ALLOWED_FETCH_HOSTS."""

    secret_ref: SecretReference | None = None
    """Secret with HTTP headers for the requests: each key is the name of a header, such as
    Authorization. The Secret must have the annotation twitch-operator.dev/allowed-host with the
    host of url."""

    rendition: RenditionChoice | None = None
    """Which rendition of a master playlist is read. Default: the one with the lowest bandwidth."""

    join_running: Flag = False
    """Start commercials also for a break that was already running when the operator first saw it,
    for the seconds that are left of it. Default: such a break starts nothing."""
