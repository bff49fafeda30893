"""Metrics of rules, their feeds and their decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import Histogram
from prometheus_client.registry import Collector

from controller.events import Verdict
from controller.runtime.families import Family, Row
from controller.runtime.metrics import Metrics
from controller.runtime.tallies import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

__all__ = ["FeedState", "RuleMetrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
RESULTS = ("matched", "fired", "skipped", "failed", "error")
_LAGS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


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
        states, labels = list(self.states()), ("namespace", "rule")
        yield Family(
            "twitch_operator_feed_last_poll_timestamp_seconds",
            "Time of the last completed poll of a rule's feed; 0: never.",
            "gauge",
            labels,
            lambda: (Row((each.namespace, each.rule), each.last_poll) for each in states),
        )
        yield Family(
            "twitch_operator_feed_connected",
            "1 if the condition FeedConnected of a rule is True, else 0; with its reason.",
            "gauge",
            (*labels, "reason"),
            lambda: (
                Row((each.namespace, each.rule, each.reason), each.connected) for each in states
            ),
        )


class RuleMetrics:
    """The series of rules.

    Args:
        metrics: Where they are added.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self.registry = metrics.registry
        self.events = metrics.counter("feed_events", "Messages that are events.")
        self.malformed = metrics.counter(
            "feed_malformed_messages",
            "Messages that are not events, and were dropped.",
        )
        self.feed_lag = Histogram(
            "twitch_operator_feed_lag_seconds",
            "Time from the publication of a message to its receipt, by the clocks of both.",
            buckets=_LAGS,
            registry=self.registry,
        )
        self.rule_events = Tallies(
            "twitch_operator_rule_events",
            "Events of a rule by result; error: `when` failed.",
            "rule",
            RESULTS,
        )
        self.registry.register(self.rule_events)
        self.decisions = metrics.counter(
            "decisions",
            "Decisions by verdict.",
            ["verdict"],
            values=tuple(verdict.value for verdict in Verdict),
        )
        self.cue_to_call = Histogram(
            "twitch_operator_cue_to_call_seconds",
            "Time from a cue to the call to Twitch, without delay and waiting.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rule_feeds = RuleFeeds()
        self.registry.register(self.rule_feeds)
        self.feed_gaps = metrics.counter(
            "feed_gaps",
            "Gaps in which the feed dropped messages: Recovered from the history, or Lost.",
            ["result"],
            values=("Recovered", "Lost"),
        )
