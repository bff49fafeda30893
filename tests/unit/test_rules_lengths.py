"""The length of a commercial."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.rules.fieldpath import FieldPath
from controller.rules.lengths import LengthPlan, commercial_length
from controller.rules.payloads import Refusal

FIELD = FieldPath.parse("data.duration_sec")
MEASURED = LengthPlan(path=FIELD)
WITH_DEFAULT = LengthPlan(path=FIELD, default=60.0)


def _length(value: object, plan: LengthPlan = MEASURED) -> int | Refusal:
    return commercial_length(plan, {"data": {"duration_sec": value}})


@pytest.mark.parametrize(
    ("seconds", "length"),
    [
        (125.1, 125),
        (125.133, 125),
        (125.5, 126),
        (124.5, 125),
        (125.49999999999999, 125),
        (0.5, 1),
        (1, 1),
        (30, 30),
        (179.5, 180),
        (180, 180),
        (180.6, 180),
        (2400, 180),
        (3600, 180),
    ],
)
def test_seconds_are_rounded_half_up_and_cut_to_180(seconds: float, length: int) -> None:
    assert _length(seconds) == length


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("125", 'data.duration_sec is "125", and a length is a number of seconds'),
        (True, "data.duration_sec is true, and"),
        ([125], "data.duration_sec is a list of 1, and"),
        ({}, "data.duration_sec is an object, and"),
        (float("nan"), "data.duration_sec is NaN, and"),
        (float("inf"), "data.duration_sec is Infinity, and"),
        (float("-inf"), "data.duration_sec is -Infinity, and"),
        (0, "data.duration_sec is 0, and a commercial lasts at least half a second"),
        (-30, "data.duration_sec is -30, and a commercial lasts"),
        (0.49999999999999994, "and a commercial lasts at least half a second"),
        (3600.1, "are these milliseconds?"),
        (125_100, "data.duration_sec is 125100: no break is longer than an hour"),
        (10**400, "a number of more than 19 digits: no break is longer"),
    ],
)
def test_what_is_no_length_is_refused_even_with_a_default(value: object, reason: str) -> None:
    for plan in (MEASURED, WITH_DEFAULT):
        refused = _length(value, plan)
        assert isinstance(refused, Refusal)
        assert reason in refused.reason


@pytest.mark.parametrize("event", [{}, {"data": {}}, {"data": {"duration_sec": None}}])
def test_without_the_field_the_default_counts(event: dict[str, object]) -> None:
    assert commercial_length(WITH_DEFAULT, event) == 60
    refused = commercial_length(MEASURED, event)
    assert isinstance(refused, Refusal)
    assert "data.duration_sec" in refused.reason
    assert "defaultLength" in refused.reason


def test_a_fixed_length_counts_whatever_the_event_says() -> None:
    assert _length(30, LengthPlan(fixed=120.0)) == 120


@given(st.floats() | st.integers() | st.text() | st.booleans() | st.none())
@example(2.5)
@example(0.49999999999999994)
def test_a_length_is_right_or_refused(value: object) -> None:
    length = _length(value)
    if isinstance(length, Refusal):
        return
    assert isinstance(value, int | float)
    assert 0.5 <= value <= 3600
    assert 1 <= length <= 180
    assert length == min(180, Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))
