"""Metrics of the kernel; each kind adds its own."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Metrics"]

_TOLD = ("posted", "repeated")
_UNTOLD = ("overflow", "expired", "forbidden", "gone", "refused")

M = TypeVar("M", Counter, Gauge)


class Metrics:
    """The series of one operator; they are exact where the counts of a status are best effort.

    Attributes:
        registry: Of all series.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.status_writes = self.counter(
            "status_writes", "Status writes by result.", ["kind", "result"]
        )
        self.kubernetes_events = self.counter(
            "kubernetes_events",
            f"Kubernetes Events by result: {' or '.join(_TOLD)}, else dropped.",
            ["result"],
            values=(*_TOLD, *_UNTOLD),
        )
        self.loop_lag = self.gauge("loop_lag_seconds", "Delay of the event loop.")
        build = self.gauge(
            "build_info", "Always 1; the labels name the build.", ["version", "python"]
        )
        version = importlib.metadata.version("twitch-operator")
        build.labels(version, platform.python_version()).set(1)

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

    def _make(self, kind: type[M], name: str, text: str, labels: Sequence[str]) -> M:
        return kind(f"twitch_operator_{name}", text, labels, registry=self.registry)
