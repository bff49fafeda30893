"""Metrics of channels."""

from __future__ import annotations

from controller.runtime.metrics import Metrics

__all__ = ["ChannelMetrics"]


class ChannelMetrics:
    """The series of channels.

    Args:
        metrics: Where they are added.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self.registry = metrics.registry
        self.credential_expiration = metrics.gauge(
            "credential_expiration_timestamp_seconds",
            "When a channel's access token expires; 0: rejected; no series: no token.",
            ["namespace", "channel"],
        )
        self.token_refreshes = metrics.counter(
            "token_refreshes",
            "Token refreshes by result: Refused: the grant ended; Failed: may pass.",
            ["result"],
            values=("Succeeded", "Refused", "ClientRejected", "Failed"),
        )
        self.token_validations = metrics.counter(
            "token_validations",
            "Token validations by result: Refused: a refresh follows; Failed: may pass.",
            ["result"],
            values=("Succeeded", "Refused", "Failed"),
        )
        self.as_run_lines = metrics.counter(
            "as_run_lines",
            "Lines of the as-run log by result.",
            ["result"],
            values=("written", "failed", "dropped"),
        )

    def remove(self, namespace: str, channel: str) -> None:
        """End the series of a channel."""
        self.credential_expiration.remove_by_labels({"namespace": namespace, "channel": channel})
