"""What Twitch tells of the ads that ran: ours confirmed or not, and what was not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.arbiter.budget import Ad
from controller.events import AdSchedule, Verdict
from controller.resources.commercials import CommercialPolicy
from tests.unit.arbiter_driver import (
    ANY_LENGTH,
    COOLING,
    LOST,
    NOT_SENT,
    NOW,
    UNREADABLE,
    Fate,
    World,
    a_cue,
    record,
)

if TYPE_CHECKING:
    from controller.arbiter.ads_log import AdsNews

SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip")
FIRED, CONFIRMED, UNCONFIRMED = Verdict.FIRED, Verdict.CONFIRMED, Verdict.UNCONFIRMED


def result(world: World) -> Verdict:
    return world.arbiter.memory.recent[0].result


def see(world: World, last_ad: float | None, **more: float) -> AdsNews:
    schedule = AdSchedule(last_ad=last_ad, **more)  # type: ignore[arg-type]
    return world.arbiter.ads.saw(schedule, world.now)


# Ours


def test_no_commercial_is_confirmed_from_before_it_was_called_for() -> None:
    world = World(confirms=False)
    world.advance(0.6)
    world.hear(a_cue())
    called = world.arbiter.memory.recent[0].started
    world.advance(11.0)
    see(world, float(int(called)))  # Twitch tells whole seconds
    assert result(world) is CONFIRMED
    assert world.arbiter.ads.last_confirmed == called > int(called)


def test_an_ad_near_the_call_confirms_it() -> None:
    world = World(confirms=True)
    world.hear(a_cue())
    assert result(world) is FIRED
    world.advance(9.9)
    assert world.news == []
    world.advance(0.1)
    assert result(world) is CONFIRMED
    (settled,) = world.news[0].settled
    assert (settled.cue_id, settled.result) == ("break-1", CONFIRMED)
    assert world.arbiter.ads.last_confirmed == NOW
    assert not world.arbiter.ads.waits
    world.settle()
    assert len(world.news) == 1


@pytest.mark.parametrize(
    ("ad", "verdict"),
    [(-2.1, UNCONFIRMED), (-2.0, CONFIRMED), (0.0, CONFIRMED), (60.0, CONFIRMED)],
)
def test_an_ad_confirms_from_two_seconds_before_the_call_until_a_minute_after(
    ad: float, verdict: Verdict
) -> None:
    world = World(last_ad=NOW - 1000)
    world.hear(a_cue())
    world.advance(61)
    news = see(world, NOW + ad)
    assert result(world) is verdict
    assert [told.result for told in news.settled] == [verdict]


@pytest.mark.parametrize("ad", [None, NOW - 900])
def test_without_an_ad_within_a_minute_a_commercial_is_unconfirmed(ad: float | None) -> None:
    world = World()
    world.hear(a_cue())
    for after in (10, 20, 40, 60):
        world.until(NOW + after)
        assert see(world, ad).settled == ()
    world.until(NOW + 61)
    assert [told.result for told in see(world, ad).settled] == [UNCONFIRMED]
    assert see(world, ad).settled == ()
    assert result(world) is UNCONFIRMED


def test_behind_a_later_ad_nobody_sees_whether_ours_ran() -> None:
    world = World()
    world.hear(a_cue())
    world.crash(3600.0)
    news = see(world, world.now - 600)
    assert news.settled == ()
    assert news.foreign is not None
    assert result(world) is FIRED
    assert not world.arbiter.ads.waits


def test_what_a_former_process_fired_is_confirmed_by_the_next() -> None:
    world = World()
    world.hear(a_cue())
    world.crash(15)
    world.look()
    assert result(world) is CONFIRMED
    assert world.news[-1].foreign is None


def test_a_commercial_that_was_unknown_is_confirmed_when_its_ad_is_seen() -> None:
    world = World(script=[Fate.ACTED, LOST], last_ads=[UNREADABLE] * 2)
    outcome = world.hear(a_cue())
    world.settle()
    assert outcome.verdict is Verdict.UNKNOWN
    world.look()
    assert result(world) is CONFIRMED


def test_what_failed_is_not_confirmed_by_another_ad() -> None:
    world = World(recent=[record("a", Verdict.FAILED, started=NOW)], now=NOW + 20)
    world.twitch.foreign(NOW + 1)
    news = world.look()
    assert news.settled == ()
    assert news.foreign == Ad(NOW + 1, 30, ours=False)


def test_what_nobody_can_tell_is_given_up() -> None:
    world = World()
    world.hear(a_cue(length=30))
    world.advance(180)
    assert world.arbiter.ended(world.now) == []
    world.advance(0.1)
    (brk,) = world.arbiter.ended(world.now)
    assert brk.ruling is not None
    assert (brk.ruling.verdict, brk.confirmed) == (FIRED, None)


def test_a_rehearsal_waits_for_no_confirmation() -> None:
    world = World()
    world.hear(a_cue(dry_run=True))
    assert not world.arbiter.ads.waits
    assert not world.rehearsal.ads.waits


# Not ours


def test_an_ad_that_nobody_here_started_moves_the_cooldown() -> None:
    world = World(SKIP)
    world.look()
    world.foreign()
    world.advance(60)
    assert world.look().foreign == Ad(NOW, 30, ours=False)
    assert world.look().foreign is None
    assert world.arbiter.memory.next_eligible == NOW + 480
    outcome = world.hear(a_cue(at=world.now))
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert "an ad ran that a rule did not start" in outcome.detail


def test_a_foreign_ad_does_not_shorten_a_cooldown() -> None:
    world = World(next_eligible=NOW + 1000)
    world.foreign()
    world.look()
    assert world.arbiter.memory.next_eligible == NOW + 1000


def test_a_foreign_ad_lets_what_waits_judge_anew() -> None:
    world = World(ANY_LENGTH, next_eligible=NOW + 20)
    outcome = world.hear(a_cue())
    world.advance(5)
    world.foreign()
    world.look()
    assert (outcome.verdict, outcome.calls) == (Verdict.COOLING_DOWN, [])


@pytest.mark.parametrize(
    ("next_ad", "duration", "length"),
    [(NOW + 100, 90, 90), (NOW - 290, 90, 90), (NOW + 400, 90, 30), (NOW + 100, None, 30)],
)
def test_an_ad_that_was_forecast_has_the_length_of_the_forecast(
    next_ad: float, duration: int | None, length: int
) -> None:
    world = World()
    world.arbiter.ads.saw(AdSchedule(None, next_ad, duration), NOW - 60)
    assert see(world, NOW - 1).foreign == Ad(NOW - 1, length, ours=False)


def test_an_ad_of_days_ago_is_no_news_at_the_first_look() -> None:
    world = World(SKIP)
    assert see(world, NOW - 86_400).foreign is None
    assert world.hear(a_cue()).verdict is FIRED


def test_an_ad_that_was_told_of_before_the_restart_is_not_told_again() -> None:
    world = World()
    world.foreign()
    world.advance(10)
    assert world.look().foreign is not None
    world.crash(20)
    assert world.look().foreign is None


def test_an_ad_that_ran_while_the_operator_was_down_is_news() -> None:
    world = World()
    world.look()
    world.crash(0)
    world.foreign()
    world.advance(5)
    assert world.look().foreign is not None


# Whose it is shows only later


def test_an_ad_during_a_call_whose_outcome_is_open_is_not_taken_for_foreign() -> None:
    world = World(script=[Fate.ACTED])
    outcome = world.hear(a_cue())
    world.advance(3)
    assert world.look().foreign is None
    world.settle()
    assert (outcome.verdict, outcome.calls) == (FIRED, [125])
    assert world.look().foreign is None
    assert [ad.ours for ad in world.arbiter.memory.ads(world.now)] == [True]


def test_an_ad_of_an_earlier_process_is_not_taken_for_foreign() -> None:
    world = World(lag=None)
    world.hear(a_cue())
    (again,) = world.crash(1)
    world.advance(2)
    assert world.look().foreign is None
    world.settle()
    assert (again.verdict, again.calls) == (FIRED, [])
    assert [ad.ours for ad in world.arbiter.memory.ads(world.now)] == [True]


def test_a_foreign_ad_that_might_have_been_ours_is_told_once_that_is_known() -> None:
    world = World(SKIP, script=[NOT_SENT] * 2 + [COOLING])
    outcome = world.hear(a_cue())
    world.advance(1)
    world.foreign()
    assert world.look().foreign is None
    world.advance(60)
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert world.look().foreign == Ad(NOW + 1, 30, ours=False)


def test_of_a_cue_that_is_not_due_no_earlier_process_has_called() -> None:
    world = World(CommercialPolicy(min_length=0, delay=60, on_cooldown="Skip"), lag=None)
    world.twitch.readable = False
    world.hear(a_cue())
    world.advance(1)
    world.foreign()
    (again,) = world.crash(1)
    world.settle()
    # Somebody else's ad: neither Fired nor called for in doubt.
    assert (again.verdict, again.calls) == (Verdict.COOLING_DOWN, [125])


def test_an_unknown_commercial_that_ran_after_all_moves_the_cooldown() -> None:
    world = World(SKIP, script=[Fate.ACTED, LOST], last_ads=[UNREADABLE] * 2)
    world.hear(a_cue(length=60))
    world.settle()
    world.look()
    assert world.arbiter.memory.next_eligible == NOW + 480
    world.advance(100)
    other = world.hear(a_cue("other", at=world.now))
    assert (other.verdict, other.calls) == (Verdict.COOLING_DOWN, [])
