"""Metrics of ExtensionApps."""

from __future__ import annotations

from controller.runtime.metrics import Metrics

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

    def set(self, namespace: str, extension: str, next_rotation: float | None) -> None:
        """Set the series of an ExtensionApp; where no rotation is its business, it ends."""
        if next_rotation is not None:
            self._next_rotation.labels(namespace, extension).set(next_rotation)
        else:
            self.remove(namespace, extension)

    def remove(self, namespace: str, extension: str) -> None:
        """End the series of an ExtensionApp."""
        self._next_rotation.remove_by_labels({"namespace": namespace, "extension": extension})
