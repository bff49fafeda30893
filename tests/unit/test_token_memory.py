"""What providers said is kept for its time, and in bounded room."""

from __future__ import annotations

import pytest

from controller.gateway.memory import Memory
from controller.gateway.providers import InvalidToken, Principal

NOW = 1_800_000_000.0
GOOD = Principal(("123456",))


def digest(number: int) -> bytes:
    return number.to_bytes(32)


def test_what_was_never_said_is_not_known() -> None:
    assert Memory().find(digest(1), NOW) is None


@pytest.mark.parametrize(
    ("expires", "after", "known"),
    [
        (None, 0, True),
        (None, 59.9, True),
        (None, 60, False),
        (None, -0.1, False),
        (NOW + 10, 9.9, True),
        (NOW + 10, 10, False),
        (NOW + 3600, 60, False),
        (NOW, 0, False),
        (NOW - 5, 0, False),
    ],
)
def test_an_account_counts_for_its_time(expires: float | None, after: float, known: bool) -> None:
    memory = Memory()
    memory.keep(digest(1), Principal(("1",), expires), NOW)
    assert (memory.find(digest(1), NOW + after) is not None) == known


@pytest.mark.parametrize(("after", "known"), [(0, True), (9.9, True), (10, False), (-1, False)])
def test_a_refusal_counts_for_its_time(after: float, known: bool) -> None:
    memory = Memory()
    memory.refuse(digest(1), NOW)
    if known:
        with pytest.raises(InvalidToken):
            memory.find(digest(1), NOW + after)
    else:
        assert memory.find(digest(1), NOW + after) is None


def test_a_token_that_is_refused_has_no_account_any_more() -> None:
    memory = Memory()
    memory.keep(digest(1), GOOD, NOW)
    memory.refuse(digest(1), NOW + 1)
    with pytest.raises(InvalidToken):
        memory.find(digest(1), NOW + 2)
    assert memory.find(digest(1), NOW + 20) is None


def test_tokens_that_are_made_up_push_no_good_one_out() -> None:
    memory = Memory()
    memory.keep(digest(0), GOOD, NOW)
    for number in range(1, 50_000):
        memory.refuse(digest(number), NOW)
    assert memory.find(digest(0), NOW) == GOOD
    assert memory.find(digest(1), NOW) is None


def test_accounts_have_bounded_room_and_those_in_use_stay_longest() -> None:
    memory = Memory()
    large = Principal(tuple(str(number) for number in range(999)))
    for number in range(30):
        memory.keep(digest(number), large, NOW)
        assert memory.find(digest(0), NOW) == large
    known = [number for number in range(30) if memory.find(digest(number), NOW) is not None]
    assert known == [0, *range(11, 30)]


def test_one_that_is_kept_again_takes_no_more_room() -> None:
    memory = Memory()
    memory.keep(digest(0), GOOD, NOW)
    for _ in range(50_000):
        memory.keep(digest(1), GOOD, NOW)
    assert memory.find(digest(0), NOW) == GOOD
