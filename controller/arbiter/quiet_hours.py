"""Quiet hours: when nothing is started, by the wall clock of a place."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.resources.commercials import QuietHours

__all__ = ["quiet_until"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Windows that follow each other are joined; with more of them it is quiet for ever, or nearly so.
_MOST_JOINED = 16
# No window is longer: 24 hours, and what a clock change adds.
_LONGEST = 2 * 24 * 3600


def quiet_until(hours: Sequence[QuietHours], instant: float) -> float | None:
    """Return until when nothing is started.

    Args:
        hours: The quiet hours of a channel; of each the days are those on which it begins.
        instant: In seconds since the epoch.

    Returns:
        The end of the hours that hold at the instant, and of those that follow without a gap; None
        where none hold.
    """
    until = None
    for _ in range(_MOST_JOINED):
        at = instant if until is None else until
        ends = [end for one in hours if (end := _end(one, at)) is not None]
        if not ends:
            break
        until = max(ends)
    return until


def _end(hours: QuietHours, instant: float) -> float | None:
    """The end of one entry's window, if it holds at an instant."""
    zone = _zone(hours.time_zone)
    if not _holds(hours, zone, instant):
        return None
    # A window ends where the wall clock shows its end, which may come twice, or where the clock is
    # changed: the very minute of the end may be skipped.
    today = datetime.fromtimestamp(instant, zone).date()
    ends = [
        datetime.combine(day, _time(hours.to).replace(fold=fold), zone).timestamp()
        for day in (today + timedelta(days=ahead) for ahead in range(3))
        for fold in (0, 1)
    ]
    ends += _clock_change(zone, int(instant))
    later = sorted(end for end in ends if end > instant)
    return next((end for end in later if not _holds(hours, zone, end)), instant + _LONGEST)


def _clock_change(zone: ZoneInfo, instant: int) -> list[float]:
    """When the clocks are changed soon after an instant; [] if they are not."""
    before, after = instant, instant + _LONGEST
    offset = _offset(zone, before)
    if offset == _offset(zone, after):
        return []
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return [float(after)]


def _offset(zone: ZoneInfo, instant: float) -> timedelta | None:
    return datetime.fromtimestamp(instant, zone).utcoffset()


def _holds(hours: QuietHours, zone: ZoneInfo, instant: float) -> bool:
    local = datetime.fromtimestamp(instant, zone)
    now, begin, end = local.time(), _time(hours.from_), _time(hours.to)
    day = local.weekday()
    if begin < end:
        return begin <= now < end and _is_day(hours, day)
    if now >= begin:
        return _is_day(hours, day)
    return now < end and _is_day(hours, day - 1)


def _is_day(hours: QuietHours, weekday: int) -> bool:
    return not hours.days or _DAYS[weekday % 7] in hours.days


@lru_cache(maxsize=1000)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=2000)
def _time(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour), int(minute))
