"""Whether each resource is Ready, and whether a human must act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from prometheus_client.registry import Collector

from controller.runtime.families import Family, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from controller.runtime.resource import Key

__all__ = ["ResourceMetrics"]

_LABELS = ("kind", "namespace", "name")


class _Summary(NamedTuple):
    ready: bool
    reason: str
    stalled: bool


class ResourceMetrics(Collector):
    """Two series a resource, from the status that was composed last; some 200 bytes each."""

    def __init__(self) -> None:
        self._summaries: dict[Key, _Summary] = {}

    def note(self, key: Key, status: Mapping[str, Any]) -> None:
        """Take what the status of a resource says now."""
        found = {each["type"]: each for each in status.get("conditions", ())}
        ready, stalled = found.get("Ready", {}), found.get("Stalled", {})
        self._summaries[key] = _Summary(
            ready.get("status") == "True", ready.get("reason", ""), stalled.get("status") == "True"
        )

    def remove(self, key: Key) -> None:
        """End the series of a resource."""
        self._summaries.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """Tell Prometheus."""
        found = list(self._summaries.items())
        yield Family(
            "twitch_operator_resource_ready",
            "1 if the condition Ready of a resource is True, else 0; with its reason.",
            "gauge",
            (*_LABELS, "reason"),
            lambda: (Row((*key, summary.reason), summary.ready) for key, summary in found),
        )
        yield Family(
            "twitch_operator_resource_stalled",
            "1 if the condition Stalled of a resource is True: a human must act; else 0.",
            "gauge",
            _LABELS,
            lambda: (Row(key, summary.stalled) for key, summary in found),
        )
