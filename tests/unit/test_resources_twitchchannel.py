from __future__ import annotations

from typing import Any

import pytest

from controller.resources.commercials import CommercialPolicy
from controller.resources.common import Condition, InvalidSpec
from controller.resources.twitchchannel import (
    RECENT_CUES,
    AdScheduleStatus,
    AuthorizationStatus,
    Broadcaster,
    Commercials,
    LastFire,
    RecentCue,
    TwitchChannelSpec,
    TwitchChannelStatus,
)


def spec(**changes: object) -> dict[str, Any]:
    return {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {"refreshToken": GRANT},
        **changes,
    }


CALLBACK = "http://localhost:3000/auth/twitch/callback"
GRANT = {"secretKeyRef": {"name": "mst3k-grant", "key": "refresh-token"}}
CODE = {"secretKeyRef": {"name": "mst3k-code", "key": "code"}, "redirectUri": CALLBACK}
ONE_WAY_IN = (
    "spec.authorization: must have exactly one of: refreshToken, authorizationCode, deviceCode"
)


def status() -> TwitchChannelStatus:
    return TwitchChannelStatus(
        observed_generation=3,
        conditions=(
            Condition(
                type="Ready",
                status="True",
                last_transition_time=1611912393,
                reason="Succeeded",
                message="commercials can run",
            ),
        ),
        broadcaster=Broadcaster(id="642998111", login="mst3k", type="partner"),
        commercials=Commercials(
            last_start_time=1611912394,
            next_eligible_time=1611912873.2,
            recent_cues=(
                RecentCue(
                    cue_id="1611912393388_176998",
                    publish_time=1611912393.4,
                    length_seconds=125,
                    result="Fired",
                ),
            ),
        ),
    )


def test_a_spec_has_its_defaults() -> None:
    read = TwitchChannelSpec.from_spec(spec())

    assert read.app.secret_ref.name == "twitch-app"
    assert read.authorization.secret_key_ref is not None
    assert read.authorization.secret_key_ref.key == "refresh-token"
    assert read.token.deletion_policy == "Retain"
    assert (read.login, read.suspend, read.stream_key_secret_name) == (None, False, None)
    assert read.commercials == CommercialPolicy()
    assert read.wanted_scopes == ("channel:edit:commercial", "channel:read:ads")


@pytest.mark.parametrize(
    ("given", "way", "secret"),
    [
        ({"refreshToken": GRANT}, "refreshToken", "mst3k-grant"),
        ({"authorizationCode": CODE}, "authorizationCode", "mst3k-code"),
        ({"deviceCode": {}}, "deviceCode", None),
    ],
)
def test_each_way_in_has_its_name_and_its_secret(
    given: dict[str, Any], way: str, secret: str | None
) -> None:
    authorization = TwitchChannelSpec.from_spec(spec(authorization=given)).authorization

    ref = authorization.secret_key_ref
    assert authorization.way == way
    assert (ref.name if ref is not None else None) == secret


def test_the_redirect_uri_of_a_code_is_kept_letter_by_letter() -> None:
    odd = "https://Ads.example:8443/call%20back/?a=1&b="
    given = {"authorizationCode": {**CODE, "redirectUri": odd}}
    read = TwitchChannelSpec.from_spec(spec(authorization=given)).authorization

    assert read.authorization_code is not None
    assert read.authorization_code.redirect_uri == odd


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, ("channel:edit:commercial", "channel:read:ads")),
        (
            {"streamKeySecretName": "encoder"},
            ("channel:edit:commercial", "channel:read:ads", "channel:read:stream_key"),
        ),
        ({"scopes": ["channel:edit:commercial"]}, ("channel:edit:commercial",)),
        (
            {
                "scopes": ["channel:read:stream_key", "channel:edit:commercial"],
                "streamKeySecretName": "encoder",
            },
            ("channel:read:stream_key", "channel:edit:commercial"),
        ),
    ],
)
def test_a_consent_is_asked_for_what_the_spec_needs_unless_it_says_so(
    changes: dict[str, Any], wanted: tuple[str, ...]
) -> None:
    assert TwitchChannelSpec.from_spec(spec(**changes)).wanted_scopes == wanted


