"""What a channel's arbiter would say to a cue, as far as the channel's status tells."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.arbiter.arbiter import Arbiter
from controller.arbiter.memory import Memory
from controller.arbiter.steps import Call, Readiness, Reply, Wait
from controller.channels.status import remembered
from controller.events import Ruling, Verdict
from controller.resources.common import find_condition
from controller.term import Term

if TYPE_CHECKING:
    from controller.actions.base import KnownChannel
from controller.arbiter.steps import Cue

__all__ = ["foresee"]

_LONG_AGO = 3600.0  # the event comes long after the operator has started
_CALL_TIMEOUT = 5.0
_MOST_STEPS = 3  # the delay, and then a word


def foresee(channel: KnownChannel, cue: Cue, now: float) -> Ruling:
    """Tell what a channel's arbiter would say to a cue, as far as the status tells.

    Args:
        channel: The channel.
        cue: As if it came now.
        now: The present time.
    """
    known = remembered(channel.status)
    arbiter = Arbiter(
        channel.spec.commercials,
        Term(now - _LONG_AGO),
        _CALL_TIMEOUT,
        memory=Memory(known.cues, known.next_eligible),
        last_ad=known.last_ad,
    )
    arbiter.readiness = _readiness(channel)
    start = arbiter.take(replace(cue, dry_run=False), now)
    if isinstance(start, Ruling):
        return start
    run = arbiter.run(start, now)
    try:
        step = next(run)
        for _ in range(_MOST_STEPS):
            if not isinstance(step, Wait) or step.until > start.brk.due:
                break
            step = run.send(Reply(step.until))
    except StopIteration as end:
        ruling: Ruling = end.value
        return ruling
    if isinstance(step, Call):
        verdict = Verdict.DRY_RUN if cue.dry_run else Verdict.FIRED
        return Ruling(verdict, f"it would ask for a commercial of {step.length} s")
    told = step.told if isinstance(step, Wait) else None
    return told or Ruling(Verdict.WAITING, "another cue of the channel is on its way")


def _readiness(channel: KnownChannel) -> Readiness | None:
    """Why a channel takes no cues, by its conditions; one from a file is taken for ready."""
    conditions = channel.status.conditions
    ready = find_condition(conditions, "Ready")
    if ready is None or ready.status == "True":
        live = find_condition(conditions, "Live")
        if live is not None and live.status == "False":
            return Readiness(Verdict.NOT_LIVE, "off air: Twitch would refuse it")
        return None
    return Readiness.of(ready.reason, ready.message)
