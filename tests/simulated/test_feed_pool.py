"""The pool of feeds: rules that share a listener, and what each is told of it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from controller.feeds.base import Source
from controller.feeds.pubnub.keys import PubNubKeys
from controller.resources.triggerrule import RULE
from controller.runtime.resource import Key, Resource
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from controller.sensitive import Sensitive
from controller.term import Term
from controller.triggers.feed_pool import FeedPool
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule
from tests.simulated.harness import KEYS, eventually, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.events import Event
    from controller.sandbox.pubnub import PubNubSimulator

OTHER_KEYS = PubNubKeys(Sensitive("sub-c-other"))


def rule(name: str, *topics: str, keys: PubNubKeys = KEYS, **more: Any) -> Rule:  # noqa: ANN401 - JSON
    spec: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": list(topics)}},
        "match": [{"field": "msg_type", "equals": "scte35"}],
        "action": {"commercial": {"length": "60s"}},
        **more,
    }
    resource = Resource(Key(RULE, "default", name), name, 1, time.time(), None, spec, {})
    made = Rule(resource, Term(time.time()), lambda _: Surroundings((), None, None))
    made.source = Source("pubnub", keys)
    return made


@dataclass
class Heard:
    """A pool and what it told."""

    pool: FeedPool
    told: list[Key] = field(default_factory=list)
    events: list[tuple[list[str], list[str], Event]] = field(default_factory=list)
    metrics: RuleMetrics = field(default_factory=RuleMetrics)

    async def use(self, *rules: Rule) -> None:
        """Listen for rules, until all of them are connected."""
        for each in rules:
            self.pool.use(each)
        await eventually(lambda: all(connected(self.pool, each) for each in rules))

    def of(self, event_number: int) -> tuple[list[str], list[str]]:
        """Names of the rules that an event was told for, and told as an off cue for."""
        return self.events[event_number][:2]


def connected(pool: FeedPool, one: Rule) -> bool | None:
    health = pool.health(one.resource.key)
    return health.connected if health is not None else None


@asynccontextmanager
async def pooling(
    pubnub: PubNubSimulator,
    term: Term | None = None,
    **options: Any,  # noqa: ANN401 - settings
) -> AsyncIterator[Heard]:
    async def on_event(keys: list[Key], cancels: list[Key], event: Event) -> None:
        heard.events.append(([key.name for key in keys], [key.name for key in cancels], event))

    told: list[Key] = []
    metrics = RuleMetrics()
    pool = FeedPool(
        settings_for(pubnub, **options), metrics, on_event, told.append, term or Term(0.0)
    )
    heard = Heard(pool, told, metrics=metrics)
    try:
        yield heard
    finally:
        await heard.pool.close()


async def test_a_rule_that_joins_a_connected_feed_is_told_so(pubnub: PubNubSimulator) -> None:
    first, second = rule("first", "a"), rule("second", "b")
    async with pooling(pubnub) as heard:
        await heard.use(first)
        heard.told.clear()
        heard.pool.use(second)
        assert connected(heard.pool, second) is None
        await eventually(lambda: second.resource.key in heard.told)
        await eventually(lambda: connected(heard.pool, second))


async def test_a_standby_keeps_young_events_and_meets_them_when_it_begins_to_decide(
    pubnub: PubNubSimulator,
) -> None:
    term = Term()
    async with pooling(pubnub, term) as heard:
        await heard.use(rule("short", "short", maxAge="1s"), rule("long", "long", maxAge="1m"))
        for topic in ("short", "long"):
            pubnub.publish(topic, {"msg_type": "scte35", "number": 1})
        pubnub.publish("long", {"msg_type": "another"})
        published = time.time()
        await eventually(lambda: time.time() > published + 1)
        pubnub.publish("long", {"msg_type": "scte35", "number": 2})
        listener = next(iter(heard.pool._listeners.values()))
        await eventually(lambda: [e.payload["number"] for e in listener._young._events] == [1, 2])
        assert heard.events == []
        assert {e.topic for e in listener._young._events} == {"long"}
        term.begin(time.time())
        heard.pool.begin()
        pubnub.publish("short", {"msg_type": "scte35", "number": 3})
        await eventually(lambda: len(heard.events) == 3)
        assert [event.payload["number"] for _, _, event in heard.events] == [1, 2, 3]
        assert heard.pool.check()


async def test_a_rule_that_is_used_again_as_it_was_costs_nothing(pubnub: PubNubSimulator) -> None:
    one = rule("one", "a")
    async with pooling(pubnub) as heard:
        await heard.use(one)
        heard.told.clear()
        heard.pool.use(one)
        assert not heard.pool._unsettled
        one.delay = 5
        heard.pool.use(one)
        assert heard.pool._unsettled


def series(metrics: RuleMetrics, name: str) -> dict[tuple[str, ...], float]:
    """The values of a metric by those of its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"twitch_operator_{name}"
    }


