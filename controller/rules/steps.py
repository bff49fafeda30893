"""What an arbiter and whoever drives it say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.events import Answer, Verdict

__all__ = [
    "Call",
    "Cue",
    "CueRecord",
    "ReadLastAd",
    "Readiness",
    "Refresh",
    "Reply",
    "Ruling",
    "Step",
    "Wait",
]


@dataclass(frozen=True, slots=True)
class Cue:
    """A matched event that asks for a commercial.

    Attributes:
        id: Identity of the cue over repeats and restarts.
        published: When the feed took the announcement in.
        length: Whole seconds to ask for when it starts on time.
        max_age: Seconds after it is due beyond which it starts nothing.
        dry_run: Decide and report, call nothing.
        begins: When the break begins, by the event's own clock; None: when it was published.
    """

    id: str
    published: float
    length: int
    max_age: float
    dry_run: bool = False
    begins: float | None = None

    @property
    def due(self) -> float:
        """When a commercial should start."""
        return self.published if self.begins is None else self.begins


@dataclass(frozen=True, slots=True)
class CueRecord:
    """What became of a cue that was called for; `result` is Fired, Unknown or Failed."""

    cue_id: str
    published: float
    started: float
    length: int
    result: Verdict


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why a channel takes no cues at present."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """The end of a run."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back at this instant."""

    until: float


@dataclass(frozen=True, slots=True)
class ReadLastAd:
    """Ask Twitch when the last ad began."""


@dataclass(frozen=True, slots=True)
class Call:
    """Ask Twitch for a commercial of so many seconds."""

    length: int


@dataclass(frozen=True, slots=True)
class Refresh:
    """The access token was refused: get another."""


Step = Wait | ReadLastAd | Call | Refresh


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a step.

    Attributes:
        now: The present time.
        answer: To `Call`.
        last_ad_known: To `ReadLastAd`: False where it could not be read.
        last_ad: To `ReadLastAd`: when the last ad began; None: none that Twitch tells of.
        refreshed: To `Refresh`: whether there is a new token.
    """

    now: float
    answer: Answer | None = None
    last_ad_known: bool = False
    last_ad: float | None = None
    refreshed: bool = False
