"""Shares of CPU over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.triggers.policies.shares import Shares


def test_who_takes_no_more_than_its_rate_is_never_over() -> None:
    shares: Shares[str] = Shares(rate=0.1, burst=0.5)
    for second in range(1000):
        shares.charge("calm", 0.1, float(second))
        assert not shares.over(float(second))


def test_who_takes_more_at_once_than_it_may_owe_is_over_until_half_is_paid_back() -> None:
    shares: Shares[str] = Shares(rate=0.1, burst=0.5)
    shares.charge("busy", 0.4, 0.0)
    assert not shares.over(0.0)
    shares.charge("busy", 0.2, 0.0)
    assert shares.over(0.0) == {"busy"}
    assert shares.over(3.0) == {"busy"}
    assert not shares.over(3.6)
    assert shares.debt("busy", 3.0) == 3.0
    assert shares.debt("busy", 7.0) == 0.0


def test_of_too_many_the_least_recent_is_forgiven() -> None:
    shares: Shares[int] = Shares(rate=1, burst=1, most=3)
    for key in range(5):
        shares.charge(key, 5, 0.0)
    assert shares.over(0.0) == {2, 3, 4}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 2), st.floats(0, 5))))
def test_a_key_owes_what_it_took_and_has_not_paid_back(
    charges: list[tuple[str, float, float]],
) -> None:
    shares: Shares[str] = Shares(rate=0.5, burst=1)
    owed, now = {"a": 0.0, "b": 0.0}, 0.0
    for key, amount, later in charges:
        now += later
        owed = {name: max(0.0, debt - 0.5 * later) for name, debt in owed.items()}
        owed[key] += amount
        shares.charge(key, amount, now)
        for name, debt in owed.items():
            assert abs(0.5 * shares.debt(name, now) - debt) < 1e-6
            if debt > 1 + 1e-6 and name == key:
                assert name in shares.over(now)
            if debt < 0.5 - 1e-6:
                assert name not in shares.over(now)
