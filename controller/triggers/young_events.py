"""What a feed brought lately, for the moment in which this process begins to decide."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.events import Event

__all__ = ["YoungEvents"]

logger = logging.getLogger(__name__)

_MOST = 10_000  # of one feed, each of which some rule may match


class YoungEvents:
    """Keeps events in their order while a cue of them may still fire."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._told = False

    def keep(self, event: Event, now: float, window: Callable[[str], float]) -> None:
        """Keep an event, and drop those that are too old.

        Args:
            event: The newest.
            now: The present time.
            window: Seconds for which a topic's events are young.
        """
        self._events.append(event)
        while self._events and self._is_old(self._events[0], now, window):
            self._events.popleft()
        if len(self._events) > _MOST:
            self._events.popleft()
            if not self._told:
                self._told = True
                logger.warning(
                    "a feed brings more than %d events in the time for which they are young: a"
                    " standby that takes the lead does not know the oldest", _MOST,
                )  # fmt: skip

    def take(self) -> Event | None:
        """The oldest, which is kept no more; None: there is none."""
        return self._events.popleft() if self._events else None

    @staticmethod
    def _is_old(event: Event, now: float, window: Callable[[str], float]) -> bool:
        return event.published < now - window(event.topic)
