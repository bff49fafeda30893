"""A queue of keys to be worked on: now, at an instant, or after a failure with growing pauses.

A key is worked on by one worker at a time; whatever asks for it meanwhile leads to one more round.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from controller.backoff import MOST_PAUSE, backoff
from controller.errors import NotLeading, OperatorError, TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["WorkQueue"]

logger = logging.getLogger(__name__)

K = TypeVar("K", bound="Hashable")


class WorkQueue(Generic[K]):
    """Runs `work(key)` for keys that are due.

    Args:
        work: Does one round; returns when to come back by itself (seconds since the epoch) or None.
            That instant is turned into a pause at once: a clock that is set later moves nothing.
            An `OperatorError` or any other exception means: again, after a growing pause.
        workers: So many keys at once.
        most: Seconds of the longest pause after failures.
    """

    def __init__(
        self, work: Callable[[K], Awaitable[float | None]], workers: int, most: float = MOST_PAUSE
    ) -> None:
        self._work = work
        self._most = most
        self._workers = workers
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0
        self._busy: set[K] = set()
        self._forgotten: set[K] = set()
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, key: K, at: float = 0.0) -> None:
        """Ask for a round, at the latest at this instant of `time.monotonic`; default: now."""
        due = self._due.get(key)
        if due is not None and due <= at:
            return
        self._due[key] = at
        self._order += 1
        heapq.heappush(self._heap, (at, self._order, key))
        self._wake.set()

    def forget(self, key: K) -> None:
        """Drop a key and its history; a round under way ends by itself, and is the last."""
        self._due.pop(key, None)
        self._failures.pop(key, None)
        if key in self._busy:
            self._forgotten.add(key)

    def waiting(self) -> int:
        """How many keys are due and have no worker."""
        now = time.monotonic()
        return sum(at <= now for at in self._due.values())

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                pause = self._start_what_is_due()
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_what_is_due(self) -> float | None:
        # What is due and has no worker yet stays in the heap: ten thousand tasks would cost more.
        while self._heap and len(self._busy) < self._workers:
            at, _, key = self._heap[0]
            if self._due.get(key) != at:
                heapq.heappop(self._heap)  # asked for anew, or forgotten
                continue
            wait = at - time.monotonic()
            if wait > 0:
                return wait
            heapq.heappop(self._heap)
            del self._due[key]
            if key in self._busy:
                # Its worker looks for this when it ends.
                self._due[key] = at
                continue
            self._busy.add(key)
            task = asyncio.get_running_loop().create_task(self._round(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    async def _round(self, key: K) -> None:
        again = await self._result(key)
        if len(self._busy) == self._workers:
            self._wake.set()  # for the next one that is due
        self._busy.discard(key)
        if key in self._forgotten:
            self._forgotten.discard(key)
            self._failures.pop(key, None)
            again = None
        asked = self._due.pop(key, None)
        moments = [at for at in (again, asked) if at is not None]
        if moments:
            self.add(key, min(moments))

    async def _result(self, key: K) -> float | None:
        try:
            again = await self._work(key)
        except OperatorError as error:
            quietly = key in self._failures or isinstance(error, NotLeading)
            logger.log(
                logging.DEBUG if quietly else logging.WARNING,
                "%s: %s; trying again", key, error,
            )  # fmt: skip
            pause = self._pause(key)
            hint = error.retry_after if isinstance(error, TransientError) else None
            return time.monotonic() + max(pause, min(hint or 0.0, MOST_PAUSE))
        except (Exception, asyncio.CancelledError):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the queue ends
            # A fault of ours: it must be seen, and must not stop the other keys, or this one.
            logger.exception("work on %s failed", key)
            return time.monotonic() + self._pause(key)
        self._failures.pop(key, None)
        return None if again is None else time.monotonic() + again - time.time()

    def _pause(self, key: K) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(failures, random.random(), most=self._most)  # noqa: S311 - jitter
