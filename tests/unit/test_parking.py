"""A rule that takes too long is taken out of service or waits, and the others go on."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from controller.actions.base import Performer
from controller.events import Event
from controller.feeds.base import Source
from controller.resources.triggerrule import RULE
from controller.rules.payloads import Refusal
from controller.runtime.resource import Key, Resource
from controller.term import Term
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.followers import Followers
from controller.triggers.meter import Lap, Meter
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule

if TYPE_CHECKING:
    from controller.triggers.decided import Decided


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.collections = 0

    def meter(self) -> Meter:
        return Meter(lambda: self.wall, lambda: self.cpu, lambda: self.collections)

    def work(self, seconds: float) -> None:
        self.wall += seconds
        self.cpu += seconds


class SlowEvent(dict[str, Any]):
    """An event of which one field takes long to look at."""

    def __init__(self, clock: Clock, seconds: float, wall: float = 0.0) -> None:
        super().__init__(slow="x", quick="x", duration=60)
        self._clock, self._seconds, self._wall = clock, seconds, wall

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as a dict's
        if key == "slow":
            self._clock.work(self._seconds)
            self._clock.wall += self._wall
        return super().get(key, default)


def _resource(name: str, generation: int, namespace: str, **spec: object) -> Resource:
    whole: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": name, "equals": "x"}],
        "action": {"commercial": {"lengthField": "duration"}},
        "idField": "",
    }
    key, began = Key(RULE, namespace, name), time.time() - 3600
    return Resource(key, "uid", generation, began, None, whole | spec, {})


def _rule(name: str, generation: int = 1, namespace: str = "default", **spec: object) -> Rule:
    resource = _resource(name, generation, namespace, **spec)
    rule = Rule(resource, Term(resource.created), lambda _: Surroundings((), None, None))
    rule.source, rule.reporter.concluded = Source("pubnub", "keys"), True
    return rule


async def _meet(clock: Clock, rules: list[Rule], event: SlowEvent, *, off: bool = False) -> Any:  # noqa: ANN401
    """Return the names of the rules that decided, and of those that were parked."""
    table = {rule.resource.key: rule for rule in rules}
    decided: list[str] = []
    parked: list[str] = []
    dispatcher = Dispatcher(
        table.get,
        lambda _rule, _event: (),
        Followers(
            lambda told: decided.append(told.rule.resource.key.name),
            parked=lambda key: parked.append(key.name),
        ),
        RuleMetrics(),
        {},
        meter=clock.meter(),
    )
    now = time.time()
    told = Event("mst3k", "7", now, time.monotonic(), event)
    await dispatcher.event(list(table), list(table) if off else (), told)
    return decided, parked


def _conditions(rule: Rule) -> dict[str, tuple[str, str, str]]:
    status = rule.reporter.compose(time.time())
    assert status is not None
    return {c.type: (c.status, c.reason, c.message) for c in status.conditions}


async def test_a_rule_that_takes_too_long_is_parked_and_the_others_decide() -> None:
    clock, rules = Clock(), [_rule("slow"), _rule("quick")]
    assert await _meet(clock, rules, SlowEvent(clock, 0.08)) == (["quick"], ["slow"])
    slow = rules[0]
    assert not slow.usable
    assert slow.topics == ()
    told = _conditions(slow)
    assert told["Stalled"] == ("True", "TooExpensive", told["Ready"][2])
    assert told["Ready"][:2] == ("False", "TooExpensive")
    assert told["Ready"][2] == (
        "spec.match took 80 ms of CPU for event 7, and 50 ms are allowed; the rule starts nothing"
        " until its spec changes: use equals, prefix and suffix, or smaller globs and regexes"
    )
    assert await _meet(clock, rules, SlowEvent(clock, 0.08)) == (["quick"], [])


async def test_a_rule_whose_off_cue_takes_too_long_is_parked() -> None:
    clock = Clock()
    rule = _rule("quick", cancelOn=[{"field": "slow", "equals": "y"}])
    assert await _meet(clock, [rule], SlowEvent(clock, 0.06), off=True) == ([], ["quick"])
    assert _conditions(rule)["Ready"][2].startswith("spec.cancelOn took 60 ms of CPU")


async def test_a_busy_machine_parks_no_rule() -> None:
    clock, rule = Clock(), _rule("slow")
    assert await _meet(clock, [rule], SlowEvent(clock, 0.01, wall=3.0)) == (["slow"], [])


async def test_a_collection_of_garbage_parks_no_rule() -> None:
    clock, rule = Clock(), _rule("slow")
    event = SlowEvent(clock, 0.2)

    def collect(key: str, default: object = None) -> Any:  # noqa: ANN401 - as a dict's
        clock.collections += 1
        return SlowEvent.get(event, key, default)

    event.get = collect  # type: ignore[method-assign]
    assert await _meet(clock, [rule], event) == (["slow"], [])


async def test_a_parked_rule_stays_so_until_its_spec_changes_even_over_a_restart() -> None:
    clock, rule = Clock(), _rule("slow")
    await _meet(clock, [rule], SlowEvent(clock, 0.08))
    before = _resource("slow", 1, "default")
    rule.update(replace(before, requested_at="2026-01-29T10:00:00Z"))
    assert not rule.usable
    status = rule.reporter.compose(time.time())
    assert status is not None
    body = replace(before, status=status.to_status())
    assert not Rule(body, Term(time.time()), lambda _: Surroundings((), None, None)).usable
    changed = replace(body, generation=2)
    assert Rule(changed, Term(time.time()), lambda _: Surroundings((), None, None)).usable
    rule.update(changed)
    assert rule.usable
    assert await _meet(clock, [rule], SlowEvent(clock, 0.01)) == (["slow"], [])


@pytest.mark.parametrize(("matchers", "when", "by_when"), [(0.01, 0.05, True), (0.05, 0.01, False)])
def test_a_lap_tells_what_took_long_without_the_conversion_of_the_event(
    matchers: float, when: float, by_when: bool
) -> None:
    clock = Clock()

    def convert() -> Refusal:
        clock.work(7.0)
        return Refusal("")

    lap = Lap(clock.meter(), convert)
    clock.work(matchers)
    lap.view()
    clock.work(when)
    took, told = lap.end()
    assert took == pytest.approx(0.06)
    assert told is by_when


async def test_a_namespace_that_is_over_its_share_waits_behind_the_others() -> None:
    clock = Clock()
    rules = [_rule("slow", namespace="busy"), _rule("quick", namespace="calm")]
    table = {rule.resource.key: rule for rule in rules}
    decided: list[tuple[str, str]] = []
    dispatcher = Dispatcher(
        table.get,
        lambda _rule, _event: (),
        Followers(lambda told: decided.append((told.rule.resource.key.namespace, told.event.id))),
        RuleMetrics(),
        {},
        meter=clock.meter(),
    )
    now = time.time()
    for number in range(40):
        told = Event("mst3k", f"{number}", now, time.monotonic(), SlowEvent(clock, 0.04))
        await dispatcher.event(list(table), (), told)
    calm = [place for place, (name, _) in enumerate(decided) if name == "calm"]
    assert len(calm) == 40
    busy_before_the_last_calm = calm[-1] - 39
    assert 10 <= busy_before_the_last_calm < 20  # what it may take at once, and then no more
    await dispatcher.drained()
    for name in ("busy", "calm"):
        assert [event for who, event in decided if who == name] == [f"{n}" for n in range(40)]
    await dispatcher.close()


async def test_the_highest_priority_decides_first_also_among_those_that_wait() -> None:
    clock = Clock()
    rules = [_rule("slow"), _rule("quick", priority=10)]
    table = {rule.resource.key: rule for rule in rules}
    decided: dict[str, list[str]] = {}

    def note(told: Decided) -> None:
        decided.setdefault(told.event.id, []).append(told.rule.resource.key.name)

    dispatcher = Dispatcher(
        table.get, lambda _rule, _event: (), Followers(note), RuleMetrics(), {}, meter=clock.meter()
    )
    for number in range(30):
        told = Event("mst3k", f"{number}", time.time(), time.monotonic(), SlowEvent(clock, 0.04))
        await dispatcher.event(list(table), (), told)
    await dispatcher.drained()
    assert decided == {f"{n}": ["quick", "slow"] for n in range(30)}
    await dispatcher.close()


async def test_an_off_cue_that_is_too_costly_is_told_once_for_each_spec(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    clock = Clock()
    cancel_on = [{"field": "s", "regex": "(?:a?){370}b"}]
    resource = _resource("quick", 1, "default", cancelOn=cancel_on)
    rule = _rule("quick", cancelOn=cancel_on)
    event = SlowEvent(clock, 0.0)
    event["s"] = "a" * 4000
    for _ in range(20):
        assert await _meet(clock, [rule], event, off=True) == (["quick"], [])
    rule.update(replace(resource, version=2))
    assert await _meet(clock, [rule], event, off=True) == (["quick"], [])
    [told] = caplog.messages
    assert "event 7 is not taken for an off cue: cancelOn[0] is too costly" in told
    rule.update(replace(resource, generation=2))
    assert await _meet(clock, [rule], event, off=True) == (["quick"], [])
    assert len(caplog.messages) == 2


async def test_an_off_cue_waits_with_the_cues_before_it() -> None:
    clock = Clock()
    rule = _rule("slow", cancelOn=[{"field": "off", "equals": "y"}])
    key = rule.resource.key
    seen: list[str] = []

    def targets(_rule: Rule, event: Event) -> tuple[()]:
        seen.append(event.id)
        return ()

    dispatcher = Dispatcher(
        {key: rule}.get,
        targets,
        Followers(lambda _: None),
        RuleMetrics(),
        {"commercial": Performer()},
        meter=clock.meter(),
    )
    now = time.time()
    for number in range(30):
        payload = SlowEvent(clock, 0.04)
        payload["off"] = "y" if number % 2 else "n"
        told = Event("mst3k", f"{number}", now, time.monotonic(), payload)
        await dispatcher.event([key], [key], told)
    await dispatcher.drained()
    assert seen == [f"{n}" for n in range(30)]
    await dispatcher.close()


async def test_what_waits_is_dropped_when_the_process_ends() -> None:
    clock, rule = Clock(), _rule("slow")
    key = rule.resource.key
    dispatcher = Dispatcher(
        {key: rule}.get,
        lambda *_: (),
        Followers(lambda _: None),
        RuleMetrics(),
        {},
        meter=clock.meter(),
    )
    for number in range(30):
        told = Event("mst3k", f"{number}", time.time(), 0.0, SlowEvent(clock, 0.04))
        await dispatcher.event([key], (), told)
    await dispatcher.close()
    assert all(task is asyncio.current_task() for task in asyncio.all_tasks())