def test_the_token_secret_is_named_after_the_channel_unless_it_has_a_name() -> None:
    unnamed = TwitchChannelSpec.from_spec(spec())
    named = TwitchChannelSpec.from_spec(spec(token={"secretName": "tokens"}))

    assert unnamed.token_secret_name("mst3k") == "mst3k-twitch-token"
    assert named.token_secret_name("mst3k") == "tokens"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"app": {}}, "spec.app.secretRef: is required"),
        ({"app": {"secretRef": {"name": "A"}}}, "spec.app.secretRef.name: must be the name of"),
        ({"login": "MST3K"}, "spec.login: must be a login"),
        ({"authorization": {}}, ONE_WAY_IN),
        ({"authorization": {"refreshToken": None}}, ONE_WAY_IN),
        ({"authorization": {"refreshToken": GRANT, "deviceCode": {}}}, ONE_WAY_IN),
        ({"authorization": {"authorizationCode": CODE, "deviceCode": {}}}, ONE_WAY_IN),
        ({"authorization": {"refreshToken": GRANT, "authorizationCode": CODE}}, ONE_WAY_IN),
        (
            {"authorization": {"deviceCode": {"interval": 5}}},
            "spec.authorization.deviceCode.interval: this version",
        ),
        (
            {"authorization": {"authorizationCode": GRANT}},
            "spec.authorization.authorizationCode.redirectUri: is required",
        ),
        (
            {"authorization": {"authorizationCode": {**CODE, "redirectUri": "localhost:3000"}}},
            "spec.authorization.authorizationCode.redirectUri: must be the redirect URI",
        ),
        (
            {"authorization": {"authorizationCode": {**CODE, "redirectUri": CALLBACK + "\n"}}},
            "spec.authorization.authorizationCode.redirectUri: must be the redirect URI",
        ),
        ({"scopes": ["chat:read", "Chat"]}, "spec.scopes[1]: must be a scope as Twitch's"),
        ({"scopes": ["chat:read chat:edit"]}, "spec.scopes[0]: must be a scope as Twitch's"),
        ({"scopes": "chat:read"}, "spec.scopes: must be a list"),
        ({"streamKeySecretName": "A"}, "spec.streamKeySecretName: must be the name of"),
        ({"token": {"deletionPolicy": "Keep"}}, "spec.token.deletionPolicy: must be"),
        (
            {"token": {"secret_name": "x"}},
            "spec.token.secret_name: there is no such field; did you mean secretName",
        ),
    ],
)
def test_a_spec_that_does_not_parse_names_the_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        TwitchChannelSpec.from_spec(spec(**changes))

    assert message in str(refusal.value)


def test_a_status_is_written_in_the_words_of_the_resource_without_what_is_absent() -> None:
    assert status().to_status() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "lastTransitionTime": "2021-01-29T09:26:33Z",
                "reason": "Succeeded",
                "message": "commercials can run",
            }
        ],
        "broadcaster": {"id": "642998111", "login": "mst3k", "type": "partner"},
        "commercials": {
            "lastStartTime": "2021-01-29T09:26:34Z",
            "nextEligibleTime": "2021-01-29T09:34:34Z",
            "recentCues": [
                {
                    "cueId": "1611912393388_176998",
                    "publishTime": "2021-01-29T09:26:33.400Z",
                    "lengthSeconds": 125,
                    "result": "Fired",
                }
            ],
        },
    }


def test_a_consent_under_way_is_shown_until_it_runs_out() -> None:
    shown = TwitchChannelStatus(
        last_handled_revoke_at="2021-01-29T09:00:00Z",
        authorization=AuthorizationStatus(
            verification_uri="https://www.twitch.tv/activate?device-code=ABCDEFGH",
            user_code="ABCDEFGH",
            user_code_expiration_time=1611912393.7,
        ),
    )

    written = shown.to_status()

    assert written["lastHandledRevokeAt"] == "2021-01-29T09:00:00Z"
    assert written["authorization"] == {
        "scopes": [],
        "verificationUri": "https://www.twitch.tv/activate?device-code=ABCDEFGH",
        "userCode": "ABCDEFGH",
        "userCodeExpirationTime": "2021-01-29T09:26:34Z",
    }
    assert TwitchChannelStatus.from_status(written).to_status() == written


