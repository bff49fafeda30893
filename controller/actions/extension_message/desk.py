"""Which message goes out: each once, in its form, and no more than Twitch takes.

Without I/O and without a clock: the operator sends by it, and a backtest asks what would be sent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.actions.extension_message.ledger import Ledger
from controller.events import Ruling, Verdict
from controller.policies.buckets import Buckets
from controller.rules.payloads import Refusal
from controller.rules.times import clock

if TYPE_CHECKING:
    from controller.actions.base import DoneBefore
    from controller.actions.extension_message.message import Message

__all__ = ["MessageDesk", "RuleChannel"]

_UNSENT = Ruling(
    Verdict.UNKNOWN,
    "published before this process of the operator began: whether the one before it sent the"
    " message is not known, and it goes out at most once",
)


@dataclass(frozen=True, slots=True)
class RuleChannel:
    """Whose message it is: of one rule, on one channel.

    Attributes:
        rule: Identity of the rule.
        channel: Name of the channel, in the rule's namespace; "": all of them.
        dry_run: Rehearsals are counted by themselves.
    """

    rule: str
    channel: str
    dry_run: bool = False


class MessageDesk:
    """Judges the messages of all rules."""

    def __init__(self) -> None:
        self._ledger: Ledger[RuleChannel] = Ledger()
        self._buckets: Buckets[tuple[str, str, bool]] = Buckets()

    def turned_away(self, line: RuleChannel, message: Message, now: float) -> Ruling | None:
        """Whether a message is too old, was sent before, or may have been.

        What a former process may have sent is remembered as if it had.
        """
        repeats = self._ledger.repeats(line, message) or self._ledger.repeats(
            replace(line, channel=""), message
        )
        if message.past and repeats is None:
            self._ledger.note(line, message, now)
        return message.too_old(now) or repeats or (_UNSENT if message.past else None)

    def recall(self, line: RuleChannel, sent: DoneBefore, now: float) -> None:
        """Remember what a former process sent; the oldest comes first."""
        self._ledger.recall(line, sent, now)

    def admit(
        self, line: RuleChannel, message: Message, client_id: str, to: str, now: float
    ) -> str | Ruling:
        """Let a message out, unless something speaks against it.

        Args:
            line: Whose it is.
            message: One that was not turned away.
            client_id: Of the extension.
            to: The channel's id; `EVERYWHERE` for a global message.
            now: The present time.

        Returns:
            The envelope to send, and none is let out for this event again; or a ruling, which for
            a dry run says what would have been sent.
        """
        text = message.written
        if isinstance(text, Refusal):
            return Ruling(Verdict.FAILED, text.reason)
        wait = self._buckets.use((client_id, to, message.dry_run)).take(now)
        if wait:
            return _spent(now + wait)
        self._ledger.note(line, message, now)
        if message.dry_run:
            return Ruling(Verdict.DRY_RUN, f"it would send {message.described(text)}")
        return text

    def drain(self, client_id: str, to: str, now: float) -> None:
        """Twitch takes no more for the moment."""
        self._buckets.use((client_id, to, False)).drain(now)

    def take_back(self, line: RuleChannel, message: Message) -> None:
        """A message that was let out did not leave: one that repeats it may."""
        self._ledger.undo(line, message)


def _spent(until: float) -> Ruling:
    limit = "Twitch takes 100 messages of an extension for a channel at once, and 1 a second"
    return Ruling(Verdict.BUDGET_SPENT, f"{limit}: the next at {clock(until)}")
