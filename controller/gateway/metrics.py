"""Metrics of the gateway."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["GatewayMetrics"]

_FAILURES = ("500", "502", "503", "504")
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class GatewayMetrics:
    """All series of one gateway. No label has values that a client could make up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "twitch_operator_gateway_requests",
            "Requests by route, status (499: the client disconnected) and extension, or unknown.",
            ["route", "status", "extension"],
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "twitch_operator_gateway_requests_in_flight",
            "Requests in progress.",
            registry=self.registry,
        )
        self.upstream = Histogram(
            "twitch_operator_gateway_upstream_seconds",
            "Duration of calls to Twitch.",
            ["call"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.authorizations = Counter(
            "twitch_operator_gateway_authorizations",
            "Bearer tokens by result: Accepted, Refused or Unavailable.",
            ["result"],
            registry=self.registry,
        )
        for call in ("pubsub", "required_configuration"):
            self.upstream.labels(call)
        for result in ("Accepted", "Refused", "Unavailable"):
            self.authorizations.labels(result)

    def answered(self, route: str, status: int, extension: str) -> None:
        """Count a request; the series of failures begin at zero with the first of a route."""
        for failure in _FAILURES:
            self.requests.labels(route, failure, extension)
        self.requests.labels(route, str(status), extension).inc()

    def forget(self, extension: str) -> None:
        """Drop the series of an extension that is gone: its label, namespace/name."""
        self.requests.remove_by_labels({"extension": extension})
