"""Conditions of a TriggerRule, from facts; see `controller.channels.policies.conditions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.policies.findings import Finding, with_summary
from controller.resources.common import rfc3339

if TYPE_CHECKING:
    from controller.policies.findings import Status
    from controller.policies.problems import Blocked

__all__ = ["EXPRESSION_FAILED", "MOST_SKEW", "TOO_EXPENSIVE", "RuleFacts", "rule_findings"]

MOST_SKEW = 5.0
"""Seconds by which the event's own clock may be off the feed's."""

EXPRESSION_FAILED = "ExpressionFailed"
"""Reason of a rule whose `when` cannot be right."""


TOO_EXPENSIVE = "TooExpensive"
"""Reason of a rule that took too much CPU for an event."""


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What is known about a rule.

    Attributes:
        problem: Why the rule cannot be used: a spec or an expression that is wrong.
        expression: Why `when` fails for the events that it meets; None: it does not.
        suspended: `spec.suspend`.
        feed_blocked: Why the feed's key set cannot be read.
        feed_connected: None: not known yet.
        feed_reason: CamelCase.
        feed_message: For the user.
        feed_remedy: What a human must do about it; None: nothing, it may pass.
        channel: Name of the channel; None: a selector picks them.
        channel_ready: The channel's own Ready; None: there is no such channel. Of those that a
            selector picks: of one that is Ready, if there is one.
        selected: How many channels the selector picks.
        unready: Name of the channel whose Ready is told, where a selector picks it.
        namespace: Of the rule, and of all that it names.
        silent_since: When the feed last brought anything, if that is longer ago than expectEvery.
        skew: Seconds by which the event's own clock is ahead of the feed's (negative: behind).
        lacks: Why its action cannot be done on any channel, as its Ready.
        means: What its action is done by, such as "by ExtensionApp deck-tracker".
    """

    problem: Blocked | None
    suspended: bool
    feed_blocked: Blocked | None
    feed_connected: bool | None
    feed_reason: str
    feed_message: str
    channel: str | None
    channel_ready: Finding | None
    expression: str | None = None
    feed_remedy: str | None = None
    selected: int = 1
    unready: str = ""
    namespace: str = ""
    silent_since: float | None = None
    skew: float | None = None
    lacks: Finding | None = None
    means: str = ""


def rule_findings(facts: RuleFacts) -> tuple[Finding, ...]:
    """All conditions of a TriggerRule."""
    feed, skew = _feed(facts), _clock_skew(facts)
    parts = (feed,) if skew is None else (feed, skew)
    return with_summary(parts, _rule_ready(facts, feed), facts.suspended)


def _feed(facts: RuleFacts) -> Finding:
    if facts.feed_blocked is not None:
        blocked = facts.feed_blocked
        return Finding("FeedConnected", "False", blocked.reason, blocked.message, blocked.human)
    if facts.feed_connected is None and facts.problem is not None:
        message = "not subscribed until the rule is corrected: see the condition Ready"
        return Finding("FeedConnected", "Unknown", "NotListening", message)
    if facts.feed_connected is None:
        return Finding("FeedConnected", "Unknown", facts.feed_reason, facts.feed_message)
    status: Status = "True" if facts.feed_connected else "False"
    message, remedy = facts.feed_message, facts.feed_remedy
    if remedy is not None:
        message = f"{message}: {remedy}"
    return Finding("FeedConnected", status, facts.feed_reason, message, remedy is not None)


def _rule_ready(facts: RuleFacts, feed: Finding) -> Finding:
    if facts.problem is not None:
        return Finding("Ready", "False", facts.problem.reason, facts.problem.message, human=True)
    if facts.suspended:
        message = "spec.suspend is true: matching events start nothing"
        return Finding("Ready", "False", "Suspended", message)
    if facts.expression is not None:
        return Finding("Ready", "False", EXPRESSION_FAILED, facts.expression, human=True)
    if feed.status != "True":
        return Finding("Ready", "False", feed.reason, feed.message, feed.human)
    if facts.silent_since is not None:
        since = rfc3339(round(facts.silent_since))
        message = (
            f"nothing was heard on the topics since {since}, and spec.expectEvery wants more: see"
            " whether the playout system publishes, and on which topics"
        )
        return Finding("Ready", "False", "FeedStale", message)
    return facts.lacks or _target_ready(facts)


def _target_ready(facts: RuleFacts) -> Finding:
    name, channel = facts.channel, facts.channel_ready
    if channel is None:
        message = (
            f"spec.channelSelector picks no TwitchChannel of namespace {facts.namespace}: label"
            " one, or correct the selector; retrying until one matches"
            if name is None
            else f"spec.channelRef: TwitchChannel {name} does not exist in namespace"
            f" {facts.namespace}; retrying until it exists"
        )
        return Finding("Ready", "False", "ChannelNotFound", message)
    told = f"TwitchChannel {name or facts.unready} is not ready ({channel.reason}): "
    target, number = f"TwitchChannel {name}", facts.selected
    if name is None:
        target = f"{number} TwitchChannel{'s' if number != 1 else ''}"
        if number > 1:
            told = f"none of the {target} that spec.channelSelector picks is ready; {told}"
    if channel.status != "True":
        return Finding("Ready", "False", "ChannelNotReady", told + channel.message)
    means = f", {facts.means}" if facts.means else ""
    return Finding("Ready", "True", "Succeeded", f"listening, for {target}{means}")


def _clock_skew(facts: RuleFacts) -> Finding | None:
    if facts.skew is None:
        return None
    if abs(facts.skew) <= MOST_SKEW:
        return Finding("ClockSkew", "False", "InStep", "")
    way = "ahead of" if facts.skew > 0 else "behind"
    seconds = f"{abs(facts.skew):.1f}".removesuffix(".0")
    effect = "counts as now" if facts.skew > 0 else "makes cues late, or Expired"
    message = (
        f"the time in spec.timeField was {seconds} s {way} the feed's, which {effect}: set the"
        " playout system's clock, or remove spec.timeField to count from the publish time"
    )
    return Finding("ClockSkew", "True", "ClockSkew", message)
