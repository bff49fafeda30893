"""What all tests share: one real control plane a run, and a fresh namespace a test."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from controller.actions import registry as _actions  # noqa: F401 - as for feeds
from controller.feeds import registry as _feeds  # noqa: F401 - specs are read by what it registers
from controller.sandbox import controlplane
from tests.shared_plane import SharedPlane, join

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.workermanage import WorkerController

    from controller.sandbox.controlplane import ControlPlane

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background, by a shell that lets none of its Ctrl-C through. Programs that the
    # tests start would inherit that, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in each run, and few of them; `make soak` has many, and others each time.
_EXAMPLES = os.environ.get("TWITCH_OPERATOR_TEST_EXAMPLES")
hypothesis.settings.register_profile(
    "suite",
    max_examples=int(_EXAMPLES or 40),
    derandomize=not _EXAMPLES,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # so is a busy machine
)
hypothesis.settings.load_profile("suite")


# Whole files go to workers. Those that take minutes begin first: at the end nobody waits for one.
_LONGEST = (
    "test_operator_consents",
    "test_extension_rotation",
    "test_demo",
    "test_operator_outage",
    "test_operator_grants",
    "test_channels_many",
    "test_commands_by_hand",
    "test_grant_kills",
    "test_operator_restart",
    "test_controlplane_plane",
    "test_operator_main_job",
    "test_no_leaks",
    "test_authorize_command",
    "test_extension_kills",
    "test_breaks_kills",
    "test_outages",
    "test_extension_messages",
    "test_extension_gateway",
    "test_chart_install",
    "test_grant_many",
    "test_outcomes",
    "test_sandbox_command",
    "test_events",
    "test_operator_healing",
    "test_gateway",
    "test_crds_status",
    "test_gateway_fuzz",
    "test_controlplane_locate",
)
_FOLDERS = ("chart", "cluster", "gitops", "sandbox", "simulated", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_turn)  # stable: the tests of a file stay in their order


def _turn(item: pytest.Item) -> tuple[int, int]:
    name, folder = item.path.stem, item.path.parent.name
    long = _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)
    return long, _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)


_SHARED = pytest.StashKey[SharedPlane]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker where the control plane of all workers is."""
    if _SHARED not in node.config.stash:
        node.config.stash[_SHARED] = SharedPlane()
    shared = node.config.stash[_SHARED]
    node.workerinput["shared_plane"] = str(shared.folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    if (shared := config.stash.get(_SHARED, None)) is not None:
        shared.close()


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A control plane with garbage collection, started once for the run. Mark tests `cluster`."""
    shared = getattr(request.config, "workerinput", {}).get("shared_plane")
    with (
        join(Path(shared)) if shared else controlplane.start(need_controller_manager=True)
    ) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Name of a fresh namespace; its deletion afterwards is asked for and not waited for."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    control_plane.run_kubectl("create", "namespace", name, check=True)
    yield name
    control_plane.run_kubectl("delete", "namespace", name, "--wait=false", check=True)
