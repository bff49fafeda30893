"""Which messages were heard before: so that what is told twice counts once."""

from __future__ import annotations

__all__ = ["Recall"]

_PER_TOPIC = 200  # twice what the network keeps for a subscriber
_PAST_TOPICS = 100  # that are not listened to any more


class Recall:
    """Remembers positions by topic, so that a busy one drowns no other."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, None]] = {}
        self._past: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, topic: str, ticks: int) -> bool:
        """Whether a message was not heard before; it was, from now on."""
        seen = self._seen.setdefault(topic, {})
        if ticks in seen:
            return False
        seen[ticks] = None
        if len(seen) > _PER_TOPIC:
            del seen[next(iter(seen))]
        return True

    def come(self, topic: str) -> None:
        """Take note that a topic is listened to."""
        self._past.pop(topic, None)

    def leave(self, topic: str) -> None:
        """Take note that a topic is not listened to any more; it may come back."""
        self._past[topic] = None
        if len(self._past) > _PAST_TOPICS:
            oldest = next(iter(self._past))
            del self._past[oldest]
            self._seen.pop(oldest, None)
