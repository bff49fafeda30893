"""Rules and channels over recorded events, on a clock of their own: what would have been done.

The matching, the deciding and what each kind of action judges by are the operator's own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.actions.registry import ACTIONS, compile_action
from controller.actions.simulation import SimulatedOutcome
from controller.events import Ruling, Verdict
from controller.feeds.registry import topics_of
from controller.rules.compiled import compile_rule
from controller.rules.expressions import lazy_cel_view
from controller.rules.payloads import Refusal
from controller.rules.selectors import ChannelIndex
from controller.triggers.policies.deciding import RulePolicy, decide, off_cue_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from controller.actions.base import Action
    from controller.actions.simulation import SimulatedChannel
    from controller.events import Event
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.compiled import CompiledRule
    from controller.triggers.policies.deciding import Matched

__all__ = ["SimulatedRule", "Simulation"]


@dataclass(frozen=True, slots=True)
class SimulatedRule:
    """A rule: its name, its spec, the same compiled, and the topics of its feed."""

    name: str
    spec: TriggerRuleSpec
    compiled: CompiledRule
    action: Action[Any]
    topics: tuple[str, ...]

    @classmethod
    def of(cls, name: str, spec: TriggerRuleSpec) -> SimulatedRule:
        """Compile a rule.

        Raises:
            InvalidExpression: It cannot be used; the message names the field.
        """
        return cls(name, spec, compile_rule(spec), compile_action(spec), topics_of(spec.feed))


class Simulation:
    """Takes events in the order of time.

    Args:
        rules: Whose `mode` and `suspend` do not count.
        channels: Those that the rules may be for.

    Attributes:
        outcomes: What the events led to, in their order.
        events: How many there were.
        matched: How many matched a rule.
        failures: By rule: for how many events it could not be evaluated, and why at the last.
    """

    def __init__(
        self, rules: Iterable[SimulatedRule], channels: Sequence[SimulatedChannel]
    ) -> None:
        self._rules = sorted(rules, key=lambda rule: (-rule.spec.priority, rule.name))
        self._policies = {rule.name: _policy(rule) for rule in self._rules}
        self._channels = {channel.name for channel in channels}
        self._simulators = {kind.name: kind.simulator(channels) for kind in ACTIONS}
        self._labels: ChannelIndex[str] = ChannelIndex()
        for channel in channels:
            self._labels.add(channel.name, "", channel.labels)
        self._now = -math.inf
        self.outcomes: list[SimulatedOutcome] = []
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
            heard = not event.topic or event.topic in rule.topics
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
        for simulator in self._simulators.values():
            simulator.advance(until)
        self._now = max(self._now, until)

    def _cancels(self, rule: SimulatedRule, event: Event) -> bool:
        at = off_cue_time(rule.compiled, event, self._now)
        if isinstance(at, Refusal):
            self._note_failure(rule, at.reason)
        if at is None or isinstance(at, Refusal):
            return False
        for channel in self._targets(rule, event):
            self._simulators[rule.action.kind].cancel(channel, at, self._now)
        return True

    def _match(self, rule: SimulatedRule, event: Event) -> None:
        policy, now = self._policies[rule.name], self._now
        matched = decide(rule.compiled, rule.action, policy, event, now)
        channels = self._targets(rule, event)
        if isinstance(matched.outcome, Ruling):
            self._note(rule, event, matched, None).settle(matched.outcome)
            return
        if not channels:
            told = Ruling(Verdict.CHANNEL_NOT_READY, "the files hold no TwitchChannel for it")
            self._note(rule, event, matched, None).settle(told)
        for channel in channels:
            outcome = self._note(rule, event, matched, channel)
            self._simulators[rule.action.kind].submit(matched.outcome, channel, outcome, now)

    def _note(
        self, rule: SimulatedRule, event: Event, matched: Matched, channel: str | None
    ) -> SimulatedOutcome:
        kind = rule.action.kind
        outcome = SimulatedOutcome(
            event.published, matched.cue_id, event.topic, rule.name, kind, channel
        )
        self.outcomes.append(outcome)
        return outcome

    def _targets(self, rule: SimulatedRule, event: Event) -> Sequence[str]:
        selector = rule.spec.channel_selector
        if selector is None:
            name = rule.spec.channel_ref.name if rule.spec.channel_ref is not None else ""
            return [name] if name in self._channels else []
        wanted = rule.compiled.wanted_labels(event.payload)
        return self._labels.select_for("", selector.match_labels, wanted)

    def totals(self) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
        """Sum up, by kind of action: a line for people, and fields for programs."""
        by_kind: dict[str, list[SimulatedOutcome]] = defaultdict(list)
        for outcome in self.outcomes:
            by_kind[outcome.action].append(outcome)
        for kind, simulator in self._simulators.items():
            yield simulator.totals(by_kind[kind])


def _policy(rule: SimulatedRule) -> RulePolicy:
    """As if it were in force."""
    spec = rule.spec.model_copy(update={"mode": "Enforce", "suspend": False})
    return RulePolicy.of(rule.name, spec)
