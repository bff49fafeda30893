"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policies.buckets import Buckets


def test_a_full_bucket_gives_a_hundred_at_once_and_then_one_a_second() -> None:
    buckets: Buckets[str] = Buckets()
    now = 12_345.678
    assert [buckets.use("k").take(now) for _ in range(100)] == [0.0] * 100
    assert buckets.use("k").take(now) == pytest.approx(1.0)
    assert buckets.use("k").take(now + 0.25) == pytest.approx(0.75)
    assert buckets.use("k").take(now + 1.0) == 0.0
    assert buckets.use("k").take(now + 1.0) == pytest.approx(1.0)


def test_a_refused_take_costs_nothing() -> None:
    buckets: Buckets[str] = Buckets(capacity=1)
    buckets.use("k").take(0.0)
    assert [round(buckets.use("k").take(0.5), 3) for _ in range(5)] == [0.5] * 5
    assert buckets.use("k").take(1.0) == 0.0


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    buckets: Buckets[str] = Buckets(capacity=3)
    assert buckets.use("k").take(0.0) == 0.0
    later = 1e6
    assert [buckets.use("k").take(later) == 0.0 for _ in range(4)] == [True, True, True, False]


def test_keys_do_not_share() -> None:
    buckets: Buckets[tuple[str, str]] = Buckets(capacity=1)
    assert buckets.use(("app", "1")).take(0.0) == 0.0
    assert buckets.use(("app", "2")).take(0.0) == 0.0
    assert buckets.use(("app", "1")).take(0.0) > 0.0


def test_a_drained_bucket_gives_its_next_token_after_a_second() -> None:
    buckets: Buckets[str] = Buckets()
    buckets.use("k").drain(10.0)
    assert buckets.use("k").take(10.0) == pytest.approx(1.0)
    assert buckets.use("k").take(11.0) == 0.0
    assert buckets.use("k").take(11.0) > 0.0


def test_the_rate_counts() -> None:
    buckets: Buckets[str] = Buckets(capacity=2, rate=0.5)
    assert [buckets.use("k").take(0.0) for _ in range(2)] == [0.0, 0.0]
    assert buckets.use("k").take(0.0) == pytest.approx(2.0)


def test_a_clock_that_is_set_back_empties_a_bucket_and_no_more() -> None:
    buckets: Buckets[str] = Buckets()
    buckets.use("k").take(10_000.0)
    assert buckets.use("k").take(5_000.0) == pytest.approx(1.0)
    assert buckets.use("k").take(5_001.0) == 0.0


def test_only_the_most_recently_used_are_kept() -> None:
    buckets: Buckets[int] = Buckets(capacity=1, most=3)
    for key in range(3):
        buckets.use(key).take(0.0)
    assert buckets.use(0).take(0.0) > 0.0  # refused, and used: 1 is the oldest now
    buckets.use(3).take(0.0)
    assert len(buckets) == 3
    assert buckets.use(0).take(0.0) > 0.0
    assert buckets.use(1).take(0.0) == 0.0


@given(st.lists(st.floats(0, 5), max_size=400))
def test_no_window_sees_more_than_capacity_and_rate_allow(pauses: list[float]) -> None:
    buckets: Buckets[str] = Buckets(capacity=10, rate=1.0)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        wait = buckets.use("k").take(now)
        if wait:
            assert buckets.use("k").take(now + wait * 0.99) > 0.0 or wait < 1e-3
            continue
        taken.append(now)
    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], start=1):
            assert count <= 10 + (end - start) + 1e-3