async def test_a_tenants_bad_keys_change_no_series_of_others(pubnub: PubNubSimulator) -> None:
    pubnub.deny("sub-c-other")
    good, bad = rule("good", "a"), rule("bad", "a", keys=OTHER_KEYS)
    polls, connected_to = "feed_last_poll_timestamp_seconds", "feed_connected"
    async with pooling(pubnub) as heard:
        heard.pool.use(bad)
        await heard.use(good)
        await eventually(lambda: series(heard.metrics, connected_to).get(
            ("default", "bad", "AccessDenied")) == 0.0)  # fmt: skip
        heard.pool.check()
        assert series(heard.metrics, polls) == {
            ("default", "good"): pytest.approx(time.time(), abs=30),
            ("default", "bad"): 0.0,
        }
        assert series(heard.metrics, connected_to)["default", "good", "Succeeded"] == 1.0
        heard.pool.drop(bad.resource.key)
        assert [*series(heard.metrics, polls)] == [("default", "good")]
        assert len(series(heard.metrics, connected_to)) == 1


async def test_rules_come_change_and_go(pubnub: PubNubSimulator) -> None:
    one, two = rule("one", "a", "b"), rule("two", "b")
    async with pooling(pubnub) as heard:
        await heard.use(one, two)
        await pubnub.wait_for_polls(1)
        pubnub.publish("b", {"msg_type": "scte35"})
        pubnub.publish("b", {"msg_type": "video"})
        await eventually(lambda: len(heard.events) == 2)
        assert [heard.of(0), heard.of(1)] == [(["one", "two"], []), ([], [])]
        await heard.use(rule("one", "a", "c"))
        await eventually(lambda: "/a,b,c/0" in pubnub.requests[-1].path)
        pubnub.publish("b", {"msg_type": "scte35"})
        await eventually(lambda: len(heard.events) == 3)
        assert heard.of(2) == (["two"], [])
        heard.pool.drop(two.resource.key)
        assert heard.pool.health(two.resource.key) is None
        await eventually(lambda: "/a,c/0" in pubnub.requests[-1].path)
        heard.pool.drop(one.resource.key)
        await eventually(lambda: pubnub.open_polls() == 0)
        assert not heard.pool._listeners


async def test_off_cues_are_told_apart_from_cues(pubnub: PubNubSimulator) -> None:
    off = [{"field": "type", "equals": "off"}]
    one, two = rule("one", "a", cancelOn=off), rule("two", "a")
    async with pooling(pubnub) as heard:
        await heard.use(one, two)
        pubnub.publish("a", {"msg_type": "scte35", "type": "on"})
        pubnub.publish("a", {"msg_type": "scte35", "type": "off"})
        pubnub.publish("a", {"type": "off"})
        await eventually(lambda: len(heard.events) == 3)
        assert [heard.of(n) for n in range(3)] == [
            (["one", "two"], []),
            (["one", "two"], ["one"]),
            ([], ["one"]),
        ]
        heard.pool.use(rule("one", "a"))
        pubnub.publish("a", {"type": "off"})
        await eventually(lambda: len(heard.events) == 4)
        assert heard.of(3) == ([], [])


def _since(pool: FeedPool, key: Key) -> float:
    since = pool.silent_since(key)
    return since.wall if since is not None else 0.0


async def test_silence_counts_from_the_last_event_or_the_begin_of_listening(
    pubnub: PubNubSimulator,
) -> None:
    one, two = rule("one", "a", "b"), rule("two", "b")
    async with pooling(pubnub) as heard:
        pool, key = heard.pool, one.resource.key
        assert pool.silent_since(key) is None
        before = time.time()
        await heard.use(one, two)
        began = _since(pool, key)
        assert before <= began <= time.time()
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: len(heard.events) == 1)
        assert _since(pool, key) == heard.events[0][2].published
        assert _since(pool, two.resource.key) < heard.events[0][2].published
        changed = time.time()
        pool.use(rule("one", "b"))
        assert _since(pool, key) >= changed


