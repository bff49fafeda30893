"""Quiet hours by the wall clock of a place, over the nights on which it is changed."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.arbiter.quiet_hours import quiet_until
from controller.resources.commercials import QuietHours, Weekday

NEW_YORK = "America/New_York"
DAYS: tuple[Weekday, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# A place, and a moment some hours before its clocks are changed.
CHANGES = [
    (NEW_YORK, datetime(2026, 3, 7, 12, tzinfo=ZoneInfo(NEW_YORK))),
    (NEW_YORK, datetime(2026, 10, 31, 12, tzinfo=ZoneInfo(NEW_YORK))),
    ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
    ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
    # By half an hour
    (
        "Australia/Lord_Howe",
        datetime(2026, 4, 4, 12, tzinfo=ZoneInfo("Australia/Lord_Howe")),
    ),
    # At midnight: one day begins at 01:00, another has its last hour twice
    ("Asia/Beirut", datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("Asia/Beirut"))),
    ("Asia/Beirut", datetime(2026, 10, 24, 12, tzinfo=ZoneInfo("Asia/Beirut"))),
    # A day that never was
    ("Pacific/Apia", datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia"))),
    ("UTC", datetime(2026, 3, 28, 12, tzinfo=ZoneInfo("UTC"))),
]


def quiet(begin: str, end: str, zone: str = NEW_YORK, *days: Weekday) -> QuietHours:
    return QuietHours(from_=begin, to=end, time_zone=zone, days=days)


def at(text: str, zone: str = NEW_YORK, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-23T21:59:59.9", None),
        ("2026-11-23T22:00", "2026-11-24T06:00"),
        ("2026-11-24T00:00", "2026-11-24T06:00"),
        ("2026-11-24T05:59:59.9", "2026-11-24T06:00"),
        ("2026-11-24T06:00", None),
        ("2026-11-24T12:00", None),
    ],
)
def test_hours_that_cross_midnight_hold_from_their_begin_to_their_end(
    now: str, until: str | None
) -> None:
    expected = None if until is None else at(until)
    assert quiet_until([quiet("22:00", "06:00")], at(now)) == expected


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        ("2026-11-20T23:00", False),  # a Friday
        ("2026-11-21T05:00", False),  # began on Friday
        ("2026-11-21T23:00", True),
        ("2026-11-22T05:00", True),  # began on Saturday
        ("2026-11-22T23:00", False),
        ("2026-11-23T05:00", False),
    ],
)
def test_hours_belong_to_the_day_on_which_they_begin(now: str, *, holds: bool) -> None:
    until = quiet_until([quiet("22:00", "06:00", NEW_YORK, "Sat")], at(now))
    assert (until is not None) == holds


def test_a_window_in_an_hour_that_is_skipped_does_not_hold() -> None:
    hours = [quiet("02:15", "02:45")]
    night = at("2026-03-08T00:00")
    assert all(quiet_until(hours, night + 60 * minute) is None for minute in range(300))


def test_a_window_that_ends_in_a_skipped_hour_ends_at_the_clock_change() -> None:
    assert quiet_until([quiet("01:00", "02:30")], at("2026-03-08T01:30")) == at("2026-03-08T03:00")


def test_a_window_that_begins_in_a_skipped_hour_begins_at_the_clock_change() -> None:
    hours = [quiet("02:30", "04:00")]
    assert quiet_until(hours, at("2026-03-08T03:00") - 1) is None
    assert quiet_until(hours, at("2026-03-08T03:00")) == at("2026-03-08T04:00")


def test_a_window_in_a_doubled_hour_holds_twice() -> None:
    hours = [quiet("01:15", "01:45")]
    first, second = (at("2026-11-01T01:15", fold=fold) for fold in (0, 1))
    assert second - first == 3600
    for begin in (first, second):
        assert quiet_until(hours, begin - 1) is None
        assert quiet_until(hours, begin) == begin + 1800
        assert quiet_until(hours, begin + 1800) is None


@pytest.mark.parametrize(("day", "length"), [("2026-03-07", 7), ("2026-10-31", 9)])
def test_a_night_of_a_clock_change_is_as_long_as_it_is_on_the_wall(day: str, length: int) -> None:
    begin = at(f"{day}T22:00")
    until = quiet_until([quiet("22:00", "06:00")], begin)
    assert until == begin + length * 3600


def test_hours_without_a_gap_between_them_last_until_the_last_of_them_ends() -> None:
    weekend = [
        quiet("22:00", "06:00", NEW_YORK, "Fri", "Sat", "Sun"),
        quiet("06:00", "14:00", NEW_YORK, "Sat", "Sun"),
        quiet("13:00", "22:00", NEW_YORK, "Sat", "Sun"),
    ]
    assert quiet_until(weekend, at("2026-11-20T23:00")) == at("2026-11-23T06:00")
    overlapping = [quiet("08:00", "12:00"), quiet("11:00", "13:00"), quiet("13:01", "14:00")]
    assert quiet_until(overlapping, at("2026-11-23T09:00")) == at("2026-11-23T13:00")


def test_hours_of_several_zones_are_joined() -> None:
    hours = [quiet("22:00", "23:00"), quiet("04:00", "05:00", "UTC")]
    assert quiet_until(hours, at("2026-11-23T22:30")) == at("2026-11-24T05:00", "UTC")


def test_hours_that_never_end_have_an_answer() -> None:
    now = at("2026-11-23T09:00")
    until = quiet_until([quiet("00:00", "12:00"), quiet("12:00", "00:00")], now)
    assert until is not None
    assert until > now + 7 * 86400


def test_without_quiet_hours_none_hold() -> None:
    assert quiet_until([], at("2026-11-23T09:00")) is None


# A model: each minute of two days, with what the wall clock shows.


@cache
def _wall(zone: str, minute: int) -> tuple[int, int]:
    local = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
    return local.weekday(), local.hour * 60 + local.minute


def _quiet_minute(begin: int, end: int, days: frozenset[int], zone: str, minute: int) -> bool:
    weekday, now = _wall(zone, minute)
    begun_today = now >= begin and (end < begin or now < end)
    begun_yesterday = end < begin and now < end
    return (begun_today and weekday in days) or (begun_yesterday and (weekday - 1) % 7 in days)


def _text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@given(
    change=st.sampled_from(CHANGES),
    begin=st.integers(0, 1439) | st.integers(0, 200) | st.integers(1380, 1439),
    length=st.integers(1, 1439) | st.integers(1, 120),
    days=st.frozensets(st.integers(0, 6)),
    offset=st.integers(0, 24 * 3600),
)
@example(change=CHANGES[6], begin=1410, length=1420, days=frozenset(), offset=11 * 3600 + 2700)
@example(change=CHANGES[1], begin=90, length=1380, days=frozenset(), offset=13 * 3600 + 2700)
def test_it_agrees_with_a_model_that_goes_minute_by_minute(
    change: tuple[str, datetime], begin: int, length: int, days: frozenset[int], offset: int
) -> None:
    zone, start = change
    end = (begin + length) % 1440
    hours = quiet(_text(begin), _text(end), zone, *(DAYS[day] for day in sorted(days)))
    counted = days or frozenset(range(7))
    now = start.timestamp() + offset
    minute = int(now // 60)
    until = None
    if _quiet_minute(begin, end, counted, zone, minute):
        last = minute
        while _quiet_minute(begin, end, counted, zone, last):
            last += 1
        until = last * 60
    assert quiet_until([hours], now) == until
