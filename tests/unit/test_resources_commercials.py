from __future__ import annotations

from typing import Any

import pytest

from controller.resources.commercials import DEFAULT_POLICY, CommercialPolicy, QuietHours
from controller.resources.common import InvalidSpec
from controller.resources.schema import structural_schema
from controller.resources.twitchchannel import TwitchChannelSpec

NIGHT = {"from": "22:00", "to": "06:00", "timeZone": "America/New_York"}
NO_ZONE = "spec.commercials.quietHours[0].timeZone: "


def read(**commercials: object) -> CommercialPolicy:
    return TwitchChannelSpec.from_spec(spec(commercials=commercials)).commercials


def spec(**changes: object) -> dict[str, Any]:
    return {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {"deviceCode": {}},
        **changes,
    }


def night(**changes: object) -> dict[str, Any]:
    return {"quietHours": [{**NIGHT, **changes}]}


def test_a_channel_that_says_nothing_has_the_defaults() -> None:
    policy = TwitchChannelSpec.from_spec(spec()).commercials

    assert (policy.delay, policy.min_length, policy.break_gap) == (0.0, 30.0, 10.0)
    assert (policy.on_cooldown, policy.lateness, policy.lengths) == ("Wait", "Shorten", "Exact")
    assert (policy.max_per_hour, policy.max_seconds_per_hour) == (None, None)
    assert policy.quiet_hours == ()


def test_channels_with_the_same_policy_share_it() -> None:
    filled_in = structural_schema(TwitchChannelSpec, "spec")["properties"]["commercials"]["default"]

    assert TwitchChannelSpec.from_spec(spec()).commercials is DEFAULT_POLICY
    assert read() is DEFAULT_POLICY
    assert read(**filled_in) is DEFAULT_POLICY
    assert read(maxPerHour=4, **night()) is read(maxPerHour=4, **night())
    assert read(maxPerHour=4) != read(maxPerHour=5)


def test_all_of_a_policy_is_read() -> None:
    policy = read(
        delay="1500ms",
        onCooldown="Skip",
        lateness="Keep",
        lengths="Standard",
        minLength="0s",
        breakGap="1m",
        maxPerHour=60,
        maxSecondsPerHour=30,
        **night(days=["Fri", "Sat"]),
    )

    assert policy == CommercialPolicy(
        delay=1.5,
        on_cooldown="Skip",
        lateness="Keep",
        lengths="Standard",
        min_length=0.0,
        break_gap=60.0,
        max_per_hour=60,
        max_seconds_per_hour=30,
        quiet_hours=(
            QuietHours(
                from_="22:00", to="06:00", time_zone="America/New_York", days=("Fri", "Sat")
            ),
        ),
    )


@pytest.mark.parametrize(
    ("commercials", "message"),
    [
        (
            {"delay": "61s"},
            "spec.commercials.delay: must be a duration from 0s to 60s, such as 30s",
        ),
        ({"minLength": "181s"}, "spec.commercials.minLength: must be a duration from 0s to 180s"),
        ({"breakGap": "-1s"}, "spec.commercials.breakGap: must be a duration from 0s to 60s"),
        ({"onCooldown": "wait"}, "spec.commercials.onCooldown: must be 'Wait' or 'Skip'"),
        ({"maxPerHour": 0}, "spec.commercials.maxPerHour: must be from 1 to 60; leave it out"),
        ({"maxPerHour": 61}, "spec.commercials.maxPerHour: must be from 1 to 60"),
        ({"maxSecondsPerHour": 29}, "spec.commercials.maxSecondsPerHour: must be from 30 to 3600"),
        ({"quiet": True}, "spec.commercials.quiet: this version of the operator has no such field"),
        (night(to="22:00"), "spec.commercials.quietHours[0]: from and to must differ"),
        (
            night(to="24:00"),
            'spec.commercials.quietHours[0].to: must be a time of day from "00:00"',
        ),
        (night(**{"from": "9:00"}), "spec.commercials.quietHours[0].from: must be a time of day"),
        (night(days=["Monday"]), "spec.commercials.quietHours[0].days[0]: must be 'Mon'"),
        (
            night(timeZone="EDT5"),
            NO_ZONE + "EDT5 is not a time zone that is known here: write it as",
        ),
        (night(timeZone="America/Gotham"), NO_ZONE + "America/Gotham is not a time zone"),
        (night(timeZone="America"), NO_ZONE + "America is not a time zone"),
        (night(timeZone="right/UTC"), NO_ZONE + "right/UTC is not a time zone"),
        (night(timeZone="localtime"), NO_ZONE + "localtime is not a time zone"),
        (night(timeZone="A" * 65), NO_ZONE + "string should have at most 64 characters"),
        (night(timeZone=""), NO_ZONE + "must be a time zone of the IANA database"),
        ({"quietHours": [NIGHT] * 17}, "spec.commercials.quietHours: list should have at most 16"),
    ],
)
def test_a_policy_that_does_not_parse_names_the_field(
    commercials: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        read(**commercials)

    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../etc/passwd", "America/../UTC", "UTC\n", "UTC\0", "zone.tab", "Ä"]
)
def test_a_time_zone_is_no_path(name: str) -> None:
    with pytest.raises(InvalidSpec, match=r"quietHours\[0\]\.timeZone: must be a time zone"):
        read(**night(timeZone=name))


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT+5", "EST5EDT", "America/Argentina/Buenos_Aires"])
def test_time_zones_of_every_form_are_known(name: str) -> None:
    assert read(**night(timeZone=name)).quiet_hours[0].time_zone == name
