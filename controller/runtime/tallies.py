"""Counters of each object by result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from controller.runtime.families import Family, Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

__all__ = ["Tallies"]


class Tallies(Collector):
    """What happened to each object, by result; five series in 300 bytes, not in 3,000.

    Args:
        name: Of the metric, without `_total`.
        text: What it counts.
        label: What the object is called, beside its namespace.
        results: Values of the label `result`.
    """

    def __init__(self, name: str, text: str, label: str, results: Sequence[str]) -> None:
        self._name, self._text = name, text
        self._labels = ["namespace", label, "result"]
        self._places = {result: place for place, result in enumerate(results)}
        self._counts: dict[tuple[str, str], list[int]] = {}

    def add(self, namespace: str, name: str) -> None:
        """Begin the series of an object at zero."""
        self._counts.setdefault((namespace, name), [0] * len(self._places))

    def remove(self, namespace: str, name: str) -> None:
        """End the series of an object."""
        self._counts.pop((namespace, name), None)

    def inc(self, namespace: str, name: str, result: str) -> None:
        """Count something of an object that is there."""
        counts = self._counts.get((namespace, name))
        if counts is not None:
            counts[self._places[result]] += 1

    def collect(self) -> Iterator[Metric]:
        """Tell Prometheus."""
        counted = [(key, tuple(counts)) for key, counts in self._counts.items()]

        def rows() -> Iterator[Row]:
            for key, counts in counted:
                for result, count in zip(self._places, counts, strict=True):
                    yield Row((*key, result), count)

        yield Family(self._name, self._text, "counter", self._labels, rows)
