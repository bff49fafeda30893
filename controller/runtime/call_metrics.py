"""Calls to Twitch and to the API server, by what came of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controller.clients.retry_after import moment_of

if TYPE_CHECKING:
    from controller.clients.http import Exchange

__all__ = ["CallMetrics"]

_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COMMERCIAL = "/channels/commercial"
_SECOND = 0.5  # a Date header tells whole seconds: on average, half a second has passed since


class CallMetrics:
    """The series of calls. Labels have no value that comes from outside but HTTP's status codes.

    Args:
        registry: Of all series.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._twitch = Counter(
            "twitch_operator_twitch_requests",
            "Calls to Twitch by status; unsent: it was not reached; unanswered: it may have acted.",
            ["method", "path", "code"],
            registry=registry,
        )
        self._seconds = Histogram(
            "twitch_operator_twitch_request_duration_seconds",
            "Duration of calls to Twitch, answered or not.",
            ["path"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._skew = Gauge(
            "twitch_operator_clock_skew_seconds",
            "How far this clock is ahead of Twitch's, to a second, by the last answer.",
            registry=registry,
        )
        self._skew.set(math.nan)  # until there is an answer
        self._kubernetes = Counter(
            "twitch_operator_kubernetes_requests",
            "Calls to the API server by status; unanswered: it was away. Without the watch's own.",
            ["method", "kind", "code"],
            registry=registry,
        )

    def twitch(self, exchange: Exchange) -> None:
        """Count a call to Twitch."""
        method, path, code = exchange.method, exchange.path, exchange.code
        for other in ("unsent", "unanswered"):  # so that the first failure is an increase
            self._twitch.labels(method, path, other)
        self._twitch.labels(method, path, code).inc()
        self._seconds.labels(path).observe(exchange.seconds)
        if exchange.date is not None:
            self._note_date(exchange.date, exchange.ended)

    def kubernetes(self, method: str, kind: str, status: int | None) -> None:
        """Count a call to the API server; status None: there was no answer."""
        code = "unanswered" if status is None else str(status)
        self._kubernetes.labels(method, kind, "unanswered")
        self._kubernetes.labels(method, kind, code).inc()

    def _note_date(self, date: str, now: float) -> None:
        told = moment_of(date)
        if told is not None:
            self._skew.set(now - told - _SECOND)
