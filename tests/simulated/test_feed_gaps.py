"""Messages that PubNub dropped: read from its history, or told to be lost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from controller.feeds.pubnub import gaps
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub import PubNubSimulator, Store
from tests.simulated.harness import Hearing, eventually, listening

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.events import Event

pytestmark = pytest.mark.usefixtures("short_pauses")

HISTORY = "/v3/history/*"


async def outage(hearing: Hearing, publish: Callable[[], None]) -> None:
    """Let something be published while PubNub cannot be reached."""
    await hearing.pubnub.refuse()
    publish()
    await eventually(lambda: hearing.feed.health.connected is False)
    await hearing.pubnub.accept()


def burst(pubnub: PubNubSimulator, count: int, topic: str = "a", first: int = 0) -> None:
    for n in range(first, first + count):
        pubnub.publish(topic, {"n": n})


async def heard(hearing: Hearing, count: int, topic: str = "a") -> list[Any]:
    events = [event for event in await hearing.take(count) if event.topic == topic]
    assert [event.published for event in events] == sorted(event.published for event in events)
    return [event.payload["n"] for event in events]


def history_reads(pubnub: PubNubSimulator) -> int:
    return sum("/history/" in seen.path for seen in pubnub.requests)


@pytest.mark.parametrize("count", [99, 100, 101, 350])
async def test_what_is_missed_in_an_outage_is_heard_once_and_oldest_first(
    pubnub: PubNubSimulator, count: int
) -> None:
    async with listening(pubnub, "a", "b") as hearing:
        burst(pubnub, 3)
        assert await heard(hearing, 3) == [0, 1, 2]

        def publish() -> None:
            burst(pubnub, count, first=3)
            pubnub.publish("b", {"n": 0})

        await outage(hearing, publish)
        assert await heard(hearing, count + 1) == list(range(3, count + 3))
        await hearing.connected()
        assert hearing.feed.health_of(["a"]).connected
        assert [gap.recovered for gap in hearing.gaps] == ([count - 100] if count > 100 else [])
        burst(pubnub, 1, first=1000)
        assert await heard(hearing, 1) == [1000]
        assert history_reads(pubnub) == (0 if count < 100 else 1 + (count - 100) // 100)


async def test_what_was_missed_is_heard_before_what_came_later_on_any_topic(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a", "b") as hearing:

        def publish() -> None:
            burst(pubnub, 20)
            pubnub.publish("b", {"n": 0})
            burst(pubnub, 110, first=20)

        await outage(hearing, publish)
        events = await hearing.take(131)
        assert [event.topic for event in events].index("b") == 20
        assert [e.published for e in events] == sorted(e.published for e in events)


async def test_without_a_history_the_topic_is_stale_for_a_while(pubnub: PubNubSimulator) -> None:
    pubnub.persist(history=False)
    async with listening(pubnub, "a", "b", feed_stale_after=30) as hearing:
        await outage(hearing, lambda: burst(pubnub, 150))
        assert await heard(hearing, 100) == list(range(50, 150))
        await hearing.connected()
        stale = hearing.feed.health_of(["a", "b"])
        assert (stale.connected, stale.reason) == (False, "FeedStale")
        for told in ("topic a between 20", "may be lost: 100 messages or more", "(403)",
                     "enable Message Persistence"):  # fmt: skip
            assert told in stale.message
        assert hearing.feed.health_of(["b"]).connected
        assert hearing.reasons()[-1] == "FeedStale"
        hearing.feed.check(time.monotonic() + 29)
        assert not hearing.feed.health_of(["a"]).connected
        hearing.feed.check(time.monotonic() + 31)
        hearing.feed.check(time.monotonic())  # the clock alone made the polls seem old
        assert hearing.feed.health_of(["a"]).connected
        assert hearing.reasons()[-1] == "Succeeded"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 500},
        {"status": 200, "body": "no JSON"},
        {"status": 200, "body": {"channels": 5}},
        {"status": 200, "body": {"channels": {"a": [5]}}},
        {"drop": True},
    ],
)
async def test_a_history_that_fails_holds_nothing_back(
    pubnub: PubNubSimulator, fault: dict[str, Any]
) -> None:
    pubnub.faults.add(Fault(path=HISTORY, times=None, **fault))
    async with listening(pubnub, "a") as hearing:
        await outage(hearing, lambda: burst(pubnub, 120))
        assert await heard(hearing, 100) == list(range(20, 120))
        assert hearing.feed.health_of(["a"]).reason == "FeedStale"
        assert "history could not be read" in hearing.feed.health_of(["a"]).message
        burst(pubnub, 1, first=120)
        assert await heard(hearing, 1) == [120]


async def test_a_slow_history_holds_live_messages_back_for_a_moment_only(
    pubnub: PubNubSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "_PATIENCE", 0.2)
    pubnub.faults.add(Fault(path=HISTORY, times=None, hang=True))
    async with listening(pubnub, "a") as hearing:
        await outage(hearing, lambda: burst(pubnub, 120))
        began = time.monotonic()
        assert await heard(hearing, 100) == list(range(20, 120))
        assert time.monotonic() - began > 0.1
        assert "was not read within" in hearing.feed.health_of(["a"]).message


async def test_of_a_long_history_the_newest_are_heard_and_the_oldest_are_no_loss_if_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gaps, "_MOST_PAGES", 2)
    offset = [-1000.0]
    async with PubNubSimulator(clock=lambda: time.time() + offset[0]) as pubnub:

        def publish() -> None:
            burst(pubnub, 450)
            offset[0] = 0.0

        async with listening(pubnub, "a", window=30) as hearing:
            await outage(hearing, publish)
            assert await heard(hearing, 300) == list(range(150, 450))
            assert hearing.feed.health_of(["a"]).connected


async def test_a_loss_of_what_would_still_be_young_is_told(
    pubnub: PubNubSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gaps, "_MOST_PAGES", 1)
    async with listening(pubnub, "a", window=30) as hearing:
        await outage(hearing, lambda: burst(pubnub, 250))
        assert await heard(hearing, 200) == list(range(50, 250))
        assert "only the last 100 messages" in hearing.feed.health_of(["a"]).message


@pytest.mark.parametrize("kept", [True, False])
async def test_what_is_older_than_twenty_minutes_is_read_from_the_history(kept: bool) -> None:
    offset = [-1500.0]
    async with PubNubSimulator(clock=lambda: time.time() + offset[0]) as pubnub:
        pubnub.persist(history=kept)
        async with listening(pubnub, "a") as hearing:

            def publish() -> None:
                burst(pubnub, 2)
                offset[0] = 0.0
                burst(pubnub, 1, first=2)

            await outage(hearing, publish)
            assert await heard(hearing, 3 if kept else 1) == ([0, 1, 2] if kept else [2])
            health = hearing.feed.health_of(["a"])
            assert health.reason == ("Succeeded" if kept else "FeedStale")
            if not kept:
                assert "nothing was heard for more than 20 minutes" in health.message


async def test_hours_of_silence_are_no_gap() -> None:
    offset = [-7200.0]
    async with (
        PubNubSimulator(clock=lambda: time.time() + offset[0]) as pubnub,
        listening(pubnub, "a", subscribe_timeout=0.05) as hearing,
    ):
        for _ in range(12):
            offset[0] += 600
            asked = len(pubnub.requests)
            await eventually(lambda: len(pubnub.requests) > asked + 3)  # noqa: B023
        pubnub.publish("a", {"n": 1})
        assert await heard(hearing, 1) == [1]
        assert hearing.gaps == []
        assert history_reads(pubnub) == 0


async def test_a_busy_topic_that_is_heard_again_for_the_sake_of_a_new_one_has_no_gap(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a") as hearing:
        for first in range(0, 300, 50):
            burst(pubnub, 50, first=first)
            await hearing.take(50)
        hearing.feed.set_topics({"a": 60, "b": 60})
        await eventually(lambda: "/a,b/0" in pubnub.requests[-1].path and pubnub.open_polls() == 1)
        pubnub.publish("b", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
        assert hearing.gaps == []


async def test_a_new_topic_whose_window_holds_more_than_pubnub_does_is_read_from_the_history(
    pubnub: PubNubSimulator,
) -> None:
    burst(pubnub, 130)
    async with listening(pubnub, "a", window=60, connect=False) as hearing:
        assert await heard(hearing, 130) == list(range(130))


async def test_slow_consumption_is_made_good_from_the_history() -> None:
    async with (
        PubNubSimulator(store=Store(buffer_size=100)) as pubnub,
        listening(pubnub, "a") as hearing,
    ):
        hearing.events = asyncio.Queue(3)
        burst(pubnub, 20)
        await eventually(hearing.events.full)
        await eventually(lambda: pubnub.open_polls() == 0)
        burst(pubnub, 300, first=20)
        async with asyncio.timeout(60):
            events: list[Event] = [await hearing.events.get() for _ in range(320)]
        assert [event.payload["n"] for event in events] == list(range(320))


async def test_files_in_the_history_are_passed_over(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:

        def publish() -> None:
            pubnub.publish("a", {"file": True}, kind=4)
            burst(pubnub, 110)

        await outage(hearing, publish)
        assert await heard(hearing, 110) == list(range(110))
        assert hearing.malformed == []


async def test_a_hundred_messages_with_times_that_are_none_stop_nothing(
    pubnub: PubNubSimulator,
) -> None:
    strange = {"c": "a", "p": {"t": "9" * 3000}, "d": {}}
    body = {"t": {"t": str(int(time.time() * 10_000_000)), "r": 1}, "m": [strange] * 100}
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path="/v2/subscribe/*", status=200, body=body))
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
        await eventually(lambda: len(hearing.malformed) == 100)
        burst(pubnub, 1, first=2)
        assert await heard(hearing, 1) == [2]
        assert hearing.gaps == []
