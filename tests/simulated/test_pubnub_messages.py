"""Messages and answers of PubNub that are none, and a feed that goes on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import TransientError
from controller.feeds.pubnub.client import PubNubConnection
from controller.sandbox.faults import Fault
from tests.simulated.harness import KEYS, eventually, listening, settings_for

if TYPE_CHECKING:
    from controller.sandbox.pubnub import PubNubSimulator

SUBSCRIBES = "/v2/subscribe/*"


def answer(*messages: Any, position: int | None = None) -> str:  # noqa: ANN401 - JSON
    """The text of an answer that carries just these messages."""
    token = position or int(time.time() * 10_000_000)
    return json.dumps({"t": {"t": str(token), "r": 12}, "m": messages})


def envelope(payload: Any, **other: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    place = {"t": str(time.time_ns() // 100), "r": 12}
    return {"c": "a", "p": place, "d": payload, "k": "k", **other}


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
