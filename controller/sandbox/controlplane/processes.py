"""Programs that never outlive this process, whatever ends it.

They are not children of this process but of a small supervisor (`supervise.py`), which ends them
and removes their folder once this process closes its pipe, or is gone.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from controller.sandbox.controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Processes", "last_lines"]

_SUPERVISOR = Path(__file__).parent / "supervise.py"
_ANSWER_TIMEOUT = 10.0  # seconds for the supervisor to start a program
_GONE = "the process that watches over the control plane is gone; start it anew"
_CLOSE_TIMEOUT = 45.0  # seconds to end all programs: each has ten before it is killed


class Processes:
    """A set of running programs; a context manager that ends them.

    Args:
        remove: Folder that is removed after the programs have ended; None: nothing is removed.
        grace: Seconds from asking a program to end until it is killed.
    """

    def __init__(self, remove: Path | None = None, grace: float = 10) -> None:
        self._exits: dict[str, int] = {}
        self._unread = b""
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", _SUPERVISOR, str(os.getpid()), str(grace), str(remove or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C on the terminal is for this process alone
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start a program.

        Args:
            name: What to call it here; of a program that has exited it can be used again.
            argv: Program and arguments.
            log: File that its output is appended to.
            cwd: Folder that it runs in.
            env: Its environment; None: this process's.

        Returns:
            Its process id.

        Raises:
            ControlPlaneError: It cannot be started.
        """
        self._exits.pop(name, None)
        order = {
            "start": name,
            "argv": [str(part) for part in argv],
            "env": dict(os.environ if env is None else env),
            "cwd": str(cwd),
            "log": str(log),
        }
        self._send(order)
        deadline = time.monotonic() + _ANSWER_TIMEOUT
        while (left := deadline - time.monotonic()) > 0:
            for report in self._reports(left):
                if report.get("started") == name:
                    return int(report["pid"])
                if report.get("failed") == name:
                    msg = f"{argv[0]} cannot be started: {report['error']}"
                    raise ControlPlaneError(msg)
        msg = (
            f"{argv[0]} was not started within {_ANSWER_TIMEOUT:.0f} s: is the machine overloaded?"
        )
        raise ControlPlaneError(msg)

    def exits(self, wait: float = 0) -> Mapping[str, int]:
        """Which programs have ended, and how.

        Args:
            wait: Seconds to wait for news, at most.

        Returns:
            Exit codes by name; negative: the signal that ended it.

        Raises:
            ControlPlaneError: The supervisor is gone, and the programs with it.
        """
        self._reports(wait)
        return self._exits

    def close(self) -> None:
        """End all programs, newest first, and remove the folder; returns when that is done."""
        if self._supervisor.stdin is None or self._supervisor.stdout is None:
            return
        self._supervisor.stdin.close()
        try:
            self._supervisor.wait(_CLOSE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        finally:
            self._supervisor.stdout.close()

    def _send(self, order: Mapping[str, Any]) -> None:
        pipe = self._supervisor.stdin
        try:
            if pipe is not None:
                pipe.write(json.dumps(order).encode() + b"\n")
        except (BrokenPipeError, ValueError):  # the latter after `close`
            raise ControlPlaneError(_GONE) from None

    def _reports(self, timeout: float) -> list[dict[str, Any]]:
        """What the supervisor has told within `timeout` seconds; exits are taken down here."""
        pipe = self._supervisor.stdout
        if pipe is None or pipe.closed or not select.select([pipe], [], [], timeout)[0]:
            return []
        received = os.read(pipe.fileno(), 65536)
        if not received:
            raise ControlPlaneError(_GONE)
        *lines, self._unread = (self._unread + received).split(b"\n")
        reports: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for report in reports:
            if "exited" in report:
                self._exits[report["exited"]] = report["code"]
        return reports


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for an error message; empty if there is no such file."""
    try:
        text = log.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-count:])
