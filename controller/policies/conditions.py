"""Conditions from facts: ordered checks, each answering with a reason and the remedy.

`Ready` is the summary. `Stalled` is True if and only if a human must change something;
`Reconciling` is True while waiting for what may come by itself. A channel that cools down or is off
air is Ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controller.policies.grants import COMMERCIAL_SCOPE, READ_ADS_SCOPE, Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ChannelFacts",
    "Finding",
    "RuleFacts",
    "channel_findings",
    "ready_of",
    "rule_findings",
]

Status = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition without its bookkeeping.

    Attributes:
        type: Such as Ready.
        status: True, False or Unknown.
        reason: CamelCase.
        message: For the user; names the field and the remedy.
        human: Where it is not True: a human must change something.
    """

    type: str
    status: Status
    reason: str
    message: str
    human: bool = False


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is known about a channel.

    Attributes:
        spec_problem: Why the spec cannot be read; None: it can.
        suspended: `spec.suspend`.
        blocked: Why there is no grant to use.
        failure: What passed wrong last, if it may pass.
        token_lives: There is an access token whose time is not over.
        scopes: Of the grant.
        wanted_login: `spec.login`.
        refused_input: Twitch's words about a new refresh token, while the former grant is in use.
        login: Of the grant's user; None: not known yet.
        broadcaster_type: partner, affiliate or empty; None: not known yet.
        rival: The channel that holds the same broadcaster and is older.
        live: Whether a stream runs; None: not known.
    """

    spec_problem: str | None
    suspended: bool
    blocked: Blocked | None
    failure: str | None
    token_lives: bool
    scopes: tuple[str, ...]
    refused_input: str | None
    wanted_login: str | None
    login: str | None
    broadcaster_type: str | None
    rival: str | None
    live: bool | None


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What is known about a rule.

    Attributes:
        problem: Why the rule cannot be used: a spec or an expression that is wrong.
        suspended: `spec.suspend`.
        feed_blocked: Why the feed's key set cannot be read.
        feed_connected: None: not known yet.
        feed_reason: CamelCase.
        feed_message: For the user.
        channel: Name of the channel.
        channel_ready: The channel's own Ready; None: there is no such channel.
    """

    problem: Blocked | None
    suspended: bool
    feed_blocked: Blocked | None
    feed_connected: bool | None
    feed_reason: str
    feed_message: str
    channel: str
    channel_ready: Finding | None


def channel_findings(facts: ChannelFacts) -> tuple[Finding, ...]:
    """All conditions of a TwitchChannel."""
    authorized, live = _authorized(facts), _live(facts.live)
    return _with_summary((authorized, live), _channel_ready(facts, authorized), facts.suspended)


def rule_findings(facts: RuleFacts) -> tuple[Finding, ...]:
    """All conditions of a TriggerRule."""
    feed = _feed(facts)
    return _with_summary((feed,), _rule_ready(facts, feed), facts.suspended)


def ready_of(findings: Iterable[Finding]) -> Finding:
    """The summary among the conditions."""
    return next(finding for finding in findings if finding.type == "Ready")


def _with_summary(
    parts: tuple[Finding, ...],
    ready: Finding,
    suspended: bool,
) -> tuple[Finding, ...]:
    wrong = ready.status != "True" and ready.reason != "Suspended"
    return (
        ready,
        *parts,
        _flag("Suspended", suspended, "Suspended" if suspended else "Active", ""),
        _flag("Reconciling", wrong and not ready.human, ready.reason, ready.message),
        _flag("Stalled", wrong and ready.human, ready.reason, ready.message),
    )


def _flag(kind: str, on: bool, reason: str, message: str) -> Finding:
    return Finding(kind, "True", reason, message) if on else Finding(kind, "False", reason, "")


def _authorized(facts: ChannelFacts) -> Finding:
    problem = _unusable(facts) or _unfit(facts)
    if problem is not None:
        return problem
    message = f"authorized by {facts.login}"
    if facts.refused_input is not None:
        message = (
            f"authorized by {facts.login}, by the former grant: the new refresh token in the Secret"
            f" of spec.authorization.refreshToken is refused ({facts.refused_input}); correct it"
        )
    elif READ_ADS_SCOPE not in facts.scopes:
        message = (
            f"without the scope {READ_ADS_SCOPE} it cannot be confirmed that a commercial ran:"
            f" {_CONSENT} with both scopes"
        )
    return _authorization("True", "Succeeded", message)


