"""Growing pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.backoff import backoff


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0)]
)
def test_pauses_double_up_to_a_minute(failures: int, seconds: float) -> None:
    assert backoff(failures, 0.5) == seconds


@given(failures=st.integers(-5, 10**9), jitter=st.floats(0, 1))
def test_a_pause_is_positive_and_bounded_after_any_number_of_failures(
    failures: int, jitter: float
) -> None:
    assert 0.75 <= backoff(failures, jitter) <= 60 * 1.25


@given(failures=st.integers(0, 100), low=st.floats(0, 1), high=st.floats(0, 1))
def test_jitter_spreads_by_a_quarter_to_both_sides(failures: int, low: float, high: float) -> None:
    middle = backoff(failures, 0.5)
    assert backoff(failures, 0) == middle * 0.75
    assert backoff(failures, 1) == middle * 1.25
    assert (backoff(failures, low) <= backoff(failures, high)) or low > high


def test_its_parts_can_be_chosen() -> None:
    pauses = [backoff(n, 0.5, first=0.5, most=5.0, factor=3.0) for n in range(1, 5)]
    assert pauses == [0.5, 1.5, 4.5, 5.0]
