"""A TriggerRule that runs: its compiled form, what it decided, its status."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.engine.conditions import to_conditions
from controller.errors import InvalidExpression
from controller.events import Decision, Verdict
from controller.policies.conditions import RuleFacts, rule_findings
from controller.policies.problems import Blocked
from controller.resources.common import InvalidSpec
from controller.resources.triggerrule import (
    RECENT_DECISIONS,
    Counts,
    RecentDecision,
    TriggerRuleSpec,
    TriggerRuleStatus,
)
from controller.rules.compiled import compile_rule
from controller.rules.deciding import RulePolicy, decide, is_old_news

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.engine.channels import Channel
    from controller.engine.resource import Resource
    from controller.events import Event
    from controller.feeds.health import FeedHealth
    from controller.feeds.pubnub import PubNubKeys
    from controller.rules.compiled import CompiledRule
    from controller.rules.deciding import Matched

__all__ = ["Rule", "result_of"]

_FAILED = {Verdict.FAILED, Verdict.UNKNOWN}


def result_of(verdict: Verdict) -> str:
    """Which of the counts a verdict belongs to: fired, skipped or failed."""
    if verdict is Verdict.FIRED:
        return "fired"
    return "failed" if verdict in _FAILED else "skipped"


class Rule:
    """One rule.

    Args:
        resource: As the API server holds it.
        started: When this process began.
        surroundings: Finds the rule's channel and the health of its feed.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be.
        compiled: None where spec or an expression is wrong.
        keys: The feed's key set; None: not known (yet).
        feed_blocked: Why the key set cannot be read.
        concluded: There is something to tell.
        status: As last written, or as found.
    """

    def __init__(
        self,
        resource: Resource,
        started: float,
        surroundings: Callable[[Rule], tuple[Channel | None, FeedHealth | None]],
    ) -> None:
        self._surroundings = surroundings
        self.status = TriggerRuleStatus.from_status(resource.status)
        self.resource = resource
        self.spec: TriggerRuleSpec | None = None
        self.compiled: CompiledRule | None = None
        self.keys: PubNubKeys | None = None
        self.feed_blocked: Blocked | None = None
        self.concluded = False
        self.seen_at = time.time()
        self._started = started
        # On this machine's clock; the API server's may be ahead.
        self._created = min(resource.created, self.seen_at)
        self._since: dict[str, float] = {}
        self._named: tuple[str, ...] | None = None
        self._problem: Blocked | None = None
        self._policy = RulePolicy(max_age=0, dry_run=True, suspended=True)
        self._counts = self.status.counts or Counts()
        self._decisions = deque(self.status.recent_decisions, RECENT_DECISIONS)
        self._told = frozenset(decision.event_id for decision in self._decisions)
        self._last_event = self._told_until = self.status.last_event_time
        self._last_fired = self.status.last_fired_time
        self.update(resource)

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        self.resource = resource
        self.spec = self.compiled = None
        try:
            self.spec = spec = TriggerRuleSpec.from_spec(resource.spec)
            self._policy = RulePolicy(spec.max_age, spec.mode == "DryRun", spec.suspend)
            self.compiled = compile_rule(spec)
            self._problem = None
        except InvalidSpec as error:
            self._problem = Blocked("InvalidSpec", str(error), human=True)
        except InvalidExpression as error:
            self._problem = Blocked("InvalidExpression", str(error), human=True)
        self._note_topics()

    def _note_topics(self) -> None:
        """What was said on a topic before the rule named it was not meant for it."""
        usable = self.spec if self.compiled is not None else None
        named = usable.feed.pubnub.topics if usable is not None else ()
        if self._named is not None:
            new = {topic: time.time() for topic in named if topic not in self._named}
            self._since = {t: at for t, at in self._since.items() if t in named} | new
        self._named = named

    @property
    def topics(self) -> tuple[str, ...]:
        """What it listens to: nothing where it cannot be used."""
        usable = self.compiled is not None and self.keys is not None
        return self.spec.feed.pubnub.topics if self.spec is not None and usable else ()

    @property
    def window(self) -> float:
        """Seconds of the past in which a cue may still fire."""
        return self._policy.max_age

    def decide(self, event: Event, now: float) -> Matched | None:
        """Decide about an event that matches; None: it was dealt with before."""
        if self.compiled is None:
            return None
        matched = decide(self.compiled, self._policy, event, now)
        old = is_old_news(
            matched,
            event,
            created=self._since.get(event.topic, self._created),
            started=self._started,
            decided=self._told,
            last_event=self._told_until,
        )
        return None if old else matched

    def record(self, decision: Decision, event_time: float) -> None:
        """Keep a decision for the status."""
        result = result_of(decision.verdict)
        counts = self._counts
        self._counts = counts.with_changes(
            matched=counts.matched + 1, **{result: getattr(counts, result) + 1}
        )
        # A clock of the playout system that is ahead must not hide what comes after.
        self._last_event = max(self._last_event or 0.0, min(event_time, decision.time))
        if decision.verdict is Verdict.FIRED:
            self._last_fired = decision.time
        self._decisions.appendleft(
            RecentDecision(
                event_id=decision.event_id,
                time=decision.time,
                verdict=decision.verdict.value,
                detail=decision.detail,
                latency_milliseconds=round(decision.latency * 1000, 1),
            )
        )

    @property
    def suspended(self) -> bool:
        """Whether the user paused it."""
        return self.spec is not None and self.spec.suspend

    @property
    def usable(self) -> bool:
        """Whether spec and expressions are right."""
        return self._problem is None

    def compose(self, now: float) -> TriggerRuleStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    def written(self, status: TriggerRuleStatus, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self.status = status
        self.resource = replace(self.resource, status=body)

    def _new_status(self, now: float) -> TriggerRuleStatus:
        channel, health = self._surroundings(self)
        findings = rule_findings(
            RuleFacts(
                problem=self._problem,
                suspended=self.spec is not None and self.spec.suspend,
                feed_blocked=self.feed_blocked,
                feed_connected=health.connected if health is not None else None,
                feed_reason=health.reason if health is not None else "Connecting",
                feed_message=self._feed_message(health),
                channel=self.spec.channel_ref.name if self.spec is not None else "",
                channel_ready=channel.ready if channel is not None else None,
            )
        )
        commercials = channel.arbiter if channel is not None else None
        return TriggerRuleStatus(
            observed_generation=self.resource.generation,
            last_handled_reconcile_at=self.resource.requested_at,
            conditions=to_conditions(
                findings, self.status.conditions, self.resource.generation, now
            ),
            last_event_time=self._last_event,
            last_fired_time=self._last_fired,
            retry_after_seconds=_whole(commercials.retry_after) if commercials else None,
            next_eligible_time=commercials.next_eligible if commercials else None,
            counts=self._counts,
            recent_decisions=tuple(self._decisions),
        )

    def _feed_message(self, health: FeedHealth | None) -> str:
        if health is None or self.spec is None:
            return "the feed is being connected"
        if health.reason != "AccessDenied":
            return health.message
        name = self.spec.feed.pubnub.secret_ref.name
        return (
            f"{health.message}: check subscribe-key and auth-key in Secret {name}"
            " (spec.feed.pubnub.secretRef) and the topics' access"
        )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
