"""Writes statuses: at once what matters, the rest at most once in a while, never the same twice.

Nothing that decides about cues waits for this, and a slow API server only makes it write less.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.runtime.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.clients.kube import Kube
    from controller.runtime.call_priority import CallPriority
    from controller.runtime.controller import Reporter
    from controller.runtime.metrics import Metrics
    from controller.runtime.resource import Key, Resource

__all__ = ["StatusWriter"]

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_FORBIDDEN = 403
_SPACING = 1.0  # between two writes of one object that are both urgent
_MOST_PAUSE = 15.0  # between two tries while the API server is away


class StatusWriter:
    """Writes the statuses of resources that were marked.

    Args:
        kube: Writes them.
        metrics: Counts the writes.
        call_priority: The calls that go first.
        interval: Seconds between two writes of one object that are not urgent.
        reporter: Finds who tells a resource's status; None: it is gone.
        on_result: Called with a resource as it was held before a write, and its status now; None:
            the API server says that the resource is not what it was.
    """

    def __init__(
        self,
        kube: Kube,
        metrics: Metrics,
        call_priority: CallPriority,
        interval: float,
        *,
        reporter: Callable[[Key], Reporter | None],
        on_result: Callable[[Resource, Mapping[str, Any] | None], None],
    ) -> None:
        self._kube = kube
        self._call_priority = call_priority
        self._metrics = metrics
        self._interval = interval
        self._reporter = reporter
        self._on_result = on_result
        self._last: dict[Key, float] = {}
        self._marked: set[Key] = set()
        self._told: set[str] = set()
        self._queue: WorkQueue[Key] = WorkQueue(self._write, _AT_ONCE, most=_MOST_PAUSE)

    def mark(self, key: Key, *, urgent: bool) -> None:
        """Ask for a write if there is news.

        Args:
            key: The resource.
            urgent: As soon as may be; else not before the interval since the last write is over.
        """
        self._marked.add(key)
        spacing = _SPACING if urgent else self._interval
        self._queue.add(key, self._last.get(key, -math.inf) + spacing)

    def forget(self, key: Key) -> None:
        """Drop a resource that is gone."""
        self._metrics.resources.remove(key)
        self._queue.forget(key)
        self._marked.discard(key)
        self._last.pop(key, None)

    def waiting(self) -> int:
        """How many statuses could be written now, and are not yet."""
        return self._queue.waiting()

    async def run(self) -> None:
        """Write until cancelled."""
        await self._queue.run()

    async def flush(self, within: float) -> int:
        """Write what is still marked, due or not, for at most so many seconds.

        Returns:
            How many could not be written.
        """
        with suppress(TimeoutError, KubeUnavailable):
            async with asyncio.timeout(within):
                for key in list(self._marked):
                    with suppress(KubeError):
                        await self._write(key)
        if self._marked:
            logger.warning("statuses that were not written at the end: %d", len(self._marked))
        return len(self._marked)

    async def _write(self, key: Key) -> None:
        """Write one status if there is news; raises what is worth another try."""
        await self._call_priority.quiet()
        self._marked.discard(key)
        reporter = self._reporter(key)
        status = reporter.compose(time.time()) if reporter is not None else None
        if reporter is None or status is None:
            return
        resource, body = reporter.resource, status.to_status()
        self._metrics.resources.note(key, body)
        if _news(body, status.quiet) == _news(resource.status, status.quiet):
            return
        self._last[key] = time.monotonic()
        result = "failed"
        try:
            stored = await self._kube.replace_status(
                key.kind, key.namespace, key.name, resource.uid, body
            )
            # As written, not as stored: what the CRD does not have would be news for ever.
            reporter.written(body)
            result = "written" if stored == body else self._pruned(key.kind)
            self._on_result(resource, body)
        except (KubeNotFound, KubeConflict):
            result = "gone"
            self._on_result(resource, None)
        except (KubeUnavailable, asyncio.CancelledError):
            # Cancelled in the middle at the end: the flush writes it again.
            result = "unavailable"
            self._marked.add(key)
            raise
        except KubeError as error:
            result = "refused"
            if error.status == _FORBIDDEN:  # until somebody gives the right (back)
                self._marked.add(key)
                raise
            # The spec's next change, or new news, leads to another try.
            logger.error("%s: the status was refused: %s", key, error)
        finally:
            self._metrics.status_writes.labels(key.kind, result).inc()

    def _pruned(self, kind: str) -> str:
        """Tell once that the CRD of a kind is older than this operator."""
        if kind not in self._told:
            self._told.add(kind)
            logger.warning(
                "the CRD of %s lacks fields of this operator's status, which are not stored: apply"
                " the CRDs of its version: twitch-operator crds | kubectl apply --server-side -f -",
                kind,
            )
        return "pruned"


def _news(status: Mapping[str, Any], quiet: Iterable[str]) -> dict[str, Any]:
    """The status without what is written only along with something else."""
    told = dict(status)
    for path in quiet:
        field, _, part = path.partition(".")
        if not part:
            told.pop(field, None)
        elif isinstance(parts := told.get(field), dict):
            told[field] = {name: value for name, value in parts.items() if name != part}
    return told
