"""The process that outlives its parent just long enough to clean up behind it.

Run as a script, not imported: `python -I supervise.py PARENT_PID GRACE FOLDER_TO_REMOVE`. It starts
programs on behalf of its parent, and when the parent closes the pipe, or is gone in whatever way
(SIGKILL too), it ends them, newest first, and removes the folder (an empty name: none).

Over standard input come JSON lines `{"start": name, "argv": […], "env": {…}, "cwd": …, "log": …}`;
over standard output go `{"started": name, "pid": n}`, `{"failed": name, "error": text}` and
`{"exited": name, "code": n}`.

Only the standard library, so that it starts in milliseconds; one thread, so that the function
between fork and exec is safe.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

__all__ = ["Supervisor", "main"]

_TICK = 0.1  # seconds between two looks at the children
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


class Supervisor:
    """Starts programs, tells when they exit, ends them.

    Args:
        parent: Process whose end is the end of everything.
        grace: Seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, parent: int, grace: float) -> None:
        self._parent = parent
        self._grace = grace
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._unread = b""
        self._told_to_end = False
        self._before_exec = _die_with_parent()

    def serve(self) -> None:
        """Obey until the parent hangs up or is gone, or this process is told to end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)  # not SIG_IGN: children would inherit that
        while os.getppid() == self._parent and not self._told_to_end:
            readable, _, _ = select.select([0], [], [], _TICK)
            if readable:
                received = os.read(0, 65536)
                if not received:
                    return
                *lines, self._unread = (self._unread + received).split(b"\n")
                for line in lines:
                    self._start(json.loads(line))
            self._tell_exits()

    def end(self) -> None:
        """End all children, newest first; returns when none is left."""
        for name in reversed(list(self._children)):
            self._stop(name)

    def _on_signal(self, *_: object) -> None:
        self._told_to_end = True

    def _start(self, order: dict[str, Any]) -> None:
        name = order["start"]
        try:
            with open(order["log"], "ab") as log:  # noqa: PTH123 - a path as text, from the pipe
                child = subprocess.Popen(
                    order["argv"],
                    env=order["env"],
                    cwd=order["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=self._before_exec,  # noqa: PLW1509 - this process has one thread
                )
        except OSError as error:
            _tell(failed=name, error=str(error))
            return
        self._children[name] = child
        _tell(started=name, pid=child.pid)

    def _stop(self, name: str) -> None:
        child = self._children.pop(name)
        _signal(child, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(self._grace)
        _signal(child, signal.SIGKILL)  # and whatever the child itself has started
        _tell(exited=name, code=child.wait())

    def _tell_exits(self) -> None:
        for name, child in list(self._children.items()):
            if child.poll() is not None:
                self._stop(name)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the child's whole group: it leads one, whose number stays taken while it has members.

    The group is the child's own, so that a Ctrl-C on the terminal reaches only the parent, which
    then ends things in order.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone (macOS: the latter)
        os.killpg(child.pid, number)


def _die_with_parent() -> Any:  # noqa: ANN401 - what Popen takes as preexec_fn
    """Where Linux offers it: even a supervisor that is killed takes its children along."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _tell(**report: str | int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody left to listen
        os.write(1, json.dumps(report).encode() + b"\n")


def _remove(folder: str) -> None:
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(_TICK)


def main(arguments: list[str]) -> None:
    """Serve, then clean up: `[parent process id, grace in seconds, folder to remove]`."""
    supervisor = Supervisor(int(arguments[0]), float(arguments[1]))
    try:
        supervisor.serve()
    finally:
        supervisor.end()
        if arguments[2]:
            _remove(arguments[2])


if __name__ == "__main__":
    main(sys.argv[1:])
