"""What an event leads to for one rule, before any channel is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions.registry import compile_action
from controller.arbiter.steps import Cue
from controller.events import Event, Ruling, Verdict
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import CompiledRule, compile_rule
from controller.triggers.policies.deciding import (
    Matched,
    RulePolicy,
    decide,
    is_old_news,
    latency_of,
)

if TYPE_CHECKING:
    from controller.actions.base import Action

NOW = 1_700_000_000.0
ENFORCE = RulePolicy(max_age=30, dry_run=False, suspended=False)


def a_spec(**spec: Any) -> TriggerRuleSpec:  # noqa: ANN401 - as in a resource
    return TriggerRuleSpec.from_spec(
        {
            "channelRef": {"name": "mst3k"},
            "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
            "match": [{"field": "msg_type", "equals": "video"}],
            "action": {"commercial": {"lengthField": "data.duration_sec"}},
            **spec,
        }
    )


def a_rule(**spec: Any) -> tuple[CompiledRule, Action[Any]]:  # noqa: ANN401
    parsed = a_spec(**spec)
    return compile_rule(parsed), compile_action(parsed)


RULE = a_rule()
TIMED = a_rule(timeField="common.timestamp")


def an_event(age: float = 0.0, timestamp: object = None, duration: object = 125.133) -> Event:
    common: dict[str, Any] = {"unique_id": "1611912397739_177005"}
    if timestamp is not None:
        common["timestamp"] = timestamp
    payload = {"msg_type": "video", "common": common, "data": {"duration_sec": duration}}
    return Event("mst3k", "17000000000000000", NOW - age, 1.0, payload)


def the_cue(matched: Matched) -> Cue:
    assert isinstance(matched.outcome, Cue)
    return matched.outcome


def the_ruling(matched: Matched) -> Ruling:
    assert isinstance(matched.outcome, Ruling)
    return matched.outcome


def test_an_event_becomes_a_cue_of_the_length_that_it_announces() -> None:
    matched = decide(*RULE, ENFORCE, an_event(age=3), NOW)
    assert matched.cue_id == "1611912397739_177005"
    assert matched.time == NOW - 3
    cue = the_cue(matched)
    assert (cue.id, cue.published, cue.due(0)) == (matched.cue_id, NOW - 3, NOW - 3)
    assert (cue.length, cue.max_age, cue.dry_run) == (125.133, 30, False)
    assert (cue.topic, cue.payload["msg_type"]) == ("mst3k", "video")


def test_a_cue_tells_the_rule_its_priority_and_its_second_identity() -> None:
    rule = a_rule(dedupe={"key": ["msg_type", "data.duration_sec"], "window": "90s"}, priority=7)
    spec = {"dedupe": {"key": ["msg_type"], "window": "90s"}, "priority": 7}
    policy = RulePolicy.of("assets", a_spec(**spec))
    cue = the_cue(decide(*rule, policy, an_event(), NOW))
    assert (cue.rule, cue.priority, cue.same_within) == ("assets", 7, 90)
    assert cue.same_as == "msg_type=video, data.duration_sec=125.133"
    lacks = a_rule(dedupe={"key": ["msg_type", "data.absent"]})
    assert the_cue(decide(*lacks, policy, an_event(), NOW)).same_as is None


def test_an_event_without_its_id_field_goes_by_the_id_of_the_feed() -> None:
    event = replace(an_event(), payload={"data": {"duration_sec": 30}})
    assert the_cue(decide(*RULE, ENFORCE, event, NOW)).id == event.id


def test_a_dry_run_is_told_to_the_cue() -> None:
    policy = replace(ENFORCE, dry_run=True)
    assert the_cue(decide(*RULE, policy, an_event(), NOW)).dry_run


def test_a_suspended_rule_decides_nothing_but_that() -> None:
    policy = replace(ENFORCE, suspended=True)
    for age in (0, 3000):
        ruling = the_ruling(decide(*RULE, policy, an_event(age=age), NOW))
        assert ruling == Ruling(Verdict.SUSPENDED, "spec.suspend of the rule is true")


@pytest.mark.parametrize("duration", ["125", -1, 0, float("nan"), 10**400, None, [], 1e300])
def test_a_length_that_is_none_is_failed_and_says_why(duration: object) -> None:
    ruling = the_ruling(decide(*RULE, ENFORCE, an_event(duration=duration), NOW))
    assert ruling.verdict is Verdict.FAILED
    assert "data.duration_sec" in ruling.detail


# The rule's own time


@pytest.mark.parametrize("timestamp", [NOW - 10, (NOW - 10) * 1000, f"{NOW - 10}"])
def test_the_time_field_counts_instead_of_the_time_of_the_feed(timestamp: object) -> None:
    matched = decide(*TIMED, ENFORCE, an_event(age=1, timestamp=timestamp), NOW)
    assert matched.time == NOW - 10
    cue = the_cue(matched)
    assert (cue.due(0), cue.published) == (NOW - 10, NOW - 1)


def test_the_age_is_that_of_the_time_field() -> None:
    event = an_event(age=1, timestamp=NOW - 31)
    assert the_cue(decide(*TIMED, ENFORCE, event, NOW)).due(5) == NOW - 26


@pytest.mark.parametrize("timestamp", [None, "soon", -1, True, {}, float("nan"), 10**400])
def test_a_time_field_that_tells_no_time_is_failed_and_says_why(timestamp: object) -> None:
    matched = decide(*TIMED, ENFORCE, an_event(age=2, timestamp=timestamp), NOW)
    assert matched.time == NOW - 2
    ruling = the_ruling(matched)
    assert ruling.verdict is Verdict.FAILED
    assert "common.timestamp" in ruling.detail
    assert "timeField" in ruling.detail


def test_a_time_in_the_future_counts_as_the_time_of_the_feed() -> None:
    matched = decide(*TIMED, ENFORCE, an_event(timestamp=NOW + 3600), NOW)
    assert matched.time == NOW + 3600
    assert the_cue(matched).due(0) == NOW


def test_a_clock_that_is_ahead_does_not_keep_a_replayed_event_young() -> None:
    event = an_event(age=31, timestamp=NOW + 3600)
    assert the_cue(decide(*TIMED, ENFORCE, event, NOW)).due(0) == NOW - 31


@given(age=st.floats(-1, 600), skew=st.floats(-1e6, 1e6))
def test_no_cue_begins_in_the_future_or_after_it_was_published(age: float, skew: float) -> None:
    event = an_event(age=age, timestamp=NOW - age + skew)
    cue = the_cue(decide(*TIMED, ENFORCE, event, NOW))
    assert cue.due(0) <= min(NOW, cue.published)


# Old news

STARTED = NOW - 60
CUE = Cue("cue", NOW, 125, 30)


def old(
    age: float,
    max_age: float = 30,
    created: float = NOW - 1000,
    decided: frozenset[str] = frozenset(),
    last_event: float | None = None,
) -> bool:
    event = an_event(age=age)
    return is_old_news(
        Matched("cue", event.published, CUE),
        event,
        created=created,
        started=STARTED,
        decided=decided,
        last_event=last_event,
        max_age=max_age,
        now=NOW,
    )


def test_what_was_published_before_the_rule_was_made_is_never_for_it() -> None:
    assert old(age=61, max_age=300, created=NOW - 60.5)
    assert old(age=10, max_age=300, created=NOW - 9)
    assert not old(age=10, max_age=300, created=NOW - 10)


def test_what_came_since_the_start_is_news_whatever_the_status_tells() -> None:
    assert not old(age=59, decided=frozenset({"cue"}), last_event=NOW)
    assert not old(age=60, decided=frozenset({"cue"}), last_event=NOW)


def test_a_replayed_event_that_the_status_tells_is_old() -> None:
    assert old(age=61, max_age=300, decided=frozenset({"cue"}))
    assert not old(age=61, max_age=300, decided=frozenset({"other"}))


def test_a_replayed_cue_that_is_still_young_is_news() -> None:
    assert not old(age=61, max_age=300, last_event=NOW)


def test_an_expired_replay_is_news_only_if_it_is_newer_than_what_the_status_tells() -> None:
    assert old(age=61, last_event=NOW - 61)
    assert old(age=61, last_event=NOW - 60)
    assert not old(age=61, last_event=NOW - 62)
    assert not old(age=61, last_event=None)


@pytest.mark.parametrize(
    ("due", "then", "latency"),
    [
        (100.0, 100.25, 0.25),  # at once
        (95.0, 100.25, 0.25),  # it was due before the event came
        (110.0, 110.25, 0.25),  # spec.commercials.delay: 10s
        (110.0, 101.0, 1.0),  # decided before it was due
    ],
)
def test_a_wait_that_is_wished_for_is_no_latency(due: float, then: float, latency: float) -> None:
    assert latency_of(100.0, due, then) == latency
