"""Long work on the event loop, in turns."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

__all__ = ["TURN", "in_turns"]

TURN = 0.005
"""Seconds of work after which other tasks get a turn."""

T = TypeVar("T")


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Go through items; now and then others get a turn between two of them."""
    began = time.monotonic()
    for item in items:
        yield item
        if time.monotonic() - began > TURN:
            await asyncio.sleep(0)
            began = time.monotonic()
