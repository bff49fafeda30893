"""Messages in a backtest: all are taken, as Twitch would take them of extensions in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.actions.extension_message.desk import MessageDesk, RuleChannel
from controller.actions.extension_message.message import EVERYWHERE, Message
from controller.actions.simulation import Simulator
from controller.events import Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.actions.simulation import SimulatedOutcome

__all__ = ["MessageSimulator"]


class MessageSimulator(Simulator[Message]):
    """Judges messages as the operator does."""

    def __init__(self) -> None:
        self._desk = MessageDesk()

    def submit(self, request: Message, channel: str, outcome: SimulatedOutcome, now: float) -> None:
        """Decide about a message."""
        line = RuleChannel(outcome.rule, channel)
        to = EVERYWHERE if request.is_global else channel
        judged = self._desk.turned_away(line, request, now) or self._desk.admit(
            line, request, request.extension, to, now
        )
        if isinstance(judged, str):
            judged = Ruling(Verdict.FIRED, request.described(judged))
            outcome.called = now
        outcome.settle(judged)

    def totals(self, outcomes: Sequence[SimulatedOutcome]) -> tuple[str | None, Mapping[str, Any]]:
        """How many messages there were."""
        count = sum(one.verdict is Verdict.FIRED for one in outcomes)
        return f"Messages: {count}" if count else None, {"messages": count}
