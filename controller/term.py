"""Since when this process decides."""

from __future__ import annotations

import math

__all__ = ["Term"]


class Term:
    """The time in which this process decides: another one may have decided before it.

    All that decides shares one. A process that has not begun to decide holds resources, and starts
    nothing.

    Args:
        since: Seconds since the epoch; default: it has not begun.

    Attributes:
        since: When it began.
    """

    __slots__ = ("since",)

    def __init__(self, since: float = math.inf) -> None:
        self.since = since

    def begin(self, now: float) -> None:
        """Begin to decide."""
        self.since = now
