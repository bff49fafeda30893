"""Rules and channels over recorded events, on a clock of their own: what would have fired.

The arbiters, the matching and the deciding are the operator's own. Twitch is one that accepts
whatever its cooldown allows, on channels that are live and ready.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from controller.arbiter.arbiter import Arbiter
from controller.arbiter.memory import COOLDOWN
from controller.arbiter.steps import Call, ReadLastAd, Reply, Wait
from controller.events import Answer, AnswerKind, Ruling, Verdict
from controller.rules.expressions import lazy_cel_view
from controller.rules.messages import Message
from controller.rules.payloads import Refusal
from controller.rules.selectors import ChannelIndex
from controller.term import Term
from controller.triggers.policies.deciding import RulePolicy, decide, off_cue_time

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from controller.arbiter.steps import Cue, Step
    from controller.events import Event
    from controller.resources.commercials import CommercialPolicy
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.compiled import CompiledRule
    from controller.triggers.policies.deciding import Matched

__all__ = ["Outcome", "SimulatedChannel", "SimulatedRule", "Simulation"]

_CALL_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class SimulatedRule:
    """A rule: its name, its spec, and the same compiled."""

    name: str
    spec: TriggerRuleSpec
    compiled: CompiledRule


@dataclass(frozen=True, slots=True)
class SimulatedChannel:
    """A channel: its name, its labels, and how its commercials are run."""

    name: str
    labels: Mapping[str, str]
    policy: CommercialPolicy


@dataclass(slots=True)
class Outcome:
    """What one event led to, for one rule on one channel.

    Attributes:
        time: When the feed took the event in.
        event_id: Identity of the cue.
        topic: Where it came from.
        rule: Name of the rule.
        channel: Name of the channel; None: there is none for it.
        verdict: What became of it; Waiting until that is known.
        detail: For the user.
        called: When Twitch was asked.
        asked: Seconds of commercial that it was asked for; None: none, or it was a message.
    """

    time: float
    event_id: str
    topic: str
    rule: str
    channel: str | None
    verdict: Verdict = Verdict.WAITING
    detail: str = ""
    called: float | None = None
    asked: int | None = None


@dataclass(slots=True, eq=False)
class _Run:
    """A start on its way."""

    run: Generator[Step, Reply, Ruling]
    outcome: Outcome
    until: float = math.inf


@dataclass(slots=True, eq=False)
class _Stage:
    """A channel that runs."""

    channel: SimulatedChannel
    arbiter: Arbiter
    last_ad: float | None = None
    runs: list[_Run] = field(default_factory=list)


class Simulation:
    """Takes events in the order of time.

    Args:
        rules: Whose `mode` and `suspend` do not count.
        channels: Those that the rules may be for.
        send: Tells what becomes of a message now, by names of rule and channel; without it, each
            goes out.

    Attributes:
        outcomes: What the events led to, in their order.
        events: How many there were.
        matched: How many matched a rule.
        failures: By rule: for how many events it could not be evaluated, and why at the last.
    """

    def __init__(
        self,
        rules: Iterable[SimulatedRule],
        channels: Iterable[SimulatedChannel],
        send: Callable[[str, str, Message, float], Ruling] | None = None,
    ) -> None:
        self._send = send
        self._rules = sorted(rules, key=lambda rule: (-rule.spec.priority, rule.name))
        self._policies = {rule.name: _policy(rule) for rule in self._rules}
        self._stages: dict[str, _Stage] = {}
        self._labels: ChannelIndex[str] = ChannelIndex()
        for channel in channels:
            arbiter = Arbiter(channel.policy, Term(-math.inf), _CALL_TIMEOUT)
            arbiter.readiness = None
            self._stages[channel.name] = _Stage(channel, arbiter)
            self._labels.add(channel.name, "", channel.labels)
        self._alarms: list[tuple[float, int, _Stage]] = []
        self._order = count()
        self._now = -math.inf
        self.outcomes: list[Outcome] = []
        self.events = 0
        self.matched = 0
        self.failures: dict[str, tuple[int, str]] = {}

    def take(self, event: Event) -> None:
        """Let an event happen, and what was due before it."""
        self._advance(event.published)
        self.events += 1
        known = len(self.outcomes)
        off = {rule.name for rule in self._rules if self._cancels(rule, event)}
        view = lazy_cel_view(event.payload)
        for rule in self._rules:
            heard = not event.topic or event.topic in rule.spec.pubnub.topics
            if not heard or rule.name in off:
                continue
            result = rule.compiled.match(event.payload, view)
            if result.matched:
                self._match(rule, event)
            elif result.error is not None:
                self._note_failure(rule, result.error)
        self.matched += len(self.outcomes) > known

    def _note_failure(self, rule: SimulatedRule, reason: str) -> None:
        count, _ = self.failures.get(rule.name, (0, ""))
        self.failures[rule.name] = count + 1, reason

    def finish(self) -> None:
        """Let all happen that is due after the last event."""
        self._advance(math.inf)

    def _advance(self, until: float) -> None:
        while self._alarms and self._alarms[0][0] <= until:
            self._now, _, stage = heapq.heappop(self._alarms)
            self._wake(stage)
        self._now = max(self._now, until)

    def _cancels(self, rule: SimulatedRule, event: Event) -> bool:
        at = off_cue_time(rule.compiled, event, self._now)
        if isinstance(at, Refusal):
            self._note_failure(rule, at.reason)
        if at is None or isinstance(at, Refusal):
            return False
        for stage in self._targets(rule, event):
            stage.arbiter.cancel(at + stage.channel.policy.delay, self._now)
            self._wake(stage)
        return True

    def _match(self, rule: SimulatedRule, event: Event) -> None:
        matched = decide(rule.compiled, self._policies[rule.name], event, self._now)
        stages = self._targets(rule, event)
        if isinstance(matched.outcome, Ruling):
            _settle(self._note(rule, event, matched, None), matched.outcome)
            return
        if not stages:
            told = Ruling(Verdict.CHANNEL_NOT_READY, "the files hold no TwitchChannel for it")
            _settle(self._note(rule, event, matched, None), told)
        for stage in stages:
            outcome = self._note(rule, event, matched, stage)
            if isinstance(matched.outcome, Message):
                self._deliver(stage, matched.outcome, outcome)
            else:
                self._submit(stage, matched.outcome, outcome)

    def _deliver(self, stage: _Stage, message: Message, outcome: Outcome) -> None:
        ruling = Ruling(Verdict.FIRED, message.type)
        if self._send is not None:
            ruling = self._send(outcome.rule, stage.channel.name, message, self._now)
        if ruling.verdict is Verdict.FIRED:
            outcome.called = self._now
        _settle(outcome, ruling)

    def _note(
        self, rule: SimulatedRule, event: Event, matched: Matched, stage: _Stage | None
    ) -> Outcome:
        channel = stage.channel.name if stage is not None else None
        outcome = Outcome(event.published, matched.cue_id, event.topic, rule.name, channel)
        self.outcomes.append(outcome)
        return outcome

    def _targets(self, rule: SimulatedRule, event: Event) -> Sequence[_Stage]:
        selector = rule.spec.channel_selector
        if selector is None:
            name = rule.spec.channel_ref.name if rule.spec.channel_ref is not None else ""
            return [self._stages[name]] if name in self._stages else []
        wanted = rule.compiled.wanted_labels(event.payload)
        names = self._labels.select_for("", selector.match_labels, wanted)
        return [self._stages[name] for name in names]

    def _submit(self, stage: _Stage, cue: Cue, outcome: Outcome) -> None:
        start = stage.arbiter.take(cue, self._now)
        if isinstance(start, Ruling):
            _settle(outcome, start)
            return
        run = _Run(stage.arbiter.run(start, self._now), outcome)
        stage.runs.append(run)
        self._go_on(stage, run, None)
        self._wake(stage)

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
            _settle(run.outcome, end.value)
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


def _policy(rule: SimulatedRule) -> RulePolicy:
    """As if it were in force."""
    spec = rule.spec.model_copy(update={"mode": "Enforce", "suspend": False})
    return RulePolicy.of(rule.name, spec)


def _settle(outcome: Outcome, ruling: Ruling) -> None:
    outcome.verdict, outcome.detail = ruling.verdict, ruling.detail
