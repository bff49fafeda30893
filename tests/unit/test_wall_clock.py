"""A wall clock that is set back: what the memory of commercials makes of it."""

from __future__ import annotations

from controller.arbiter.ads_log import AdsLog
from controller.arbiter.breaks import Breaks
from controller.arbiter.budget import Ad
from controller.arbiter.memory import COOLDOWN, Memory
from controller.events import AdSchedule, Verdict
from controller.policies.clocks import WallClock
from tests.unit.arbiter_driver import NOW, record
from tests.unit.test_judging import a_case, verdict

BACK = 3600.0


def _fired(ago: float) -> Memory:
    """A commercial was started so many seconds before the clock is set back to NOW."""
    at = NOW + BACK - ago
    memory = Memory()
    memory.fired(record("a", started=at), at + COOLDOWN, COOLDOWN, None)
    memory.set_back(BACK, NOW)
    return memory


def test_a_cooldown_ends_in_its_time_though_the_clock_is_set_back() -> None:
    memory = _fired(100)
    assert memory.next_eligible == NOW + 380
    case = a_case(memory=memory, max_age=900, length=900, on_cooldown="Skip")
    assert verdict(case, NOW + 379) is Verdict.COOLING_DOWN
    assert not isinstance(verdict(case, NOW + 381), Verdict)


def test_an_hours_budget_ends_in_its_time_though_the_clock_is_set_back() -> None:
    memory = _fired(3500)
    assert [ad.started for ad in memory.ads(NOW)] == [NOW - 3500]
    spent = a_case(memory=memory, max_per_hour=1, max_age=900, length=900)
    assert verdict(spent, NOW + 99) is Verdict.BUDGET_SPENT
    assert not isinstance(verdict(spent, NOW + 101), Verdict)
    known = memory.known("a")
    assert known is not None
    assert known.started == NOW + BACK - 3500, "its record is what Twitch's ads are found by"


def test_nothing_counts_as_older_than_it_is() -> None:
    # From before the clock was set forward; then it is corrected.
    memory = Memory([record("a", started=NOW - 100)], next_eligible=NOW + 380)
    memory.saw_foreign(Ad(NOW - 50, 60, ours=False))
    memory.saw_foreign(Ad(NOW + 900, 60, ours=False))
    memory.cool(NOW + 380, COOLDOWN, "cools down")
    memory.set_back(BACK, NOW)
    assert [ad.started for ad in memory.ads(NOW)] == [NOW - 100, NOW - 50, NOW]
    assert memory.next_eligible == NOW + 380


def test_no_cooldown_is_longer_than_twitch_said() -> None:
    memory = Memory(next_eligible=NOW + BACK + COOLDOWN)
    memory.set_back(0.0, NOW)  # as after a restart: by how much is not known
    assert memory.next_eligible == NOW + COOLDOWN
    memory.cool(NOW + 3000, 3000.0, "cools down")
    memory.set_back(BACK, NOW)
    assert memory.next_eligible == NOW + 3000


def test_a_wall_clock_that_is_set_back_is_found_once() -> None:
    clock = WallClock(NOW, 0.0)
    assert clock.set_back(NOW + 1, 1.0) == 0.0
    assert clock.set_back(NOW + 2 - BACK, 2.0) == BACK
    assert clock.set_back(NOW + 3 - BACK, 3.0) == 0.0
    assert clock.set_back(NOW + 4, 4.0) == 0.0, "forward"
    assert clock.set_back(NOW + 5 - 40, 5.0) == 0.0, "a small correction"
    assert clock.set_back(NOW + 6 - 80, 6.0) == 80.0, "many of them"


def test_an_ad_that_twitch_tells_of_in_the_future_began_now_at_the_latest() -> None:
    memory = Memory()
    log = AdsLog(memory, Breaks(), None)
    log.saw(AdSchedule(last_ad=NOW + BACK), NOW)
    assert memory.next_eligible == NOW + COOLDOWN
    assert [ad.started for ad in memory.ads(NOW)] == [NOW]
