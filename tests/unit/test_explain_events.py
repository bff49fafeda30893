"""Events held against a rule: each test, what is read, and what the arbiter would say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.actions.base import KnownChannel
from controller.commands.recorded import read_events
from controller.commands.show.evaluation import Evaluation, evaluate
from controller.commands.show.explained import evaluations_for_people, evaluations_for_programs
from controller.events import Verdict
from controller.resources.triggerrule import TriggerRuleSpec
from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
from controller.rules.payloads import Refusal
from controller.triggers.policies.simulation import SimulatedRule

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
EVENT = {
    "common": {"unique_id": "cue-1", "timestamp": 1_611_912_393.5},
    "kind": "spot",
    "feed": "B",
    "data": {"duration_sec": 60.0},
}


def spec(**changes: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["t"]}},
        "match": [{"field": "kind", "equals": "spot"}, {"field": "data.title", "exists": False}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
    }
    whole |= changes
    return {name: value for name, value in whole.items() if value is not None}


def rule(**changes: object) -> SimulatedRule:
    return SimulatedRule.of("spots", TriggerRuleSpec.from_spec(spec(**changes)))


def channel(
    name: str = "mst3k",
    commercials: dict[str, object] | None = None,
    labels: dict[str, str] | None = None,
    status: dict[str, object] | None = None,
) -> KnownChannel:
    given = {
        "app": {"secretRef": {"name": "app"}},
        "authorization": {"deviceCode": {}},
        "commercials": commercials or {},
    }
    return KnownChannel(
        name,
        labels or {},
        TwitchChannelSpec.from_spec(given),
        TwitchChannelStatus.from_status(status or {}),
    )


def held(
    subject: SimulatedRule, *channels: KnownChannel, event: dict[str, Any] | None = None
) -> Evaluation:
    return evaluate(subject, event or EVENT, channels, NOW)


def results(told: Evaluation) -> list[tuple[str, str]]:
    return [(test.name, test.result) for test in told.tests]


def foreseen(told: Evaluation) -> tuple[Verdict, str]:
    ((_, ruling),) = told.channels
    return ruling.verdict, ruling.detail


def test_each_test_tells_whether_it_passed_and_the_value_it_met() -> None:
    told = held(rule(when="event.data.duration_sec >= 90.0"))
    assert results(told) == [("match[0]", "passed"), ("match[1]", "passed"), ("when", "failed")]
    assert told.tests[0].told == 'kind is "spot", and must be "spot"'
    assert not told.matched
    assert told.channels == ()


def test_when_is_not_reached_after_a_failed_test() -> None:
    told = held(rule(when="event.nothing > 1.0"), event=EVENT | {"kind": "film"})
    assert results(told) == [
        ("match[0]", "failed"),
        ("match[1]", "passed"),
        ("when", "not reached"),
    ]
    text = evaluations_for_people("spots", [told])
    assert "event 1 does not match spots: match[0] failed" in text
    assert 'kind is "film", and must be "spot"' in text


def test_a_when_that_cannot_be_told_says_why() -> None:
    told = held(rule(when="event.nothing > 1.0"))
    assert told.tests[-1].told.startswith('when failed: no field "nothing"')


def test_what_a_matching_event_says_is_told() -> None:
    told = held(
        rule(timeField="common.timestamp", dedupe={"key": ["feed", "data.duration_sec"]}),
        channel(),
    )
    assert dict(told.facts) == {
        "id": "cue-1",
        "time": "2021-01-29T09:26:33.500Z",
        "break": 60.0,
        "dedupe": "feed=B, data.duration_sec=60",
    }
    # Recorded years ago, and judged as if it happened now.
    assert foreseen(told) == (Verdict.FIRED, "it would ask for a commercial of 60 s")


def test_an_event_without_a_length_is_told_as_failed() -> None:
    told = held(rule(), channel(), event=EVENT | {"data": {}})
    assert dict(told.facts)["outcome"] == (
        "Failed: the event lacks data.duration_sec, and the action has no defaultLength to use then"
    )
    assert told.channels == ()


def test_an_off_cue_is_no_start_cue_even_if_it_matches() -> None:
    told = held(rule(cancelOn=[{"field": "kind", "equals": "spot"}]), channel())
    assert (told.matched, told.cancels, told.channels) == (True, True, ())
    assert "it is an off cue (cancelOn)" in evaluations_for_people("spots", [told])


@pytest.mark.parametrize(
    ("subject", "verdict", "detail"),
    [
        (channel(commercials={"minLength": "90s"}), Verdict.TOO_SHORT, "minLength is 1m30s"),
        (channel(commercials={"delay": "5s"}), Verdict.FIRED, "commercial of 60 s"),
    ],
)
def test_the_channels_policy_is_asked(subject: KnownChannel, verdict: Verdict, detail: str) -> None:
    told = foreseen(held(rule(), subject))
    assert told[0] is verdict
    assert detail in told[1]


def condition(kind: str, status: str, reason: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": "told",
            "lastTransitionTime": "2027-01-15T07:00:00Z"}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "verdict", "detail"),
    [
        (
            {"commercials": {"nextEligibleTime": "2027-01-15T08:00:20Z"}},
            Verdict.WAITING,
            "cooling down until 08:00:20Z",
        ),
        (
            {"commercials": {"nextEligibleTime": "2027-01-15T08:05:00Z"}},
            Verdict.COOLING_DOWN,
            "not before 08:05:00Z",
        ),
        (
            {"commercials": {"recentCues": [
                {"cueId": "cue-1", "publishTime": "2027-01-15T07:45:00Z", "result": "Fired"}
            ]}},
            Verdict.DUPLICATE,
            "the cue was",
        ),
        ({"conditions": [condition("Ready", "False", "Paused")]}, Verdict.PAUSED, "told"),
        (
            {"conditions": [condition("Ready", "False", "AuthorizationRevoked")]},
            Verdict.CHANNEL_NOT_READY,
            "AuthorizationRevoked: told",
        ),
        (
            {"conditions": [condition("Ready", "True", "Ok"), condition("Live", "False", "Off")]},
            Verdict.NOT_LIVE,
            "off air",
        ),
    ],
)  # fmt: skip
def test_the_arbiter_is_asked_with_what_the_status_tells(
    status: dict[str, object], verdict: Verdict, detail: str
) -> None:
    told = foreseen(held(rule(), channel(status=status)))
    assert told[0] is verdict
    assert detail in told[1]


def test_a_rehearsed_rule_would_fire_in_a_dry_run() -> None:
    assert foreseen(held(rule(mode="DryRun"), channel()))[0] is Verdict.DRY_RUN


def test_a_selector_picks_the_channels_by_what_the_event_says() -> None:
    selecting = rule(
        channelRef=None,
        channelSelector={
            "matchLabels": {"tier": "1"},
            "matchEvent": [{"label": "feed-code", "field": "feed"}],
        },
    )
    told = held(
        selecting,
        channel("one", labels={"tier": "1", "feed-code": "A"}),
        channel("two", labels={"tier": "1", "feed-code": "B"}),
        channel("three", labels={"feed-code": "B"}),
    )
    assert [name for name, _ in told.channels] == ["two"]


def test_a_line_that_is_no_event_is_told_and_the_others_go_on() -> None:
    one, two, three = read_events("f", f'{{"x":\n{json.dumps(EVENT)}\n[1]\n')
    assert isinstance(one, Refusal)
    assert two == EVENT
    assert isinstance(three, Refusal)
    told = [evaluate(rule(), event, (), NOW) for event in (one, two, three)]
    text = evaluations_for_people("spots", told)
    assert "event 3 is none that rules look at: line 3: not a JSON object but 1" in text
    assert text.endswith("1 of 3 events match")


def test_programs_get_the_same_as_json() -> None:
    (told,) = evaluations_for_programs("spots", [held(rule(), channel())])["events"]
    assert (told["matched"], told["breakSeconds"]) == (True, 60.0)
    assert told["tests"][0] == {
        "test": "match[0]",
        "result": "passed",
        "detail": 'kind is "spot", and must be "spot"',
    }
    assert told["channels"][0]["verdict"] == "Fired"
