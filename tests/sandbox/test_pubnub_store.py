"""The simulated network's messages: timetokens, buffers, history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from controller.sandbox.pubnub.store import TICKS, Draft, Message, Slice, Store

KEY = "sub-c-test"
NOW = 1_800_000_000.0


def filled(count: int) -> tuple[Store, list[Message]]:
    store = Store()
    return store, [store.publish(NOW + n, KEY, "a", Draft(n)) for n in range(count)]


def payloads(messages: list[Message]) -> list[object]:
    return [message.draft.payload for message in messages]


def test_a_timetoken_is_the_clock_in_ten_millionths_of_a_second() -> None:
    assert Store().timetoken(1_611_912_397.5) == 16_119_123_975_000_000


def test_publishes_in_one_instant_get_distinct_increasing_timetokens() -> None:
    store = Store()
    tokens = [store.publish(NOW, KEY, "a", Draft(n)).timetoken for n in range(5)]
    assert tokens == sorted(set(tokens))


def test_a_clock_that_goes_back_does_not_take_timetokens_back() -> None:
    store = Store()
    first = store.publish(NOW, KEY, "a", Draft(1)).timetoken
    assert store.publish(NOW - 60, KEY, "a", Draft(2)).timetoken == first + 1


def test_messages_of_many_channels_come_in_the_order_of_publishing() -> None:
    store = Store()
    for n, channel in enumerate("abcab"):
        store.publish(NOW, KEY, channel, Draft(n))
    assert payloads(store.read(NOW, KEY, ["b", "a", "a"], 0)) == [0, 1, 3, 4]


def test_channels_of_another_subscribe_key_are_other_channels() -> None:
    store = Store()
    store.publish(NOW, "sub-c-other", "a", Draft(1))
    assert store.read(NOW, KEY, ["a"], 0) == []


def test_the_last_minute_can_be_asked_for_again() -> None:
    store, _ = filled(90)
    now = NOW + 89.5
    assert payloads(store.read(now, KEY, ["a"], int((now - 60) * TICKS))) == list(range(30, 90))


def test_the_buffer_drops_the_oldest_of_more_than_a_hundred_messages_silently() -> None:
    store, _ = filled(130)
    assert payloads(store.read(NOW + 130, KEY, ["a"], 1)) == list(range(30, 130))


def test_the_buffer_drops_what_is_older_than_twenty_minutes() -> None:
    store, _ = filled(3)
    assert payloads(store.read(NOW + 1201, KEY, ["a"], 1)) == [1, 2]


@pytest.mark.parametrize(
    ("start", "end", "count", "reverse", "expected"),
    [
        (None, None, 100, False, [0, 1, 2, 3, 4]),
        (None, None, 2, False, [3, 4]),
        (None, None, 2, True, [0, 1]),
        (3, None, 2, False, [1, 2]),  # back from 3, exclusive
        (1, None, 2, True, [2, 3]),  # on from 1, exclusive
        (None, 2, 100, False, [2, 3, 4]),  # back to 2, inclusive
        (None, 2, 100, True, [0, 1, 2]),  # on to 2, inclusive
        (4, 2, 100, False, [2, 3]),
        (1, 3, 100, False, [2, 3]),
        (1, 4, 2, True, [2, 3]),
        (None, None, 0, False, []),
    ],
)
def test_history_is_cut_at_an_exclusive_start_and_an_inclusive_end(
    start: int | None, end: int | None, count: int, reverse: bool, expected: list[int]
) -> None:
    store, sent = filled(5)
    at = [message.timetoken for message in sent]
    part = Slice(
        start=None if start is None else at[start],
        end=None if end is None else at[end],
        count=count,
        reverse=reverse,
    )
    assert payloads(store.history(KEY, "a", part)) == expected


def test_history_keeps_neither_signals_nor_what_was_not_to_be_stored() -> None:
    store = Store()
    for draft in (Draft("signal", kind=1), Draft("unstored", stored=False), Draft("kept")):
        store.publish(NOW, KEY, "a", draft)
    assert payloads(store.history(KEY, "a", Slice())) == ["kept"]
    assert len(store.read(NOW, KEY, ["a"], 0)) == 3


@given(st.lists(st.floats(min_value=-5, max_value=5), max_size=50))
def test_timetokens_increase_whatever_the_clock_does(steps: list[float]) -> None:
    store, now, tokens = Store(), NOW, []
    for step in steps:
        now += step
        tokens.append(store.timetoken(now))
    assert tokens == sorted(set(tokens))


class Subscriber(RuleBasedStateMachine):
    """Any interleaving of publishes and polls on three channels with a buffer of four."""

    buffer_size = 4

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(buffer_size=self.buffer_size)
        self.now = NOW
        self.cursor = self.store.timetoken(self.now)
        self.unseen: list[Message] = []
        self.lost: set[int] = set()

    @rule(channel=st.sampled_from("abc"), step=st.sampled_from([0.0, 1e-7, 0.5, -1.0]))
    def publish(self, channel: str, step: float) -> None:
        self.now += step
        message = self.store.publish(self.now, KEY, channel, Draft(None))
        self.unseen.append(message)
        same = [each for each in self.unseen if each.channel == channel]
        self.lost |= {each.timetoken for each in same[: -self.buffer_size]}

    @rule(step=st.sampled_from([0.0, 1e-7, 0.5, -1.0]))
    def poll(self, step: float) -> None:
        self.now += step
        got = self.store.read(self.now, KEY, "abc", self.cursor)
        assert got == [each for each in self.unseen if each.timetoken not in self.lost]
        # As the server does: an answer without messages moves the cursor on as well.
        self.cursor = got[-1].timetoken if got else self.store.timetoken(self.now)
        self.unseen.clear()


TestEachMessageOnceAndInOrder = Subscriber.TestCase
