"""Commercials in a backtest: the operator's own arbiters, and a Twitch that accepts.

It accepts whatever its cooldown allows, on channels that are live and ready.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from controller.actions.simulation import Simulator
from controller.arbiter.arbiter import Arbiter
from controller.arbiter.memory import COOLDOWN
from controller.arbiter.steps import Call, Cue, ReadLastAd, Reply, Wait
from controller.events import Answer, AnswerKind, Ruling, Verdict
from controller.term import Term

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    from controller.actions.simulation import SimulatedChannel, SimulatedOutcome
    from controller.arbiter.steps import Step

__all__ = ["CommercialSimulator"]

_CALL_TIMEOUT = 5.0


@dataclass(slots=True, eq=False)
class _Run:
    """A start on its way."""

    run: Generator[Step, Reply, Ruling]
    outcome: SimulatedOutcome
    until: float = math.inf


@dataclass(slots=True, eq=False)
class _Stage:
    """A channel that runs."""

    arbiter: Arbiter
    last_ad: float | None = None
    runs: list[_Run] = field(default_factory=list)


class CommercialSimulator(Simulator[Cue]):
    """Runs the arbiters of some channels.

    Args:
        channels: Those that rules may be for.
    """

    def __init__(self, channels: Iterable[SimulatedChannel]) -> None:
        self._stages: dict[str, _Stage] = {}
        for channel in channels:
            arbiter = Arbiter(channel.policy, Term(-math.inf), _CALL_TIMEOUT)
            arbiter.readiness = None
            self._stages[channel.name] = _Stage(arbiter)
        self._alarms: list[tuple[float, int, _Stage]] = []
        self._order = count()
        self._now = -math.inf

    def submit(self, request: Cue, channel: str, outcome: SimulatedOutcome, now: float) -> None:
        """Have the channel's arbiter decide."""
        self._now, stage = now, self._stages[channel]
        start = stage.arbiter.take(request, now)
        if isinstance(start, Ruling):
            outcome.settle(start)
            return
        run = _Run(stage.arbiter.run(start, now), outcome)
        stage.runs.append(run)
        self._go_on(stage, run, None)
        self._wake(stage)

    def cancel(self, channel: str, begins: float, now: float) -> None:
        """Close the break of that time."""
        self._now, stage = now, self._stages[channel]
        stage.arbiter.cancel(begins + stage.arbiter.policy.delay, now)
        self._wake(stage)

    def advance(self, until: float) -> None:
        """Let all starts go on that are due until an instant."""
        while self._alarms and self._alarms[0][0] <= until:
            self._now, _, stage = heapq.heappop(self._alarms)
            self._wake(stage)
        self._now = max(self._now, until)

    def totals(self, outcomes: Sequence[SimulatedOutcome]) -> tuple[str, Mapping[str, Any]]:
        """How many commercials there were, and how long they were together."""
        fired = [one for one in outcomes if one.verdict is Verdict.FIRED]
        seconds = sum(one.asked or 0 for one in fired)
        return f"Commercials: {len(fired)}, {seconds} s", {"commercialSeconds": seconds}

    def _wake(self, stage: _Stage) -> None:
        """Something changed, or is due: let all that wait judge anew."""
        for run in list(stage.runs):
            self._go_on(stage, run, Reply(self._now))
        # What was dropped by one that came after it has its say now.
        stage.arbiter.ended(self._now)

    def _go_on(self, stage: _Stage, run: _Run, reply: Reply | None) -> None:
        try:
            step = next(run.run) if reply is None else run.run.send(reply)
            while not isinstance(step, Wait):
                step = run.run.send(self._answer(stage, run, step))
        except StopIteration as end:
            stage.runs.remove(run)
            run.outcome.settle(end.value)
            return
        if step.until != run.until and step.until < math.inf:
            heapq.heappush(self._alarms, (step.until, next(self._order), stage))
        run.until = step.until

    def _answer(self, stage: _Stage, run: _Run, step: Step) -> Reply:
        if isinstance(step, ReadLastAd):
            return Reply(self._now, last_ad_known=True, last_ad=stage.last_ad)
        if not isinstance(step, Call):
            return Reply(self._now)
        if stage.last_ad is not None and self._now < stage.last_ad + COOLDOWN:
            return Reply(self._now, answer=Answer(AnswerKind.COOLDOWN, "recently ran a commercial"))
        stage.last_ad = run.outcome.called = self._now
        run.outcome.asked = step.length
        answer = Answer(AnswerKind.ACCEPTED, "", COOLDOWN, step.length)
        return Reply(self._now, answer=answer)
