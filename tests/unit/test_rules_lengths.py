"""How long a break is, and how long a commercial is asked for."""

from __future__ import annotations

import time
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.actions.commercial.lengths import LengthPlan, break_length, compile_length_pattern
from controller.arbiter.lengths import STANDARD, asked_length, standard_below
from controller.errors import InvalidExpression
from controller.rules.fieldpath import FieldPath
from controller.rules.payloads import Refusal

FIELD = FieldPath.parse("data.duration_sec")
MEASURED = LengthPlan(path=FIELD)
WITH_DEFAULT = LengthPlan(path=FIELD, default=60.0)


def _length(value: object, plan: LengthPlan = MEASURED) -> float | Refusal:
    return break_length(plan, {"data": {"duration_sec": value}})


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("!ad 60", 60),
        ("!ad 90.5 please", 90.5),
        (45, 45),
        ("!ad", "lengthPattern finds no number of seconds in data.duration_sec, which is '!ad'"),
        ("!ad 0", "a commercial lasts at least half a second"),
        ("!ad 99999", "no break is longer than an hour"),
        ("!ad 60" + " " * 600, "has 606 characters, and lengthPattern reads 512"),
        (True, "a length is a number of seconds"),
    ],
)
def test_a_pattern_takes_the_length_from_a_text(text: object, length: float | str) -> None:
    pattern = compile_length_pattern(r"^!ad ([0-9.]+)", "f")
    taken = _length(text, LengthPlan(path=FIELD, pattern=pattern))
    if isinstance(length, str):
        assert isinstance(taken, Refusal)
        assert length in taken.reason.replace('"', "'")
    else:
        assert taken == length


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("[0-9]+", "has 0 groups"),
        ("([0-9]+) ([a-z]+)", "has 2 groups"),
        ("(a{200})", "too large"),
        ("(", "not a valid RE2 expression"),
    ],
)
def test_a_pattern_must_have_one_group(pattern: str, problem: str) -> None:
    with pytest.raises(InvalidExpression, match=problem):
        compile_length_pattern(pattern, "spec.action.commercial.lengthPattern")


def test_no_pattern_takes_long() -> None:
    pattern = compile_length_pattern("(" + "(?:a?){48}" + "b)", "f")
    began = time.thread_time()
    _length("a" * 512, LengthPlan(path=FIELD, pattern=pattern))
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("seconds", [0.5, 1, 30, 125.1, 179.5, 180.6, 2400, 3600])
def test_a_break_is_as_long_as_announced(seconds: float) -> None:
    assert _length(seconds) == seconds


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [
        (125.1, 125),
        (125.133, 125),
        (125.5, 126),
        (124.5, 125),
        (125.49999999999999, 125),
        (0.49999999999999994, None),
        (0.5, 1),
        (1, 1),
        (30, 30),
        (179.5, 180),
        (180, 180),
        (180.6, 180),
        (2400, 180),
        (0.0, None),
        (-3.0, None),
    ],
)
def test_exact_lengths_are_rounded_half_up_and_cut_to_180(
    seconds: float, asked: int | None
) -> None:
    assert asked_length(seconds, "Exact") == asked


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [
        (-3.0, None),
        (27.9, None),
        (28.0, 30),
        (57.99, 30),
        (58.0, 60),
        (60.0, 60),
        (87.9, 60),
        (88.0, 90),
        (125.1, 120),
        (148.0, 150),
        (178.0, 180),
        (2400.0, 180),
    ],
)
def test_standard_lengths_are_at_most_two_seconds_longer_than_the_break(
    seconds: float, asked: int | None
) -> None:
    assert asked_length(seconds, "Standard") == asked


@pytest.mark.parametrize(
    ("length", "below"),
    [(180, 150), (179, 150), (151, 150), (150, 120), (60, 30), (31, 30), (30, None), (5, None)],
)
def test_the_next_standard_length_is_strictly_shorter(length: int, below: int | None) -> None:
    assert standard_below(length) == below


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
    assert break_length(WITH_DEFAULT, event) == 60
    refused = break_length(MEASURED, event)
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
    assert length == value
    asked = asked_length(length, "Exact")
    assert asked == min(180, Decimal(value).quantize(Decimal(1), ROUND_HALF_UP))


@given(st.floats(0, 3600))
def test_of_the_standard_lengths_none_that_fits_is_longer(seconds: float) -> None:
    asked = asked_length(seconds, "Standard")
    fitting = [length for length in STANDARD if length - seconds <= 2]
    assert asked == (fitting[-1] if fitting else None)
