"""Programs end with the process that started them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.processes import Processes, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 60.0  # seconds; all of this takes well under one

_PARENT = """
import sys, time
from pathlib import Path
from controller.sandbox.controlplane.processes import Processes
folder = Path(sys.argv[1])
with Processes(remove=folder) as processes:
    command = ["sh", "-c", "sleep 300 & echo $! >&2; wait"]
    print(processes.start("shell", command, log=folder / "log", cwd=folder), flush=True)
    time.sleep(300)
"""


def _eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


def _start_sleeper(processes: Processes, folder: Path) -> int:
    return processes.start("sleeper", ["sleep", "300"], log=folder / "log", cwd=folder)


def test_closing_ends_the_programs_and_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Processes(remove=folder) as processes:
        pid = _start_sleeper(processes, folder)
        assert _runs(pid)
    assert not _runs(pid)
    assert not folder.exists()


def test_a_folder_that_is_not_to_be_removed_stays(tmp_path: Path) -> None:
    with Processes() as processes:
        _start_sleeper(processes, tmp_path)
    assert tmp_path.is_dir()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_leaves_no_program_and_no_folder(
    tmp_path: Path, ending: signal.Signals
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(folder)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        log = folder / "log"
        _eventually(lambda: log.exists() and log.read_text().endswith("\n"))
        grandchild = int(log.read_text())
        assert _runs(child)
        assert _runs(grandchild)
        parent.send_signal(ending)
    _eventually(lambda: not _runs(child) and not _runs(grandchild) and not folder.exists())


def test_a_program_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Processes(grace=0.2) as processes:
        stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]
        pid = processes.start("stubborn", stubborn, log=log, cwd=tmp_path)
        _eventually(lambda: "ready" in last_lines(log))
    assert not _runs(pid)


def test_an_exit_is_told_with_its_code_and_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Processes() as processes:
        processes.start("short", ["sh", "-c", "echo gone; exit 7"], log=log, cwd=tmp_path)
        _eventually(lambda: "short" in processes.exits(wait=0.1))
        assert processes.exits()["short"] == 7
    assert last_lines(log) == "gone"


def test_programs_get_the_given_environment_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Processes() as processes:
        processes.start("env", ["/usr/bin/env"], log=log, cwd=tmp_path, env={"ONLY": "this"})
        _eventually(lambda: "env" in processes.exits(wait=0.1))
    assert "ONLY=this" in last_lines(log)
    assert "PATH=" not in last_lines(log)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with Processes() as processes, pytest.raises(ControlPlaneError, match=str(absent)):
        processes.start("absent", [absent], log=tmp_path / "log", cwd=tmp_path)


def test_nothing_starts_after_closing(tmp_path: Path) -> None:
    processes = Processes()
    processes.close()
    processes.close()
    with pytest.raises(ControlPlaneError, match="start it anew"):
        _start_sleeper(processes, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux offers it")
def test_even_a_killed_supervisor_takes_its_programs_along(tmp_path: Path) -> None:
    with Processes() as processes:
        pid = _start_sleeper(processes, tmp_path)
        parents = subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)], text=True)
        os.kill(int(parents), signal.SIGKILL)
        _eventually(lambda: not _runs(pid))
        with pytest.raises(ControlPlaneError, match="is gone"):
            processes.exits()
