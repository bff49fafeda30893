"""A tenant's feed that sends as much as PubNub lets through, or what nobody can read."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
from typing import TYPE_CHECKING

import pytest

from controller.feeds.pubnub.client import PubNubConnection
from controller.feeds.pubnub.keys import PubNubKeys
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub.wire import MESSAGE_LIMIT, Raw
from controller.sensitive import Sensitive
from tests.simulated.harness import KEYS, eventually, listening, settings_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.events import Event
    from controller.sandbox.pubnub import PubNubSimulator

LARGEST = MESSAGE_LIMIT - 100
DEEP = Raw('{"x":' + "[" * (LARGEST // 2) + "]" * (LARGEST // 2) + "}")
OTHER = "sub-c-other"


@contextlib.asynccontextmanager
async def longest_turn() -> AsyncIterator[list[float]]:
    """Tells the most CPU time, in seconds, between two turns of this task."""
    longest = [0.0]

    async def look() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], time.thread_time() - before)

    looking = asyncio.create_task(look())
    try:
        yield longest
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def wire_of(*payloads: str) -> str:
    """An answer as PubNub writes it."""
    now = time.time_ns() // 100
    envelopes = (
        f'{{"c":"a","p":{{"t":"{now + n}","r":12}},"k":"k","d":{payload}}}'
        for n, payload in enumerate(payloads)
    )
    return f'{{"t":{{"t":"{now + len(payloads)}","r":12}},"m":[{",".join(envelopes)}]}}'


@pytest.mark.parametrize(
    "dense", ['{"x":[%s0]}' % ("0," * (LARGEST // 2)), '{"x":[%s[]]}' % ("[]," * (LARGEST // 3))]
)
async def test_the_largest_answer_with_one_unreadable_message_holds_nobody_up(
    pubnub: PubNubSimulator, dense: str
) -> None:
    body = wire_of(*[dense] * 50, DEEP.text, *[dense] * 49)
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path="/v2/subscribe/*", status=200, body=body))
        async with longest_turn() as longest:
            pubnub.publish("a", {"first": True})
            async with asyncio.timeout(60):
                events = [await hearing.events.get() for _ in range(100)]
        assert (events[0].payload, len(events)) == ({"first": True}, 100)
        assert len(hearing.malformed) == 1
        assert "nested too deeply" in hearing.malformed[0]
        # Collecting garbage counts in both; in a process with many objects it is most of it.
        assert longest[0] < max(0.4, 4 * parsing(wire_of(*[dense] * 99)))


def parsing(text: str) -> float:
    """Seconds of CPU that a parser in C takes for all of it at once."""
    before = time.thread_time()
    json.loads(text)
    return time.thread_time() - before


async def test_a_message_that_is_nested_too_deeply_is_published_and_refused_by_itself(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.publish("a", DEEP)
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
        assert len(hearing.malformed) == 1


@pytest.mark.usefixtures("short_pauses")
async def test_an_answer_larger_than_all_that_pubnub_keeps_is_a_fault_and_is_not_read(
    pubnub: PubNubSimulator,
) -> None:
    pubnub.persist(history=False)
    async with listening(pubnub, "a") as hearing:
        body = wire_of(*['{"x":"' + "y" * LARGEST + '"}'] * 200)
        pubnub.faults.add(Fault(path="/v2/subscribe/*", times=None, status=200, body=body))
        pubnub.publish("a", {"n": 0})
        await eventually(lambda: "AnswerTooLarge" in hearing.reasons())
        pubnub.faults.clear()
        pubnub.publish("a", {"n": 1})
        async with asyncio.timeout(60):
            payload = (await hearing.events.get()).payload
            while payload != {"n": 1}:
                payload = (await hearing.events.get()).payload
        [told] = [each for each in hearing.health if each.reason == "AnswerTooLarge"][:1]
        assert told.message == "an answer of PubNub is larger than 4096 KiB"
        await eventually(lambda: hearing.gaps)
        await eventually(lambda: told.message in hearing.feed.health_of(["a"]).message)
        assert hearing.gaps[0].problem is not None


@pytest.mark.usefixtures("short_pauses")
async def test_an_answer_that_was_too_large_is_made_up_for_from_the_history(
    pubnub: PubNubSimulator,
) -> None:
    topics = ["a", "b", "c"]
    async with listening(pubnub, *topics) as hearing:
        await pubnub.refuse()
        for n in range(60):
            for topic in topics:
                pubnub.publish(topic, {"n": n, "x": "y" * (LARGEST - 50)})
        await pubnub.accept()
        heard: set[tuple[str, int]] = set()
        async with asyncio.timeout(60):
            while len(heard) < 180:
                event = await hearing.events.get()
                heard.add((event.topic, event.payload["n"]))
        await eventually(lambda: "AnswerTooLarge" in hearing.reasons())
        assert all(gap.problem is None for gap in hearing.gaps)


async def test_a_flooding_feed_is_read_at_its_pace_and_others_are_heard_at_once(
    pubnub: PubNubSimulator,
) -> None:
    calm_keys = PubNubKeys(Sensitive(OTHER))
    text = {"x": "y" * (LARGEST - 20)}
    async with (
        listening(pubnub, "a", feed_stale_after=150) as flooded,
        listening(pubnub, "a", keys=calm_keys, connect=False) as calm,
    ):
        await eventually(lambda: pubnub.open_polls(OTHER) == 1)

        def is_paced() -> bool:
            return flooded.feed.health.reason == "Paced"

        flooding = asyncio.create_task(_drain(flooded.events))
        for _ in range(30):  # 3 MiB each
            asked = len(pubnub.requests)
            for _ in range(100):
                pubnub.publish("a", text)
            await eventually(lambda: len(pubnub.requests) > asked or is_paced())  # noqa: B023
            if is_paced():
                break
        assert is_paced()
        assert flooded.feed.health.connected
        assert "its cues may come late" in flooded.feed.health.message
        asked = len([seen for seen in pubnub.requests if OTHER not in seen.path])
        pubnub.publish("a", {"calm": True}, subscribe_key=OTHER)
        assert await calm.payloads(1) == [{"calm": True}]
        assert len([seen for seen in pubnub.requests if OTHER not in seen.path]) == asked
        assert calm.reasons() == ["Succeeded"]
        flooding.cancel()


async def _drain(events: asyncio.Queue[Event]) -> None:
    while True:
        await events.get()


async def test_messages_that_are_too_deep_are_not_held_all_at_once(
    pubnub: PubNubSimulator,
) -> None:
    deep = "[" * 31 + "]" * 31
    message = f'{{"x":[{(deep + ",") * (LARGEST // (len(deep) + 1) - 1)}0]}}'
    pubnub.faults.add(Fault(path="/v2/subscribe/*", status=200, body=wire_of(*[message] * 100)))
    connection = PubNubConnection(KEYS, settings_for(pubnub))
    try:
        gc.collect()
        before = len(gc.get_objects())
        batch = await connection.subscribe(frozenset({"a"}), 1, None)
        held = len(gc.get_objects()) - before
    finally:
        await connection.close()
    assert len(batch.messages) == 100
    assert held < 10_000, "objects that the garbage collector looks at"
