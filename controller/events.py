"""What travels through the operator: frozen facts, without I/O.

Instants are seconds since the epoch (float), UTC; lengths are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "AnswerKind", "Decision", "Event", "Verdict"]


class Verdict(StrEnum):
    """What became of a cue; the words that `kubectl get` shows."""

    FIRED = "Fired"
    DRY_RUN = "DryRun"
    DUPLICATE = "Duplicate"
    EXPIRED = "Expired"
    COOLING_DOWN = "CoolingDown"
    CHANNEL_NOT_READY = "ChannelNotReady"
    NOT_LIVE = "NotLive"
    NOT_ELIGIBLE = "NotEligible"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a feed.

    Attributes:
        topic: Where on the feed it came from, such as a PubNub channel.
        id: The feed's own identity of it, unique within the topic (PubNub: the timetoken).
        published: When the feed took it in.
        received: When this process got it, on the monotonic clock: for latencies only.
        payload: The JSON object itself.
    """

    topic: str
    id: str
    published: float
    received: float
    payload: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one event for one rule.

    Attributes:
        event_id: The cue's identity: the rule's idField, else the feed's own id.
        time: When it was decided.
        verdict: One word.
        detail: A sentence for the reader of the status; holds no credential.
        latency: Seconds from receipt to the call (or to the verdict where none was made).
    """

    event_id: str
    time: float
    verdict: Verdict
    detail: str
    latency: float


class AnswerKind(StrEnum):
    """What Twitch said to the call for a commercial, told apart by what follows from it."""

    ACCEPTED = "Accepted"
    COOLDOWN = "Cooldown"
    NOT_LIVE = "NotLive"
    UNAUTHORIZED = "Unauthorized"
    SCOPE_MISSING = "ScopeMissing"
    RATE_LIMITED = "RateLimited"
    REFUSED = "Refused"
    NOT_SENT = "NotSent"
    """The connection failed before the request left: nothing can have run."""
    NO_ANSWER = "NoAnswer"
    """The request left, and whether it was acted on is open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call for a commercial.

    Attributes:
        kind: What it means.
        message: Twitch's own words, shortened.
        retry_after: Seconds from now until the next call makes sense; None where nobody said.
    """

    kind: AnswerKind
    message: str
    retry_after: float | None = None
