"""Topics that the network refuses, each tried again after growing pauses of its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from controller.backoff import backoff

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_PAUSE", "Denials"]

MOST_PAUSE = 30.0
"""Seconds of the longest pause between two tries."""


class Denials:
    """Keeps forbidden topics from silencing those beside them."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}
        self._until: dict[str, float] = {}

    @property
    def topics(self) -> frozenset[str]:
        """Those that were refused when they were last asked for."""
        return frozenset(self._tries)

    def add(self, topics: Iterable[str], now: float) -> None:
        """Hold these back for a while."""
        for topic in topics:
            tries = self._tries[topic] = self._tries.get(topic, 0) + 1
            pause = backoff(tries, random.random(), most=MOST_PAUSE)  # noqa: S311 - jitter
            self._until[topic] = now + pause

    def admitted(self, topics: Iterable[str], now: float) -> frozenset[str]:
        """Those of the topics that may be asked for now."""
        return frozenset(topic for topic in topics if self._until.get(topic, 0.0) <= now)

    def clear(self, topics: Iterable[str]) -> bool:
        """Take note that these are granted; return whether that is news."""
        granted = self.topics.intersection(topics)
        for topic in granted:
            del self._tries[topic], self._until[topic]
        return bool(granted)

    def keep(self, topics: Iterable[str]) -> None:
        """Forget all but these."""
        self.clear(self.topics.difference(topics))

    def wait(self, now: float) -> float | None:
        """Seconds until the next one may be tried; None: none is held back."""
        return max(0.0, min(self._until.values()) - now) if self._until else None
