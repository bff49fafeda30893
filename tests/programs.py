"""`twitch-operator` as a process of its own that runs at once: a fork with all imports done.

Importing costs a second or more of CPU; a server does it once for all that this process starts.
What it forks is a process like any other, with environment, output and signals of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from functools import cache
from multiprocessing.reduction import DupFd
from pathlib import Path
from subprocess import PIPE, TimeoutExpired
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerContext

__all__ = ["CLOCK_AHEAD", "Program"]

CLOCK_AHEAD = "TESTS_CLOCK_AHEAD"
"""Variable with the seconds by which a program's wall clock is ahead."""

ROOT = Path(__file__).parents[1]
_PRELOADED = [
    "__main__",
    "controller.__main__",
    "controller.commands.authorize",
    "controller.commands.gateway",
    "controller.commands.revoke",
    "controller.commands.run",
    "controller.feeds.pubnub.feed",
]


class Program:
    """`twitch-operator` with these arguments; used as a `subprocess.Popen` is.

    Args:
        arguments: The command and its options.
        environment: All of its environment.
        stdout: A file that takes its output.
        stderr: A file that takes its errors.
        stdin: PIPE: it reads what is written into `stdin`; None: nothing.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str],
        stdout: IO[bytes], stderr: IO[bytes], stdin: int | None = None,
    ) -> None:  # fmt: skip
        self.stdin: IO[bytes] | None = None
        self.returncode: int | None = None
        self._lock = threading.Lock()
        theirs, ours = os.pipe()
        if stdin == PIPE:
            self.stdin = os.fdopen(ours, "wb", buffering=0)
        else:
            os.close(ours)
        # Pickled when it starts, which duplicates the descriptors into the fork.
        streams = [_Stream(fd) for fd in (theirs, stdout.fileno(), stderr.fileno())]
        self._process = _server().Process(
            target=_run, args=(list(arguments), dict(environment), streams), daemon=True
        )
        try:
            self._process.start()
        finally:
            os.close(theirs)

    @classmethod
    def start(cls, command: str, environment: Mapping[str, str], log: Path) -> Program:
        """Start a command, all of whose output goes to one file."""
        with log.open("wb") as out:
            return cls([command], environment, out, out)

    @property
    def pid(self) -> int:
        pid = self._process.pid
        assert pid is not None
        return pid

    def poll(self) -> int | None:
        with self._lock:  # the exit code can be read once
            if self.returncode is None:
                self.returncode = self._process.exitcode
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutExpired("twitch-operator", timeout or 0.0)
            time.sleep(0.01)
        return code

    def send_signal(self, by: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, by)

    def kill(self) -> None:
        self._process.kill()

    def communicate(self) -> None:
        """Wait for its end; what it told is in its files."""
        if self.stdin is not None:
            self.stdin.close()
        self.wait()


class _Stream:
    """A file descriptor on its way into the fork."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _detach, (DupFd(self.fd),)


def _detach(duplicate: Any) -> int:  # noqa: ANN401 - of a type that multiprocessing does not tell
    return int(duplicate.detach())


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _run(arguments: list[str], environment: dict[str, str], streams: list[int]) -> None:
    """Be the program; runs in the fork."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - that of multiprocessing reads nothing
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["twitch-operator", *arguments]
    ahead, true = float(os.environ.pop(CLOCK_AHEAD, 0)), time.time
    if ahead:
        time.time = lambda: true() + ahead  # a machine whose clock is wrong
    from controller.__main__ import main  # noqa: PLC0415 - before it are the streams

    sys.exit(main(arguments))
