"""The chart's alerts, judged by Prometheus' own promtool, and their runbooks."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import ALERTS, ROOT, program

_HOUR = yaml.safe_load(Path(__file__).with_name("alerts_hour.yaml").read_text("utf-8"))
HEALTHY: dict[str, str] = _HOUR["healthy"]
FAULTS: dict[str, dict[str, Any]] = _HOUR["faults"]
_FIRING = 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0'


def alerts() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return list(group["rules"])


def held_against(series: dict[str, str], firing: dict[int, set[str]]) -> dict[str, Any]:
    """A test of promtool: at which minute which alerts fire, and no others."""
    return {
        "interval": "1m",
        "input_series": [
            {"series": f"twitch_operator_{name}", "values": values}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {
                "expr": _FIRING,
                "eval_time": f"{minute}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(names)
                ],
            }
            for minute, names in firing.items()
        ],
    }


def run(folder: Path, *tests: dict[str, Any], every: str = "1m") -> str:
    """What promtool finds wrong, where rules are evaluated so often."""
    file = folder / "tests.yaml"
    whole = {"rule_files": [str(ALERTS)], "evaluation_interval": every, "tests": list(tests)}
    file.write_text(yaml.safe_dump(whole), "utf-8")
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_prometheus_finds_nothing_wrong() -> None:
    check = [program("promtool"), "check", "rules", str(ALERTS)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_fires_in_a_healthy_hour(tmp_path: Path) -> None:
    assert run(tmp_path, held_against(HEALTHY, {at: set() for at in range(61)})) == ""


def test_each_alert_fires_in_its_fault_and_no_other_does(tmp_path: Path) -> None:
    tests = [held_against(HEALTHY | f["series"], {60: set(f["fires"])}) for f in FAULTS.values()]
    assert run(tmp_path, *tests, every="5m") == ""
    assert {name for fault in FAULTS.values() for name in fault["fires"]} == {
        a["alert"] for a in alerts()
    }


@pytest.mark.parametrize("fault", ["the loop is late", "a feed is silent", "a resource is stalled"])
def test_an_alert_is_patient(fault: str, tmp_path: Path) -> None:
    series = HEALTHY | FAULTS[fault]["series"]
    assert run(tmp_path, held_against(series, {at: set() for at in range(34)})) == ""


def test_what_an_alert_tells_names_the_resource(tmp_path: Path) -> None:
    told = {
        "alertname": "TwitchResourceStalled",
        "eval_time": "59m",
        "exp_alerts": [
            {
                "exp_labels": {
                    "severity": "warning",
                    "kind": "TriggerRule",
                    "namespace": "tv",
                    "name": "splices",
                },
                "exp_annotations": {
                    "summary": "TriggerRule tv/splices: a human must act",
                    "description": "kubectl describe triggerrule splices -n tv has the remedy",
                },
            }
        ],
    }  # fmt: skip
    series = HEALTHY | FAULTS["a resource is stalled"]["series"]
    assert run(tmp_path, held_against(series, {}) | {"alert_rule_test": [told]}) == ""


def test_each_alert_has_a_severity_and_a_runbook_that_says_what_to_do() -> None:
    page = (ROOT / "docs/runbooks.md").read_text("utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    assert list(sections) == [alert["alert"] for alert in alerts()]
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"].keys() == {"summary", "description"}
        section = sections[alert["alert"]]
        for part in ("**Meaning.**", "**Remedy.**", "**Escalate**"):
            assert part in section, alert["alert"]
        assert "```console" in section or "**Look first**" in section or "| queue" in section
