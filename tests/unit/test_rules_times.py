"""The time of an event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.fieldpath import FieldPath
from controller.rules.payloads import Refusal
from controller.rules.times import event_time

TIME = FieldPath.parse("common.timestamp")
PUBLISHED = 1_700_000_000.0


def _time(value: object) -> float | Refusal:
    return event_time(TIME, {"common": {"timestamp": value}}, PUBLISHED)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (1611912393.124, 1611912393.124),
        (1611912393, 1611912393.0),
        (1611912393124, 1611912393.124),
        ("1611912393.124", 1611912393.124),
        ("1611912393124", 1611912393.124),
        ("2021-01-29T09:26:33Z", 1611912393.0),
        ("2021-01-29T09:26:33.124Z", 1611912393.124),
        ("2021-01-29t04:26:33.124000000-05:00", 1611912393.124),
        (1, 1.0),
        (99_999_999_999, 99_999_999_999.0),
        (100_000_000_001, 100_000_000.001),
    ],
)
def test_seconds_milliseconds_and_rfc_3339_are_read(value: object, seconds: float) -> None:
    assert _time(value) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, True, float("nan"), float("inf"), 10**400, 1e14, [], {}),
        *("", " 1611912393", "1e9", "١٦", "soon", "0", "-1", "1611912393388_176998"),
        *("2021-01-29", "2021-01-29T09:26:33", "2021-02-30T00:00:00Z", "1969-12-31T23:59:59Z"),
        *("0001-01-01T00:00:00+23:59", "2021-01-29T09:26:33+99:99", "9" * 400),
    ],
)
def test_what_is_no_time_is_refused_with_what_was_met(value: object) -> None:
    refused = _time(value)
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith("common.timestamp is ")


@pytest.mark.parametrize("event", [{}, {"common": {"timestamp": None}}])
def test_an_event_without_the_field_is_refused(event: dict[str, object]) -> None:
    refused = event_time(TIME, event, PUBLISHED)
    assert refused == Refusal("the event lacks common.timestamp, the rule's timeField")


def test_without_a_time_field_the_feeds_own_time_counts() -> None:
    assert event_time(None, {}, PUBLISHED) == PUBLISHED


@given(st.floats() | st.integers() | st.text(st.characters()) | st.from_regex(r"[0-9T:+Z.-]{,40}"))
def test_any_value_is_a_time_or_is_refused(value: object) -> None:
    seconds = _time(value)
    assert isinstance(seconds, Refusal) or 0 < seconds < 1e12
