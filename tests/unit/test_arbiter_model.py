"""The arbiter against a model of a playout centre and of Twitch, in any order of things.

Rules, breaks, delays, off cues, repeats, lost answers, outages, foreign ads, crashes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.arbiter.arbiter import COOLDOWN
from controller.arbiter.breaks import LONGEST_BREAK
from controller.arbiter.steps import BY_HAND, Cue, Readiness
from controller.events import Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from tests.unit.arbiter_driver import (
    ACCEPTED,
    COOLING,
    DOWN,
    ERROR,
    LENGTH,
    LOST,
    NO_SCOPE,
    NOT_LIVE,
    NOT_SENT,
    NOT_YOURS,
    NOW,
    REFUSED,
    TIMEOUT,
    UNAUTHORIZED,
    Fate,
    Ran,
    World,
    rate_limited,
)

if TYPE_CHECKING:
    from controller.events import Answer

MAX_AGE = 30.0
LATENCY = 0.1
# A call leaves while its cue is young, and acts until it is given up.
LATEST = TIMEOUT + 2 * LATENCY

FATES: list[Answer | Fate] = [
    ACCEPTED,
    DOWN,
    ERROR,
    LENGTH,
    LOST,
    NO_SCOPE,
    NOT_LIVE,
    NOT_SENT,
    NOT_YOURS,
    REFUSED,
    UNAUTHORIZED,
    rate_limited(None),
    rate_limited(3.0),
    rate_limited(100.0),
    *Fate,
]


@dataclass(frozen=True)
class Act:
    """One thing that happens.

    Attributes:
        kind: What.
        pause: Seconds since the one before.
        number: Of the cue or the rule.
        length: Of the break or ad.
        down: Seconds until the next process starts.
    """

    kind: str
    pause: float
    number: int
    length: float
    down: float


KINDS = ["cue"] * 6 + ["repeat", "off", "crash", "crash", "look", "withdraw", "ready", "rehearse"]
ACTS = st.builds(
    Act,
    kind=st.sampled_from(KINDS),
    pause=st.one_of(st.just(0.0), st.floats(0, 8), st.floats(0, 60), st.floats(0, 600)),
    number=st.integers(0, 3),
    length=st.one_of(st.floats(0.5, 200), st.sampled_from([5.0, 30.0, 60.0, 125.1])),
    down=st.one_of(st.just(0.0), st.floats(0, 20)),
)
POLICIES = st.builds(
    CommercialPolicy,
    delay=st.sampled_from([0.0, 0.0, 3.0, 30.0]),
    on_cooldown=st.sampled_from(["Wait", "Skip"]),
    lateness=st.sampled_from(["Shorten", "Keep"]),
    lengths=st.sampled_from(["Exact", "Standard"]),
    min_length=st.sampled_from([0.0, 30.0]),
    break_gap=st.sampled_from([0.0, 10.0]),
)


class Centre:
    """Brings acts to a world.

    Args:
        world: The channel.
        foreign: Whether somebody else may run ads, too.
    """

    def __init__(self, world: World, *, foreign: bool = False) -> None:
        self.world = world
        self.foreign = foreign
        self.cues: list[Cue] = []
        self.crashes: list[float] = []
        world.twitch.latency = LATENCY

    def do(self, act: Act) -> None:
        world = self.world
        world.advance(act.pause)
        if act.kind in ("cue", "rehearse"):
            self._announce(act)
        elif act.kind == "repeat" and self.cues:
            cue = self.cues[-1 - act.number % len(self.cues)]
            world.hear(replace(cue, published=world.now))
        elif act.kind == "off":
            world.off()
        elif act.kind == "crash":
            self.crashes.append(world.now)
            world.crash(act.down)
        elif act.kind == "withdraw":
            world.withdraw(f"rule-{act.number}", Ruling(Verdict.SUSPENDED, ""))
        elif act.kind == "ready":
            self._change_readiness(act.number)
        elif act.kind == "look":
            if self.foreign and act.number == 0 and self._eligible:
                world.foreign(30)
            world.look()

    @property
    def _eligible(self) -> bool:
        ran = self.world.twitch.ran
        return not ran or self.world.now >= ran[-1].time + COOLDOWN

    def _announce(self, act: Act) -> None:
        rule = BY_HAND if act.number == 3 else f"rule-{act.number}"
        cue = Cue(
            f"cue-{len(self.cues)}",
            self.world.now,
            act.length,
            MAX_AGE,
            act.kind == "rehearse",
            rule=rule,
            priority=act.number,
            same_as="headend" if act.number == 1 else None,
            same_within=10.0,
        )
        self.cues.append(cue)
        self.world.hear(cue)

    def _change_readiness(self, number: int) -> None:
        passing = Readiness(Verdict.CHANNEL_NOT_READY, "in a moment", passing=True)
        paused = Readiness(Verdict.PAUSED, "paused")
        self.world.ready([None, None, passing, paused][number])


def play(world: World, acts: list[Act], *, foreign: bool = False) -> Centre:
    """Let all happen, and come to its end."""
    centre = Centre(world, foreign=foreign)
    for act in acts:
        centre.do(act)
    world.settle()
    return centre


def forgotten(runs: list[Ran], crashes: list[float]) -> bool:
    """Whether nobody could know, of each run of a cue, of the one before.

    Where the status is never written, all dies with the process; and who announces a cue again as
    a new one, after a crash and a whole cooldown, gets another commercial (docs/reliability.md).
    """
    return all(
        after.cue is not None
        and after.cue.published >= before.time + COOLDOWN
        and any(before.time <= crash <= after.cue.published for crash in crashes)
        for before, after in pairwise(runs)
    )


SCRIPTS = st.lists(st.sampled_from(FATES), max_size=6)
LAGS = st.sampled_from([0.0, 0.0, 0.5, None])
DIALECTS = st.sampled_from(["plain", "mock", "strange"])


@given(
    policy=POLICIES,
    acts=st.lists(ACTS, min_size=1, max_size=12),
    script=SCRIPTS,
    lag=LAGS,
    readable=st.booleans(),
    dialect=DIALECTS,
)
def test_whatever_happens_no_commercial_is_late_and_each_cue_has_one_end(
    policy: CommercialPolicy,
    acts: list[Act],
    script: list[Answer | Fate],
    lag: float | None,
    readable: bool,
    dialect: str,
) -> None:
    world = World(policy, script=script, lag=lag, confirms=True)
    world.twitch.readable, world.twitch.dialect = readable, dialect
    centre = play(world, acts, foreign=True)
    for ran in world.twitch.ours:
        assert ran.cue is not None
        assert ran.asked_at is not None
        due = ran.cue.due(policy.delay)
        assert not ran.cue.dry_run
        assert ran.asked_at <= due + MAX_AGE
        assert ran.time <= due + MAX_AGE + LATEST
        assert 1 <= ran.length <= 180
        assert ran.length >= policy.min_length
    # Twitch refuses what comes within its cooldown; that we know of it is told below.
    for cue_id in {ran.cue.id for ran in world.twitch.ours if ran.cue is not None}:
        own = [ran for ran in world.twitch.ours if ran.cue is not None and ran.cue.id == cue_id]
        assert len(own) == 1 or (lag is None and forgotten(own, centre.crashes)), cue_id
    # All but those that died with their process have come to an end.
    for outcome in world.living:
        assert outcome.ruling is not None
    assert not world._runs


@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_a_repeat_after_a_crash_runs_nothing_where_the_status_was_written(lag: float) -> None:
    world = World(script=[DOWN], lag=lag, confirms=True)
    world.twitch.readable = False
    cue = Act("cue", 1.0, 0, 1.0, 0.0)
    play(world, [cue, cue, replace(cue, kind="crash", pause=500.0), replace(cue, kind="repeat")])
    assert [ran.cue.id for ran in world.twitch.ours if ran.cue is not None] == ["cue-1"]
    assert world.outcomes[-1].verdict is Verdict.DUPLICATE


@given(
    policy=POLICIES,
    acts=st.lists(ACTS, min_size=1, max_size=12),
    script=SCRIPTS,
    lag=LAGS,
    dialect=DIALECTS,
)
def test_whatever_happens_a_break_has_one_commercial(
    policy: CommercialPolicy,
    acts: list[Act],
    script: list[Answer | Fate],
    lag: float | None,
    dialect: str,
) -> None:
    world = World(policy, script=script, lag=lag)
    world.twitch.dialect = dialect
    centre = play(world, acts)
    starts = world.twitch.ours
    for one, other in pairwise(starts):
        assert other.time - one.time >= COOLDOWN
        assert one.cue is not None
        assert other.cue is not None
    # Of those whose call is known, none belongs to a break that had one already.
    for brk in world.arbiter.breaks:
        assert brk.end - brk.due <= LONGEST_BREAK
        own = [ran for ran in starts if ran.cue is not None and brk.has(ran.cue.id)]
        assert len(own) <= 1 or (lag is None and forgotten(own, centre.crashes)), own


@given(
    policy=POLICIES,
    acts=st.lists(ACTS, min_size=1, max_size=12),
    script=SCRIPTS,
    readable=st.booleans(),
    dialect=DIALECTS,
)
def test_whatever_happens_what_ran_is_told(
    policy: CommercialPolicy,
    acts: list[Act],
    script: list[Answer | Fate],
    readable: bool,
    dialect: str,
) -> None:
    world = World(policy, script=script, confirms=True)
    world.twitch.readable, world.twitch.dialect = readable, dialect
    acts = [act for act in acts if act.kind != "crash"]
    play(world, acts)
    ran = {start.cue.id for start in world.twitch.ours if start.cue is not None}
    told = {outcome.cue.id: outcome for outcome in world.outcomes if outcome.calls}
    for cue_id in ran:
        assert told[cue_id].verdict in (Verdict.FIRED, Verdict.UNKNOWN), told[cue_id]
    for cue_id, outcome in told.items():
        # Without foreign ads a cooldown that nobody knew of is from the cue's own earlier call.
        if outcome.verdict is Verdict.FIRED:
            assert cue_id in ran, outcome
    known = world.arbiter.memory
    for cue_id in ran:
        record = known.known(cue_id)
        assert record is not None
        assert record.result.started or record.result is Verdict.UNKNOWN


@given(
    policy=POLICIES,
    acts=st.lists(ACTS, min_size=1, max_size=10),
    script=SCRIPTS,
    lag=LAGS,
    dialect=DIALECTS,
)
def test_whatever_happens_no_call_is_made_within_a_cooldown_that_is_known(
    policy: CommercialPolicy,
    acts: list[Act],
    script: list[Answer | Fate],
    lag: float | None,
    dialect: str,
) -> None:
    world = World(policy, script=script, lag=lag, confirms=True)
    world.twitch.dialect = dialect
    acts = [act for act in acts if act.kind != "crash"]
    play(world, acts, foreign=True)
    calls = sum(len(outcome.calls) for outcome in world.outcomes)
    refused = world.refused
    # A refusal for the cooldown comes only of an ad that was not seen yet, or of a call in doubt.
    foreign = [ran for ran in world.twitch.ran if not ran.ours]
    open_ = [fate for fate in script if fate in (ERROR, DOWN, LOST) or isinstance(fate, Fate)]
    assert refused <= len(foreign) + len(open_)
    assert calls <= 60 * len(world.outcomes)


@given(
    policy=POLICIES,
    acts=st.lists(ACTS, min_size=1, max_size=12),
    script=SCRIPTS,
    lag=LAGS,
)
def test_a_rehearsal_calls_nothing_whatever_happens(
    policy: CommercialPolicy, acts: list[Act], script: list[Answer | Fate], lag: float | None
) -> None:
    world = World(policy, script=script, lag=lag)
    play(world, [replace(a, kind="rehearse") if a.kind == "cue" else a for a in acts])
    assert world.twitch.ran == []
    assert world.arbiter.memory.recent == ()
    assert not world.arbiter.breaks


@given(
    policy=POLICIES,
    lengths=st.lists(st.floats(30, 125), min_size=1, max_size=6),
    crash_after=st.floats(0, 50),
    down=st.floats(0, 10),
    lag=LAGS,
    readable=st.booleans(),
)
def test_a_crash_at_any_moment_neither_loses_a_break_nor_starts_it_twice(
    policy: CommercialPolicy,
    lengths: list[float],
    crash_after: float,
    down: float,
    lag: float | None,
    readable: bool,
) -> None:
    world = World(policy.model_copy(update={"min_length": 0, "lengths": "Exact"}), lag=lag)
    world.twitch.readable = readable
    world.twitch.latency = LATENCY
    at = NOW
    crash = NOW + crash_after
    # What the playout says while the operator is down is heard when it is there again.
    for number, length in enumerate(lengths):
        cue = Cue(f"spot-{number}", at, length, MAX_AGE, rule="rule")
        if world.now <= crash < at:
            world.until(crash)
            world.crash(down)
        world.until(max(at, world.now))
        world.hear(cue)
        at += min(length, 30.0)
    if world.now <= crash:
        world.until(crash)
        world.crash(down)
    world.settle()
    (start,) = world.twitch.ran
    assert start.time <= NOW + policy.delay + crash_after + down + TIMEOUT + 1
    results = {record.result for record in world.arbiter.memory.recent}
    # What was never written, and is over when the next process comes, nobody can know.
    assert results == {Verdict.FIRED} or (lag != 0 and not results)


def test_a_cooldown_answer_is_the_models_own() -> None:
    world = World(script=[ACCEPTED, ACCEPTED])
    centre = Centre(world)
    centre.do(Act("cue", 0, 0, 60, 0))
    world.settle()
    assert world.twitch.act(world.now, 60, world.now, centre.cues[0]) is False
    assert COOLING.retry_after is None
