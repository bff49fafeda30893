"""Series of which there are as many as objects, and their way to Prometheus.

Ten thousand channels have some 200,000 series, which take seconds to be written out. So the loop
only looks at what there is; samples and text are made on another thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client import CollectorRegistry

__all__ = ["Family", "Row", "exposition"]


class Row(NamedTuple):
    """A series: the values of its labels, and its own."""

    labels: Sequence[str]
    value: float


class Family(Metric):
    """A family whose samples are made when they are asked for, on whatever thread.

    Args:
        name: With its prefix, and without `_total`.
        text: What it tells.
        kind: `counter` or `gauge`.
        labels: Their names.
        rows: Makes the series from what the caller took down; called once or more.
    """

    def __init__(
        self,
        name: str,
        text: str,
        kind: str,
        labels: Sequence[str],
        rows: Callable[[], Iterable[Row]],
    ) -> None:
        super().__init__(name, text, kind)
        self._labelnames = tuple(labels)
        full = f"{name}_total" if kind == "counter" else name
        self.samples = _Samples(full, self._labelnames, rows)  # type: ignore[assignment]  # iterated only


class _Samples:
    def __init__(
        self, name: str, labels: tuple[str, ...], rows: Callable[[], Iterable[Row]]
    ) -> None:
        self._name, self._labels, self._rows = name, labels, rows

    def __iter__(self) -> Iterator[Sample]:
        for values, value in self._rows():
            yield Sample(self._name, dict(zip(self._labels, values, strict=True)), value)


class _Collected(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """What was collected."""
        return self._families


async def exposition(registry: CollectorRegistry) -> bytes:
    """Return all series in Prometheus' text format; others have their turn meanwhile."""
    families = []
    for family in registry.collect():
        families.append(family)
        await asyncio.sleep(0)
    return await asyncio.to_thread(generate_latest, _Collected(families))
