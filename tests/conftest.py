"""What all tests share: one real control plane a run, and a fresh namespace a test."""

from __future__ import annotations

import signal
import uuid
from typing import TYPE_CHECKING

import pytest

from controller.sandbox import controlplane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.sandbox.controlplane import ControlPlane

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background, by a shell that lets none of its Ctrl-C through. Programs that the
    # tests start would inherit that, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A control plane with garbage collection, started once for the run. Mark tests `cluster`."""
    with controlplane.start(need_controller_manager=True) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Name of a fresh namespace; its deletion afterwards is asked for and not waited for."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.run_kubectl("create", "namespace", name, check=True)
    yield name
    control_plane.run_kubectl("delete", "namespace", name, "--wait=false", check=True)
