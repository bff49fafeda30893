"""Writes statuses: at once what matters, the rest at most once in a while, never the same twice.

Nothing that decides about cues waits for this, and a slow API server only makes it write less.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from controller.clients.kube import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.policies.backoff import backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clients.kube import Kube
    from controller.engine.metrics import Metrics
    from controller.engine.resource import Key, Resource
    from controller.resources.common import StatusModel

__all__ = ["Reporter", "StatusWriter"]

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_SPACING = 1.0  # between two writes of one object that are both urgent
_PLURALS = {"TwitchChannel": "twitchchannels", "TriggerRule": "triggerrules"}


S = TypeVar("S", bound="StatusModel")


class Reporter(Protocol[S]):
    """Tells the status of one resource."""

    @property
    def resource(self) -> Resource:
        """The resource."""
        ...

    def compose(self, now: float) -> S | None:
        """Its status now; None: nothing to tell yet."""
        ...

    def written(self, status: S, body: Mapping[str, Any]) -> None:
        """Take note that this is what the API server holds now."""
        ...


class _Mark:
    __slots__ = ("due", "failures")

    def __init__(self, due: float) -> None:
        self.due = due
        self.failures = 0


class StatusWriter:
    """Writes the statuses of resources that were marked.

    Args:
        kube: Writes them.
        metrics: Counts the writes.
        interval: Seconds between two writes of one object that are not urgent.
        reporter: Finds who tells a resource's status; None: it is gone.
        on_gone: Called when the API server says that a resource is not what it was.
    """

    def __init__(
        self,
        kube: Kube,
        metrics: Metrics,
        interval: float,
        reporter: Callable[[Key], Reporter[Any] | None],
        on_gone: Callable[[Key], None],
    ) -> None:
        self._kube = kube
        self._metrics = metrics
        self._interval = interval
        self._reporter = reporter
        self._on_gone = on_gone
        self._marks: dict[Key, _Mark] = {}
        self._last: dict[Key, float] = {}
        self._busy: set[Key] = set()
        self._wake = asyncio.Event()

    def mark(self, key: Key, *, urgent: bool) -> None:
        """Ask for a write if there is news.

        Args:
            key: The resource.
            urgent: As soon as may be; else not before the interval since the last write is over.
        """
        now = time.time()
        last = self._last.get(key, 0.0)
        due = max(now, last + (_SPACING if urgent else self._interval))
        mark = self._marks.get(key)
        if mark is None:
            self._marks[key] = _Mark(due)
        elif not mark.failures:
            mark.due = min(mark.due, due)
        self._wake.set()

    def forget(self, key: Key) -> None:
        """Drop a resource that is gone."""
        self._marks.pop(key, None)
        self._last.pop(key, None)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._write_on())

    async def flush(self, within: float) -> None:
        """Write all that is marked, due or not, for at most so many seconds."""
        for mark in self._marks.values():
            mark.due = 0.0
        end = time.monotonic() + within
        while self._marks and time.monotonic() < end:
            key = next(iter(self._marks))
            mark = self._marks.pop(key)
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    await self._write(key, mark)
            except TimeoutError:
                break
        if self._marks:
            logger.warning("%d statuses were not written at the end", len(self._marks))

    async def _write_on(self) -> None:
        while True:
            found = self._take()
            if isinstance(found, float):
                self._wake.clear()
                try:
                    async with asyncio.timeout(found):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                continue
            await self._write(*found)

    def _take(self) -> tuple[Key, _Mark] | float:
        """The mark that is due, or the seconds until one is."""
        now, soonest = time.time(), 60.0
        for key, mark in self._marks.items():
            if key in self._busy:
                continue  # its writer wakes the others when it is done
            if mark.due <= now:
                del self._marks[key]
                return key, mark
            soonest = min(soonest, mark.due - now)
        return soonest

    async def _write(self, key: Key, mark: _Mark) -> None:
        self._busy.add(key)
        try:
            await self._write_news(key, mark)
        finally:
            self._busy.discard(key)
            self._wake.set()

    async def _write_news(self, key: Key, mark: _Mark) -> None:
        result = "written"
        try:
            reporter = self._reporter(key)
            status = reporter.compose(time.time()) if reporter is not None else None
            if reporter is None or status is None:
                return
            resource, body = reporter.resource, status.to_status()
            if _news(body) == _news(resource.status):
                return
            self._last[key] = time.time()
            await self._kube.replace_status(
                _PLURALS[key.kind], key.namespace, key.name, resource.uid, body
            )
            reporter.written(status, body)
        except (KubeNotFound, KubeConflict):
            result = "gone"
            self._on_gone(key)
        except KubeUnavailable as error:
            result = "unavailable"
            self._again(key, mark, error)
        except KubeError as error:
            result = "refused"
            logger.error("%s: the status was refused: %s", key, error)
        except Exception:
            result = "failed"
            logger.exception("%s: the status was not written", key)
        self._metrics.status_writes.labels(key.kind, result).inc()

    def _again(self, key: Key, mark: _Mark, error: KubeUnavailable) -> None:
        mark.failures += 1
        pause = backoff(mark.failures, random.random(), most=30.0)  # noqa: S311 - jitter
        mark.due = time.time() + pause
        self._marks.setdefault(key, mark)
        if mark.failures == 1:
            logger.warning("%s: the status waits: %s", key, error)


def _news(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status without what is told only along with something else."""
    told = dict(status)
    if isinstance(authorization := told.get("authorization"), dict):
        told["authorization"] = {
            name: value for name, value in authorization.items() if name != "lastValidationTime"
        }
    return told
