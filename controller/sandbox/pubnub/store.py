"""The messages of the simulated network: channels, timetokens and buffers. Pure.

A timetoken counts 10⁻⁷ s since the epoch and is handed out once, so that "newer than" is never in
doubt: two publishes in one instant differ, and a publish is newer than every timetoken that an
answer gave away before it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TICKS", "Draft", "Message", "Slice", "Store"]

TICKS = 10_000_000
"""Timetokens in a second."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a publisher hands in.

    Args:
        payload: Any JSON value.
        publisher: The publisher's own id (`uuid`); empty: none.
        metadata: The publisher's `meta`, any JSON value; None: none.
        kind: 0 message, 1 signal, 2 object, 3 action, 4 file.
        custom_type: The publisher's `custom_message_type`; empty: none.
        stored: Whether history keeps it.
    """

    payload: Any
    publisher: str = ""
    metadata: Any = None
    kind: int = 0
    custom_type: str = ""
    stored: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """A draft that the network took, with its place and time."""

    timetoken: int
    channel: str
    draft: Draft


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a channel's history is asked for.

    Args:
        start: Timetoken where reading starts, exclusive; None: at the end that `reverse` names.
        end: Timetoken where reading ends, inclusive; None: no end.
        count: At most so many messages, counted from where reading starts.
        reverse: Read from the oldest on instead of from the newest back.
    """

    start: int | None = None
    end: int | None = None
    count: int = 100
    reverse: bool = False

    def bounds(self) -> tuple[float, float]:
        """Return the timetoken that all messages are newer than, and the newest that counts."""
        start, end = self.start, self.end
        forward = start < end if start is not None and end is not None else self.reverse
        if forward:
            return -math.inf if start is None else start, math.inf if end is None else end
        return -math.inf if end is None else end - 1, math.inf if start is None else start - 1


_STORED = (0, 4)  # messages and files: signals and the like are not kept


class _Channel:
    def __init__(self, buffer_size: int, history_size: int) -> None:
        self.buffer: deque[Message] = deque(maxlen=buffer_size)
        self.history: deque[Message] = deque(maxlen=history_size)


class Store:
    """Buffers and histories of all channels of all subscribe keys.

    Args:
        buffer_size: Messages a channel keeps for reconnecting subscribers; older ones are dropped
            silently.
        buffer_age: Seconds after which a buffered message is dropped as well.
        history_size: Messages a channel keeps for history.
    """

    def __init__(
        self, buffer_size: int = 100, buffer_age: float = 1200, history_size: int = 1000
    ) -> None:
        self._buffer_size = buffer_size
        self._buffer_age = int(buffer_age * TICKS)
        self._history_size = history_size
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._last = 0

    def timetoken(self, now: float) -> int:
        """Hand out a timetoken: the clock's, or one more than the last where that is not newer.

        Args:
            now: Seconds since the epoch.
        """
        self._last = max(self._last + 1, int(now * TICKS))
        return self._last

    def publish(self, now: float, subscribe_key: str, channel: str, draft: Draft) -> Message:
        """Take a message in.

        Args:
            now: Seconds since the epoch.
            subscribe_key: The key that the channel belongs to.
            channel: The channel's name, decoded.
            draft: The message.
        """
        message = Message(self.timetoken(now), channel, draft)
        place = self._channels.get((subscribe_key, channel))
        if place is None:
            place = _Channel(self._buffer_size, self._history_size)
            self._channels[subscribe_key, channel] = place
        place.buffer.append(message)
        if draft.stored and draft.kind in _STORED:
            place.history.append(message)
        return message

    def read(
        self, now: float, subscribe_key: str, channels: Iterable[str], after: int
    ) -> list[Message]:
        """Return the buffered messages of some channels that are newer than a timetoken.

        Args:
            now: Seconds since the epoch; what is too old by then is gone.
            subscribe_key: The key that the channels belong to.
            channels: Names, decoded; unknown ones are empty.
            after: The timetoken.

        Returns:
            Oldest first, across all channels.
        """
        after = max(after, int(now * TICKS) - self._buffer_age - 1)
        found = [
            message
            for channel in dict.fromkeys(channels)
            if (place := self._channels.get((subscribe_key, channel))) is not None
            for message in _newer(place.buffer, after)
        ]
        found.sort(key=lambda message: message.timetoken)
        return found

    def history(self, subscribe_key: str, channel: str, part: Slice) -> list[Message]:
        """Return a part of a channel's history, oldest first."""
        place = self._channels.get((subscribe_key, channel))
        if place is None or part.count <= 0:
            return []
        after, newest = part.bounds()
        found = [each for each in place.history if after < each.timetoken <= newest]
        return found[: part.count] if part.reverse else found[-part.count :]


def _newer(buffer: deque[Message], after: int) -> list[Message]:
    """Read from the new end, where a subscriber that keeps up finds all it needs."""
    found = []
    for message in reversed(buffer):
        if message.timetoken <= after:
            break
        found.append(message)
    return found
