"""What Prometheus is told."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from controller.events import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

__all__ = ["FeedState", "Metrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESULTS = ("matched", "fired", "skipped", "failed", "error")
_PLACE = {result: place for place, result in enumerate(RESULTS)}
_TOLD = ("posted", "repeated")
_UNTOLD = ("overflow", "expired", "forbidden", "gone", "refused")

M = TypeVar("M", Counter, Gauge)


class RuleEvents(Collector):
    """Events of each rule by what became of them; four series in 300 bytes, not in 3,000."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}

    def add(self, namespace: str, rule: str) -> None:
        """Begin the series of a rule at zero."""
        self._counts.setdefault((namespace, rule), [0] * len(RESULTS))

    def remove(self, namespace: str, rule: str) -> None:
        """End the series of a rule."""
        self._counts.pop((namespace, rule), None)

    def inc(self, namespace: str, rule: str, result: str) -> None:
        """Count an event of a rule that is there."""
        counts = self._counts.get((namespace, rule))
        if counts is not None:
            counts[_PLACE[result]] += 1

    def collect(self) -> Iterator[Metric]:
        """Tell Prometheus."""
        family = CounterMetricFamily(
            "twitch_operator_rule_events",
            "Events of a rule by what became of them.",
            labels=["namespace", "rule", "result"],
        )
        for key, counts in list(self._counts.items()):
            for result, count in zip(RESULTS, counts, strict=True):
                family.add_metric([*key, result], count)
        yield family


@dataclass(frozen=True, slots=True)
class FeedState:
    """What a scrape tells of the feed that a rule listens to.

    Attributes:
        namespace: Of the rule.
        rule: Its name.
        last_poll: When a poll was last completed, in seconds since the epoch; 0: never.
        connected: As the condition FeedConnected.
        reason: Of that condition.
    """

    namespace: str
    rule: str
    last_poll: float
    connected: bool
    reason: str


class RuleFeeds(Collector):
    """The feed of each rule: looked at when it is scraped, so that a series ends with its rule."""

    def __init__(self) -> None:
        self.states: Callable[[], Iterable[FeedState]] = tuple

    def collect(self) -> Iterator[Metric]:
        """Tell Prometheus."""
        polls = GaugeMetricFamily(
            "twitch_operator_feed_last_poll_timestamp_seconds",
            "When the feed of a rule last completed a poll; 0: never.",
            labels=["namespace", "rule"],
        )
        connected = GaugeMetricFamily(
            "twitch_operator_feed_connected",
            "Whether FeedConnected of a rule is True: 1 or 0, with the condition's reason.",
            labels=["namespace", "rule", "reason"],
        )
        for state in self.states():
            polls.add_metric([state.namespace, state.rule], state.last_poll)
            labels = [state.namespace, state.rule, state.reason]
            connected.add_metric(labels, float(state.connected))
        yield polls
        yield connected


class Metrics:
    """All series of one operator; they are exact where the counts of a status are best effort."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(self._make, Counter), partial(self._make, Gauge)
        self.events = counter("feed_events", "Messages of the feeds that are events.")
        self.malformed = counter(
            "feed_malformed_messages",
            "Messages of the feeds that are not events, and were dropped.",
        )
        self.rule_events = RuleEvents()
        self.registry.register(self.rule_events)
        self.decisions = counter("decisions", "Decisions by verdict.", ["verdict"])
        self.cue_to_call = Histogram(
            "twitch_operator_cue_to_call_seconds",
            "From the receipt of an event to the call to Twitch.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.credential_expiration = gauge(
            "credential_expiration_timestamp_seconds",
            "When a channel's access token expires.",
            ["namespace", "channel"],
        )
        self.next_rotation = gauge(
            "extension_next_rotation_timestamp_seconds",
            "When an extension's next shared secret is made; in the past: it is overdue.",
            ["namespace", "extension"],
        )
        self.extension_ready = gauge(
            "extension_ready",
            "Whether an ExtensionApp is Ready: 1 or 0.",
            ["namespace", "extension"],
        )
        self.token_refreshes = counter(
            "token_refreshes", "Refresh tokens that were exchanged, by result.", ["result"]
        )
        self.token_validations = counter(
            "token_validations", "Validations of access tokens, by result.", ["result"]
        )
        self.rule_feeds = RuleFeeds()
        self.registry.register(self.rule_feeds)
        self.status_writes = counter(
            "status_writes", "Writes of a status by result.", ["kind", "result"]
        )
        told = f"Kubernetes Events by what became of them: {' or '.join(_TOLD)}, else dropped."
        self.kubernetes_events = counter("kubernetes_events", told, ["result"])
        self.feed_gaps = counter(
            "feed_gaps",
            "Times that messages of a topic were dropped before they were heard: Recovered from"
            " the history, or Lost.",
            ["result"],
        )
        self.as_run_lines = counter(
            "as_run_lines", "Lines of the as-run log by what became of them.", ["result"]
        )
        self.loop_lag = gauge("loop_lag_seconds", "How late the event loop ran what was due.")
        build = gauge("build_info", "Always 1; the labels tell the build.", ["version", "python"])
        version = importlib.metadata.version("twitch-operator")
        build.labels(version, platform.python_version()).set(1)
        for verdict in Verdict:
            self.decisions.labels(verdict.value)
        for result in ("Succeeded", "Refused", "ClientRejected", "Failed"):
            self.token_refreshes.labels(result)
        for result in ("Succeeded", "Refused", "Failed"):
            self.token_validations.labels(result)
        for result in ("Recovered", "Lost"):
            self.feed_gaps.labels(result)
        for result in ("written", "failed", "dropped"):
            self.as_run_lines.labels(result)
        for result in (*_TOLD, *_UNTOLD):
            self.kubernetes_events.labels(result)

    def _make(self, kind: type[M], name: str, text: str, labels: Sequence[str] = ()) -> M:
        return kind(f"twitch_operator_{name}", text, labels, registry=self.registry)

    def add_rule(self, namespace: str, rule: str) -> None:
        """Begin the series of a rule at zero."""
        self.rule_events.add(namespace, rule)

    def remove_rule(self, namespace: str, rule: str) -> None:
        """End the series of a rule."""
        self.rule_events.remove(namespace, rule)

    def remove_channel(self, namespace: str, channel: str) -> None:
        """End the series of a channel."""
        self.credential_expiration.remove_by_labels({"namespace": namespace, "channel": channel})

    def tell_extension(
        self, namespace: str, extension: str, *, ready: bool, next_rotation: float | None
    ) -> None:
        """Set the series of an ExtensionApp; where no rotation is its business, that one ends."""
        self.extension_ready.labels(namespace, extension).set(ready)
        if next_rotation is not None:
            self.next_rotation.labels(namespace, extension).set(next_rotation)
        else:
            self._end(self.next_rotation, namespace, extension)

    def remove_extension(self, namespace: str, extension: str) -> None:
        """End the series of an ExtensionApp."""
        for series in (self.next_rotation, self.extension_ready):
            self._end(series, namespace, extension)

    @staticmethod
    def _end(series: Gauge, namespace: str, extension: str) -> None:
        series.remove_by_labels({"namespace": namespace, "extension": extension})
