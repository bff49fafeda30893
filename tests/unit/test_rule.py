"""A rule that runs: what it takes for meant for it, and what its status tells of time."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import pytest

from controller.events import Decision, Event, Verdict
from controller.feeds.base import FeedHealth, Source
from controller.feeds.pubnub.keys import PubNubKeys
from controller.resources.triggerrule import RULE
from controller.rules.expressions import lazy_cel_view
from controller.runtime.resource import Key, Resource
from controller.sensitive import Sensitive
from controller.term import Term
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.followers import Followers
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule
from controller.triggers.topic_memory import TopicMemory

ALONE = Surroundings((), None, None)
SOURCE = Source("pubnub", PubNubKeys(Sensitive("sub-c-anything")))


def _resource(*topics: str, generation: int = 1, **spec: object) -> Resource:
    whole: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": list(topics)}},
        "match": [{"field": "msg_type", "equals": "scte35"}],
        "action": {"commercial": {"lengthField": "duration"}},
    }
    key, created = Key(RULE, "default", "splices"), time.time() - 3600
    return Resource(key, "uid", generation, created, None, whole | spec, {})


def _rule(resource: Resource) -> Rule:
    rule = Rule(resource, Term(time.time() - 1800), lambda _: ALONE)
    rule.source, rule.reporter.concluded = SOURCE, True
    return rule


def _event(topic: str, published: float, **payload: object) -> Event:
    whole = {"msg_type": "scte35", "duration": 60} | payload
    return Event(topic, f"{published}", published, time.monotonic(), whole)


def _is_told(rule: Rule, topic: str, published: float) -> bool:
    return rule.decide(_event(topic, published), time.time()) is not None


def test_what_was_said_on_a_topic_before_the_rule_named_it_is_not_acted_on() -> None:
    rule = _rule(_resource("old"))
    before = time.time() - 1
    rule.update(_resource("old", "new", generation=2))
    assert _is_told(rule, "old", before)
    assert not _is_told(rule, "new", before)
    assert _is_told(rule, "new", time.time())


def test_another_change_of_the_rule_does_not_make_a_topic_new_or_old() -> None:
    rule = _rule(_resource("old"))
    before = time.time() - 1
    rule.update(_resource("old", "new", generation=2))
    between = time.time()
    rule.update(_resource("old", "new", generation=3, maxAge="2m"))
    assert _is_told(rule, "old", before)
    assert not _is_told(rule, "new", before)
    assert _is_told(rule, "new", between)


def test_a_topic_that_was_taken_away_and_comes_back_is_new() -> None:
    rule = _rule(_resource("old", "other"))
    before = time.time() - 1
    rule.update(_resource("other", generation=2))
    rule.update(_resource("old", "other", generation=3))
    assert not _is_told(rule, "old", before)
    assert _is_told(rule, "other", before)


def test_a_topic_that_comes_while_the_key_set_is_missing_is_new_too() -> None:
    rule = _rule(_resource("old"))
    rule.source = None
    before = time.time() - 1
    rule.update(_resource("old", "new", generation=2))
    rule.source = SOURCE
    assert _is_told(rule, "old", before)
    assert not _is_told(rule, "new", before)


@pytest.mark.parametrize("ahead", [3600.0, 10 * 365 * 86_400.0])
def test_a_time_far_in_the_future_is_not_told_as_the_time_of_the_last_event(ahead: float) -> None:
    rule = _rule(_resource("old", timeField="at"))
    now = time.time()
    event = _event("old", now, at=now + ahead)
    matched = rule.decide(event, now)
    assert matched is not None
    assert matched.time >= now + 3600
    rule.history.record(Decision(matched.cue_id, now, Verdict.FIRED, "", 0.0), event, matched.time)
    status = rule.reporter.compose(now)
    assert status is not None
    assert status.last_event_time == now


def test_after_a_restart_missed_cues_are_told_though_one_before_had_a_time_in_the_future() -> None:
    resource, now = _resource("old", timeField="at"), time.time()
    rule = _rule(resource)
    ahead = _event("old", now, at=now + 3600)
    rule.history.record(Decision("ahead", now, Verdict.FIRED, "", 0.0), ahead, now + 3600)
    status = rule.reporter.compose(now)
    assert status is not None
    found, restart = replace(resource, status=status.to_status()), now + 600
    again = Rule(found, Term(restart), lambda _: ALONE)
    told, missed = _event("old", now - 300, at=now - 300), _event("old", now + 5, at=now + 5)
    assert again.decide(told, restart) is None
    assert again.decide(missed, restart) is not None


def _decide(rule: Rule, cue_id: str, verdict: Verdict, channel: str = "mst3k") -> None:
    now = time.time()
    event = _event("old", now)
    rule.history.record(Decision(cue_id, now, verdict, "why", 0.01, channel), event, now)


def _told(rule: Rule) -> list[tuple[str, str]]:
    status = rule.reporter.compose(time.time())
    assert status is not None
    return [(each.event_id, each.verdict) for each in status.recent_decisions]


def test_what_waits_is_told_and_replaced_by_what_becomes_of_it() -> None:
    rule = _rule(_resource("old"))
    _decide(rule, "a", Verdict.WAITING)
    _decide(rule, "b", Verdict.SAME_BREAK)
    assert _told(rule) == [("b", "SameBreak"), ("a", "Waiting")]
    _decide(rule, "a", Verdict.FIRED)
    assert _told(rule) == [("a", "Fired"), ("b", "SameBreak")]
    status = rule.reporter.compose(time.time())
    assert status is not None
    assert status.counts is not None
    assert (status.counts.matched, status.counts.fired, status.counts.skipped) == (2, 1, 1)


def test_a_cue_that_waited_when_the_process_ended_is_decided_about_again() -> None:
    resource, now = _resource("old"), time.time()
    rule = _rule(resource)
    _decide(rule, "waits", Verdict.WAITING)
    _decide(rule, "fired", Verdict.FIRED)
    status = rule.reporter.compose(now)
    assert status is not None
    again = Rule(replace(resource, status=status.to_status()), Term(now + 5), lambda _: ALONE)
    for cue_id, decided in (("waits", True), ("fired", False)):
        event = replace(_event("old", now), id=cue_id)
        assert (again.decide(event, now + 5) is not None) is decided


def test_what_fired_is_confirmed_later() -> None:
    rule = _rule(_resource("old"))
    _decide(rule, "a", Verdict.FIRED)
    _decide(rule, "b", Verdict.COOLING_DOWN)
    assert rule.history.confirm("a", "mst3k", Verdict.CONFIRMED)
    assert not rule.history.confirm("a", "mst3k", Verdict.CONFIRMED)
    assert not rule.history.confirm("b", "mst3k", Verdict.CONFIRMED)
    assert _told(rule) == [("b", "CoolingDown"), ("a", "Confirmed")]


def test_a_selector_tells_the_channels_apart() -> None:
    selector = {"matchEvent": [{"label": "feed-code", "field": "feed_code"}]}
    resource = _resource("old")
    spec = {k: v for k, v in resource.spec.items() if k != "channelRef"}
    rule = _rule(replace(resource, spec=spec | {"channelSelector": selector}))
    for channel in ("one", "two"):
        _decide(rule, "a", Verdict.FIRED, channel)
    assert rule.history.confirm("a", "one", Verdict.UNCONFIRMED)
    status = rule.reporter.compose(time.time())
    assert status is not None
    told = [(each.channel, each.verdict) for each in status.recent_decisions]
    assert told == [("two", "Fired"), ("one", "Unconfirmed")]


def test_a_clock_that_is_off_is_told_until_it_is_right() -> None:
    rule, now = _rule(_resource("old", timeField="at")), time.time()

    def skew() -> tuple[str, str]:
        status = rule.reporter.compose(now)
        assert status is not None
        (condition,) = [each for each in status.conditions if each.type == "ClockSkew"]
        return condition.status, condition.message

    for off, holds in ((-6.0, "True"), (5.0, "False"), (3600.0, "True")):
        event = _event("old", now, at=now + off)
        rule.history.record(Decision("a", now, Verdict.FIRED, "", 0.0), event, now + off)
        assert skew()[0] == holds
    assert "3600 s ahead" in skew()[1]


@pytest.mark.parametrize(
    ("connected", "reason", "told"),
    [
        (False, "DecryptionFailed", "cipher-key in Secret playout (spec.feed.pubnub.secretRef)"),
        (True, "DecryptionFailed", "cipher-key in Secret playout (spec.feed.pubnub.secretRef)"),
        (False, "AccessDenied", "subscribe-key and auth-key in Secret playout"),
        (True, "Paced", "what the feed says"),
    ],
)
def test_what_is_wrong_with_a_feed_names_the_secret_and_its_key(
    connected: bool, reason: str, told: str
) -> None:
    health = FeedHealth(connected, reason, "what the feed says")
    rule = Rule(_resource("a"), Term(time.time()), lambda _: Surroundings((), health, None))
    rule.source, rule.reporter.concluded = SOURCE, True
    status = rule.reporter.compose(time.time())
    assert status is not None
    [condition] = [each for each in status.conditions if each.type == "FeedConnected"]
    assert (condition.status, condition.reason) == (str(connected), reason)
    assert condition.message.startswith("what the feed says")
    assert told in condition.message
    [stalled] = [each for each in status.conditions if each.type == "Stalled"]
    assert stalled.status == str(not connected)


def _met(rule: Rule, **payload: object) -> bool:
    """Let a rule meet an event; whether its conditions change."""
    assert rule.compiled is not None
    event = _event("t", time.time(), **payload)
    result = rule.compiled.match(event.payload, lazy_cel_view(event.payload))
    return rule.history.note(result, has_when=rule.compiled.when is not None)


def _conditions(rule: Rule) -> dict[str, tuple[str, str]]:
    status = rule.reporter.compose(time.time())
    assert status is not None
    return {each.type: (each.status, each.reason) for each in status.conditions}


def _is_broken(rule: Rule) -> bool:
    found = _conditions(rule)
    broken = ("False", "ExpressionFailed")
    if found["Ready"] != broken:
        assert "ExpressionFailed" not in str(found)
        return False
    assert found["Stalled"] == ("True", "ExpressionFailed")
    return True


@pytest.mark.parametrize(
    "when", ["event.duration", "event.msg_type > 1.0", "event.duration + 1 > 2"]
)
def test_a_when_that_gives_no_boolean_is_told_until_the_spec_changes(when: str) -> None:
    resource = _resource("t", when=when)
    rule = _rule(resource)
    assert not _is_broken(rule)
    assert _met(rule)
    assert not _met(rule)  # it is told already
    assert _is_broken(rule)
    status = rule.reporter.compose(time.time())
    assert status is not None
    assert status.counts is not None
    assert status.counts.expression_errors == 2
    (ready,) = (each for each in status.conditions if each.type == "Ready")
    assert ready.message.startswith("no event matches, because spec.when cannot be right: when ")
    held = replace(resource, status=status.to_status())
    assert _is_broken(_rule(held))
    changed = replace(held, generation=2, spec=_resource("t", when="event.duration > 1.0").spec)
    rule.update(changed)
    assert not _is_broken(rule)
    assert not _is_broken(_rule(changed))


def test_a_when_that_fails_for_some_events_is_right() -> None:
    rule = _rule(_resource("t", when="event.data.kind == 'ad'"))
    assert not _met(rule)  # no field "data"
    assert not _met(rule, msg_type="video")  # not reached
    assert not _is_broken(rule)
    status = rule.reporter.compose(time.time())
    assert status is not None
    assert status.counts is not None
    assert status.counts.expression_errors == 1
    rule = _rule(_resource("t", when="event.flag"))
    assert not _met(rule, flag=None)
    assert _met(rule, flag=1)
    assert _is_broken(rule)
    assert _met(rule, flag=False)  # so it can be right
    assert not _is_broken(rule)
    assert not _met(rule, flag=1)
    assert not _is_broken(rule)


def test_a_when_that_fails_for_many_events_in_a_row_is_wrong_until_it_answers() -> None:
    rule = _rule(_resource("t", when="event.flag > 1.0"))
    for many in (10, 100):  # more of them once it has worked
        for _ in range(many - 1):
            assert not _met(rule)
        assert not _is_broken(rule)
        assert _met(rule)  # told at the 10th, or the 100th
        assert not _met(rule)
        assert _is_broken(rule)
        status = rule.reporter.compose(time.time())
        assert status is not None
        (ready,) = (each for each in status.conditions if each.type == "Ready")
        assert "many events in a row" in ready.message
        assert "has(...)" in ready.message
        assert not _met(rule, msg_type="video")  # not reached: it tells nothing of when
        assert _is_broken(rule)
        assert _met(rule, flag=0.5)
        assert not _is_broken(rule)


def test_events_of_other_kinds_in_between_do_not_make_a_when_wrong() -> None:
    rule = _rule(_resource("t", when="event.flag > 1.0"))
    for _ in range(5):
        for _ in range(9):
            assert not _met(rule)
        assert not _met(rule, flag=2.0)
    assert not _is_broken(rule)


async def test_an_event_for_which_when_fails_is_counted_and_the_status_written() -> None:
    rule, metrics = _rule(_resource("t", when="event.duration")), RuleMetrics()
    key = rule.resource.key
    changed: list[Key] = []
    metrics.rule_events.add(key.namespace, key.name)

    def decided(*_: object) -> None:
        raise AssertionError

    dispatcher = Dispatcher(
        {key: rule}.get, lambda *_: (), Followers(decided, changed=changed.append), metrics, {}
    )
    for _ in range(2):
        await dispatcher.event([key], [], _event("t", time.time()))
    assert changed == [key]
    labels = {"namespace": key.namespace, "rule": key.name, "result": "error"}
    assert metrics.registry.get_sample_value("twitch_operator_rule_events_total", labels) == 2


def test_a_rule_that_matches_has_no_nearest_miss() -> None:
    resource, now = _resource("t"), time.time()
    rule = _rule(resource)
    other = _event("t", now, msg_type="video")
    rule.history.look_for_misses(rule.compiled, [other])
    assert _nearest(rule) is not None
    rule.history.record(Decision("cue", now, Verdict.FIRED, "", 0.0), _event("t", now), now)
    rule.history.look_for_misses(rule.compiled, [other])
    assert _nearest(rule) is None
    status = rule.reporter.compose(now)
    assert status is not None
    again = _rule(replace(resource, status=status.to_status()))
    again.history.look_for_misses(again.compiled, [other])
    assert _nearest(again) is None
    # A changed rule may match no more.
    again.update(replace(resource, generation=2))
    again.history.look_for_misses(again.compiled, [other])
    assert _nearest(again) is not None


def _nearest(rule: Rule) -> object:
    status = rule.reporter.compose(time.time())
    assert status is not None
    return status.nearest_miss


def test_ten_thousand_rules_have_no_dictionary_each() -> None:
    assert not hasattr(_rule(_resource("t")), "__dict__")


@pytest.mark.parametrize("set_by", [-7200.0, 7200.0])
def test_a_clock_that_is_set_makes_no_feed_silent(
    monkeypatch: pytest.MonkeyPatch, set_by: float
) -> None:
    memory, started, at = TopicMemory(), time.time(), time.monotonic()
    memory.note(_event("t", started))
    resource = _resource("t")
    resource = replace(resource, spec={**resource.spec, "expectEvery": "1h"})
    rule = Rule(resource, Term(started), lambda _: Surroundings((), None, memory.heard(["t"])))
    monkeypatch.setattr(time, "time", lambda: started + set_by)
    assert not rule.reporter.is_silent()
    monkeypatch.setattr(time, "monotonic", lambda: at + 3700)
    assert rule.reporter.is_silent()
    memory.note(_event("t", started))  # it speaks again, by whatever clock
    assert not rule.reporter.is_silent()


def test_what_was_written_is_told_and_takes_little_memory() -> None:
    rule = _rule(_resource("a"))
    rule.reporter.concluded = True
    status = rule.reporter.compose(time.time())
    assert status is not None
    rule.reporter.written(status.to_status())
    assert rule.reporter.status.to_status() == status.to_status()
    held = max(sys.getsizeof(getattr(rule, name, None)) for name in ("_status", "resource"))
    assert held < 1024
