"""Lets calls to Twitch go first: what can wait does, for a moment, while cues are being called."""

from __future__ import annotations

import asyncio
import time

__all__ = ["CallPriority"]

_QUIET = 0.03  # seconds without a call after which others may go
_PATIENCE = 0.5  # seconds after which they go all the same
_LOOK = 0.01


class CallPriority:
    """Knows when a call was last made or answered."""

    def __init__(self) -> None:
        self._last = 0.0

    def note(self) -> None:
        """A call begins, or its answer came."""
        self._last = time.monotonic()

    async def quiet(self) -> None:
        """Wait until no call was made or answered for a moment, but never for long."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < min(end, self._last + _QUIET):  # noqa: ASYNC110 - it is a clock
            await asyncio.sleep(_LOOK)
