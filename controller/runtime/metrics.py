"""Metrics of the kernel; each kind adds its own."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

from controller.runtime.call_metrics import CallMetrics
from controller.runtime.resource_metrics import ResourceMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LoopLag", "Metrics"]

_TOLD = ("posted", "repeated")
_UNTOLD = ("overflow", "expired", "forbidden", "gone", "refused")
_WRITES = ("written", "gone", "unavailable", "refused", "failed")
_MINUTE = 60.0

M = TypeVar("M", Counter, Gauge)


class LoopLag:
    """The largest delay of the last minute: one scrape in a minute misses none."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, lag: float, now: float) -> None:
        """Take a delay, in seconds, at an instant of a clock that is never set back."""
        while self._seen and self._seen[0][0] <= now - _MINUTE:
            self._seen.popleft()
        while self._seen and self._seen[-1][1] <= lag:
            self._seen.pop()  # it will be the largest for longer
        self._seen.append((now, lag))

    def most(self) -> float:
        """The largest delay, in seconds."""
        return self._seen[0][1] if self._seen else 0.0


class Metrics:
    """The series of one operator; they are exact where the counts of a status are best effort.

    Attributes:
        registry: Of all series.
        calls: Calls to Twitch and to the API server.
        resources: Whether each resource is Ready.
        loop_lag: Delay of the event loop.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = CallMetrics(self.registry)
        self.resources = ResourceMetrics()
        self.registry.register(self.resources)
        self.status_writes = self.counter(
            "status_writes",
            "Status writes by result; pruned: the CRD lacks fields of it, which were not stored.",
            ["kind", "result"],
        )
        self.kubernetes_events = self.counter(
            "kubernetes_events",
            f"Kubernetes Events by result: {' or '.join(_TOLD)}, else dropped.",
            ["result"],
            values=(*_TOLD, *_UNTOLD),
        )
        self.watch_restarts = self.counter(
            "watch_restarts", "Restarts of the watch after it had ended, or a watcher was gone."
        )
        self._queues = self.gauge("queue_length", "What waits to be worked on now.", ["queue"])
        self.loop_lag = LoopLag()
        self.gauge(
            "loop_lag_seconds", "Largest delay of the event loop in the last minute."
        ).set_function(self.loop_lag.most)
        self.leader = self.gauge(
            "leader", "1 while this process decides and may call Twitch; else 0, as on a standby."
        )
        build = self.gauge(
            "build_info", "Always 1; the labels name the build.", ["version", "python"]
        )
        version = importlib.metadata.version("twitch-operator")
        build.labels(version, platform.python_version()).set(1)

    def begin_writes(self, kind: str) -> None:
        """Begin the series of a kind's status writes at zero."""
        for result in _WRITES:
            self.status_writes.labels(kind, result)

    def counter(
        self, name: str, text: str, labels: Sequence[str] = (), *, values: Sequence[str] = ()
    ) -> Counter:
        """Add a counter.

        Args:
            name: After `twitch_operator_`, and without `_total`.
            text: What it counts.
            labels: Their names.
            values: Of the one label: their series begin at zero.
        """
        made = self._make(Counter, name, text, labels)
        for value in values:
            made.labels(value)
        return made

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Add a gauge."""
        return self._make(Gauge, name, text, labels)

    def queue(self, name: str, length: Callable[[], int]) -> None:
        """Show the length of a queue, which is asked for at each scrape."""
        self._queues.labels(name).set_function(length)

    def _make(self, kind: type[M], name: str, text: str, labels: Sequence[str]) -> M:
        return kind(f"twitch_operator_{name}", text, labels, registry=self.registry)
