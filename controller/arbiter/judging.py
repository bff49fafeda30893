"""Whether a break's start is to be called for now, later, or not at all.

One pure function over what is known at an instant. It is asked anew whenever something changed, and
right before each call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.arbiter.budget import over_budget
from controller.arbiter.lengths import asked_length
from controller.arbiter.quiet_hours import quiet_until
from controller.arbiter.steps import Wait
from controller.durations import format_duration
from controller.events import Ruling, Verdict
from controller.rules.times import clock

if TYPE_CHECKING:
    from controller.arbiter.breaks import Break
    from controller.arbiter.memory import Memory
    from controller.arbiter.steps import Cue, Readiness
    from controller.resources.commercials import CommercialPolicy

__all__ = ["Case", "judge", "too_late", "too_old_at", "wanted_seconds"]

# Less than this is the transport's own latency, not a late start.
_ON_TIME = 2.0
_MOMENT = 0.01  # after the last moment at which a cue is young


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged.

    Attributes:
        cue: Whose start it is.
        brk: Its break.
        policy: `spec.commercials` of the channel.
        memory: What the channel remembers.
        readiness: Why the channel takes no cues; None: it does.
        most: Seconds of the longest commercial that may be asked for, after Twitch has refused a
            length: then it is a standard one; None: no matter.
        in_doubt: An earlier call may have run: a cooldown is no reason to hold back then, because
            Twitch's answer tells.
    """

    cue: Cue
    brk: Break
    policy: CommercialPolicy
    memory: Memory
    readiness: Readiness | None
    most: int | None = None
    in_doubt: bool = False


def judge(case: Case, now: float) -> int | Wait | Ruling:
    """Judge a start.

    Returns:
        Whole seconds to ask for now; when to look again; or why it starts nothing.
    """
    due = case.brk.due
    if now < due:
        told = f"due at {clock(due)} ({format_duration(case.policy.delay)} after the cue)"
        return Wait(due, Ruling(Verdict.WAITING, told))
    late = too_late(case, now)
    if late is not None:
        return late
    if case.readiness is not None:
        if case.readiness.passing:
            return Wait(too_old_at(case), Ruling(Verdict.WAITING, case.readiness.detail))
        return Ruling(case.readiness.verdict, case.readiness.detail)
    asked = _asked(case, now)
    if isinstance(asked, Ruling):
        return asked
    return _held_back(case, now, asked) or asked


def too_late(case: Case, now: float) -> Ruling | None:
    """Whether a cue is too old, or its break over."""
    age = max(0.0, now - case.cue.due(case.policy.delay))
    if age > case.cue.max_age:
        limit = format_duration(case.cue.max_age)
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, maxAge is {limit}")
    if case.brk.end - now < 0.5:
        seconds = case.brk.seconds
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, the break of {seconds:.0f} s is over")
    return None


def too_old_at(case: Case) -> float:
    """When a cue is too old: no start needs to wait for longer."""
    return case.cue.due(case.policy.delay) + case.cue.max_age + _MOMENT


def wanted_seconds(case: Case, now: float) -> float:
    """Seconds of commercial that the break wants from now on."""
    if case.policy.lateness == "Keep" or now - case.brk.due < _ON_TIME:
        return case.brk.seconds
    return case.brk.end - now


def _asked(case: Case, now: float) -> int | Ruling:
    wanted = wanted_seconds(case, now)
    least = case.policy.min_length
    if case.most is None:
        asked = asked_length(wanted, case.policy.lengths)
    else:
        asked = asked_length(min(wanted, case.most), "Standard")
    if asked is not None and asked >= least:
        return asked
    left = f"{wanted:.0f} s are left of the break of {case.brk.seconds:.0f} s"
    whole = f"the break is {wanted:.1f} s long".replace(".0 s", " s")
    told = left if wanted < case.brk.seconds else whole
    if asked is None and wanted >= least:
        return Ruling(Verdict.TOO_SHORT, f"{told}, and no standard length is that short")
    return Ruling(Verdict.TOO_SHORT, f"{told}, minLength is {format_duration(least)}")


def _held_back(case: Case, now: float, asked: int) -> Ruling | Wait | None:
    """What the channel's limits say."""
    quiet = quiet_until(case.policy.quiet_hours, now)
    if quiet is not None:
        return Ruling(Verdict.QUIET_HOURS, f"quietHours until {clock(quiet)}")
    spent = over_budget(
        case.memory.ads(now),
        now,
        asked,
        max_per_hour=case.policy.max_per_hour,
        max_seconds_per_hour=case.policy.max_seconds_per_hour,
    )
    if spent is not None:
        return Ruling(Verdict.BUDGET_SPENT, spent.detail)
    return None if case.in_doubt else _cooldown(case, now)


def _cooldown(case: Case, now: float) -> Ruling | Wait | None:
    eligible = case.memory.next_eligible
    if eligible is None or now >= eligible:
        return None
    why = f" ({case.memory.cooling})" if case.memory.cooling else ""
    at = clock(math.ceil(eligible))
    told = f"not before {at}{why}"
    if case.policy.on_cooldown == "Wait":
        # In whole milliseconds, so that rounding never wakes it a moment too early for ever.
        until = math.ceil(eligible * 1000) / 1000
        then = too_late(case, until) or _asked(case, until)
        if not isinstance(then, Ruling):
            return Wait(until, Ruling(Verdict.WAITING, f"cooling down until {at}{why}"))
    return Ruling(Verdict.COOLING_DOWN, told)
