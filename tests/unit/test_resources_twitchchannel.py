from __future__ import annotations

from typing import Any

import pytest

from controller.resources.common import Condition, InvalidSpec
from controller.resources.twitchchannel import (
    RECENT_CUES,
    Broadcaster,
    Commercials,
    RecentCue,
    TwitchChannelSpec,
    TwitchChannelStatus,
)


def spec(**changes: object) -> dict[str, Any]:
    grant = {"secretKeyRef": {"name": "mst3k-grant", "key": "refresh-token"}}
    return {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {"refreshToken": grant},
        **changes,
    }


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
    assert read.authorization.refresh_token.secret_key_ref.key == "refresh-token"
    assert read.token.deletion_policy == "Retain"
    assert (read.login, read.suspend) == (None, False)


def test_the_token_secret_is_named_after_the_channel_unless_it_has_a_name() -> None:
    unnamed = TwitchChannelSpec.from_spec(spec())
    named = TwitchChannelSpec.from_spec(spec(token={"secretName": "tokens"}))

    assert unnamed.token_secret_name("mst3k") == "mst3k-twitch-token"
    assert named.token_secret_name("mst3k") == "tokens"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"app": {}}, "spec.app.secretRef: Field required"),
        ({"app": {"secretRef": {"name": "A"}}}, "spec.app.secretRef.name: must be the name of"),
        ({"login": "MST3K"}, "spec.login: must be a login"),
        ({"authorization": {}}, "spec.authorization.refreshToken: Field required"),
        ({"commercials": {}}, "spec.commercials: this version of the operator has no such field"),
        ({"token": {"deletionPolicy": "Keep"}}, "spec.token.deletionPolicy: Input should be"),
        ({"token": {"secret_name": "x"}}, "spec.token.secret_name: this version"),
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
