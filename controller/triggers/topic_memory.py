"""What was last heard on the topics of a feed, within bounds."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.events import Event

__all__ = ["NEVER", "Heard", "TopicMemory"]

_MOST_TOPICS = 500  # whose last events are kept
_EVENTS = 5  # of each


class Heard(NamedTuple):
    """When something was heard.

    Attributes:
        monotonic: When it came, by the clock that nobody sets: silence is counted by it.
        wall: When it was said, in seconds since the epoch, to be told.
    """

    monotonic: float
    wall: float

    @classmethod
    def now(cls) -> Heard:
        """The present time."""
        return cls(time.monotonic(), time.time())


NEVER = Heard(float("-inf"), 0.0)


class TopicMemory:
    """Remembers of each topic when it last spoke, and of the busiest what it said."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}
        self._events: OrderedDict[str, deque[Event]] = OrderedDict()

    def note(self, event: Event) -> None:
        """An event came."""
        came = Heard.now()
        # What comes late, after an outage, was said when it was published.
        said = min(event.published, came.wall)
        self._heard[event.topic] = Heard(came.monotonic, said)
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

    def heard(self, topics: Iterable[str]) -> Heard:
        """When any of these topics last spoke."""
        return max((self._heard.get(topic, NEVER) for topic in topics), default=NEVER)

    def recent(self, topics: Iterable[str]) -> list[Event]:
        """The last events of these topics, oldest first."""
        found = [event for topic in topics for event in self._events.get(topic, ())]
        return sorted(found, key=lambda event: event.published)
