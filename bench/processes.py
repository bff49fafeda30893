"""Processes that a benchmark starts and measures; all end with it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

__all__ = ["BenchError", "Child", "run_until_end_of_input", "running", "warm_up"]

_ROOT = Path(__file__).parent.parent
_STOP_WITHIN = 20.0
_LINE_LIMIT = 2**24  # a configuration holds a token for each channel
_LAST_LINES = 15

T = TypeVar("T")


class BenchError(Exception):
    """A benchmark cannot go on; the message tells why."""


class Child:
    """A running process.

    Attributes:
        name: For messages.
        told: What it said in its first line, where it was asked to say something.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.told: dict[str, Any] = {}
        self._process = process
        self._log = log

    async def during(self, work: Coroutine[Any, Any, T], timeout: float) -> T:  # noqa: ASYNC109 - with a message of its own
        """Await something that needs this process.

        Raises:
            BenchError: The process ended, or it took more than `timeout` seconds.
        """
        task, end = asyncio.ensure_future(work), asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({task, end}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            task.cancel()
            end.cancel()
            await asyncio.gather(task, end, return_exceptions=True)
        code = self._process.returncode
        fate = f"took more than {timeout:.0f} s" if code is None else f"ended with {code}"
        lines = self._log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:]
        msg = f"{self.name} {fate}; its last words:\n" + "\n".join(lines)
        raise BenchError(msg)

    async def hear(self) -> dict[str, Any]:
        """Read one line of JSON from it; {} where it says nothing more."""
        if self._process.stdout is None:
            return {}
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line else {}

    async def order(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """Write a line of JSON to it, and read its answer."""
        if self._process.stdin is None:
            msg = f"{self.name} takes no orders"
            raise BenchError(msg)
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        return await self.hear()

    def find(self, pattern: str) -> re.Match[str]:
        """Find something in its log.

        Raises:
            BenchError: It is not there.
        """
        found = re.search(pattern, self._log.read_text("utf-8", "replace"))
        if found is None:
            msg = f"{self.name} did not tell {pattern!r}"
            raise BenchError(msg)
        return found

    def pin(self, core: int) -> None:
        """Let it have this core and no other."""
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})

    def cpu(self) -> float:
        """The seconds of CPU that it needed so far."""
        text = Path(f"/proc/{self._process.pid}/stat").read_text("utf-8")
        user, system = text.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Its resident set, in MiB."""
        return self._status("VmRSS")

    def peak_memory(self) -> float:
        """The largest resident set that it had so far, in MiB."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text("utf-8")
        [line] = [line for line in status.splitlines() if line.startswith(name)]
        return int(line.split()[1]) / 1024

    async def stop(self) -> None:
        """End it in order; after some time, end it anyway."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def running(
    name: str,
    *arguments: str,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    configuration: Mapping[str, Any] | None = None,
) -> AsyncIterator[Child]:
    """Run a Python module of this repository for the time of the context.

    Args:
        name: For messages, and of its log in `folder`.
        arguments: The module and its arguments.
        folder: Where its log goes.
        settings: Environment variables beside those of this process.
        configuration: A JSON line for its standard input; such a process answers with a JSON line
            when it is ready, and ends when its input does. None: it does neither.
    """
    log = folder / f"{name}.log"
    spoken_to = configuration is not None
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            cwd=_ROOT,
            env=_environment() | dict(settings or {}),
            stdin=asyncio.subprocess.PIPE if spoken_to else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if spoken_to else errors,
            stderr=errors,
            limit=_LINE_LIMIT,
            start_new_session=True,  # Ctrl-C is for the benchmark, which then ends things in order
        )
    child = Child(name, process, log)
    try:
        if process.stdin is not None:
            process.stdin.write(json.dumps(configuration).encode() + b"\n")
            child.told = await child.during(child.hear(), 60)
        yield child
    finally:
        await asyncio.shield(child.stop())


async def warm_up(*modules: str) -> None:
    """Import modules once in a process, so that their bytecode is there before a start is timed.

    Raises:
        BenchError: That failed.
    """
    code = "import " + ", ".join(modules)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=_ROOT, env=_environment()
    )
    if await process.wait() != 0:
        msg = f"python -c '{code}' failed"
        raise BenchError(msg)


async def run_until_end_of_input() -> None:
    """In a child: wait until the parent is gone or wants the end."""
    await asyncio.to_thread(sys.stdin.read)


def _environment() -> dict[str, str]:
    """Without the user's settings, without proxies (all is on loopback), with bytecode kept."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TWITCH_OPERATOR_")
        and not name.lower().endswith("_proxy")
        and name != "PYTHONDONTWRITEBYTECODE"
    }
