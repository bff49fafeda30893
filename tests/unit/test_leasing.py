"""Which replica leads: each decision, and two replicas under faults, other clocks and pauses."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from controller.errors import NotLeading
from controller.policies.leasing import (
    Lease,
    Sight,
    expires,
    fence,
    former,
    may_keep,
    observe,
    renewed,
    vacant,
)
from controller.term import Former, Term

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE, CALL = 10.0, 5.0
ME, OTHER = "me", "other"


def lease(holder: str, version: int = 1, **fields: object) -> Lease:
    meta = {"uid": "u", "resourceVersion": str(version)}
    return replace(Lease(holder, LEASE, metadata=meta), **fields)  # type: ignore[arg-type]


def test_a_renewal_counts_from_when_it_was_seen() -> None:
    sight = observe(None, lease(OTHER, 1), 100.0)
    assert expires(sight, ME, LEASE) == 110.0
    sight = observe(sight, lease(OTHER, 1), 104.0)
    assert expires(sight, ME, LEASE) == 110.0
    sight = observe(sight, lease(OTHER, 2), 104.5)
    assert expires(sight, ME, LEASE) == 114.5


@pytest.mark.parametrize("found", [lease(ME, 2), lease("", 2, transitions=3)])
def test_a_lease_that_was_released_or_is_ones_own_is_taken_at_once(found: Lease) -> None:
    sight = observe(observe(None, lease(OTHER), 100.0), found, 103.0)
    assert expires(sight, ME, LEASE) == 103.0


def test_a_lease_that_is_not_there_may_have_been_deleted_under_a_leader() -> None:
    assert expires(observe(None, None, 100.0), ME, LEASE) == math.inf
    made = observe(observe(None, None, 100.0), vacant(LEASE), 103.0)
    assert expires(made, ME, LEASE) == 113.0


@pytest.mark.parametrize(
    ("found", "in_time", "kept"),
    [
        (lease(ME), False, True),  # stored without an answer
        (lease(OTHER), True, False),
        (None, True, True),
        (None, False, False),
        (vacant(LEASE), True, True),
        (vacant(LEASE), False, False),
        (lease("", transitions=7), True, False),
    ],
)
def test_a_leader_keeps_a_lease_that_nobody_else_can_have_had(
    found: Lease | None, in_time: bool, kept: bool
) -> None:
    assert may_keep(found, ME, in_time=in_time) is kept


def test_the_longer_of_two_durations_counts() -> None:
    assert expires(observe(None, lease(OTHER, seconds=30.0), 0.0), ME, LEASE) == 30.0
    assert expires(observe(None, lease(OTHER, seconds=3.0), 0.0), ME, LEASE) == LEASE


@pytest.mark.parametrize(("away", "since"), [(4.0, 100.0), (60.0, 161.0)])
def test_time_without_the_api_server_does_not_count_against_the_holder(
    away: float, since: float
) -> None:
    sight = Sight(lease(OTHER), 100.0, failing=101.0)
    seen = observe(sight, lease(OTHER), 101.0 + away)
    assert (seen.since, seen.failing) == (since, None)


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (None, Former.MAY_CALL),
        (lease(ME), Former.MAY_CALL),
        (vacant(LEASE), Former.MAY_CALL),
        (lease(OTHER, transitions=1), Former.IS_OVER),
        (lease("", transitions=1), Former.IS_OVER),
        (lease("", transitions=1, handed_over=True), Former.HANDED_OVER),
    ],
)
def test_how_the_lease_was_left_tells_of_the_former_leader(
    found: Lease | None, known: Former
) -> None:
    assert former(Sight(found, 0.0), ME) is known


def test_the_lead_counts_its_changes() -> None:
    first = renewed(None, ME, LEASE, "t1")
    assert (first.holder, first.transitions, first.acquired, first.metadata) == (ME, 1, "t1", {})
    kept = renewed(lease(ME, transitions=4, acquired="t0"), ME, LEASE, "t1")
    assert (kept.transitions, kept.acquired, kept.handed_over) == (4, "t0", False)
    taken = renewed(lease("", transitions=4, handed_over=True), ME, LEASE, "t1")
    assert (taken.transitions, taken.acquired, taken.handed_over) == (5, "t1", False)


def test_a_term_ends_with_its_deadline_and_begins_with_its_first_decision() -> None:
    now = 0.0
    term = Term(clock=lambda: now)
    with pytest.raises(NotLeading, match="does not lead"):
        term.check()
    term.begin(1000.0, Former.IS_OVER)
    term.check()
    term.until = fence(2.0, LEASE, CALL)
    now = 5.99
    term.check()
    now = 6.0
    with pytest.raises(NotLeading, match="not renewed in time"):
        term.check()
    assert term.settled_at(CALL) == 1000.0
    assert Term(1000.0).settled_at(CALL) == 1005.0


# Two replicas and an API server, in true time. A call that begins acts for at most CALL seconds.


class Server:
    """Stores one Lease, and refuses a write of what is not the newest."""

    def __init__(self) -> None:
        self.lease: Lease | None = None
        self.version = 0

    def write(self, wanted: Lease) -> Lease | None:
        stored = None if self.lease is None else self.lease.version
        if (wanted.version if wanted.metadata else None) != stored:
            return None
        self.version += 1
        meta = {"uid": "u", "resourceVersion": str(self.version)}
        self.lease = replace(wanted, metadata=meta)
        return self.lease


class Replica:
    """What `Leadership` does, a request at a time; its clock is off by `offset`."""

    def __init__(self, name: str, offset: float) -> None:
        self.name, self.offset = name, offset
        self.sight: Sight | None = None
        self.leads = self.dead = False
        self.until = float("-inf")

    def step(self, server: Server, true: float, delay: float, fate: str) -> None:
        """One request, which takes `delay`; its fate: answered, lost or refused connection."""
        sent, answered = true + self.offset, true + delay + self.offset
        if self.dead:
            return
        if self.sight is None or not self.leads:
            self._look(server, answered, fate)
            if self.sight is None:
                return
            if self.sight.lease is None and fate == "answered":
                stored = server.write(vacant(LEASE))
                self.sight = observe(self.sight, stored or server.lease, answered)
            if answered < expires(self.sight, self.name, LEASE):
                return
            sent = answered
        if fate == "down":
            self._fail(answered)
            return
        stored = server.write(renewed(self.sight.lease, self.name, LEASE, "t"))
        if fate == "lost":
            self._fail(answered)
        elif stored is not None:
            self.sight = observe(self.sight, stored, answered)
            self.leads, self.until = True, fence(sent, LEASE, CALL)
        else:
            self._look(server, answered, fate)
            in_time = answered < self.until
            self.dead = self.leads and not may_keep(self.sight.lease, self.name, in_time=in_time)

    def _look(self, server: Server, now: float, fate: str) -> None:
        if fate == "answered":
            self.sight = observe(self.sight, server.lease, now)
        else:
            self._fail(now)

    def _fail(self, now: float) -> None:
        if self.sight is not None and self.sight.failing is None:
            self.sight = replace(self.sight, failing=now)

    def end(self) -> None:
        self.dead, self.until = True, float("-inf")

    def may_act(self, true: float) -> bool:
        return self.leads and true + self.offset < self.until


RUNS, STEPS = 300, 150
_FATES = ("answered",) * 4 + ("lost", "down")
_EVENTS = ("",) * 40 + ("deleted", "released", "killed")


def test_no_call_of_one_replica_lasts_into_the_lead_of_another() -> None:
    takeovers = 0
    for seed in range(RUNS):
        takeovers += _run(random.Random(seed))
    assert takeovers > 3 * RUNS  # else nothing was tried


def _run(rng: random.Random) -> int:
    """Let two replicas compete; how many led."""
    server, names, true = Server(), count(), 0.0
    replicas = [_new(names, rng), _new(names, rng)]
    calls_end: dict[str, float] = {}
    who = 0
    for _ in range(STEPS):
        # One alone for a while: the other sleeps, or is cut off.
        who = who if rng.random() < 0.75 else 1 - who
        if replicas[who].dead:
            replicas[who] = _new(names, rng)
        replica = replicas[who]
        true += rng.choice((0.0, 0.5, 1.9, 4.0))
        delay, fate = rng.uniform(0, 1), rng.choice(_FATES)
        _let_happen(rng.choice(_EVENTS), replica, server, calls_end)
        replica.step(server, true, delay, fate)
        true += delay
        for each in replicas:
            if each.may_act(true):
                others = {name: end for name, end in calls_end.items() if name != each.name}
                assert all(end <= true for end in others.values()), (others, true, each.name)
                calls_end[each.name] = true + CALL
    return len(calls_end)


def _new(names: Iterator[int], rng: random.Random) -> Replica:
    return Replica(f"replica-{next(names)}", rng.uniform(-60, 60))


def _let_happen(event: str, replica: Replica, server: Server, calls_end: dict[str, float]) -> None:
    if event == "deleted":
        server.lease = None
    elif event == "killed":
        replica.end()
    elif event == "released" and replica.leads and not replica.dead:
        replica.end()
        # In order: calls have their answers before the Lease is free.
        calls_end.pop(replica.name, None)
        if replica.sight is not None and replica.sight.lease is not None:
            server.write(replace(replica.sight.lease, holder="", handed_over=True))
