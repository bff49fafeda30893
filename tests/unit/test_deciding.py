"""What an event leads to for one rule, before any channel is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.events import Event, Verdict
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import CompiledRule, compile_rule
from controller.rules.deciding import Matched, RulePolicy, decide, is_old_news
from controller.rules.steps import Cue, Ruling

NOW = 1_700_000_000.0
ENFORCE = RulePolicy(max_age=30, dry_run=False, suspended=False)


def a_rule(**spec: Any) -> CompiledRule:  # noqa: ANN401 - as in a resource
    return compile_rule(
        TriggerRuleSpec.from_spec(
            {
                "channelRef": {"name": "mst3k"},
                "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
                "match": [{"field": "msg_type", "equals": "video"}],
                "action": {"commercial": {"lengthField": "data.duration_sec"}},
                **spec,
            }
        )
    )


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


def test_a_young_event_becomes_a_cue_of_the_rounded_length() -> None:
    matched = decide(RULE, ENFORCE, an_event(age=3), NOW)
    assert matched.cue_id == "1611912397739_177005"
    assert matched.time == NOW - 3
    cue = the_cue(matched)
    assert (cue.id, cue.published, cue.due) == (matched.cue_id, NOW - 3, NOW - 3)
    assert (cue.length, cue.max_age, cue.dry_run) == (125, 30, False)


def test_an_event_without_its_id_field_goes_by_the_id_of_the_feed() -> None:
    event = replace(an_event(), payload={"data": {"duration_sec": 30}})
    assert the_cue(decide(RULE, ENFORCE, event, NOW)).id == event.id


def test_a_dry_run_is_told_to_the_cue() -> None:
    policy = replace(ENFORCE, dry_run=True)
    assert the_cue(decide(RULE, policy, an_event(), NOW)).dry_run


def test_a_suspended_rule_decides_nothing_but_that() -> None:
    policy = replace(ENFORCE, suspended=True)
    for age in (0, 3000):
        ruling = the_ruling(decide(RULE, policy, an_event(age=age), NOW))
        assert ruling == Ruling(Verdict.SUSPENDED, "spec.suspend of the rule is true")


def test_an_event_is_taken_at_the_border_of_max_age_and_expired_beyond() -> None:
    assert the_cue(decide(RULE, ENFORCE, an_event(age=30), NOW)).due == NOW - 30
    ruling = the_ruling(decide(RULE, ENFORCE, an_event(age=31), NOW))
    assert ruling == Ruling(Verdict.EXPIRED, "31 s old, maxAge is 30s")


@pytest.mark.parametrize("duration", ["125", -1, 0, float("nan"), 10**400, None, [], 1e300])
def test_a_length_that_is_none_is_failed_and_says_why(duration: object) -> None:
    ruling = the_ruling(decide(RULE, ENFORCE, an_event(duration=duration), NOW))
    assert ruling.verdict is Verdict.FAILED
    assert "data.duration_sec" in ruling.detail


# The rule's own time


@pytest.mark.parametrize("timestamp", [NOW - 10, (NOW - 10) * 1000, f"{NOW - 10}"])
def test_the_time_field_counts_instead_of_the_time_of_the_feed(timestamp: object) -> None:
    matched = decide(TIMED, ENFORCE, an_event(age=1, timestamp=timestamp), NOW)
    assert matched.time == NOW - 10
    cue = the_cue(matched)
    assert (cue.due, cue.published) == (NOW - 10, NOW - 1)


def test_the_age_is_that_of_the_time_field() -> None:
    event = an_event(age=1, timestamp=NOW - 31)
    assert the_ruling(decide(TIMED, ENFORCE, event, NOW)).verdict is Verdict.EXPIRED


@pytest.mark.parametrize("timestamp", [None, "soon", -1, True, {}, float("nan"), 10**400])
def test_a_time_field_that_tells_no_time_is_failed_and_says_why(timestamp: object) -> None:
    matched = decide(TIMED, ENFORCE, an_event(age=2, timestamp=timestamp), NOW)
    assert matched.time == NOW - 2
    ruling = the_ruling(matched)
    assert ruling.verdict is Verdict.FAILED
    assert "common.timestamp" in ruling.detail
    assert "timeField" in ruling.detail


def test_a_time_in_the_future_counts_as_the_time_of_the_feed() -> None:
    matched = decide(TIMED, ENFORCE, an_event(timestamp=NOW + 3600), NOW)
    assert matched.time == NOW + 3600
    assert the_cue(matched).due == NOW


def test_a_clock_that_is_ahead_does_not_keep_a_replayed_event_young() -> None:
    event = an_event(age=31, timestamp=NOW + 3600)
    assert the_ruling(decide(TIMED, ENFORCE, event, NOW)).verdict is Verdict.EXPIRED


@given(
    age=st.floats(-1, 600),
    skew=st.floats(-1e6, 1e6),
    max_age=st.floats(1, 300),
)
def test_no_cue_is_older_than_max_age_or_from_the_future(
    age: float, skew: float, max_age: float
) -> None:
    policy = replace(ENFORCE, max_age=max_age)
    outcome = decide(TIMED, policy, an_event(age=age, timestamp=NOW - age + skew), NOW).outcome
    if isinstance(outcome, Cue):
        assert outcome.due <= NOW
        assert NOW - outcome.due <= max_age
        assert NOW - outcome.published <= max_age


# Old news

STARTED = NOW - 60
EXPIRED = Ruling(Verdict.EXPIRED, "")


def old(
    age: float,
    outcome: Cue | Ruling = EXPIRED,
    created: float = NOW - 1000,
    decided: frozenset[str] = frozenset(),
    last_event: float | None = None,
) -> bool:
    event = an_event(age=age)
    return is_old_news(
        Matched("cue", event.published, outcome),
        event,
        created=created,
        started=STARTED,
        decided=decided,
        last_event=last_event,
    )


CUE = Cue("cue", NOW, 125, 30)


def test_what_was_published_before_the_rule_was_made_is_never_for_it() -> None:
    assert old(age=61, outcome=CUE, created=NOW - 60.5)
    assert old(age=10, outcome=CUE, created=NOW - 9)
    assert not old(age=10, outcome=CUE, created=NOW - 10)


def test_what_came_since_the_start_is_news_whatever_the_status_tells() -> None:
    assert not old(age=59, decided=frozenset({"cue"}), last_event=NOW)
    assert not old(age=60, decided=frozenset({"cue"}), last_event=NOW)


def test_a_replayed_event_that_the_status_tells_is_old() -> None:
    assert old(age=61, outcome=CUE, decided=frozenset({"cue"}))
    assert not old(age=61, outcome=CUE, decided=frozenset({"other"}))


def test_a_replayed_cue_that_is_still_young_is_news() -> None:
    assert not old(age=61, outcome=CUE, last_event=NOW)


def test_an_expired_replay_is_news_only_if_it_is_newer_than_what_the_status_tells() -> None:
    assert old(age=61, last_event=NOW - 61)
    assert old(age=61, last_event=NOW - 60)
    assert not old(age=61, last_event=NOW - 62)
    assert not old(age=61, last_event=None)
