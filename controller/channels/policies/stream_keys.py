"""What the Secret with a channel's stream key needs next: a pure function of what is known.

A key in hand is written before a newer one is asked for, so that a Secret that somebody deleted is
back though Twitch is away.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.policies import problems
from controller.policies.clocks import is_ahead
from controller.policies.problems import Blocked
from controller.policies.rest import Rest
from controller.resources.twitchchannel import STREAM_KEY_SCOPE

__all__ = [
    "Plan",
    "Read",
    "StreamKeyFacts",
    "Write",
    "failing",
    "owner_refused",
    "plan",
    "refused",
]

_FIELD = "spec.streamKeySecretName"
_READ_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class StreamKeyFacts:
    """What is known about a channel's stream key.

    Attributes:
        name: Of the Secret.
        command: What to run for a new consent.
        foreign: There is a Secret of that name, and it is not the operator's for this.
        granted: There is a token to ask with, and it is known whose it is.
        allowed: The grant has the scope.
        read_at: When the key in hand was read; None: none is in hand.
        stored: The Secret holds the key in hand.
        jitter: 0..1, steady for the channel.
    """

    name: str
    command: str
    foreign: bool
    granted: bool
    allowed: bool
    read_at: float | None
    stored: bool
    jitter: float


@dataclass(frozen=True, slots=True)
class Read:
    """Ask Twitch for the key."""


@dataclass(frozen=True, slots=True)
class Write:
    """Put the key in hand into the Secret."""


Plan = Rest | Read | Write


def plan(facts: StreamKeyFacts, now: float, interval: float) -> Plan:
    """The next step for a stream key.

    Args:
        facts: What is known.
        now: The present time.
        interval: Seconds between two reads of the key.
    """
    if facts.foreign:
        return Rest(None, _foreign(facts.name))
    if facts.read_at is not None and not facts.stored:
        return Write()
    if not facts.granted:
        return Rest(None, None if facts.stored else _waiting())
    if not facts.allowed:
        return Rest(None, _scope_missing(facts.command))
    if facts.read_at is None or is_ahead(facts.read_at, now):
        return Read()
    due = facts.read_at + interval * (1 - _READ_JITTER * facts.jitter)
    return Read() if now >= due else Rest(due)


def failing(told: str) -> Blocked:
    """Something that may pass keeps the key from its Secret."""
    return Blocked("TransientError", f"{_FIELD}: {told}; retrying", human=False)


def refused(told: str) -> Blocked:
    """The API server refuses the Secret, for a reason that does not pass."""
    return problems.secret_refused(f"{_FIELD}: {told}")


def owner_refused(name: str, told: object) -> Blocked:
    """The Secret is stored, but is not owned by the channel."""
    return problems.owner_refused(_FIELD, name, told)


def _foreign(name: str) -> Blocked:
    message = (
        f"{_FIELD}: Secret {name} exists and was not made by the operator for this channel's stream"
        f" key; it is not touched: delete it, or set {_FIELD} to another name"
    )
    return Blocked("Conflict", message, human=True)


def _scope_missing(command: str) -> Blocked:
    message = (
        f"{_FIELD} needs the scope {STREAM_KEY_SCOPE}, which the grant lacks: let the broadcaster"
        f" consent again: {command}"
    )
    return Blocked("ScopeMissing", message, human=True)


def _waiting() -> Blocked:
    message = f"{_FIELD}: the stream key is fetched once the channel is authorized"
    return Blocked("AuthorizationPending", message, human=False)