async def test_the_last_five_events_of_a_topic_are_kept_for_questions(
    pubnub: PubNubSimulator,
) -> None:
    one, two = rule("one", "a", "b"), rule("two", "c")
    async with pooling(pubnub) as heard:
        await heard.use(one, two)
        for n in range(8):
            pubnub.publish("a", {"n": n})
        pubnub.publish("b", {"n": 8})
        await eventually(lambda: len(heard.events) == 9)
        kept = heard.pool.recent(one.resource.key)
        assert [event.payload["n"] for event in kept] == [3, 4, 5, 6, 7, 8]
        assert heard.pool.recent(two.resource.key) == []
        assert heard.pool.recent(Key(RULE, "default", "none")) == []


@pytest.mark.usefixtures("short_pauses")
async def test_a_gap_concerns_the_rules_of_its_topic_and_heals(pubnub: PubNubSimulator) -> None:
    pubnub.persist(history=False)
    one, two = rule("one", "a", "b"), rule("two", "b")
    async with pooling(pubnub, feed_stale_after=2, subscribe_timeout=0.2) as heard:
        await heard.use(one, two)
        await pubnub.refuse()
        for n in range(120):
            pubnub.publish("a", {"n": n})
        await eventually(lambda: connected(heard.pool, one) is False)
        await pubnub.accept()
        await eventually(lambda: len(heard.events) == 100)
        health = heard.pool.health(one.resource.key)
        assert health is not None
        assert health.reason == "FeedStale"
        await eventually(lambda: connected(heard.pool, two))
        assert series(heard.metrics, "feed_gaps_total") == {("Recovered",): 0, ("Lost",): 1}
        heard.told.clear()
        await eventually(lambda: heard.pool.check() and connected(heard.pool, one))
        await eventually(lambda: one.resource.key in heard.told)


async def test_a_month_of_events_at_once_does_not_hold_up_another_feed(
    pubnub: PubNubSimulator,
) -> None:
    month = 5000
    place, now = f"/v2/subscribe/{SUBSCRIBE_KEY}/*", time.time_ns() // 100
    messages = [{"c": "a", "p": {"t": str(now - n)}, "d": {"n": n}} for n in range(month)]
    body = {"t": {"t": str(now), "r": 1}, "m": messages}
    one, two = rule("one", "a"), rule("two", "b", keys=OTHER_KEYS)
    waited: list[float] = []

    async with pooling(pubnub) as heard:

        async def busy(_keys: list[Key], _cancels: list[Key], event: Event) -> None:
            if event.topic == "b":
                waited.append(time.time() - event.published)
                return
            until = time.perf_counter() + 0.0003
            while time.perf_counter() < until:
                pass
            heard.events.append(([], [], event))

        heard.pool._on_event = busy
        await heard.use(one, two)
        await eventually(lambda: pubnub.open_polls() and pubnub.open_polls("sub-c-other"))
        pubnub.faults.add(Fault(path=place, status=200, body=body))
        pubnub.publish("a", {"n": -1})
        await eventually(lambda: len(heard.events) > 10)
        pubnub.publish("b", {}, subscribe_key="sub-c-other")
        await eventually(lambda: waited)
        assert len(heard.events) < month
        await eventually(lambda: len(heard.events) > month)


async def test_one_more_rule_among_thousands_costs_what_it_costs_alone(
    pubnub: PubNubSimulator,
) -> None:
    await pubnub.refuse()

    async with pooling(pubnub) as heard:

        def cost(first: int) -> float:
            """Seconds of a hundred rules that come one by one."""
            began = time.process_time()
            for n in range(first, first + 100):
                heard.pool.use(rule(f"rule-{n}", f"topic-{n}"))
                heard.pool._apply()
            return time.process_time() - began

        alone = min(cost(0), cost(100))
        for n in range(200, 5000):
            heard.pool.use(rule(f"rule-{n}", f"topic-{n}"))
        heard.pool._apply()
        assert min(cost(first) for first in (5000, 5100, 5200)) < 5 * alone


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_is_set_makes_no_feed_stale_and_hides_none(
    pubnub: PubNubSimulator, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    async with pooling(pubnub, feed_stale_after=1, subscribe_timeout=0.2) as heard:
        one, real = rule("one", "a"), time.time
        await heard.use(one)
        monkeypatch.setattr(time, "time", lambda: real() + seconds)
        heard.pool.check()
        assert connected(heard.pool, one)
        pubnub.silence()

        def stale() -> bool:
            heard.pool.check()
            health = heard.pool.health(one.resource.key)
            return health is not None and health.reason == "FeedStale"

        await eventually(stale)
