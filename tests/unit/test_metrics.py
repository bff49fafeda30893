"""The series of the kernel: they begin at zero, and end with their object."""

from __future__ import annotations

import asyncio
import math
import threading
from email.utils import formatdate

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from controller.channels.metrics import ChannelMetrics, ChannelState, result_of_break
from controller.clients.http import Exchange
from controller.events import Verdict
from controller.runtime.families import Family, Row, exposition
from controller.runtime.metrics import LoopLag, Metrics
from controller.runtime.resource import Key
from controller.runtime.resource_metrics import ResourceMetrics

NOW = 1_800_000_000.0
CHANNEL = Key("TwitchChannel", "tv", "mst3k")


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"twitch_operator_{name}", labels)


def test_the_loop_lag_is_the_largest_of_a_minute() -> None:
    lag = LoopLag()
    assert lag.most() == 0.0
    for at, seen in ((0, 0.5), (1, 3.0), (2, 0.1), (3, 0.2)):
        lag.note(seen, at)
    assert lag.most() == 3.0
    lag.note(0.0, 61)
    assert lag.most() == 0.2
    lag.note(0.0, 200)
    assert lag.most() == 0.0


def exchange(code: str, date: str | None = None) -> Exchange:
    return Exchange("POST", "/helix/channels/commercial", code, 0.02, NOW, date)


def test_the_first_call_that_nobody_answers_is_an_increase() -> None:
    metrics = Metrics()
    labels = {"method": "POST", "path": "/helix/channels/commercial"}
    metrics.calls.twitch(exchange("200"))
    assert value(metrics, "twitch_requests_total", **labels, code="200") == 1
    assert value(metrics, "twitch_requests_total", **labels, code="unanswered") == 0
    assert value(metrics, "twitch_requests_total", **labels, code="unsent") == 0
    metrics.calls.twitch(exchange("unanswered"))
    assert value(metrics, "twitch_requests_total", **labels, code="unanswered") == 1
    seconds = "twitch_request_duration_seconds_count"
    assert value(metrics, seconds, path="/helix/channels/commercial") == 2


@pytest.mark.parametrize(("told", "skew"), [(NOW, -0.5), (NOW - 60, 59.5), (NOW + 7, -7.5)])
def test_the_clock_is_held_against_twitchs(told: float, skew: float) -> None:
    metrics = Metrics()
    before = value(metrics, "clock_skew_seconds")
    assert before is not None
    assert math.isnan(before)
    metrics.calls.twitch(exchange("204", formatdate(told, usegmt=True)))
    assert value(metrics, "clock_skew_seconds") == skew
    for odd in ("yesterday", "", "01 Jan 99999999999999999999 00:00:00 GMT"):
        metrics.calls.twitch(exchange("204", odd))  # which must not cost the answer of a call
    metrics.calls.twitch(exchange("unsent"))
    assert value(metrics, "clock_skew_seconds") == skew


def test_calls_to_the_api_server_are_counted_by_status() -> None:
    metrics = Metrics()
    for status in (200, 409, None):
        metrics.calls.kubernetes("PATCH", "TriggerRule", status)
    for code in ("200", "409", "unanswered"):
        labels = {"method": "PATCH", "kind": "TriggerRule", "code": code}
        assert value(metrics, "kubernetes_requests_total", **labels) == 1


def test_a_resource_has_one_reason_at_a_time_and_no_series_once_it_is_gone() -> None:
    metrics, labels = Metrics(), {"kind": "TwitchChannel", "namespace": "tv", "name": "mst3k"}

    def note(ready: str, reason: str, stalled: str) -> None:
        conditions = [
            {"type": "Ready", "status": ready, "reason": reason},
            {"type": "Stalled", "status": stalled, "reason": reason},
        ]
        metrics.resources.note(CHANNEL, {"conditions": conditions})

    note("False", "SecretNotFound", "True")
    assert value(metrics, "resource_ready", **labels, reason="SecretNotFound") == 0
    assert value(metrics, "resource_stalled", **labels) == 1
    note("True", "Succeeded", "False")
    assert value(metrics, "resource_ready", **labels, reason="Succeeded") == 1
    assert value(metrics, "resource_ready", **labels, reason="SecretNotFound") is None
    assert value(metrics, "resource_stalled", **labels) == 0
    metrics.resources.remove(CHANNEL)
    assert "mst3k" not in generate_latest(metrics.registry).decode()


def test_a_status_without_conditions_is_not_ready() -> None:
    resources, registry = ResourceMetrics(), CollectorRegistry()
    registry.register(resources)
    resources.note(CHANNEL, {})
    assert b'reason=""} 0.0' in generate_latest(registry)


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        (Verdict.CONFIRMED, "confirmed"),
        (Verdict.FIRED, "accepted"),
        (Verdict.UNCONFIRMED, "unconfirmed"),
        (Verdict.UNKNOWN, "failed"),
        (Verdict.FAILED, "failed"),
        (Verdict.COOLING_DOWN, "cooldown"),
        (Verdict.QUIET_HOURS, "skipped"),
        (None, "skipped"),
    ],
)
def test_a_break_counts_as_what_became_of_it(verdict: Verdict | None, result: str) -> None:
    assert result_of_break(verdict) == result


def test_the_series_of_a_channel_begin_at_zero_and_end_with_it() -> None:
    metrics = Metrics()
    channels, labels = ChannelMetrics(metrics), {"namespace": "tv", "channel": "mst3k"}
    channels.breaks.inc("tv", "mst3k", "failed")
    channels.breaks.add("tv", "mst3k")
    channels.credential_expiration.labels("tv", "mst3k").set(NOW)
    channels.states.states = lambda: [ChannelState(("tv", "mst3k"), None, NOW)]
    assert value(metrics, "channel_breaks_total", **labels, result="failed") == 0
    assert value(metrics, "channel_live", **labels) is None
    assert value(metrics, "channel_commercial_end_timestamp_seconds", **labels) == NOW
    channels.end_token("tv", "mst3k")
    channels.breaks.inc("tv", "mst3k", "failed")
    assert value(metrics, "channel_breaks_total", **labels, result="failed") == 1
    assert value(metrics, "credential_expiration_timestamp_seconds", **labels) is None
    channels.states.states = tuple
    channels.remove("tv", "mst3k")
    assert "mst3k" not in generate_latest(metrics.registry).decode()


def test_a_queue_is_looked_at_when_it_is_scraped() -> None:
    metrics, waiting = Metrics(), [1, 2, 3]
    metrics.queue("reconcile", lambda: len(waiting))
    assert value(metrics, "queue_length", queue="reconcile") == 3
    waiting.clear()
    assert value(metrics, "queue_length", queue="reconcile") == 0


async def test_text_is_made_while_the_loop_goes_on() -> None:
    made_on: list[threading.Thread] = []
    wrote, went_on = threading.Event(), threading.Event()

    class Slow(Collector):
        def collect(self) -> list[Family]:
            def rows() -> list[Row]:
                made_on.append(threading.current_thread())
                wrote.set()
                assert went_on.wait(30), "the loop stands still"
                return [Row(("mst3k",), 1)]

            return [Family("slow", "A family.", "counter", ("channel",), rows)]

    registry = CollectorRegistry()
    registry.register(Slow())
    text = asyncio.create_task(exposition(registry))
    assert await asyncio.to_thread(wrote.wait, 30)
    went_on.set()
    assert b'slow_total{channel="mst3k"} 1.0' in await text
    assert made_on[0] is not threading.main_thread()
