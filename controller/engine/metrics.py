"""What Prometheus is told."""

from __future__ import annotations

import importlib.metadata
import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from controller.events import Verdict

__all__ = ["Metrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESULTS = ("matched", "fired", "skipped", "failed")
_TOLD = ("posted", "repeated")
_UNTOLD = ("overflow", "expired", "forbidden", "gone", "refused")


class Metrics:
    """All series of one operator; they are exact where the counts of a status are best effort."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter(
            "twitch_operator_feed_events",
            "Messages of the feeds that are events.",
            registry=self.registry,
        )
        self.malformed = Counter(
            "twitch_operator_feed_malformed_messages",
            "Messages of the feeds that are no events, and were dropped.",
            registry=self.registry,
        )
        self.rule_events = Counter(
            "twitch_operator_rule_events",
            "Events of a rule by what became of them.",
            ["namespace", "rule", "result"],
            registry=self.registry,
        )
        self.decisions = Counter(
            "twitch_operator_decisions",
            "Decisions by verdict.",
            ["verdict"],
            registry=self.registry,
        )
        self.cue_to_call = Histogram(
            "twitch_operator_cue_to_call_seconds",
            "From the receipt of an event to the call to Twitch.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.credential_expiration = Gauge(
            "twitch_operator_credential_expiration_timestamp_seconds",
            "When a channel's access token expires.",
            ["namespace", "channel"],
            registry=self.registry,
        )
        self.token_refreshes = Counter(
            "twitch_operator_token_refreshes",
            "Refresh tokens that were exchanged, by result.",
            ["result"],
            registry=self.registry,
        )
        self.token_validations = Counter(
            "twitch_operator_token_validations",
            "Validations of access tokens, by result.",
            ["result"],
            registry=self.registry,
        )
        self.last_poll = Gauge(
            "twitch_operator_feed_last_poll_timestamp_seconds",
            "When the feed that is longest without a completed poll completed one.",
            registry=self.registry,
        )
        self.status_writes = Counter(
            "twitch_operator_status_writes",
            "Writes of a status by result.",
            ["kind", "result"],
            registry=self.registry,
        )
        self.kubernetes_events = Counter(
            "twitch_operator_kubernetes_events",
            f"Kubernetes Events by what became of them: {' or '.join(_TOLD)}, else dropped.",
            ["result"],
            registry=self.registry,
        )
        self.loop_lag = Gauge(
            "twitch_operator_loop_lag_seconds",
            "How late the event loop ran what was due.",
            registry=self.registry,
        )
        build = Gauge(
            "twitch_operator_build_info",
            "Always 1; the labels tell the build.",
            ["version", "python"],
            registry=self.registry,
        )
        version = importlib.metadata.version("twitch-operator")
        build.labels(version, platform.python_version()).set(1)
        for verdict in Verdict:
            self.decisions.labels(verdict.value)
        for result in ("Succeeded", "Refused", "ClientRejected", "Failed"):
            self.token_refreshes.labels(result)
        for result in ("Succeeded", "Refused", "Failed"):
            self.token_validations.labels(result)
        for result in (*_TOLD, *_UNTOLD):
            self.kubernetes_events.labels(result)

    def add_rule(self, namespace: str, rule: str) -> None:
        """Begin the series of a rule at zero."""
        for result in RESULTS:
            self.rule_events.labels(namespace, rule, result)

    def remove_rule(self, namespace: str, rule: str) -> None:
        """End the series of a rule."""
        for result in RESULTS:
            self.rule_events.remove(namespace, rule, result)

    def remove_channel(self, namespace: str, channel: str) -> None:
        """End the series of a channel."""
        self.credential_expiration.remove_by_labels({"namespace": namespace, "channel": channel})
