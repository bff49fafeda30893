"""What travels through the operator: frozen facts, without I/O.

Instants are seconds since the epoch (float), UTC; lengths are whole seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AdSchedule",
    "Answer",
    "AnswerKind",
    "Decision",
    "Event",
    "Progress",
    "Ruling",
    "Verdict",
]


class Verdict(StrEnum):
    """What became of a cue; the words that `kubectl get` shows."""

    FIRED = "Fired"
    DRY_RUN = "DryRun"
    DUPLICATE = "Duplicate"
    SAME_BREAK = "SameBreak"
    EXPIRED = "Expired"
    COOLING_DOWN = "CoolingDown"
    WAITING = "Waiting"
    CANCELLED = "Cancelled"
    TOO_SHORT = "TooShort"
    QUIET_HOURS = "QuietHours"
    BUDGET_SPENT = "BudgetSpent"
    CHANNEL_NOT_READY = "ChannelNotReady"
    NOT_LIVE = "NotLive"
    NOT_ELIGIBLE = "NotEligible"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    OUTRANKED = "Outranked"
    UNKNOWN = "Unknown"
    FAILED = "Failed"
    CONFIRMED = "Confirmed"
    UNCONFIRMED = "Unconfirmed"

    @property
    def started(self) -> bool:
        """Whether Twitch accepted a commercial."""
        return self in (Verdict.FIRED, Verdict.CONFIRMED, Verdict.UNCONFIRMED)


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
        channel: Name of the channel that it is about; None: no channel was found.
    """

    event_id: str
    time: float
    verdict: Verdict
    detail: str
    latency: float
    channel: str | None = None


class AnswerKind(StrEnum):
    """What Twitch said to the call for a commercial, told apart by what follows from it."""

    ACCEPTED = "Accepted"
    COOLDOWN = "Cooldown"
    NOT_LIVE = "NotLive"
    NOT_ELIGIBLE = "NotEligible"
    LENGTH_REFUSED = "LengthRefused"
    UNAUTHORIZED = "Unauthorized"
    SCOPE_MISSING = "ScopeMissing"
    OTHER_USER = "OtherUser"
    """The token is not the broadcaster's: a refresh would bring one of the same user."""
    RATE_LIMITED = "RateLimited"
    REFUSED = "Refused"
    """For a reason that is not understood: the ad schedule may tell more."""
    UNAVAILABLE = "Unavailable"
    """Twitch cannot at present (503), and did nothing as far as is known."""
    ERROR = "Error"
    """Twitch failed (500, 502, 504 and the like), perhaps after it acted."""
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
        length: Seconds of the commercial as an accepting answer tells it; None where it does not.
    """

    kind: AnswerKind
    message: str
    retry_after: float | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class AdSchedule:
    """What Twitch tells of a channel's ads; None: nothing.

    Attributes:
        last_ad: When the last ad began; a fact.
        next_ad: When Twitch's Ads Manager means to run the next; a forecast, minutes off.
        duration: Seconds of that next ad.
        snooze_count: How often that may still be put off.
        preroll_free: Seconds for which new viewers get no ad at their start.
    """

    last_ad: float | None = None
    next_ad: float | None = None
    duration: int | None = None
    snooze_count: int | None = None
    preroll_free: int | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The end of a run."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request for an action has come.

    Attributes:
        ruling: What became of it, or what there is to tell meanwhile.
        called_at: When the first call for it left, on the monotonic clock; None: none did.
        final: Nothing more will come of it.
    """

    ruling: Ruling
    called_at: float | None = None
    final: bool = True
