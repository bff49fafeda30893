"""The long polls that are open: who waits for which channel."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Poll", "Polls"]


class Poll:
    """One subscribe call that waits.

    Args:
        transport: Its connection; None where that is gone already.
    """

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._transport = transport
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Let the poll look for messages."""
        self._woken.set()

    async def wait(self) -> None:
        """Wait until somebody wakes this poll, once."""
        await self._woken.wait()
        self._woken.clear()

    def drop(self) -> None:
        """Close the poll's connection at once."""
        if self._transport is not None:
            self._transport.abort()


class Polls:
    """All open polls, indexed by what they wait for: a publish wakes only those it concerns."""

    def __init__(self) -> None:
        self._open: set[Poll] = set()
        self._counts: Counter[str] = Counter()
        self._waiting: dict[tuple[str, str], set[Poll]] = {}
        self._changed = asyncio.Event()

    @contextmanager
    def open(
        self, subscribe_key: str, channels: Iterable[str], transport: asyncio.Transport | None
    ) -> Iterator[Poll]:
        """Keep a poll registered for the time of the context."""
        poll = Poll(transport)
        places = [(subscribe_key, channel) for channel in channels]
        self._open.add(poll)
        self._counts[subscribe_key] += 1
        for place in places:
            self._waiting.setdefault(place, set()).add(poll)
        self._changed.set()
        try:
            yield poll
        finally:
            self._open.discard(poll)
            self._counts[subscribe_key] -= 1
            for place in places:
                self._waiting[place].discard(poll)
                if not self._waiting[place]:
                    del self._waiting[place]
            self._changed.set()

    def wake(self, subscribe_key: str, channel: str) -> None:
        """Wake the polls that wait for a channel."""
        for poll in self._waiting.get((subscribe_key, channel), ()):
            poll.wake()

    def drop(self) -> int:
        """Close the connections of all open polls; return how many there were."""
        for poll in tuple(self._open):
            poll.drop()
        return len(self._open)

    def count(self, subscribe_key: str) -> int:
        """Return how many polls are open with a subscribe key."""
        return self._counts[subscribe_key]  # a Counter adds no entry for a key it does not know

    async def wait_for(self, subscribe_key: str, count: int) -> None:
        """Wait until exactly so many polls are open with a subscribe key."""
        while self.count(subscribe_key) != count:
            self._changed.clear()
            await self._changed.wait()
