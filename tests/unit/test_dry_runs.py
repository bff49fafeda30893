"""Dry runs: what they tell, and that they do nothing."""

from __future__ import annotations

from typing import Any

from controller.arbiter.steps import Cue, Readiness
from controller.events import Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from tests.unit.arbiter_driver import (
    NOW,
    World,
    a_cue,
    hear_all,
    verdicts,
)

FIRED, SAME, DUPLICATE = Verdict.FIRED, Verdict.SAME_BREAK, Verdict.DUPLICATE
DELAYED = CommercialPolicy(min_length=0, delay=10)


SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip")


def rehearsal(name: str = "break-1", at: float = NOW, **more: Any) -> Cue:  # noqa: ANN401
    return a_cue(name, at=at, dry_run=True, rule="new", **more)


def test_a_dry_run_tells_what_it_would_do_and_does_nothing() -> None:
    world = World()
    outcome = world.hear(rehearsal(age=10))
    world.settle()
    told = Ruling(Verdict.DRY_RUN, "would have started a commercial of 115 s")
    assert outcome.ruling == told
    assert world.twitch.ran == []
    memory = world.arbiter.memory
    assert (memory.recent, memory.next_eligible, list(world.arbiter.breaks)) == ((), None, [])
    assert world.hear(rehearsal()).verdict is DUPLICATE


def test_a_dry_run_does_not_keep_the_same_cue_from_firing_for_another_rule() -> None:
    world = World()
    assert world.hear(rehearsal()).verdict is Verdict.DRY_RUN
    assert world.hear(a_cue()).verdict is FIRED


def test_a_dry_run_has_a_cooldown_of_its_own() -> None:
    world = World(SKIP)
    pod = [rehearsal("a", length=30), rehearsal("b", at=NOW + 30, length=30)]
    pod += [rehearsal("c", at=NOW + 100, length=30), rehearsal("d", at=NOW + 480, length=30)]
    assert verdicts(hear_all(world, pod)) == [
        Verdict.DRY_RUN,
        SAME,
        Verdict.COOLING_DOWN,
        Verdict.DRY_RUN,
    ]
    assert world.twitch.ran == []


def test_a_dry_run_sees_what_really_ran() -> None:
    world = World(SKIP)
    assert world.hear(a_cue("real", length=60)).verdict is FIRED
    assert world.hear(rehearsal("same", at=NOW)).verdict is SAME
    world.advance(100)
    assert world.hear(rehearsal("next", at=world.now)).verdict is Verdict.COOLING_DOWN
    world.advance(1000)
    world.foreign()
    world.advance(10)
    world.look()
    assert world.hear(rehearsal("more", at=world.now)).verdict is Verdict.COOLING_DOWN


def test_a_dry_run_meets_the_same_refusals() -> None:
    assert World().hear(rehearsal("old", age=31)).verdict is Verdict.EXPIRED
    world = World()
    world.ready(Readiness(Verdict.NOT_ELIGIBLE, "neither affiliate nor partner"))
    assert world.hear(rehearsal("next")).verdict is Verdict.NOT_ELIGIBLE


def test_a_dry_run_from_before_the_start_waits_for_nothing() -> None:
    world = World(started=NOW - 1)
    assert world.hear(rehearsal(age=3)).verdict is Verdict.DRY_RUN


def test_an_off_cue_reaches_a_dry_run() -> None:
    world = World(DELAYED)
    outcome = world.hear(rehearsal())
    assert world.off(NOW + 1)
    assert outcome.verdict is Verdict.CANCELLED
