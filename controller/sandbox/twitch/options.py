"""How the simulated Twitch behaves where the real one was seen to behave in more than one way."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["AdHabits", "Options"]


class AdHabits(BaseModel):
    """How commercials go; of all broadcasters, or of one."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    cooldown: float = Field(
        480, ge=0, description="Seconds from one commercial to the next; 0 switches it off."
    )
    cooldown_covers_ad: bool = Field(
        True, description="The cooldown is never shorter than the ad. False: as short as told."
    )
    cooldown_status: Literal[400, 403, 429] = Field(
        400, description="Status of a commercial within the cooldown; all were seen."
    )
    dialect: Literal["api", "mock-api", "strange"] = Field(
        "api",
        description="How a commercial is refused. api: in the words of the live API. mock-api: as "
        "Twitch's own mock API does: within the cooldown 200 with length 0 and the rest of it as "
        "retry_after; standard lengths only; words of its own. strange: in words that nobody has "
        "seen.",
    )
    standard_lengths_only: bool = Field(
        False, description="Refuse lengths other than 30, 60, 90, 120, 150, 180."
    )
    accept_at_most: int = Field(
        180,
        ge=1,
        le=180,
        description="Of a longer commercial only so many seconds are accepted, told, and run; 180: "
        "the answer tells what was asked for, as Twitch's does.",
    )
    refuse_ineligible: bool = Field(
        False,
        description="Who is neither affiliate nor partner gets 400. False: a perfect answer, and "
        "nothing runs.",
    )
    ad_lag: float | None = Field(
        0,
        ge=0,
        description="Seconds until GET /channels/ads tells of an ad; null: what a client asks for "
        "is accepted, cools down, and does not run.",
    )


class Options(AdHabits):
    """Settings of the simulator; each may be changed while it runs."""

    ad_times: Literal["unix", "rfc3339"] = Field(
        "unix", description='Form of times in GET /channels/ads; for none: 0, or "" in rfc3339.'
    )
    token_lifetime: int = Field(
        14_400, ge=1, description="Seconds that a user's access token lives."
    )
    app_token_lifetime: int = Field(
        5_011_271, ge=1, description="Seconds that an app's access token lives."
    )
    code_lifetime: int = Field(600, ge=1, description="Seconds that an authorization code lives.")
    reused_code_ends_grant: bool = Field(
        False,
        description="A code used twice ends the grant that it was traded for, as RFC 6749 advises; "
        "Twitch does not say what it does.",
    )
    device_lifetime: int = Field(1800, ge=1, description="Seconds that a device code lives.")
    device_interval: int = Field(5, ge=1, description="Seconds from one poll to the next, told.")
    device_slow_down: bool = Field(
        True, description="A poll before its time gets `slow_down`, and the interval 5 s more."
    )
    dead_grant: Literal["Invalid refresh token", "Invalid grant"] = Field(
        "Invalid refresh token",
        description="How a dead grant is refused: in plain words, with 401; or as 400 Invalid "
        "grant without more, which was seen, too.",
    )
    scope_in_token: bool = Field(True, description="Answers of POST /token carry `scope`.")
    rate_limit: int = Field(800, ge=1, description="Helix points a minute, per client and user.")
    min_secret_delay: float = Field(
        300, ge=0, description="Seconds; a new extension secret with a shorter delay is refused."
    )
    secret_retirement: float = Field(
        3600,
        gt=0,
        description="Seconds that the former secrets of an extension live on after a new one.",
    )
