"""What the demo does with its own hands: curl, kubectl, waiting; each shown as a command."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from controller.sandbox.demo.cast import post

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from controller.sandbox.controlplane import ControlPlane
    from controller.sandbox.demo.cast import Program
    from controller.sandbox.demo.script import Script

__all__ = ["Hands"]


class Hands:
    """Does things, and shows them.

    Args:
        script: Where they are shown.
        plane: Whom kubectl asks.
        programs: Whose end is noticed while something is waited for.
    """

    def __init__(self, script: Script, plane: ControlPlane, programs: Sequence[Program]) -> None:
        self._script = script
        self._plane = plane
        self._programs = programs

    def post(self, url: str, body: str = "{}") -> httpx.Response:
        """Order something from a simulator.

        Raises:
            DemoError: It refused.
        """
        self._script.curl(url, shlex.quote(body))
        return post(url, body)

    def kubectl(self, *arguments: str) -> None:
        """Run kubectl, and show what it printed.

        Raises:
            ControlPlaneError: It failed.
        """
        self._script.command(shlex.join(["kubectl", *arguments]))
        self._script.output(self._plane.run_kubectl(*arguments, check=True).stdout)

    def wait(self, for_what: str, *what: str, timeout: int) -> bool:
        """Run `kubectl wait`, in slices, so that a program that has ended is noticed.

        Returns:
            Whether it came within `timeout` seconds.

        Raises:
            DemoError: A program has ended.
        """
        command = ("wait", f"--for={for_what}", *what)
        self._script.command(shlex.join(["kubectl", *command]))
        deadline = time.monotonic() + timeout
        while True:
            self.check()
            done = self._plane.run_kubectl(*command, "--timeout=2s")
            if done.returncode == 0 or time.monotonic() > deadline:
                self._script.output(done.stdout + done.stderr)
                return done.returncode == 0

    def check(self, wait: float = 0) -> None:
        """See that the programs that were started run.

        Args:
            wait: Seconds to watch them, at most.

        Raises:
            DemoError: One has ended.
        """
        for program in self._programs:
            program.check(wait / len(self._programs))
