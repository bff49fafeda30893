"""Prometheus' own programs, or a reason why a test is skipped, and what the chart has for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

__all__ = ["ALERTS", "DASHBOARD", "ROOT", "program"]

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "charts/twitch-operator/files/alerts.yaml"
DASHBOARD = ROOT / "charts/twitch-operator/files/dashboard.json"


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`; where there is none, the test is skipped."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian and Ubuntu: the package prometheus)"
        if os.environ.get("REQUIRE_PROMETHEUS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
