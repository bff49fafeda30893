"""Work of those who are over their share of CPU: it is done when all others had a turn."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from controller.feeds.turns import TURN

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.events import Event
    from controller.rules.expressions import CelView
    from controller.rules.payloads import Refusal
    from controller.runtime.resource import Key
    from controller.triggers.meter import Meter

__all__ = ["Backlog", "Late"]

logger = logging.getLogger(__name__)

_MOST = 1_000  # of one namespace; beyond, what brings more has to wait


class Late(NamedTuple):
    """An event that a rule is still to be met with.

    Attributes:
        key: Of the rule.
        event: The event.
        off: Its `cancelOn` may hold.
        on: Its `match` may hold.
        view: Gives the event as CEL sees it, for all that wait for it.
    """

    key: Key
    event: Event
    off: bool
    on: bool
    view: Callable[[], CelView | Refusal]


class Backlog:
    """What waits, by namespace. One thing at a time is done, and others have a turn between.

    The events of a rule keep their order, and none is dropped.

    Args:
        meet: Meets a rule with an event.
        debt: Of a namespace: the least comes first.
        meter: Tells when it is time for others.
    """

    def __init__(
        self, meet: Callable[[Late], None], debt: Callable[[str], float], meter: Meter
    ) -> None:
        self._meet = meet
        self._meter = meter
        self._debt = debt
        self._waiting: dict[str, deque[Late]] = {}
        self._of_rule: dict[Key, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._of_rule)

    def __len__(self) -> int:
        return sum(self._of_rule.values())

    def __contains__(self, key: Key) -> bool:
        """Whether a rule still waits for an event, so that the next one has to wait, too."""
        return key in self._of_rule

    async def add(self, late: Late) -> None:
        """Let something wait; returns when there is room for it."""
        namespace = late.key.namespace
        waiting = self._waiting.setdefault(namespace, deque())
        waiting.append(late)
        self._of_rule[late.key] = self._of_rule.get(late.key, 0) + 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())
        while len(waiting) > _MOST:
            self._moved.clear()
            await self._moved.wait()

    async def drained(self) -> None:
        """Wait until nothing waits."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """Drop what waits: the process ends."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work(self) -> None:
        await self._let_others()
        while self._waiting:
            if self._meter.elapsed > TURN:
                await self._let_others()
            namespace = min(self._waiting, key=self._debt)
            late = self._waiting[namespace].popleft()
            if not self._waiting[namespace]:
                del self._waiting[namespace]
            self._moved.set()
            try:
                self._meet(late)
            except Exception:
                # A fault of ours in one event must not end the work of all.
                logger.exception("%s: event %s was not handled", late.key, late.event.id)
            left = self._of_rule.pop(late.key) - 1
            if left:
                self._of_rule[late.key] = left
        self._task = None

    async def _let_others(self) -> None:
        await asyncio.sleep(0)
        self._meter.begin()
