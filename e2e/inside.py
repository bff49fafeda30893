"""The first process of the node's namespaces: `python -m e2e.inside FOLDER ARCHIVE…`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING

from controller.sandbox import controlplane
from controller.sandbox.controlplane import ControlPlaneError
from controller.sandbox.controlplane.processes import Processes, last_lines
from controller.sandbox.demo.cast import DemoError, HTTPError
from controller.sandbox.stage import Stage, signals_interrupt
from e2e.binaries import obtain_binaries
from e2e.node import Node, prepare_namespaces
from e2e.scenario import Scenario
from e2e.tools import Failure, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["main"]

_FAILURES = (ControlPlaneError, DemoError, Failure, HTTPError, OSError, SubprocessError)
_TOLD = (  # when something failed
    ("get", "pods,deployments,replicasets", "-A", "-o", "wide"),
    ("get", "events", "-A", "--sort-by=.lastTimestamp"),
    ("get", "tch,trule", "-A"),
)


def main(folder: Path, archives: Sequence[Path]) -> int:
    """Run the scenario on a node that is made here.

    Args:
        folder: For everything; the caller's.
        archives: Images of the operator and of the pause container.
    """
    with signals_interrupt(), ExitStack() as stack:
        try:
            binaries = obtain_binaries()
            prepare_namespaces(folder)
            plane = stack.enter_context(controlplane.start(folder=folder / "plane"))
            stage = stack.enter_context(Stage(plane))
            processes = stack.enter_context(Processes(grace=2))
            node = Node(plane, binaries, folder, processes)
        except _FAILURES as error:
            say(f"failed: {error}")
            return 1
        try:
            node.start(archives)
            say("the node is Ready")
            Scenario(stage, node).play()
        except _FAILURES as error:
            _explain(plane, folder)
            say(f"failed: {error}")
            return 1
    return 0


def _explain(plane: ControlPlane, folder: Path) -> None:
    for command in _TOLD:
        told = plane.run_kubectl(*command)
        sys.stdout.write(f"--- kubectl {' '.join(command)}\n{told.stdout}{told.stderr}")
    for log in [*folder.glob("*.log"), *folder.glob("pods/twitch_*/*/*.log")]:
        sys.stdout.write(f"--- {log.relative_to(folder)}\n{last_lines(log)}\n")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]))
