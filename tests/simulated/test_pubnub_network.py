"""A PubNub that cannot be reached, refuses or says nothing, and a feed that goes on."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from controller.feeds.pubnub.keys import PubNubKeys
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub import SUBSCRIBE_KEY, KeySet, PubNubSimulator
from controller.sensitive import Sensitive
from tests.simulated.harness import KEYS, eventually, listening

SUBSCRIBES = "/v2/subscribe/*"


def answer(*messages: Any, position: int | None = None) -> str:  # noqa: ANN401 - JSON
    """The text of an answer that carries just these messages."""
    token = position or int(time.time() * 10_000_000)
    return json.dumps({"t": {"t": str(token), "r": 12}, "m": messages})


def envelope(payload: Any, **other: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    place = {"t": str(time.time_ns() // 100), "r": 12}
    return {"c": "a", "p": place, "d": payload, "k": "k", **other}


@pytest.mark.usefixtures("short_pauses")
async def test_nothing_is_lost_while_polls_are_dropped(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        for n in range(2):
            pubnub.publish("a", {"n": n})
            pubnub.drop_polls()  # before the answer is written
            await eventually(lambda: hearing.feed.health.connected is False)
            pubnub.publish("a", {"n": n + 10})
            assert await hearing.payloads(2) == [{"n": n}, {"n": n + 10}]
            await hearing.connected()


@pytest.mark.usefixtures("short_pauses")
async def test_nothing_is_lost_while_connections_are_refused(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        await pubnub.refuse()
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: hearing.feed.health.connected is False)
        pubnub.publish("a", {"n": 2})
        await asyncio.sleep(0.3)
        await pubnub.accept()
        assert await hearing.payloads(2) == [{"n": 1}, {"n": 2}]
        await hearing.connected()
        assert hearing.reasons() == ["Succeeded", "TransientError", "Succeeded"]


@pytest.mark.usefixtures("short_pauses")
async def test_a_network_that_is_away_at_the_start_is_waited_for(pubnub: PubNubSimulator) -> None:
    await pubnub.refuse()
    async with listening(pubnub, "a", window=60, connect=False) as hearing:
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: hearing.feed.health.connected is False)
        assert hearing.feed.polled_at is None
        await pubnub.accept()
        assert await hearing.payloads(1) == [{"n": 1}]


@pytest.mark.usefixtures("short_pauses")
async def test_an_answer_that_got_lost_is_asked_for_again(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, act=True, drop=True))
        pubnub.publish("a", {"n": 0})
        assert await hearing.payloads(1) == [{"n": 0}]
        await eventually(lambda: pubnub.open_polls() and not pubnub.faults.pending())
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: hearing.feed.health.connected is False)
        assert await hearing.payloads(1) == [{"n": 1}]


async def test_refused_keys_are_told_and_retried_with_growing_pauses_until_they_are_let_in(
    pubnub: PubNubSimulator,
) -> None:
    pubnub.deny()
    async with listening(pubnub, "a", window=60, connect=False) as hearing:
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: len(pubnub.requests) >= 3)
        assert hearing.feed.health.reason == "AccessDenied"
        assert "403" in hearing.feed.health.message
        first, second, third = [seen.time for seen in pubnub.requests][:3]
        assert 0.3 < second - first < third - second
        pubnub.allow()
        assert await hearing.payloads(1) == [{"n": 1}]
        await hearing.connected()
        assert hearing.reasons() == ["AccessDenied", "Succeeded"]


async def test_a_subscribe_key_that_pubnub_does_not_know_is_told_as_such() -> None:
    known = KeySet(subscribe_key="sub-c-another")
    async with (
        PubNubSimulator(keys=[known]) as strict,
        listening(strict, "a", connect=False) as hearing,
    ):
        await eventually(lambda: hearing.feed.health.reason == "AccessDenied")
        assert "does not know the subscribe key (400)" in hearing.feed.health.message
        strict.access.put(KeySet(subscribe_key=KEYS.subscribe_key.reveal()))
        await hearing.connected()


@pytest.mark.usefixtures("short_pauses")
async def test_keys_that_are_refused_later_are_told_and_healed(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.deny()
        pubnub.drop_polls()
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: hearing.feed.health.reason == "AccessDenied")
        pubnub.allow()
        assert await hearing.payloads(1) == [{"n": 1}]


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_refusals_of_other_kinds_pass(pubnub: PubNubSimulator, status: int) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, status=status, body={"error": True}))
        pubnub.publish("a", {"n": 1})
        pubnub.publish("a", {"n": 2})
        assert await hearing.payloads(2) == [{"n": 1}, {"n": 2}]
        pubnub.drop_polls()
        await eventually(lambda: hearing.feed.health.connected is False)
        assert hearing.feed.health.reason == "TransientError"
        await hearing.connected()


@pytest.mark.usefixtures("short_pauses")
async def test_a_silent_network_is_cut_and_asked_anew(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a", subscribe_timeout=0.2) as hearing:
        pubnub.silence()
        pubnub.publish("a", {"n": 1})
        await eventually(lambda: hearing.feed.health.connected is False)
        assert "does not answer" in hearing.feed.health.message
        pubnub.speak()
        assert await hearing.payloads(1) == [{"n": 1}]


async def test_a_poll_without_messages_proves_the_connection_now_and_then(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a", subscribe_timeout=0.5) as hearing:
        first = hearing.feed.polled_at or 0.0
        await eventually(lambda: (hearing.feed.polled_at or 0.0) > first + 0.6)
        assert hearing.reasons() == ["Succeeded"]
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]


@pytest.mark.usefixtures("short_pauses")
async def test_no_key_is_told_when_something_fails(
    pubnub: PubNubSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "auth-0123456789"
    keys = PubNubKeys(Sensitive(SUBSCRIBE_KEY), Sensitive(secret))
    async with listening(pubnub, "a", keys=keys) as hearing:
        pubnub.faults.add(Fault(status=403, body=f"auth={secret}"))
        pubnub.drop_polls()
        await eventually(lambda: hearing.feed.health.reason == "TransientError")
        await eventually(lambda: hearing.feed.health.reason == "AccessDenied")
        await pubnub.refuse()
        await eventually(lambda: hearing.feed.health.reason == "TransientError")
        told = " ".join(health.message for health in hearing.health)
        assert secret not in told
        assert SUBSCRIBE_KEY not in told
        ours = [each for each in caplog.records if each.name.startswith("controller")]
        assert not any(secret in each.getMessage() for each in ours)
