"""A process with namespaces of its own, so that nothing it makes can outlive it.

Processes, mounts, network devices and packet filters of the node belong to namespaces that end with
their first process. What the kernel keeps outside of them is removed here: cgroups and a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.tools import Failure, Missing, complete, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["check_namespaces", "run_in_namespaces", "workplace"]

_UNSHARE = (
    "unshare",
    "--mount",
    "--net",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
_PREFIX = "twitch-operator-e2e-"
_CGROUPS = Path("/sys/fs/cgroup")
_END_TIMEOUT = 60.0
_TICK = 0.1


def check_namespaces() -> None:
    """See that this machine gives a process namespaces of its own.

    Raises:
        Missing: It does not.
    """
    if not sys.platform.startswith("linux"):
        msg = "Linux: a node runs on no other system"
        raise Missing(msg)
    if os.geteuid() != 0:
        msg = "root: namespaces, mounts and cgroups need it. Run as root, such as with sudo"
        raise Missing(msg)
    try:
        run(*_UNSHARE, "ip", "link", "set", "lo", "up")
    except Failure as failure:
        msg = f"namespaces: {failure}. In a container, it must be a privileged one"
        raise Missing(msg) from failure
    if not any(_CGROUPS.iterdir()):
        msg = f"cgroups: {_CGROUPS} is empty. Mount them there"
        raise Missing(msg)


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder whose name is also that of the node's cgroups; both are gone after the block."""
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield folder
    finally:
        _remove(folder)


def run_in_namespaces(argv: Sequence[str | Path]) -> int:
    """Run a program as the first process of new namespaces.

    Returns:
        Its exit code. When this process is interrupted, all of its processes are killed first.
    """
    process = subprocess.Popen([*_UNSHARE, *argv], env=complete(os.environ))
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()  # and the kernel kills its child, and so the namespaces' processes
            process.wait()


def _remove_leftovers() -> None:
    """What runs that were killed have left: their process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path("/proc", owner).exists():
            _remove(folder)


def _remove(folder: Path) -> None:
    """Remove the cgroups of this name, once the killed processes have left them, and the folder."""
    deadline = time.monotonic() + _END_TIMEOUT
    roots = [_CGROUPS / folder.name, *_CGROUPS.glob(f"*/{folder.name}")]
    for root in (each for each in roots if each.is_dir()):
        for group in [*sorted(root.rglob("*/"), reverse=True), root]:
            while not _removed(group) and time.monotonic() < deadline:
                time.sleep(_TICK)
    shutil.rmtree(folder, ignore_errors=True)
    left = [str(each) for each in (*roots, folder) if each.is_dir()]
    if left:
        msg = f"not removed: {', '.join(left)}. Remove them by hand"
        raise Failure(msg)


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # a process is still in it
        return False
    return True
