"""What was decided about an event, for one rule and one channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.events import Decision
from controller.tracing.identity import CueIdentity
from controller.triggers.policies.deciding import latency_of

if TYPE_CHECKING:
    from controller.channels.channel import Channel
    from controller.events import Event, Progress
    from controller.triggers.policies.deciding import Matched
    from controller.triggers.rule import Rule

__all__ = ["Decided"]


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, or what there is to tell before it.

    Attributes:
        rule: Of the rule that the event matched; it may be gone by now.
        channel: Of those that it is for; None: there is none.
        event: The event.
        matched: What the rule made of it.
        progress: What came of that.
    """

    rule: Rule
    channel: Channel | None
    event: Event
    matched: Matched
    progress: Progress

    @property
    def identity(self) -> CueIdentity:
        """What tells the cue from all others."""
        key = self.rule.resource.key
        return CueIdentity(key.namespace, key.name, self.matched.cue_id, self.event.published)

    def decision(self, now: float, monotonic: float) -> Decision:
        """The same as facts, at a moment on both clocks."""
        channel, action, progress = self.channel, self.matched.action, self.progress
        due = None
        if channel is not None and action is not None:
            due = action.due(self.matched.outcome, channel)
        ahead = due - now if due is not None else 0.0
        then = monotonic if progress.called_at is None else progress.called_at
        return Decision(
            self.matched.cue_id,
            now,
            progress.ruling.verdict,
            progress.ruling.detail,
            latency_of(self.event.received, monotonic + ahead, then),
            channel.resource.key.name if channel is not None else None,
        )
