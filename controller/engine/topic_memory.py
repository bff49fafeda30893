"""What was last heard on the topics of a feed, within bounds."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.events import Event

__all__ = ["TopicMemory"]

_MOST_TOPICS = 500  # whose last events are kept
_EVENTS = 5  # of each


class TopicMemory:
    """Remembers of each topic when it last spoke, and of the busiest what it said."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._events: OrderedDict[str, deque[Event]] = OrderedDict()

    def note(self, event: Event) -> None:
        """An event came."""
        # What comes late, after an outage, was said when it was published.
        said = min(event.published, time.time())
        self._heard[event.topic] = max(said, self._heard.get(event.topic, 0.0))
        events = self._events.get(event.topic)
        if events is None:
            events = self._events[event.topic] = deque(maxlen=_EVENTS)
            while len(self._events) > _MOST_TOPICS:
                self._events.popitem(last=False)
        else:
            self._events.move_to_end(event.topic)
        events.append(event)

    def forget(self, topic: str) -> None:
        """A topic is not listened to any more."""
        self._heard.pop(topic, None)
        self._events.pop(topic, None)

    def heard(self, topics: Iterable[str]) -> float:
        """When any of these topics last spoke, in seconds since the epoch; never: 0."""
        return max((self._heard.get(topic, 0.0) for topic in topics), default=0.0)

    def recent(self, topics: Iterable[str]) -> list[Event]:
        """The last events of these topics, oldest first."""
        found = [event for topic in topics for event in self._events.get(topic, ())]
        return sorted(found, key=lambda event: event.published)
