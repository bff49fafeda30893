"""How much advertising a channel has had within an hour, and whether more fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.plurals import counted
from controller.rules.times import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HOUR", "Ad", "Spent", "over_budget"]

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Ad:
    """An ad that ran on a channel.

    Attributes:
        started: When it began, in seconds since the epoch.
        length: Its seconds.
        ours: Whether the operator called for it.
    """

    started: float
    length: int
    ours: bool


@dataclass(frozen=True, slots=True)
class Spent:
    """Why another ad does not fit.

    Attributes:
        detail: For the user.
        until: When it will.
    """

    detail: str
    until: float


def over_budget(
    ads: Sequence[Ad],
    now: float,
    asked: int,
    *,
    max_per_hour: int | None,
    max_seconds_per_hour: int | None,
) -> Spent | None:
    """Tell whether another ad would exceed what an hour may have.

    Args:
        ads: What ran, oldest first, whoever started it.
        now: The present time; an ad counts for an hour from its beginning.
        asked: Seconds of the ad to come.
        max_per_hour: Most ads within any hour; None: no limit.
        max_seconds_per_hour: Most seconds of ads within any hour; None: no limit.

    Returns:
        What is exceeded, and when the ad fits; None if it does now.
    """
    counted = [ad for ad in ads if ad.started > now - HOUR]
    over = [
        spent
        for spent in (
            _too_many(counted, max_per_hour),
            _too_long(counted, now, asked, max_seconds_per_hour),
        )
        if spent is not None
    ]
    return max(over, key=lambda spent: spent.until, default=None)


def _too_many(ads: list[Ad], most: int | None) -> Spent | None:
    if most is None or len(ads) < most:
        return None
    until = ads[len(ads) - most].started + HOUR
    told = f"{counted(len(ads), 'ad')} within the hour, maxPerHour is {most}"
    return Spent(f"{told}: not before {clock(until)}", until)


def _too_long(counted: list[Ad], now: float, asked: int, most: int | None) -> Spent | None:
    seconds = sum(ad.length for ad in counted)
    if most is None or seconds + asked <= most:
        return None
    told = f"{seconds} s of ads within the hour, and {asked} s more exceed"
    told = f"{told} maxSecondsPerHour ({most})"
    for ad in counted:
        seconds -= ad.length
        if seconds + asked <= most:
            until = ad.started + HOUR
            return Spent(f"{told}: not before {clock(until)}", until)
    told = f"{asked} s alone exceed maxSecondsPerHour ({most})"
    return Spent(f"{told}: raise it, or shorten the break", now + HOUR)
