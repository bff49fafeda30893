"""What a kind of action is to a backtest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from controller.events import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.events import Ruling
    from controller.resources.commercials import CommercialPolicy

__all__ = ["SimulatedChannel", "SimulatedOutcome", "Simulator"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class SimulatedChannel:
    """A channel of a backtest: its name, its labels, and how its commercials are run."""

    name: str
    labels: Mapping[str, str]
    policy: CommercialPolicy


@dataclass(slots=True)
class SimulatedOutcome:
    """What one event led to in a backtest, for one rule on one channel.

    Attributes:
        time: When the feed took the event in.
        event_id: Identity of the cue.
        topic: Where it came from.
        rule: Name of the rule.
        action: Name of its kind of action.
        channel: Name of the channel; None: there is none for it.
        verdict: What became of it; Waiting until that is known.
        detail: For the user.
        called: When Twitch was asked.
        asked: Seconds of commercial that it was asked for; None: none.
    """

    time: float
    event_id: str
    topic: str
    rule: str
    action: str
    channel: str | None
    verdict: Verdict = Verdict.WAITING
    detail: str = ""
    called: float | None = None
    asked: int | None = None

    def settle(self, ruling: Ruling) -> None:
        """Take what became of it."""
        self.verdict, self.detail = ruling.verdict, ruling.detail


class Simulator(ABC, Generic[R]):
    """Does what rules ask for in a backtest, on a clock of recorded events."""

    @abstractmethod
    def submit(self, request: R, channel: str, outcome: SimulatedOutcome, now: float) -> None:
        """Decide about a request, and settle its outcome, at once or later."""

    def cancel(self, channel: str, begins: float, now: float) -> None:
        """An off cue came into effect on a channel."""

    def advance(self, until: float) -> None:
        """Let all happen that is due until an instant."""

    @abstractmethod
    def totals(self, outcomes: Sequence[SimulatedOutcome]) -> tuple[str | None, Mapping[str, Any]]:
        """Sum up the outcomes of this kind: a line for people, and fields for programs."""
