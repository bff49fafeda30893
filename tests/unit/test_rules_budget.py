"""What a sliding hour of a channel may have of ads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.arbiter.budget import HOUR, Ad, Spent, over_budget

NOW = 1_795_400_000.0  # 2026-11-23T02:13:20Z


def ran(*ads: tuple[float, int], ours: bool = True) -> list[Ad]:
    """Ads of so many seconds ago and so many seconds."""
    return [Ad(NOW - ago, length, ours) for ago, length in ads]


def over(
    ads: list[Ad], asked: int = 60, count: int | None = None, seconds: int | None = None
) -> Spent | None:
    return over_budget(ads, NOW, asked, max_per_hour=count, max_seconds_per_hour=seconds)


def test_without_limits_everything_fits() -> None:
    assert over(ran(*((ago, 180) for ago in range(3000, 0, -100)))) is None


def test_an_ad_more_than_maxperhour_is_refused_with_the_figures_and_when_it_fits() -> None:
    spent = over(ran((3000, 60), (1500, 60)), count=2)
    assert spent is not None
    assert spent.until == NOW - 3000 + HOUR
    assert spent.detail == "2 ads within the hour, maxPerHour is 2: not before 02:23:20Z"


def test_one_ad_fewer_than_maxperhour_leaves_room() -> None:
    assert over(ran((3000, 60)), count=2) is None


def test_with_more_ads_than_the_limit_several_must_pass_first() -> None:
    spent = over(ran((3000, 60), (2000, 60), (1000, 60)), count=2)
    assert spent is not None
    assert spent.until == NOW - 2000 + HOUR


@pytest.mark.parametrize(("ago", "fits"), [(HOUR - 0.01, False), (HOUR, True)])
def test_an_ad_counts_for_an_hour_from_its_beginning(ago: float, *, fits: bool) -> None:
    assert (over(ran((ago, 60)), count=1) is None) == fits
    assert (over(ran((ago, 60)), asked=60, seconds=60) is None) == fits


def test_ads_that_are_not_ours_count() -> None:
    foreign = ran((100, 90), ours=False)
    assert over(foreign, count=1) is not None
    assert over(foreign, asked=31, seconds=120) is not None
    assert over(foreign, asked=30, seconds=120) is None


def test_seconds_beyond_maxsecondsperhour_are_refused_until_enough_have_passed() -> None:
    spent = over(ran((3000, 60), (2000, 120), (1000, 180)), asked=120, seconds=420)
    assert spent is not None
    assert spent.until == NOW - 3000 + HOUR
    assert spent.detail == (
        "360 s of ads within the hour, and 120 s more exceed maxSecondsPerHour (420):"
        " not before 02:23:20Z"
    )
    later = over(ran((3000, 60), (2000, 120), (1000, 180)), asked=180, seconds=420)
    assert later is not None
    assert later.until == NOW - 2000 + HOUR


def test_an_ad_longer_than_the_whole_hour_may_have_never_fits() -> None:
    spent = over([], asked=60, seconds=30)
    assert spent is not None
    assert "60 s alone exceed maxSecondsPerHour (30)" in spent.detail
    assert spent.until == NOW + HOUR


def test_of_two_limits_the_one_that_lasts_longer_is_told() -> None:
    spent = over(ran((3000, 30), (1000, 180)), asked=180, count=2, seconds=300)
    assert spent is not None
    assert "maxSecondsPerHour" in spent.detail
    assert spent.until == NOW - 1000 + HOUR


@given(
    ads=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 180))),
    asked=st.integers(1, 180),
    count=st.none() | st.integers(1, 60),
    seconds=st.none() | st.integers(180, 3600),
)
def test_what_is_refused_fits_at_the_moment_that_is_told_and_not_before(
    ads: list[tuple[int, int]], asked: int, count: int | None, seconds: int | None
) -> None:
    told = ran(*sorted(ads, reverse=True))

    def at(now: float) -> Spent | None:
        return over_budget(told, now, asked, max_per_hour=count, max_seconds_per_hour=seconds)

    spent = at(NOW)
    if spent is None:
        return
    assert NOW < spent.until <= NOW + HOUR
    assert at(spent.until) is None
    assert at(spent.until - 0.5) is not None
