"""The fields of the bodies that the simulator's own endpoints take."""

from __future__ import annotations

from pydantic import Field

from controller.sandbox.twitch.control import Body
from controller.sandbox.twitch.state import BroadcasterType  # noqa: TC001 - read by pydantic
from controller.sandbox.twitch.world import DEFAULT_REDIRECT_URI, DEFAULT_SCOPES

__all__ = [
    "AdBody",
    "AnyClientBody",
    "AppBody",
    "BroadcasterBody",
    "ClientBody",
    "ConsentBody",
    "DelayBody",
    "ExtensionBody",
    "FingerprintBody",
    "HelperTokenBody",
    "LiveBody",
    "LoginBody",
    "PointsBody",
    "ScheduleBody",
    "TypeBody",
]


class AppBody(Body):
    """An app to register."""

    client_id: str = Field(min_length=1)
    client_secret: str | None = Field(None, min_length=1, description="null: a public client.")
    one_time_refresh_tokens: bool = True
    redirect_uris: tuple[str, ...] = (DEFAULT_REDIRECT_URI,)


class BroadcasterBody(Body):
    """A broadcaster to add."""

    login: str = Field(min_length=1)
    broadcaster_id: str | None = Field(None, min_length=1, description="null: a free one.")
    display_name: str | None = None
    broadcaster_type: BroadcasterType = "partner"
    live: bool = True


class ConsentBody(Body):
    """To which app, and to what."""

    client_id: str
    scopes: tuple[str, ...] = DEFAULT_SCOPES


class ClientBody(Body):
    """Which app."""

    client_id: str


class AnyClientBody(Body):
    """Which app, or every one."""

    client_id: str | None = Field(None, description="null: of every app.")


class LiveBody(Body):
    """On air or off."""

    live: bool = True


class LoginBody(Body):
    """Which broadcaster, or what to be called."""

    login: str = Field(min_length=1)


class TypeBody(Body):
    """What kind of broadcaster."""

    broadcaster_type: BroadcasterType


class AdBody(Body):
    """An ad to run by hand."""

    login: str
    length: int = Field(30, description="Seconds.")


class ScheduleBody(Body):
    """The next ad that is planned, and what is told of the plan."""

    next_ad_at: float | None = Field(description="Seconds since the epoch; null: no plan.")
    duration: int = Field(60, ge=1, description="Seconds.")
    snooze_count: int = 3
    snooze_refresh_at: float | None = None
    preroll_free_time: int | None = Field(None, description="null: what the last ad earned.")


class PointsBody(AnyClientBody):
    """For how long there are no points."""

    seconds: float = Field(60, gt=0, description="Until Ratelimit-Reset.")


class ExtensionBody(Body):
    """An extension to add."""

    client_id: str = Field(min_length=1)
    owner_id: str = Field(min_length=1)
    secret: str | None = Field(None, description="Its first secret, base64; null: a new one.")


class DelayBody(Body):
    """When a new secret becomes active."""

    delay: float = Field(0, ge=0, description="Seconds; the console knows no least.")


class FingerprintBody(Body):
    """Which secret."""

    fingerprint: str


class HelperTokenBody(Body):
    """Whom a helper's JWT shows."""

    channel_id: str
    role: str = Field("broadcaster", description="Or moderator, viewer, external.")
    user_id: str | None = Field(None, description="null: the viewer does not share it.")
    opaque_user_id: str | None = None
    lifetime: float = Field(3600, description="Seconds; negative: it has expired.")
    is_unlinked: bool | None = Field(None, description="null: whether there is no user_id.")
