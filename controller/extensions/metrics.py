"""Metrics of ExtensionApps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.runtime.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client import Gauge

__all__ = ["ExtensionMetrics"]


class ExtensionMetrics:
    """The series of ExtensionApps.

    Args:
        metrics: Where they are added.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self.registry = metrics.registry
        self._next_rotation = metrics.gauge(
            "extension_next_rotation_timestamp_seconds",
            "When the operator creates the next shared secret; in the past: overdue.",
            ["namespace", "extension"],
        )
        self._ready = metrics.gauge(
            "extension_ready",
            "1 if an ExtensionApp is Ready, else 0.",
            ["namespace", "extension"],
        )

    def set(
        self, namespace: str, extension: str, *, ready: bool, next_rotation: float | None
    ) -> None:
        """Set the series of an ExtensionApp; where no rotation is its business, that one ends."""
        self._ready.labels(namespace, extension).set(ready)
        if next_rotation is not None:
            self._next_rotation.labels(namespace, extension).set(next_rotation)
        else:
            _end(self._next_rotation, namespace, extension)

    def remove(self, namespace: str, extension: str) -> None:
        """End the series of an ExtensionApp."""
        for series in (self._next_rotation, self._ready):
            _end(series, namespace, extension)


def _end(series: Gauge, namespace: str, extension: str) -> None:
    series.remove_by_labels({"namespace": namespace, "extension": extension})
