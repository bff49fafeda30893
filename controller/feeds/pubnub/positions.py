"""How far each topic was heard, and what time it is for the network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Heard", "NetworkClock", "seconds_ahead"]


class Heard:
    """Positions up to which all of a topic was heard; they never go back."""

    def __init__(self) -> None:
        self._all = 0
        self._of_new: dict[str, int] = {}

    def of(self, topic: str) -> int:
        """Up to which position all of a topic was heard."""
        return self._of_new.get(topic, self._all)

    def begin(self, starts: Mapping[str, int]) -> None:
        """Take in new topics: nothing before these positions is wanted of them."""
        self._of_new |= starts

    def up_to(self, position: int) -> None:
        """Everything up to a position was heard, on all topics."""
        self._all = max(self._all, position)
        self._of_new = {topic: at for topic, at in self._of_new.items() if at > self._all}


class NetworkClock:
    """The network's time, kept by the clock that nobody sets.

    Args:
        ticks: Units of a position in a second.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._offset = time.time() - time.monotonic()

    def set(self, position: int, asked: float, answered: float) -> None:
        """The network said what time it is, somewhere between two instants of this machine."""
        ahead = seconds_ahead(position / self._ticks, asked, answered)
        self._offset = answered + ahead - time.monotonic()

    @property
    def position(self) -> int:
        """The present, as a position."""
        return self.in_ticks(time.monotonic() + self._offset)

    @property
    def ahead(self) -> float:
        """By how many seconds it is ahead, wherever this machine's clock was set to."""
        return time.monotonic() + self._offset - time.time()

    def in_ticks(self, seconds: float) -> int:
        """A length of time, in units of a position."""
        return int(seconds * self._ticks)


def seconds_ahead(told: float, asked: float, answered: float) -> float:
    """By how many seconds another clock is ahead, at least: it was read somewhere in between."""
    if told < asked:
        return told - asked
    return max(0.0, told - answered)
