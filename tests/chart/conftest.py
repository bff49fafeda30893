"""helm, or a reason why there is none."""

from __future__ import annotations

import os

import pytest

from controller.sandbox.controlplane import ControlPlaneError
from tests.chart.helm import obtain_helm


@pytest.fixture(scope="session", autouse=True)
def _helm() -> None:
    try:
        obtain_helm()
    except ControlPlaneError as error:
        if os.environ.get("REQUIRE_HELM"):
            raise
        pytest.skip(f"no helm to test the chart with: {error}")
