"""The feed against the simulated PubNub: nothing lost, nothing doubled, nothing that ends it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from controller.events import Event
from controller.feeds.pubnub.keys import PubNubKeys
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub import SUBSCRIBE_KEY, KeySet, PubNubSimulator
from controller.sensitive import Sensitive
from tests.simulated.harness import Hearing, eventually, listening


def answer(*messages: Any, position: int | None = None) -> str:  # noqa: ANN401 - JSON
    """The text of an answer that carries just these messages."""
    token = position or int(time.time() * 10_000_000)
    return json.dumps({"t": {"t": str(token), "r": 12}, "m": messages})


def envelope(payload: Any, **other: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    place = {"t": str(time.time_ns() // 100), "r": 12}
    return {"c": "a", "p": place, "d": payload, "k": "k", **other}


# What is heard


async def test_a_message_becomes_an_event(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "mst3k.playout", "other") as hearing:
        before = time.monotonic()
        payload = {"n": 1, "text": "ü"}
        ticks = pubnub.publish("mst3k.playout", payload)
        [event] = await hearing.take(1)
        assert event == Event("mst3k.playout", str(ticks), ticks / 1e7, event.received, payload)
        assert before <= event.received <= time.monotonic()
        assert hearing.reasons() == ["Succeeded"]
        assert hearing.feed.polled_at == pytest.approx(time.monotonic(), abs=5)


async def test_a_new_topic_is_heard_from_its_window_on() -> None:
    clock = [time.time() - 20.0]
    async with PubNubSimulator(clock=lambda: clock[0]) as past:
        past.publish("a", {"old": True})
        clock[0] += 15
        past.publish("a", {"young": True})
        clock[0] += 5
        async with listening(past, "a", window=10) as hearing:
            assert await hearing.payloads(1) == [{"young": True}]


async def test_signals_and_other_kinds_are_passed_over(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        for kind in (1, 2, 3, 4):
            pubnub.publish("a", {"kind": kind}, kind=kind)
        pubnub.publish("a", {"kind": 0})
        assert await hearing.payloads(1) == [{"kind": 0}]
        assert hearing.malformed == []


@pytest.mark.parametrize(("ahead", "shift"), [(30.0, 30.0), (-30.0, -30.0), (0.2, 0.0)])
async def test_times_are_told_by_the_clock_of_this_machine(ahead: float, shift: float) -> None:
    async with (
        PubNubSimulator(clock=lambda: time.time() + ahead) as pubnub,
        listening(pubnub, "a") as hearing,
    ):
        ticks = pubnub.publish("a", {})
        [event] = await hearing.take(1)
        assert event.id == str(ticks)
        assert event.published == pytest.approx(ticks / 1e7 - shift, abs=0.3)


# Topics that come and go


async def test_topics_change_while_messages_flow_and_each_is_heard_once_in_order(
    pubnub: PubNubSimulator,
) -> None:
    steady = ["steady-0", "steady-1", "steady-2"]
    heard: list[Event] = []

    async def publish() -> None:
        for n in range(300):
            pubnub.publish(steady[n % 3], {"n": n})
            await asyncio.sleep(0.003)

    async def hear(hearing: Hearing) -> None:
        while True:
            heard.append(await hearing.events.get())

    async with listening(pubnub, *steady) as hearing:
        hear_task = asyncio.create_task(hear(hearing))
        publishing = asyncio.create_task(publish())
        for n in itertools.count():
            if publishing.done():
                break
            more = [f"new-{each}" for each in range(n % 7)]
            hearing.feed.set_topics(dict.fromkeys([*steady, *more], 0.5))
            await asyncio.sleep(0.004)
        await publishing
        await eventually(lambda: len(heard) >= 300)
        await hearing.connected()
        hear_task.cancel()
    for place, topic in enumerate(steady):
        numbers = [event.payload["n"] for event in heard if event.topic == topic]
        assert numbers == list(range(place, 300, 3))


async def test_a_topic_that_is_gone_is_not_heard(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a", "b") as hearing:
        hearing.feed.set_topics({"b": 0})
        await eventually(lambda: "/b/0" in pubnub.requests[-1].path and pubnub.open_polls() == 1)
        pubnub.publish("a", {"topic": "a"})
        pubnub.publish("b", {"topic": "b"})
        assert await hearing.payloads(1) == [{"topic": "b"}]


async def test_a_topic_after_an_idle_time_is_heard_from_its_own_window_on(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.publish("a", {})
        await hearing.take(1)
        hearing.feed.set_topics({})
        await eventually(lambda: pubnub.open_polls() == 0)
        assert hearing.feed.health.connected is None
        pubnub.publish("b", {"old": True})
        await asyncio.sleep(0.1)
        hearing.feed.set_topics({"b": 0.05})
        await hearing.connected()
        pubnub.publish("b", {"new": True})
        assert await hearing.payloads(1) == [{"new": True}]


async def test_a_busy_topic_does_not_make_a_quiet_one_heard_twice(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "quiet", "busy") as hearing:
        pubnub.publish("quiet", {"quiet": True})
        await hearing.take(1)
        for _ in range(6):
            for n in range(90):
                pubnub.publish("busy", {"n": n})
            await hearing.take(90)
        hearing.feed.set_topics({"quiet": 0, "busy": 0, "new": 300})
        await eventually(lambda: "new" in pubnub.requests[-1].path and pubnub.open_polls() == 1)
        pubnub.publish("new", {"new": True})
        assert await hearing.payloads(1) == [{"new": True}]


async def test_a_topic_that_comes_back_is_not_heard_twice(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a", "b") as hearing:
        pubnub.publish("a", {"n": 1})
        await hearing.take(1)
        hearing.feed.set_topics({"b": 0})
        await eventually(lambda: "/b/0" in pubnub.requests[-1].path and pubnub.open_polls() == 1)
        hearing.feed.set_topics({"a": 60, "b": 0})
        await eventually(lambda: "/a,b/0" in pubnub.requests[-1].path and pubnub.open_polls() == 1)
        pubnub.publish("a", {"n": 2})
        assert await hearing.payloads(1) == [{"n": 2}]


async def test_many_topics_are_split_over_requests_that_are_short_enough(
    pubnub: PubNubSimulator,
) -> None:
    topics = [f"{n:04d}-{'ü' * 10}" for n in range(300)]
    async with listening(pubnub, *topics) as hearing:
        await eventually(lambda: pubnub.open_polls() >= 4)
        assert max(len(seen.path) for seen in pubnub.requests) < 6100
        polls = pubnub.open_polls()
        for topic in (topics[0], topics[150], topics[-1]):
            pubnub.publish(topic, {"topic": topic})
        assert {each["topic"] for each in await hearing.payloads(3)} == {
            topics[0], topics[150], topics[-1],
        }  # fmt: skip
        hearing.feed.set_topics(dict.fromkeys([*topics, "one-more"], 0))
        await eventually(lambda: any("one-more" in seen.path for seen in pubnub.requests))
        await eventually(lambda: pubnub.open_polls() == polls)
        hearing.feed.set_topics({topics[0]: 0})
        await eventually(lambda: pubnub.open_polls() == 1)
        pubnub.publish(topics[0], {"last": True})
        assert await hearing.payloads(1) == [{"last": True}]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
async def test_connections_do_not_pile_up_over_many_changes_of_topics(
    pubnub: PubNubSimulator,
) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path.iterdir opens one itself

    async with listening(pubnub, "a") as hearing:
        before = descriptors()
        for n in range(100):
            hearing.feed.set_topics({"a": 0, f"b-{n}": 0})
            await eventually(lambda: f"b-{n}" in pubnub.requests[-1].path)  # noqa: B023
        await hearing.connected()
        # Each connection has an end here and one at the simulator.
        await eventually(lambda: descriptors() <= before + 8)
        pubnub.publish("a", {"still": "there"})
        assert await hearing.payloads(1) == [{"still": "there"}]
    await eventually(lambda: descriptors() <= before)


# Keys


@pytest.mark.parametrize("key", ["p/w +&=%?#é,;:@", "eyJ.%2B-_~", "a b"])
async def test_an_auth_key_may_hold_any_character(pubnub: PubNubSimulator, key: str) -> None:
    pubnub.access.put(KeySet(subscribe_key=SUBSCRIBE_KEY, auth_key=key))
    keys = PubNubKeys(Sensitive(SUBSCRIBE_KEY), auth_key=Sensitive(key))
    async with listening(pubnub, "a", keys=keys) as hearing:
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
    wrong = PubNubKeys(Sensitive(SUBSCRIBE_KEY), auth_key=Sensitive(key + "x"))
    async with listening(pubnub, "a", keys=wrong, connect=False) as hearing:
        await eventually(lambda: hearing.feed.health.reason == "AccessDenied")


# Bounds


async def test_a_full_queue_holds_the_position_back_and_loses_nothing(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a") as hearing:
        hearing.events = asyncio.Queue(3)
        for n in range(20):
            pubnub.publish("a", {"n": n})
        await eventually(hearing.events.full)
        await eventually(lambda: pubnub.open_polls() == 0)
        asked = len(pubnub.requests)
        for n in range(20, 60):
            pubnub.publish("a", {"n": n})
        await asyncio.sleep(0.1)
        assert len(pubnub.requests) == asked
        async with asyncio.timeout(60):
            heard = [(await hearing.events.get()).payload["n"] for _ in range(60)]
        assert heard == list(range(60))


async def test_a_feed_that_is_closed_leaves_nothing_behind(pubnub: PubNubSimulator) -> None:
    before = asyncio.all_tasks()
    async with listening(pubnub, "a") as hearing:
        assert hearing.feed.alive
    assert not hearing.feed.alive
    await eventually(lambda: pubnub.open_polls() == 0)
    left = asyncio.all_tasks() - before
    assert not [task for task in left if "poller" in task.get_name()]


def forbid(pubnub: PubNubSimulator, topic: str) -> None:
    """Refuse a topic as Access Manager does, until the faults are cleared."""
    refusal = {"message": "Forbidden", "payload": {"channels": [topic]}, "error": True}
    body = json.dumps({**refusal, "service": "Access Manager", "status": 403})
    pubnub.faults.add(Fault(path=f"*{topic}*", times=None, status=403, body=body))


async def test_a_forbidden_topic_silences_no_other_and_heals(pubnub: PubNubSimulator) -> None:
    forbid(pubnub, "closed")
    async with listening(pubnub, "open", "closed") as hearing:
        await eventually(lambda: hearing.feed.denied)
        await hearing.connected()
        assert hearing.feed.denied == {"closed"}
        pubnub.publish("open", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
        pubnub.faults.clear()
        pubnub.publish("closed", {"n": 2})
        assert await hearing.payloads(1) == [{"n": 2}]
        assert not hearing.feed.denied


@pytest.mark.usefixtures("short_pauses")
async def test_forbidden_topics_that_alone_are_left_are_heard_once_they_are_granted(
    pubnub: PubNubSimulator,
) -> None:
    forbid(pubnub, "closed")
    async with listening(pubnub, "open", "closed", window=60) as hearing:
        await eventually(lambda: hearing.feed.denied)
        await hearing.connected()
        hearing.feed.set_topics({"closed": 60})
        await eventually(lambda: "/closed/0" in pubnub.requests[-1].path)
        await eventually(lambda: hearing.feed.health.reason == "AccessDenied")
        pubnub.publish("closed", {"n": 1})
        pubnub.faults.clear()
        assert await hearing.payloads(1) == [{"n": 1}]
        await hearing.connected()
        assert not hearing.feed.denied


async def test_a_topic_of_another_request_that_is_not_answered_yet_is_not_ones_matter(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "mine") as hearing:
        await hearing.connected()
        await pubnub.refuse()
        many = {f"{number:03}-{'x' * 85}": 0.0 for number in range(80)}
        hearing.feed.set_topics({"mine": 0.0, **many})
        assert hearing.feed.health_of(["mine"]).connected
        assert hearing.feed.health_of([*many][-1:]).connected is None
        await pubnub.accept()
        await eventually(lambda: hearing.feed.health_of(many).connected)
