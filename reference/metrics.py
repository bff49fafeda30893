"""The page of the metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.channels.metrics import ChannelMetrics
from controller.extensions.metrics import ExtensionMetrics
from controller.gateway.metrics import GatewayMetrics
from controller.runtime.metrics import Metrics
from controller.triggers.metrics import RuleMetrics
from reference.tables import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

__all__ = ["metrics_page"]

_MOST_VALUES = 8
_INTRODUCTION = """# Metrics

The operator and the gateway serve `/metrics` in Prometheus format on the address in
`TWITCH_OPERATOR_METRICS_ADDRESS`. A counter starts at 0, so `increase()` sees the first failure.
[runbooks.md](../runbooks.md) has alerts.
"""


def metrics_page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for title, registry in (
        ("Operator", _operator()),
        ("Gateway", GatewayMetrics().registry),
    ):
        head = ["metric", "type", "labels", "description"]
        parts += [f"## {title}", table(head, _rows(registry))]
    return "\n\n".join(parts) + "\n"


def _operator() -> CollectorRegistry:
    metrics = Metrics()
    for add in (ChannelMetrics, RuleMetrics, ExtensionMetrics):
        add(metrics)
    return metrics.registry


def _rows(registry: CollectorRegistry) -> Iterator[list[str]]:
    for family, labels in _families(registry):
        shown = ", ".join(code(label) + _values(family, label) for label in labels)
        yield [code(_name(family)), family.type, shown, family.documentation]


def _families(registry: CollectorRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    for collector in registry._collector_to_names:  # noqa: SLF001 - no public list of them
        for family in collector.collect():
            yield family, _labels(collector) or _labels(family)


def _labels(source: Any) -> tuple[str, ...]:  # noqa: ANN401 - a collector or a family
    return tuple(getattr(source, "_labelnames", ()))


def _values(family: Metric, label: str) -> str:
    """Return the values of a label, where the series begin at zero."""
    values = dict.fromkeys(
        sample.labels[label] for sample in family.samples if label in sample.labels
    )
    if family.type != "counter" or not 0 < len(values) <= _MOST_VALUES:
        return ""
    return f" ({', '.join(values)})"


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name
