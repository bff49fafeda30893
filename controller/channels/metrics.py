"""Metrics of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.registry import Collector

from controller.events import Verdict
from controller.runtime.families import Family, Row
from controller.runtime.metrics import Metrics
from controller.runtime.tallies import Tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

__all__ = ["ChannelMetrics", "ChannelState", "result_of_break"]

_BREAKS = {
    Verdict.CONFIRMED: "confirmed",
    Verdict.FIRED: "accepted",
    Verdict.UNCONFIRMED: "unconfirmed",
    Verdict.UNKNOWN: "failed",
    Verdict.FAILED: "failed",
    Verdict.COOLING_DOWN: "cooldown",
}
_SKIPPED = "skipped"


def result_of_break(verdict: Verdict | None) -> str:
    """What a break that is over counts as; None: there was no decision about it."""
    return _BREAKS.get(verdict, _SKIPPED) if verdict is not None else _SKIPPED


class ChannelState(NamedTuple):
    """What a scrape tells of a channel.

    Attributes:
        key: Its namespace and name.
        live: Whether a stream runs; None: not known.
        commercial_end: When its last commercial ends or ended, in seconds since the epoch; 0: none.
    """

    key: tuple[str, str]
    live: bool | None
    commercial_end: float


class ChannelStates(Collector):
    """The present of each channel: looked at when it is scraped."""

    def __init__(self) -> None:
        self.states: Callable[[], Iterable[ChannelState]] = tuple

    def collect(self) -> Iterator[Metric]:
        """Tell Prometheus."""
        states, labels = list(self.states()), ("namespace", "channel")
        yield Family(
            "twitch_operator_channel_live",
            "1 if a stream of the channel runs, else 0; no series: not known.",
            "gauge",
            labels,
            lambda: (Row(each.key, each.live) for each in states if each.live is not None),
        )
        yield Family(
            "twitch_operator_channel_commercial_end_timestamp_seconds",
            "When the channel's last commercial of this operator ends or ended; 0: there was none.",
            "gauge",
            labels,
            lambda: (Row(each.key, each.commercial_end) for each in states),
        )


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
        self.breaks = Tallies(
            "twitch_operator_channel_breaks",
            "Breaks that are over, by result; accepted: nothing tells whether it ran; failed: or"
            " unknown; skipped: by a decision of the operator.",
            "channel",
            tuple(dict.fromkeys([*_BREAKS.values(), _SKIPPED])),
        )
        self.states = ChannelStates()
        for collector in (self.breaks, self.states):
            self.registry.register(collector)

    def end_token(self, namespace: str, channel: str) -> None:
        """End the series of a channel's token: there is none."""
        self.credential_expiration.remove_by_labels({"namespace": namespace, "channel": channel})

    def remove(self, namespace: str, channel: str) -> None:
        """End the series of a channel."""
        self.end_token(namespace, channel)
        self.breaks.remove(namespace, channel)