def test_what_came_of_a_commercial_is_told_to_the_second_of_the_break() -> None:
    shown = TwitchChannelStatus(
        last_handled_fire_at="2021-01-29T09:00:00Z/60s",
        last_fire=LastFire(requested_at="2021-01-29T09:00:00Z/60s", verdict="CoolingDown"),
        commercials=Commercials(
            last_confirmed_time=1611912395.1,
            recent_cues=(
                RecentCue(
                    cue_id="1611912393388_176998",
                    publish_time=1611912393.4,
                    result="Confirmed",
                    due_time=1611912393.9,
                    break_seconds=125.48,
                    accepted_seconds=125,
                    rule="ad-assets",
                ),
            ),
        ),
        ad_schedule=AdScheduleStatus(
            last_ad_time=1611912395.1,
            next_ad_time=1611912900,
            snooze_count=3,
            preroll_free_seconds=600,
        ),
    )

    written = shown.to_status()

    assert written == {
        "conditions": [],
        "lastHandledFireAt": "2021-01-29T09:00:00Z/60s",
        "lastFire": {"requestedAt": "2021-01-29T09:00:00Z/60s", "verdict": "CoolingDown"},
        "commercials": {
            "lastConfirmedTime": "2021-01-29T09:26:36Z",
            "recentCues": [
                {
                    "cueId": "1611912393388_176998",
                    "publishTime": "2021-01-29T09:26:33.400Z",
                    "result": "Confirmed",
                    "dueTime": "2021-01-29T09:26:33.900Z",
                    "breakSeconds": 125.48,
                    "acceptedSeconds": 125,
                    "rule": "ad-assets",
                }
            ],
        },
        "adSchedule": {
            "lastAdTime": "2021-01-29T09:26:36Z",
            "nextAdTime": "2021-01-29T09:35:00Z",
            "snoozeCount": 3,
            "prerollFreeSeconds": 600,
        },
    }
    assert TwitchChannelStatus.from_status(written).to_status() == written


def test_a_status_comes_back_as_it_was_written() -> None:
    written = status().to_status()

    assert TwitchChannelStatus.from_status(written).to_status() == written


@pytest.mark.parametrize("absent", [{}, {"conditions": []}, {"later": {"field": 1}}])
def test_an_empty_or_unknown_status_is_an_empty_one(absent: dict[str, Any]) -> None:
    assert TwitchChannelStatus.from_status(absent) == TwitchChannelStatus()


def test_the_unreadable_parts_of_a_status_are_dropped_and_the_rest_stays() -> None:
    good = {"cueId": "1", "publishTime": "2021-01-29T09:26:33Z", "result": "Fired"}
    read = TwitchChannelStatus.from_status(
        {
            "observedGeneration": "many",
            "broadcaster": "mst3k",
            "conditions": [{"type": "Ready"}, "Ready"],
            "commercials": {
                "lastStartTime": "yesterday",
                "retryAfterSeconds": 480,
                "recentCues": [good, {}, {**good, "lengthSeconds": -1}, {**good, "result": 1}],
            },
        }
    )

    cue = RecentCue(cue_id="1", publish_time=1611912393, result="Fired")
    commercials = Commercials(retry_after_seconds=480, recent_cues=(cue, cue))
    assert read == TwitchChannelStatus(commercials=commercials)


def test_reading_a_status_leaves_it_as_it_is() -> None:
    raw = {"broadcaster": {"id": 1}}

    TwitchChannelStatus.from_status(raw)

    assert raw == {"broadcaster": {"id": 1}}


def test_only_the_newest_cues_are_kept() -> None:
    cues = tuple(
        RecentCue(cue_id=str(number), publish_time=number, result="Fired")
        for number in range(RECENT_CUES + 5)
    )

    kept = Commercials().with_changes(recent_cues=cues).recent_cues

    assert kept == cues[:RECENT_CUES]
