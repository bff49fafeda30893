"""Keeps Python's collector of garbage from stopping the event loop.

A full collection looks at every object: with ten thousand channels that takes most of a second, in
which no cue is called for. What is there to stay is taken out of its sight.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["Garbage"]

_GROWTH = 1.2
_RARELY = 50  # collections of the middle generation for one of all


class Garbage:
    """Freezes what the process holds, whenever that has grown by a fifth.

    Frozen objects are freed as others are, when nobody refers to them; only cycles among them stay.
    """

    def __init__(self) -> None:
        self._blocks = 0.0
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _RARELY)

    def look(self) -> bool:
        """Freeze if it is time; to be called about once a second. Returns whether it did."""
        if sys.getallocatedblocks() < _GROWTH * self._blocks:
            return False
        gc.collect()  # quick: it looks at what came since the last freeze
        gc.freeze()
        self._blocks = sys.getallocatedblocks()
        return True
