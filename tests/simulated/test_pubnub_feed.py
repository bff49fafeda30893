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

from controller.errors import TransientError
from controller.events import Event
from controller.feeds.pubnub.client import PubNubConnection
from controller.feeds.pubnub.keys import PubNubKeys
from controller.sandbox.faults import Fault
from controller.sandbox.pubnub import SUBSCRIBE_KEY, KeySet, PubNubSimulator
from controller.sensitive import Sensitive
from tests.simulated.harness import KEYS, Hearing, eventually, listening, settings_for

SUBSCRIBES = "/v2/subscribe/*"


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


# A network that fails


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
    async with listening(pubnub, "a", subscribe_timeout=0.1) as hearing:
        first = hearing.feed.polled_at or 0.0
        await eventually(lambda: (hearing.feed.polled_at or 0.0) > first + 0.2)
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


# Messages that are none


BROKEN: list[Any] = [
    None, 5, "x", [], {}, {"c": "a"}, {"c": "a", "p": {}}, {"c": "a", "p": {"t": "soon"}},
    {"c": "a", "p": {"t": "1"}}, {"c": "a", "p": 5, "d": {}},
    {"c": "a", "p": {"t": "9" * 4000}, "d": {}}, {"c": "a", "p": {"t": "1"}, "d": {}, "e": "x"},
]  # fmt: skip
INFINITE = '{"c":"a","p":{"t":1e999},"d":{}}'
NO_NUMBER = '{"c":"a","p":{"t":NaN},"d":{}}'


async def test_envelopes_of_a_wrong_shape_are_counted_and_stop_nothing(
    pubnub: PubNubSimulator,
) -> None:
    body = answer(*BROKEN, envelope({"n": 1})).replace('"m": [', f'"m": [{INFINITE}, {NO_NUMBER}, ')
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, status=200, body=body))
        pubnub.publish("a", {"n": 0})
        pubnub.publish("a", {"n": 2})
        assert await hearing.payloads(3) == [{"n": 0}, {"n": 2}, {"n": 1}]
        assert hearing.malformed == ["the envelope is not PubNub's"] * (len(BROKEN) + 2)
        assert hearing.reasons() == ["Succeeded"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "not a JSON object but null"),
        (5, "not a JSON object but 5"),
        ("no JSON", "not JSON: "),
        ("[1]", "not a JSON object but a list of 1"),
        ([{}], "not a JSON object but a list of 1"),
        ({"x": "y" * 33_000}, "bytes of JSON, and an event has at most 32768"),
        (json.loads('{"a":' * 40 + "1" + "}" * 40), "nested deeper than 32 levels"),
    ],
)
async def test_messages_that_are_no_events_are_counted_and_stop_nothing(
    pubnub: PubNubSimulator, payload: object, reason: str
) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.publish("a", payload)
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(1) == [{"n": 1}]
        [told] = hearing.malformed
        assert reason in told


async def test_a_json_object_as_text_is_an_event(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.publish("a", '{"n": 1}')
        assert await hearing.payloads(1) == [{"n": 1}]


async def test_numbers_that_are_none_reach_the_rules_and_stop_nothing(
    pubnub: PubNubSimulator,
) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.publish("a", {"nan": float("nan"), "inf": float("inf"), "big": 10**300})
        [event] = await hearing.take(1)
        assert event.payload["nan"] != event.payload["nan"]
        assert event.payload["big"] == 10**300


@pytest.mark.parametrize(
    "text",
    ["1" * 5000, "-" + "1" * 5000, "[" * 15_000 + "]" * 15_000],
    ids=["digits", "negative", "nested"],
)
async def test_a_message_that_python_cannot_parse_does_not_spoil_the_others(
    pubnub: PubNubSimulator, text: str
) -> None:
    strange = answer(envelope({"x": "PLACE"}), envelope({"n": 1})).replace('"PLACE"', text)
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, status=200, body=strange))
        pubnub.publish("a", {"n": 0})
        assert await hearing.payloads(2) == [{"n": 0}, {"n": 1}]
        assert len(hearing.malformed) == 1
        assert hearing.reasons() == ["Succeeded"]


async def test_brackets_in_texts_are_no_nesting(pubnub: PubNubSimulator) -> None:
    tricky = {"text": '"[[{{\\', "n": 1}
    text = "[" * 2000 + '"]]\\"]"' + "]" * 2000
    body = answer(envelope({"x": "PLACE"}), envelope(tricky)).replace('"PLACE"', text)
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, status=200, body=body))
        pubnub.publish("a", {"n": 0})
        assert await hearing.payloads(2) == [{"n": 0}, tricky]
        assert len(hearing.malformed) == 1


@pytest.mark.usefixtures("short_pauses")
async def test_an_answer_that_is_none_is_asked_for_again(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        pubnub.faults.add(Fault(path=SUBSCRIBES, status=200, body="no JSON"))
        pubnub.publish("a", {"n": 0})
        pubnub.publish("a", {"n": 1})
        assert await hearing.payloads(2) == [{"n": 0}, {"n": 1}]
        await eventually(lambda: hearing.reasons() == ["Succeeded", "TransientError"])
        await hearing.connected()
        assert hearing.malformed == []


@pytest.mark.parametrize(
    "body", ["not json", "[]", "null", "5", "{}", '{"t":5}', '{"t":{}}', '{"t":{"t":"x"}}',
             '{"t":{"t":"1"},"m":5}', '{"t":{"t":"1"},"m":[', '{"t":{"t":"1"},"m":' + "[" * 5000,
             "[" * 5000 + "]" * 5000, None],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 500])
async def test_whatever_is_answered_is_a_batch_or_passes(
    pubnub: PubNubSimulator, body: str | None, status: int
) -> None:
    settings = settings_for(pubnub)
    connection = PubNubConnection(KEYS, settings)
    pubnub.faults.add(Fault(path=SUBSCRIBES, status=status, body=body))
    with pytest.raises(TransientError, match="PubNub "):
        await connection.subscribe(frozenset({"a"}), 1, None)
    batch = await connection.subscribe(frozenset({"a"}), 0, None)
    assert (batch.region, list(batch.messages)) == ("12", [])
    await connection.close()


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