def _authorization(status: Status, reason: str, message: str, *, human: bool = False) -> Finding:
    return Finding("Authorized", status, reason, message, human)


def _unusable(facts: ChannelFacts) -> Finding | None:
    """Why there is no grant that a call could be signed with."""
    if facts.spec_problem is not None:
        return _authorization("False", "InvalidSpec", facts.spec_problem, human=True)
    if facts.blocked is not None:
        reason, message = facts.blocked.reason, facts.blocked.message
        return _authorization("False", reason, message, human=facts.blocked.human)
    if not facts.token_lives and facts.failure is not None:
        return _authorization("False", "TransientError", f"{facts.failure}; it is tried again")
    if not facts.token_lives or facts.login is None:
        told = facts.failure or "the grant is being fetched"
        return _authorization("Unknown", "AuthorizationPending", told)
    return None


def _unfit(facts: ChannelFacts) -> Finding | None:
    """Why the grant is not the one that is needed."""
    if COMMERCIAL_SCOPE not in facts.scopes:
        message = f"the grant lacks the scope {COMMERCIAL_SCOPE}: {_CONSENT} with it"
        return _authorization("False", "ScopeMissing", message, human=True)
    if facts.wanted_login is not None and facts.wanted_login != facts.login:
        message = (
            f"the grant is of {facts.login}, spec.login is {facts.wanted_login}: correct spec.login"
            " or give the grant of that broadcaster"
        )
        return _authorization("False", "LoginMismatch", message, human=True)
    if facts.rival is not None:
        message = f"TwitchChannel {facts.rival} has this broadcaster: delete one of the two"
        return _authorization("False", "Conflict", message, human=True)
    return None


_CONSENT = "let the broadcaster consent anew"


def _live(live: bool | None) -> Finding:
    if live is None:
        return Finding("Live", "Unknown", "NotChecked", "")
    if live:
        return Finding("Live", "True", "Streaming", "")
    return Finding("Live", "False", "NotStreaming", "a commercial runs only while a stream is live")


def _channel_ready(facts: ChannelFacts, authorized: Finding) -> Finding:
    if facts.suspended:
        message = "spec.suspend is true: cues start nothing, the grant is kept alive"
        return Finding("Ready", "False", "Suspended", message)
    if authorized.status != "True":
        return Finding("Ready", "False", authorized.reason, authorized.message, authorized.human)
    if not facts.broadcaster_type:
        message = (
            f"{facts.login} is neither affiliate nor partner: Twitch runs no commercials on the"
            " channel until it is"
        )
        return Finding("Ready", "False", "NotEligible", message, human=True)
    return Finding("Ready", "True", "Succeeded", authorized.message)


def _feed(facts: RuleFacts) -> Finding:
    if facts.feed_blocked is not None:
        blocked = facts.feed_blocked
        return Finding("FeedConnected", "False", blocked.reason, blocked.message, blocked.human)
    if facts.feed_connected is None:
        return Finding("FeedConnected", "Unknown", facts.feed_reason, facts.feed_message)
    status: Status = "True" if facts.feed_connected else "False"
    human = facts.feed_reason == "AccessDenied"
    return Finding("FeedConnected", status, facts.feed_reason, facts.feed_message, human)


def _rule_ready(facts: RuleFacts, feed: Finding) -> Finding:
    if facts.problem is not None:
        return Finding("Ready", "False", facts.problem.reason, facts.problem.message, human=True)
    if facts.suspended:
        message = "spec.suspend is true: matching events start nothing"
        return Finding("Ready", "False", "Suspended", message)
    if feed.status != "True":
        return Finding("Ready", "False", feed.reason, feed.message, feed.human)
    name, channel = facts.channel, facts.channel_ready
    if channel is None:
        message = f"spec.channelRef: TwitchChannel {name} does not exist; it is waited for"
        return Finding("Ready", "False", "ChannelNotFound", message)
    if channel.status != "True":
        told = f"TwitchChannel {name} is not ready ({channel.reason}): {channel.message}"
        return Finding("Ready", "False", "ChannelNotReady", told)
    return Finding("Ready", "True", "Succeeded", f"listening, for TwitchChannel {name}")
