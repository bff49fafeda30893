"""Durations in Go syntax."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.durations import DURATION_PATTERN, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        ("0s", 0.0),
        ("1h1m1s1ms", 3661.001),
        ("30s1m", 90.0),
        ("0.1s0.1s0.1s", 0.3),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "90", "s", "-1s", "+1s", "1 s", " 1s", "1s ", "1s\n", "1d", "1us", "1S", ".5s", "1.s",
     "1e3s", "٣s", "NaNs", "1m30", "infs"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 1m30s or 250ms") as refusal:
        parse_duration(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (3661, "1h1m1s"),
     (5400, "1h30m"), (86400, "24h"), (29.6, "30s")],
)  # fmt: skip
def test_durations_are_written_without_zero_parts(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(seconds=st.integers(0, 10**9))
def test_what_is_written_is_read_back(seconds: int) -> None:
    text = format_duration(seconds)
    assert re.fullmatch(DURATION_PATTERN, text)
    assert parse_duration(text) == seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError as refusal:
        assert "not a duration" in str(refusal)  # noqa: PT017 - both ends are allowed
