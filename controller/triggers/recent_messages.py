"""What a rule sent lately, as its status tells it: the memory over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.actions.base import DoneBefore
from controller.resources.triggerrule import RECENT_MESSAGES, RecentMessage

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["RecentMessages"]

_SAME = 1.0  # seconds; the status has whole milliseconds
_MOST_CHANNELS = 10  # named for one event; beyond, it counts as sent to all


class RecentMessages:
    """The messages of one rule that were sent, or may have been.

    Args:
        found: What a former process left in the status, newest first.

    Attributes:
        before: Identities of the events whose messages a former process told of.
    """

    def __init__(self, found: Iterable[RecentMessage]) -> None:
        found = tuple(found)
        self.before = frozenset(one.event_id for one in found)
        self._kept = list(found)  # newest first

    def add(self, done: DoneBefore, channel: str) -> None:
        """A message was sent to a channel, or may have been."""
        known = next((one for one in self._kept if _is_of(one, done)), None)
        channels = [channel]
        if known is not None:
            self._kept.remove(known)
            channels = sorted({channel, *known.channels}) if known.channels else []
        told = RecentMessage(
            event_id=done.id,
            time=done.begins,
            same_as=done.same_as,
            channels=tuple(channels) if 0 < len(channels) <= _MOST_CHANNELS else None,
        )
        self._kept = [told, *self._kept][:RECENT_MESSAGES]

    def told(self) -> tuple[RecentMessage, ...] | None:
        """For the status, newest first; None: there are none."""
        return tuple(self._kept) or None

    def sent(self) -> list[tuple[str, DoneBefore]]:
        """What was sent to which channel ("": all), oldest first."""
        return [
            (channel, DoneBefore(one.event_id, one.time, one.same_as))
            for one in reversed(self._kept)
            for channel in one.channels or ("",)
        ]


def _is_of(one: RecentMessage, done: DoneBefore) -> bool:
    """Whether it tells of this event; one that came again later has an entry of its own."""
    return one.event_id == done.id and abs(one.time - done.begins) < _SAME
