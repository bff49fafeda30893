"""What a new process knows of the breaks of the former one."""

from __future__ import annotations

import pytest

from controller.events import Verdict
from controller.resources.commercials import CommercialPolicy
from tests.unit.arbiter_driver import (
    NOW,
    World,
    a_cue,
    record,
    verdicts,
)

FIRED, SAME, DUPLICATE = Verdict.FIRED, Verdict.SAME_BREAK, Verdict.DUPLICATE
DELAYED = CommercialPolicy(min_length=0, delay=10)


SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip")


@pytest.mark.parametrize("down", [0.0, 3.0, 15.0])
def test_a_start_that_waits_survives_a_restart(down: float) -> None:
    world = World(CommercialPolicy(min_length=0, delay=10), next_eligible=NOW + 12)
    world.hear(a_cue())
    world.advance(5)
    (again,) = world.crash(down)
    world.settle()
    assert again.verdict is FIRED
    (ran,) = world.twitch.ran
    assert ran.time == max(NOW + 12, NOW + 5 + down + 5)


def test_a_start_that_was_called_for_is_recognised_after_a_restart() -> None:
    world = World()
    world.hear(a_cue())
    first, second = world.hear(a_cue("b", at=NOW + 4.5)), world.crash(1.0)
    world.settle()
    assert first.verdict is SAME
    assert verdicts(second) == [DUPLICATE, SAME]
    assert len(world.twitch.ran) == 1


@pytest.mark.parametrize("readable", [True, False])
def test_a_call_that_nobody_wrote_down_is_recognised_after_a_restart(readable: bool) -> None:
    world = World(lag=None)
    world.twitch.readable = readable
    world.hear(a_cue())
    outcomes = world.crash(1.0)
    world.settle()
    assert verdicts(outcomes) == [FIRED]
    assert len(world.twitch.ran) == 1
    assert outcomes[0].calls == ([] if readable else [119])


def test_an_off_cue_is_heard_again_too() -> None:
    world = World(DELAYED)
    world.hear(a_cue())
    world.advance(1)
    world.off()
    (again,) = world.crash(1.0)
    world.settle()
    assert (again.verdict, again.calls) == (Verdict.CANCELLED, [])


def test_the_breaks_of_a_former_process_are_known_in_their_order() -> None:
    world = World(SKIP)
    world.hear(a_cue("a", length=60))
    world.advance(500)
    world.hear(a_cue("b", at=world.now, length=60))
    world.advance(70)
    world.crash(0)
    late = world.hear(a_cue("c", at=world.now, length=60))
    assert late.verdict is SAME
    assert "with cue b" in late.detail


def test_of_two_breaks_of_a_former_process_that_overlap_the_newer_is_meant() -> None:
    older = record("older", started=NOW - 100, due=NOW - 100, break_seconds=200)
    newer = record("newer", started=NOW - 50, due=NOW - 50, break_seconds=100)
    for recent in ([older, newer], [newer, older]):
        outcome = World(recent=recent).hear(a_cue())
        assert outcome.verdict is SAME
        assert "with cue newer" in outcome.detail


def test_an_ad_of_another_break_is_not_taken_for_that_of_a_replayed_cue() -> None:
    other = record("other", started=NOW - 1.5, due=NOW - 70, break_seconds=50)
    world = World(SKIP, started=NOW, recent=[other], next_eligible=NOW + 478.5)
    world.twitch.last_ads = [NOW - 1.5]
    outcome = world.hear(a_cue())
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.COOLING_DOWN, [])
