"""What an event leads to for one rule: a request for its action, or a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.actions.base import Trigger
from controller.events import Ruling, Verdict
from controller.feeds.registry import FEEDS
from controller.rules.expressions import lazy_cel_view
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from controller.actions.base import Action
    from controller.events import Event
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.compiled import CompiledRule
    from controller.rules.expressions import CelView

__all__ = ["Matched", "RulePolicy", "begins", "decide", "is_old_news", "latency_of", "off_cue_time"]


def _nothing_passed_over(event: Event) -> Ruling | None:
    del event
    return None


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """What a rule says beside its tests.

    Attributes:
        max_age: Seconds after which a cue starts nothing.
        dry_run: Decide and report, call nothing.
        suspended: Decide nothing but that.
        name: Of the rule.
        priority: Between rules that want the same channel at once.
        same_within: Seconds within which the second identity makes two cues one.
        passes_over: Why the rule's feed lets it do nothing about an event; None: it does something.
    """

    max_age: float
    dry_run: bool
    suspended: bool
    name: str = ""
    priority: int = 0
    same_within: float = 0.0
    passes_over: Callable[[Event], Ruling | None] = _nothing_passed_over

    @classmethod
    def of(cls, name: str, spec: TriggerRuleSpec) -> RulePolicy:
        """Read it from a rule."""
        return cls(
            max_age=spec.max_age,
            dry_run=spec.mode == "DryRun",
            suspended=spec.suspend,
            name=name,
            priority=spec.priority,
            same_within=spec.dedupe.window if spec.dedupe is not None else 0.0,
            passes_over=partial(FEEDS.of(spec.feed).passes_over, spec.feed.spec),
        )


@dataclass(frozen=True, slots=True)
class Matched:
    """An event that matched.

    Attributes:
        cue_id: Its identity.
        time: When it happened, by the rule's timeField, else when the feed took it in.
        outcome: What the action asks for, or what became of it already.
        known: The status tells of it already: it is remembered, and nothing is told again.
        action: Whose outcome it is; None: it was not asked.
    """

    cue_id: str
    time: float
    outcome: object | Ruling
    known: bool = False
    action: Action[Any] | None = None


def decide(
    rule: CompiledRule,
    action: Action[Any],
    policy: RulePolicy,
    event: Event,
    now: float,
    view: Callable[[], CelView | Refusal] | None = None,
) -> Matched:
    """Decide about an event that matches a rule.

    Args:
        rule: The rule, compiled.
        action: What it does, compiled.
        policy: What else it says.
        event: The event.
        now: The present time.
        view: Gives the event as CEL sees it, where it was looked at already.
    """
    cue_id = rule.event_id(event.payload, event.id)
    time = rule.event_time(event.payload, event.published)
    if isinstance(time, Refusal):
        return Matched(cue_id, event.published, Ruling(Verdict.FAILED, time.reason))
    if policy.suspended:
        return Matched(cue_id, time, Ruling(Verdict.SUSPENDED, "spec.suspend of the rule is true"))
    passed_over = policy.passes_over(event)
    if passed_over is not None:
        return Matched(cue_id, time, passed_over)
    trigger = Trigger(
        rule=policy.name,
        event=event,
        id=cue_id,
        begins=begins(time, event.published, now),
        max_age=policy.max_age,
        dry_run=policy.dry_run,
        priority=policy.priority,
        same_as=rule.same_as(event.payload),
        same_within=policy.same_within,
        view=view or lazy_cel_view(event.payload),
    )
    return Matched(cue_id, time, action.decide(trigger), action=action)


def begins(time: float, published: float, now: float) -> float:
    """When what an event announces begins: a clock that is ahead keeps no cue young for longer.

    Args:
        time: By the event's own clock.
        published: When the feed took the event in.
        now: The present time.
    """
    return min(time, published, now)


def latency_of(received: float, due: float, then: float) -> float:
    """Return how long an action took, in seconds: what it was to wait for does not count.

    Args:
        received: When the event came.
        due: When the action was to be done: `spec.commercials.delay`, or a break that is announced
            ahead, lets it wait.
        then: When it was done, or decided not to be, on the same clock.
    """
    return then - (due if received < due <= then else received)


def off_cue_time(rule: CompiledRule, event: Event, now: float) -> float | Refusal | None:
    """When an off cue comes into effect; None: the event is none for this rule.

    A refusal tells why it is not known whether it is one.

    Args:
        rule: The rule, compiled.
        event: The event.
        now: The present time.
    """
    cancelled = rule.cancelled_by(event.payload)
    if isinstance(cancelled, Refusal):
        return cancelled
    if not cancelled:
        return None
    time = rule.event_time(event.payload, event.published)
    return begins(event.published if isinstance(time, Refusal) else time, event.published, now)


def is_old_news(  # noqa: PLR0913 - what it depends on
    matched: Matched,
    event: Event,
    *,
    created: float,
    started: float,
    decided: Collection[str],
    last_event: float | None,
    max_age: float,
    now: float,
) -> bool:
    """Whether a matching event needs no word, because it was dealt with before.

    A listener that starts hears the last minutes again. What the rule's status tells already is not
    told twice, and what is older than the rule itself was never meant for it.

    Args:
        matched: What was decided.
        event: The event.
        created: When the rule was made.
        started: When this process began.
        decided: Identities of the decisions that the status tells, and that are final.
        last_event: Time of the newest event that the status tells of.
        max_age: Seconds after which a cue of the rule starts nothing.
        now: The present time.
    """
    if event.published < created:
        return True
    if event.published >= started:
        return False
    if matched.cue_id in decided:
        return True
    expired = now - begins(matched.time, event.published, now) > max_age
    return expired and last_event is not None and matched.time <= last_event
