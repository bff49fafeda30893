"""How a channel's commercials are run: `spec.commercials` of a TwitchChannel."""

from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from controller.resources.common import SpecModel
from controller.resources.fields import WHOLE, Duration, Matching, Rule, Within

__all__ = ["DEFAULT_POLICY", "CommercialPolicy", "QuietHours", "SharedPolicy", "Weekday"]

Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

TimeOfDay = Annotated[
    str,
    Field(max_length=5),
    Matching(
        "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        'must be a time of day from "00:00" to "23:59", in quotes, such as "22:00"',
    ),
]


# What the files hold beside the zones: that of the machine, and copies, some with leap seconds.
_NO_ZONES = ("Factory", "localtime", "posix", "posixrules", "right")


def _known_zone(name: str) -> str:
    try:
        if name.split("/", maxsplit=1)[0] in _NO_ZONES:
            raise ValueError
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        msg = (
            f"{name} is not a time zone that is known here: write it as the IANA database does,"
            " such as America/New_York or UTC"
        )
        raise ValueError(msg) from None
    return name


class QuietHours(SpecModel):
    """Hours during which no commercial starts."""

    rules: ClassVar = (
        Rule(
            "self.from != self.to",
            "from and to must differ: hours that end when they begin are none; to stop all"
            " commercials set spec.suspend",
            ".to",
        ),
    )

    from_: TimeOfDay
    """Start on the wall clock of timeZone, as "HH:MM", such as "22:00"."""

    to: TimeOfDay
    """End, exclusive. A value before from means the following day."""

    time_zone: Annotated[
        str,
        Field(max_length=64),
        Matching(
            "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$",
            "must be a time zone of the IANA database, such as America/New_York or UTC",
        ),
        AfterValidator(_known_zone),
    ]
    """Time zone of from and to, as a name of the IANA database, such as America/New_York or UTC.
    Daylight saving time applies."""

    days: Annotated[
        tuple[Weekday, ...],
        Field(max_length=7, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Days on which the hours start: Mon, Tue, Wed, Thu, Fri, Sat, Sun. Empty means every day.
    Hours that cross midnight belong to the day on which they start."""

    @model_validator(mode="after")
    def _is_no_moment(self) -> Self:
        if self.from_ == self.to:
            raise ValueError(self.rules[0].message)
        return self


class CommercialPolicy(SpecModel):
    """How the operator runs commercials on the channel."""

    delay: Annotated[float, Duration("0s", "60s")] = 0.0
    """Time from the cue to the call, to match the latency of the encoder and of Twitch: a duration
    from 0s to 60s. maxAge counts from then."""

    on_cooldown: Literal["Wait", "Skip"] = "Wait"
    """What to do with a cue during Twitch's cooldown. Wait starts the commercial afterwards, if the
    cue is still young enough and its break not over. Skip does not."""

    lateness: Literal["Shorten", "Keep"] = "Shorten"
    """What a late start requests. Shorten requests the rest of the break, Keep the whole break."""

    lengths: Literal["Exact", "Standard"] = "Exact"
    """Which lengths to request. Exact requests whole seconds, rounded half up, at most 180.
    Standard requests the longest of 30, 60, 90, 120, 150 and 180 s that exceeds the break by at
    most 2 s."""

    min_length: Annotated[float, Duration("0s", "180s")] = 30.0
    """Shortest break, or rest of a break, for which a commercial starts: a duration from 0s to
    180s. A short commercial costs the same cooldown as a long one."""

    break_gap: Annotated[float, Duration("0s", "60s")] = 10.0
    """A start cue that comes within this time after the end of a break belongs to that break: a
    duration from 0s to 60s."""

    max_per_hour: (
        Annotated[
            int, Within(1, 60, "leave it out for no limit, or set spec.suspend to run none"), WHOLE
        ]
        | None
    ) = None
    """Maximum number of commercials within any hour, including ads that the operator did not start:
    1 to 60. No limit if absent."""

    max_seconds_per_hour: (
        Annotated[
            int,
            Within(30, 3600, "leave it out for no limit, or set spec.suspend to run none"),
            WHOLE,
        ]
        | None
    ) = None
    """Maximum seconds of commercials within any hour, including ads that the operator did not
    start: 30 to 3600. No limit if absent."""

    quiet_hours: Annotated[
        tuple[QuietHours, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Hours during which no commercial starts, at most 16 entries."""


@lru_cache(maxsize=1000)
def _shared(policy: CommercialPolicy) -> CommercialPolicy:
    return policy


SharedPolicy = Annotated[CommercialPolicy, AfterValidator(_shared)]
"""Equal policies are one object: of ten thousand channels most have the same."""

DEFAULT_POLICY = _shared(CommercialPolicy())
"""Of a channel that says nothing about its commercials."""
