"""What Prometheus is told of the gateway."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["GatewayMetrics"]

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class GatewayMetrics:
    """All series of one gateway. No label has values that a client could make up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "twitch_operator_gateway_requests",
            "Requests by route, status and extension; extensions that are not served: unknown.",
            ["route", "status", "extension"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "twitch_operator_gateway_requests_in_flight",
            "Requests that have no answer yet.",
            registry=self.registry,
        )
        self.upstream = Histogram(
            "twitch_operator_gateway_upstream_seconds",
            "What Twitch took to answer, or to fail.",
            ["call"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.authorizations = Counter(
            "twitch_operator_gateway_authorizations",
            "Bearer tokens by what was found: Accepted, Refused or Unavailable.",
            ["result"],
            registry=self.registry,
        )
        for call in ("pubsub", "required_configuration"):
            self.upstream.labels(call)
        for result in ("Accepted", "Refused", "Unavailable"):
            self.authorizations.labels(result)

    def forget(self, extension: str) -> None:
        """Drop the series of an extension that is gone: its label, namespace/name."""
        self.requests.remove_by_labels({"extension": extension})
