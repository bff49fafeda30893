"""A topic's past, read from PubNub's history for a backtest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from controller.errors import TransientError
from controller.feeds.base import Span
from controller.feeds.pubnub.backtest_history import read_past
from tests.simulated.harness import KEYS, settings_for

if TYPE_CHECKING:
    from controller.events import Event
    from controller.sandbox.pubnub import PubNubSimulator

LONG_AGO = 3600.0


async def past(
    pubnub: PubNubSimulator, begin: float, end: float, *topics: str
) -> tuple[list[Event], list[str]]:
    settings = settings_for(pubnub)
    return await read_past(KEYS, settings, Span(topics, begin, end), lambda _: None)


async def test_all_messages_of_the_topics_come_oldest_first(pubnub: PubNubSimulator) -> None:
    for n in range(250):
        pubnub.publish("ab"[n % 2], {"n": n})
    pubnub.publish("other", {"n": -1})
    now = time.time()
    events, refused = await past(pubnub, now - LONG_AGO, now + 1, "a", "b")
    assert [event.payload["n"] for event in events] == list(range(250))
    assert {event.topic for event in events} == {"a", "b"}
    assert refused == []


async def test_only_what_lies_between_the_instants_comes(pubnub: PubNubSimulator) -> None:
    for n in range(5):
        pubnub.publish("a", {"n": n})
    now = time.time()
    everything, _ = await past(pubnub, now - LONG_AGO, now + 1, "a")
    first, last = everything[1].published, everything[3].published
    events, _ = await past(pubnub, first - 1e-6, last - 1e-6, "a")
    assert [event.payload["n"] for event in events] == [1, 2]


async def test_what_is_no_event_is_told_apart(pubnub: PubNubSimulator) -> None:
    pubnub.publish("a", "a text")
    pubnub.publish("a", {"n": 1})
    events, refused = await past(pubnub, time.time() - LONG_AGO, time.time() + 1, "a")
    assert [event.payload for event in events] == [{"n": 1}]
    assert len(refused) == 1
    assert refused[0].startswith("on topic a: not JSON")


async def test_a_key_set_without_history_or_rights_is_told(pubnub: PubNubSimulator) -> None:
    pubnub.deny()
    with pytest.raises(TransientError, match="403"):
        await past(pubnub, time.time() - LONG_AGO, time.time(), "a")
