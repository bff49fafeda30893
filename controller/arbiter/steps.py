"""What an arbiter and whoever drives it say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from controller.events import Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.events import Answer
    from controller.rules.fieldpath import FieldPath

__all__ = [
    "BY_HAND",
    "Call",
    "CheckLive",
    "Cue",
    "CueRecord",
    "ReadLastAd",
    "Readiness",
    "Refresh",
    "Reply",
    "Step",
    "Wait",
]

BY_HAND = ""
"""The rule of a cue that no rule sent: somebody asked for a commercial."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A matched event that asks for a commercial.

    Attributes:
        id: Identity of the cue over repeats and restarts.
        published: When the feed took the announcement in.
        length: Seconds of the break that it announces, as announced.
        max_age: Seconds after it is due beyond which it starts nothing.
        dry_run: Decide and report, call nothing.
        begins: When the break begins, by the event's own clock; None: when it was published.
        rule: Name of the rule; `BY_HAND`: none.
        priority: Of the rule.
        same_as: A second identity: a cue with the same one within `same_within` seconds announces
            the same break.
        same_within: Seconds.
        topic: Where on the feed it came from.
        payload: The event, for the as-run log.
        as_run: Columns of the as-run log and the fields they are taken from; None: the default.
    """

    id: str
    published: float
    length: float
    max_age: float
    dry_run: bool = False
    begins: float | None = None
    rule: str = BY_HAND
    priority: int = 0
    same_as: str | None = None
    same_within: float = 0.0
    topic: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)
    as_run: Mapping[str, FieldPath] | None = field(
        default=None, hash=False, compare=False, repr=False
    )

    def due(self, delay: float) -> float:
        """When a commercial should start, on a channel with this delay."""
        return (self.published if self.begins is None else self.begins) + delay


@dataclass(frozen=True, slots=True)
class CueRecord:
    """A cue that was called for.

    Attributes:
        cue_id: Its identity.
        published: When it was announced.
        started: When Twitch was asked, or when the commercial is known to have begun.
        length: Whole seconds that were asked for.
        result: Fired, Confirmed, Unconfirmed, Unknown or Failed.
        due: When the break began; None: not known, from a status of an older version.
        break_seconds: Of the break on air, as far as it was announced.
        accepted: Seconds that Twitch's answer told; None: it did not.
        rule: Name of the rule that the cue is of.
    """

    cue_id: str
    published: float
    started: float
    length: int
    result: Verdict
    due: float | None = None
    break_seconds: float | None = None
    accepted: int | None = None
    rule: str = BY_HAND


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a channel takes no cues at present.

    Attributes:
        verdict: What its cues are told.
        detail: For the user.
        passing: It will be known in moments: cues wait while they are young.
    """

    verdict: Verdict
    detail: str
    passing: bool = False

    @classmethod
    def of(cls, reason: str, message: str) -> Self:
        """Take a condition that is not True; a reason that is a verdict is not told twice."""
        verdict = _VERDICTS.get(reason)
        if verdict is not None:
            return cls(verdict, message)
        return cls(Verdict.CHANNEL_NOT_READY, f"{reason}: {message}")


_VERDICTS = {each.value: each for each in (Verdict.SUSPENDED, Verdict.PAUSED, Verdict.NOT_ELIGIBLE)}


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back at this instant, or when something about the channel changed.

    Attributes:
        until: The instant; infinite: only when something changes.
        told: What to tell of the cue meanwhile; None: nothing.
    """

    until: float
    told: Ruling | None = None


@dataclass(frozen=True, slots=True)
class ReadLastAd:
    """Ask Twitch when the last ad began."""


@dataclass(frozen=True, slots=True)
class CheckLive:
    """Ask Twitch whether the channel is live."""


@dataclass(frozen=True, slots=True)
class Call:
    """Ask Twitch for a commercial of so many seconds."""

    length: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """The access token was refused: get another."""


Step = Wait | ReadLastAd | CheckLive | Call | Refresh


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a step.

    Attributes:
        now: The present time.
        answer: To `Call`.
        last_ad_known: To `ReadLastAd`: False where it could not be read.
        last_ad: To `ReadLastAd`: when the last ad began; None: none that Twitch tells of.
        unreadable: To `ReadLastAd`: why it could not be read, for the user.
        live: To `CheckLive`: None where that could not be learned.
        refreshed: To `Refresh`: whether there is a new token.
    """

    now: float
    answer: Answer | None = None
    last_ad_known: bool = False
    last_ad: float | None = None
    unreadable: str = ""
    live: bool | None = None
    refreshed: bool = False
