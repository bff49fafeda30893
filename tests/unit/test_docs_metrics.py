"""The alerts of docs/monitoring.md against those that the operator exposes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.channels.metrics import ChannelMetrics
from controller.extensions.metrics import ExtensionMetrics
from controller.runtime.metrics import Metrics
from controller.triggers.metrics import FeedState, RuleMetrics

DOCS = Path(__file__).parents[2] / "docs" / "monitoring.md"
_SELECTOR = re.compile(r"(twitch_operator_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
_REASONS = ("AccessDenied", "DecryptionFailed")


def _samples() -> dict[str, list[dict[str, str]]]:
    """Labels of all series, by name, of an operator that has one of everything."""
    metrics = Metrics()
    rules = RuleMetrics(metrics)
    rules.rule_events.add("tv", "splices")
    ChannelMetrics(metrics).credential_expiration.labels("tv", "mst3k").set(1)
    ExtensionMetrics(metrics).set("tv", "panel", ready=True, next_rotation=1)
    metrics.status_writes.labels("TriggerRule", "written")
    rules.rule_feeds.states = lambda: [
        FeedState("tv", "splices", 0.0, False, reason) for reason in _REASONS
    ]
    found: dict[str, list[dict[str, str]]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def _alerts() -> list[dict[str, Any]]:
    blocks = re.findall(r"```yaml\n(groups:.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return [
        rule for block in blocks for group in yaml.safe_load(block)["groups"]
        for rule in group["rules"]
    ]  # fmt: skip


@pytest.mark.parametrize("alert", _alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_refers_to_series_that_there_are(alert: dict[str, Any]) -> None:
    selectors = _SELECTOR.findall(alert["expr"])
    assert selectors
    samples = _samples()
    labels: set[str] = set()
    for name, matchers in selectors:
        assert name in samples
        labels |= {label for sample in samples[name] for label in sample}
        for label, operator, wanted in _MATCHER.findall(matchers):
            values = {sample[label] for sample in samples[name]}
            assert set(wanted.split("|") if operator == "=~" else [wanted]) <= values
    told = " ".join(alert["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= labels


def test_there_are_alerts_for_feeds_and_for_what_failed() -> None:
    names = {alert["alert"] for alert in _alerts()}
    wanted = {"TwitchFeedStale", "TwitchFeedDenied", "TwitchCueFailed"}
    assert wanted | {"TwitchCommercialUnconfirmed"} <= names
