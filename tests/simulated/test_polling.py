"""The loop of long polls, over a network that does what a test says."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import TransientError
from controller.feeds.pace import Pace
from controller.feeds.pubnub.exchange import AccessDenied, Batch, Delivery
from controller.feeds.pubnub.polling import NetworkTraits, Poller
from controller.feeds.pubnub.positions import seconds_ahead
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.feeds.base import FeedHealth

TICKS = 1000
NOW = 5_000_000  # the network's clock, in its own ticks


@dataclass
class Network:
    """Answers what is asked at position 0 at once, and long polls as they are told."""

    asked: list[tuple[frozenset[str], int, str | None]] = field(default_factory=list)
    polls: asyncio.Queue[Batch | Exception] = field(default_factory=asyncio.Queue)
    joins: list[Exception] = field(default_factory=list)
    now: int = NOW
    heard: list[Any] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    deliveries: list[tuple[Delivery, dict[str, int]]] = field(default_factory=list)
    health: list[FeedHealth] = field(default_factory=list)
    hand_on_faults: list[Exception] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def subscribe(self, topics: frozenset[str], position: int, region: str | None) -> Batch:
        self.asked.append((topics, position, region))
        if position == 0:
            if self.joins:
                raise self.joins.pop(0)
            return Batch(self.now, "ignored", ["never handed on"])
        answer = await self.polls.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def hand_on(self, delivery: Delivery) -> None:
        await self.gate.wait()
        if self.hand_on_faults:
            raise self.hand_on_faults.pop(0)
        self.heard.extend(delivery.messages)
        self.ahead.append(delivery.ahead)
        self.deliveries.append((delivery, {t: delivery.heard(t) for t in delivery.topics}))

    @property
    def polled(self) -> list[tuple[frozenset[str], int, str | None]]:
        """The long polls that were asked for."""
        return [each for each in self.asked if each[1]]


@pytest.fixture(name="network")
async def _network() -> Network:
    network = Network()
    network.gate.set()
    return network


@pytest.fixture(name="poller")
async def _poller(network: Network) -> AsyncIterator[Poller]:
    poller = Poller(
        network.subscribe,
        network.hand_on,
        lambda: network.health.append(poller.health),
        network=NetworkTraits(TICKS, 1200),
        cut_after=60,
        pace=Pace(),
    )
    yield poller
    await poller.close()


A, AB = frozenset({"a"}), frozenset({"a", "b"})


async def test_it_does_nothing_before_it_has_a_topic(network: Network, poller: Poller) -> None:
    assert (poller.alive, poller.health.connected, poller.last_poll) == (False, None, None)
    poller.set_topics({})
    await asyncio.sleep(0.02)
    assert poller.alive
    assert network.asked == []


async def test_it_asks_for_the_time_and_then_for_the_window_of_its_topics(
    network: Network, poller: Poller
) -> None:
    poller.set_topics({"a": 30, "b": 10})
    await eventually(lambda: network.polled)
    assert network.asked == [(AB, 0, None), (AB, NOW - 30_000, None)]
    assert [health.reason for health in network.health] == ["Succeeded"]


async def test_position_and_region_of_an_answer_go_into_the_next_request(
    network: Network, poller: Poller
) -> None:
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(NOW + 5, "12", ["x", "y"]))
    await eventually(lambda: len(network.polled) == 2)
    assert network.polled[1] == (A, NOW + 5, "12")
    assert network.heard == ["x", "y"]
    assert network.ahead == [pytest.approx(NOW / TICKS - time.time(), abs=5)]
    assert poller.last_poll == pytest.approx(time.time(), abs=5)


async def test_the_position_waits_until_the_messages_were_handed_on(
    network: Network, poller: Poller
) -> None:
    network.gate.clear()
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(NOW + 5, None, ["x"]))
    await eventually(network.polls.empty)
    poller.set_topics({"a": 0, "b": 0})
    await asyncio.sleep(0.02)
    assert len(network.polled) == 1
    network.gate.set()
    await eventually(lambda: len(network.polled) == 2)
    assert network.asked[2:] == [(AB, 0, None), (AB, NOW, None)]
    assert network.heard == ["x"]


async def test_a_new_topic_goes_back_in_time_and_those_that_stay_lose_nothing(
    network: Network, poller: Poller
) -> None:
    poller.set_topics({"a": 10})
    await eventually(lambda: network.polled)
    network.now += 7_000
    poller.set_topics({"a": 10, "b": 2})
    await eventually(lambda: len(network.polled) == 2)
    assert network.polled[1][:2] == (AB, NOW - 10_000)
    network.polls.put_nowait(Batch(NOW + 6_000, None, []))
    await eventually(lambda: len(network.polled) == 3)
    poller.set_topics({"a": 10, "c": 20})
    await eventually(lambda: len(network.polled) == 4)
    assert network.polled[3] == (frozenset({"a", "c"}), NOW + 7_000 - 20_000, None)


async def test_a_topic_that_goes_needs_no_new_proof(network: Network, poller: Poller) -> None:
    poller.set_topics({"a": 0, "b": 0})
    await eventually(lambda: network.polled)
    poller.set_topics({"a": 0})
    await eventually(lambda: len(network.polled) == 2)
    assert network.asked[2:] == [(A, NOW, None)]


async def test_the_same_topics_again_do_not_disturb_a_poll(
    network: Network, poller: Poller
) -> None:
    poller.set_topics({"a": 0})
    await eventually(lambda: network.polled)
    poller.set_topics({"a": 99})
    await asyncio.sleep(0.02)
    assert len(network.asked) == 2
    assert poller.topics == {"a": 99}


async def test_an_idle_time_is_not_caught_up_with(network: Network, poller: Poller) -> None:
    poller.set_topics({"a": 0})
    await eventually(lambda: network.polled)
    poller.set_topics({})
    await asyncio.sleep(0.02)
    network.now += 3_600_000
    poller.set_topics({"b": 30})
    await eventually(lambda: len(network.polled) == 2)
    assert network.polled[1][1] == network.now - 30_000


@pytest.mark.usefixtures("short_pauses")
async def test_a_failure_is_told_once_and_the_same_position_asked_again(
    network: Network, poller: Poller
) -> None:
    poller.set_topics({"a": 0})
    network.joins += [TransientError("down"), TransientError("down")]
    await eventually(lambda: network.polled)
    network.polls.put_nowait(TransientError("cut"))
    await eventually(lambda: len(network.polled) == 2)
    assert network.polled[1] == network.polled[0]
    assert [(health.reason, health.message) for health in network.health] == [
        ("TransientError", "down"),
        ("Succeeded", "connected"),
        ("TransientError", "cut"),
        ("Succeeded", "connected"),
    ]


async def test_a_refusal_is_access_denied(network: Network, poller: Poller) -> None:
    network.joins.append(AccessDenied("403"))
    poller.set_topics({"a": 0})
    await eventually(lambda: network.health)
    assert (poller.health.connected, poller.health.reason) == (False, "AccessDenied")


async def test_a_change_of_topics_ends_a_pause(network: Network, poller: Poller) -> None:
    network.joins += [TransientError("down")] * 2
    poller.set_topics({"a": 0})
    await eventually(lambda: len(network.asked) == 2)  # now it pauses for a second
    await asyncio.sleep(0.02)
    poller.set_topics({"a": 0, "b": 0})
    await eventually(lambda: len(network.asked) >= 3, seconds=0.5)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("where", ["joins", "hand_on_faults"])
async def test_a_fault_of_ours_does_not_end_the_loop(
    network: Network, poller: Poller, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(network, where).append(ZeroDivisionError("ours"))
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(NOW + 5, None, ["x"]))
    await eventually(lambda: poller.health.connected is False)
    assert "internal fault" in poller.health.message
    network.polls.put_nowait(Batch(NOW + 5, None, ["x"]))
    await eventually(lambda: network.heard)
    assert poller.alive
    assert poller.health.connected
    assert "a poll failed" in caplog.text


async def test_a_silent_poll_is_cut_and_the_connection_proven(network: Network) -> None:
    poller = Poller(
        network.subscribe,
        network.hand_on,
        lambda: None,
        network=NetworkTraits(TICKS, 1200),
        cut_after=0.03,
        pace=Pace(),
    )
    poller.set_topics({"a": 0})
    await eventually(lambda: len(network.polled) == 3)
    assert [position for _, position, _ in network.asked[:5]] == [0, NOW, 0, NOW, 0]
    assert poller.health.connected
    await poller.close()


async def test_a_silent_proof_is_cut_too(network: Network) -> None:
    async def silent(topics: frozenset[str], position: int, region: str | None) -> Batch:
        await asyncio.Event().wait()
        raise AssertionError((topics, position, region))

    poller = Poller(
        silent,
        network.hand_on,
        lambda: None,
        network=NetworkTraits(TICKS, 1200),
        cut_after=0.03,
        pace=Pace(),
    )
    poller.set_topics({"a": 0})
    await eventually(lambda: poller.health.connected is False)
    assert poller.health.message == "the network does not answer"
    await poller.close()


async def test_after_closing_nothing_runs(network: Network, poller: Poller) -> None:
    poller.set_topics({"a": 0})
    await eventually(lambda: network.polled)
    await poller.close()
    assert not poller.alive
    await poller.close()


@pytest.mark.parametrize(
    ("told", "ahead"),
    [
        (100.0, 0.0),
        (103.0, 0.0),  # a slow answer with equal clocks: it was told at some time in between
        (108.0, 0.0),
        (138.0, 30.0),
        (70.0, -30.0),
    ],
)
def test_a_slow_answer_is_no_clock_that_is_off(told: float, ahead: float) -> None:
    assert seconds_ahead(told, asked=100.0, answered=108.0) == ahead


async def test_the_clock_of_the_network_is_told_with_the_messages(
    network: Network, poller: Poller
) -> None:
    network.now = int((time.time() + 3600) * TICKS)
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(network.now + 5, "12", ["x"]))
    await eventually(lambda: network.heard)
    assert network.ahead == [pytest.approx(3600, abs=5)]


# What was heard, and what the network dropped


async def test_each_delivery_tells_until_when_all_was_heard(
    network: Network, poller: Poller
) -> None:
    network.now = int(time.time() * TICKS)
    poller.set_topics({"a": 10})
    network.polls.put_nowait(Batch(network.now + 100, None, ["x"]))
    await eventually(lambda: network.heard)
    poller.set_topics({"a": 10, "b": 20})
    await eventually(lambda: len(network.polled) == 3)
    network.polls.put_nowait(Batch(network.now + 200, None, ["y"]))
    await eventually(lambda: len(network.heard) == 2)
    assert [heard for _, heard in network.deliveries] == [
        {"a": network.now - 10_000},
        {"a": network.now + 100, "b": network.now - 20_000},
    ]


async def test_what_was_dropped_in_a_long_outage_is_told_once_before_the_next_poll(
    network: Network, poller: Poller
) -> None:
    network.now = int(time.time() * TICKS) - 3_600_000
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(network.now, None, ["x"]))
    await eventually(lambda: len(network.polled) == 2)
    before, network.now = network.now, network.now + 3_600_000
    network.joins.append(TransientError("still down"))
    network.polls.put_nowait(TransientError("down"))
    await eventually(lambda: len(network.deliveries) == 2)
    delivery, heard = network.deliveries[1]
    assert (delivery.messages, heard) == ((), {"a": before})
    assert delivery.kept == pytest.approx(network.now - 1_200_000, abs=5_000)
    network.polls.put_nowait(Batch(network.now + 5, None, ["y"]))
    await eventually(lambda: len(network.heard) == 2)
    assert len(network.deliveries) == 3


async def test_a_poll_that_stays_silent_proves_that_there_was_nothing(network: Network) -> None:
    network.now = int(time.time() * TICKS) - 3_600_000
    poller = Poller(
        network.subscribe, network.hand_on, lambda: None,
        network=NetworkTraits(TICKS, 1200), cut_after=0.03, pace=Pace(),
    )  # fmt: skip
    poller.set_topics({"a": 0})
    for _ in range(8):
        asked = len(network.polled)
        await eventually(lambda: len(network.polled) > asked + 1)  # noqa: B023
        network.now += 600_000
    assert network.deliveries == []
    assert poller.health.connected
    await poller.close()


# Somebody sets the wall clock


@pytest.fixture(name="jump")
def _jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    real = time.time
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: real() + seconds)


@pytest.mark.parametrize("seconds", [-3600, 3600])
async def test_a_clock_that_is_set_loses_nothing_and_ages_no_message(
    network: Network, poller: Poller, jump: Callable[[float], None], seconds: int
) -> None:
    network.now = int(time.time() * TICKS)
    poller.set_topics({"a": 0})
    network.polls.put_nowait(Batch(network.now + 5, None, ["x"]))
    await eventually(lambda: len(network.polled) == 2)
    jump(seconds)
    for number, message in enumerate("yz", start=1):
        network.polls.put_nowait(Batch(network.now + 5 + number, None, [message]))
        await eventually(lambda: network.polls.empty() and len(network.polled) == 2 + number)  # noqa: B023
    assert network.heard == ["x", "y", "z"]
    assert len(network.deliveries) == 3, "none that tells of a gap"
    assert network.deliveries[-1][1] == {"a": network.now + 6}
    assert network.ahead == pytest.approx([0, -seconds, -seconds], abs=5)


async def test_a_refused_topic_is_tried_again_though_the_clock_is_set_back(
    network: Network, poller: Poller, jump: Callable[[float], None]
) -> None:
    network.joins.append(AccessDenied("no", frozenset({"b"})))
    poller.set_topics({"a": 0, "b": 0})
    await eventually(lambda: network.polled)
    assert poller.denied == {"b"}
    jump(-3600)
    await eventually(lambda: not poller.denied)
