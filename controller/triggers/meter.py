"""CPU time that rules take, one after the other on this thread."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.rules.expressions import CelView
    from controller.rules.payloads import Refusal

__all__ = ["MOST", "Lap", "Meter"]

MOST = 0.05
"""Seconds of CPU that a rule may take for one event."""


def _collections() -> int:
    return int(gc.get_stats()[2]["collections"])


class Meter:
    """Measures a batch of laps: work that nothing else of this thread interrupts.

    To read the CPU clock is a system call, so laps are timed by the wall clock, and the CPU clock
    is asked only where one was long. On a busy machine a lap takes longer than its CPU; what counts
    is CPU. A full collection of garbage during a batch is no rule's fault, so nothing is told then.

    Args:
        wall: A clock in seconds.
        cpu: CPU time of this thread in seconds.
        collections: How many full collections of garbage there were.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
        collections: Callable[[], int] = _collections,
    ) -> None:
        self.wall = wall
        self._cpu = cpu
        self._collections = collections
        self.begin()

    def begin(self) -> None:
        """Begin a batch: others had a turn."""
        self._wall_began, self._cpu_began = self.wall(), self._cpu()
        self._collected = self._collections()

    @property
    def elapsed(self) -> float:
        """Seconds since the batch began."""
        return self.wall() - self._wall_began

    def cpu_since(self, began: float) -> float:
        """Return the CPU seconds since a moment of this batch, from below.

        Args:
            began: By the wall clock.
        """
        if self._collections() != self._collected:
            return 0.0
        before = began - self._wall_began  # at most so much of the CPU was taken before
        return max(0.0, self._cpu() - self._cpu_began - before)


class Lap:
    """One rule and one event.

    Args:
        meter: The batch.
        view: Converts the event for CEL, which is no rule's own cost.
    """

    __slots__ = ("_began", "_meter", "_view", "_when_began")

    def __init__(self, meter: Meter, view: Callable[[], CelView | Refusal]) -> None:
        self._meter = meter
        self._view = view
        self._when_began: float | None = None
        self._began = meter.wall()

    def view(self) -> CelView | Refusal:
        """Convert the event, off the record."""
        before = self._meter.wall()
        seen = self._view()
        after = self._meter.wall()
        self._began += after - before
        self._when_began = after
        return seen

    def end(self) -> tuple[float, bool]:
        """Return the seconds that it took, and whether CEL took the most of them.

        They are of the wall clock if they are few, else of CPU.
        """
        now = self._meter.wall()
        took, when = now - self._began, 0.0
        if self._when_began is not None:
            when = now - self._when_began
        if took > MOST:
            took = min(took, self._meter.cpu_since(self._began))
        return took, when > took / 2
