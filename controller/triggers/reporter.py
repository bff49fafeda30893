"""The status of a rule: from what it is, what it decided, and what it depends on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from controller.feeds.registry import FEEDS
from controller.resources.triggerrule import TriggerRuleStatus
from controller.runtime.conditions import to_conditions
from controller.runtime.resource import pack, unpack
from controller.triggers.policies.conditions import RuleFacts, rule_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controller.actions.base import Action
    from controller.channels.channel import Channel
    from controller.feeds.base import FeedHealth
    from controller.policies.findings import Finding
    from controller.policies.problems import Blocked
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.runtime.resource import Resource
    from controller.triggers.history import RuleHistory
    from controller.triggers.topic_memory import Heard

__all__ = ["RuleReporter", "Surroundings"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule depends on beside its own resource.

    Attributes:
        channels: Those that it is for.
        health: Of its feed; None: it listens to none.
        silent_since: When its topics last brought anything; None: it listens to none.
        needed: Whether the resource is ready that its action needs; None: it does not exist, or
            none is needed.
    """

    channels: Sequence[Channel]
    health: FeedHealth | None
    silent_since: Heard | None
    needed: Finding | None = None


class Subject(Protocol):
    """What a reporter must know of a rule."""

    resource: Resource
    spec: TriggerRuleSpec | None
    action: Action[Any] | None
    problem: Blocked | None
    feed_blocked: Blocked | None
    history: RuleHistory

    @property
    def suspended(self) -> bool:
        """Whether the user paused it."""
        ...


class RuleReporter:
    """Tells the status of one rule.

    Args:
        rule: The rule.
        surroundings: Finds what the rule depends on.
        status: As found.

    Attributes:
        concluded: There is something to tell.
        handled: The last request to reconcile that a round has answered.
        status: As last written, or as found.
    """

    __slots__ = ("_rule", "_status", "_surroundings", "concluded", "handled")

    def __init__(
        self,
        rule: Subject,
        surroundings: Callable[[], Surroundings],
        status: TriggerRuleStatus,
    ) -> None:
        self._rule = rule
        self._surroundings = surroundings
        self._status: bytes
        self.handled: str | None
        self.concluded = False
        self.recall(status)

    def recall(self, status: TriggerRuleStatus) -> None:
        """Go on from what another process wrote."""
        self._status = pack(self._rule.resource.status)
        self.handled = status.last_handled_reconcile_at

    @property
    def resource(self) -> Resource:
        """The resource."""
        return self._rule.resource

    @property
    def status(self) -> TriggerRuleStatus:
        """What was last written, or found; few ask for it, so that it is parsed when they do."""
        return TriggerRuleStatus.from_status(unpack(self._status))

    def compose(self, now: float) -> TriggerRuleStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    def written(self, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self._status = pack(body)
        self._rule.resource = self._rule.resource.kept(self._status)

    def is_silent(self) -> bool:
        """Whether the rule's feed brought nothing for longer than it expects."""
        spec = self._rule.spec
        expected = spec.expect_every if spec is not None else None
        since = self._surroundings().silent_since
        if expected is None or since is None:
            return False
        return time.monotonic() - since.monotonic > expected

    def _new_status(self, now: float) -> TriggerRuleStatus:
        rule, history = self._rule, self._rule.history
        around = self._surroundings()
        findings = rule_findings(self._facts(around))
        action = rule.action
        rests, until = (
            action.eligible_again(around.channels) if action is not None else (None, None)
        )
        return TriggerRuleStatus(
            observed_generation=rule.resource.generation,
            last_handled_reconcile_at=self.handled,
            conditions=to_conditions(
                findings, self.status.conditions, rule.resource.generation, now
            ),
            channels=self._target(len(around.channels)),
            last_event_time=history.last_event,
            last_fired_time=history.last_fired,
            retry_after_seconds=None if rests is None else round(rests),
            next_eligible_time=until,
            counts=history.counts.with_changes(expression_errors=history.errors or None),
            recent_decisions=tuple(history.decisions),
            recent_messages=history.messages.told(),
            nearest_miss=history.nearest_miss,
        )

    def _target(self, number: int) -> str | None:
        """Which channels it is for, for the column of that name."""
        spec = self._rule.spec
        if spec is None:
            return None
        if spec.channel_ref is not None:
            return spec.channel_ref.name
        return f"{spec.channel_selector} ({number})"

    def _facts(self, around: Surroundings) -> RuleFacts:
        rule, spec, health = self._rule, self._rule.spec, around.health
        since = around.silent_since
        silent = since.wall if since is not None and self.is_silent() else None
        told = ((channel, self._readiness(channel)) for channel in around.channels)
        one = next((each for each in told if each[1].status == "True"), None)
        if one is None and around.channels:
            one = around.channels[0], self._readiness(around.channels[0])
        reference = spec.channel_ref if spec is not None else None
        action, namespace = rule.action, rule.resource.key.namespace
        return RuleFacts(
            problem=rule.problem,
            expression=rule.history.expression,
            suspended=rule.suspended,
            feed_blocked=rule.feed_blocked,
            feed_connected=health.connected if health is not None else None,
            feed_reason=health.reason if health is not None else "Connecting",
            feed_message=health.message if health is not None else "the feed is being connected",
            feed_remedy=self._feed_remedy(health),
            channel=reference.name if reference is not None else None,
            channel_ready=one[1] if one is not None else None,
            selected=len(around.channels),
            unready=one[0].resource.key.name if one is not None else "",
            namespace=namespace,
            silent_since=silent,
            skew=rule.history.skew if spec is not None and spec.time_field else None,
            lacks=action.lacks(namespace, around.needed) if action is not None else None,
            means=action.means if action is not None else "",
        )

    def _readiness(self, channel: Channel) -> Finding:
        action = self._rule.action
        return action.readiness(channel) if action is not None else channel.ready

    def _feed_remedy(self, health: FeedHealth | None) -> str | None:
        spec = self._rule.spec
        if health is None or spec is None:
            return None
        return FEEDS.of(spec.feed).remedy(spec.feed.spec, health.reason)
