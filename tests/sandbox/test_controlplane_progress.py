"""What the user sees of slow things."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from controller.sandbox.controlplane.progress import Progress


def _show(*, terminal: bool, heartbeat: float = 30) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200)
    progress = Progress(console, heartbeat)
    with progress.step("building etcd", 2, 4) as step:
        step.update(1, 4)
        step.update(2, 4)
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_at_each_end_of_a_step() -> None:
    assert _show(terminal=False).splitlines() == [
        "[2/4] building etcd …",
        "[2/4] building etcd: done in 0 s",
    ]


def test_without_a_terminal_a_long_step_tells_that_it_goes_on() -> None:
    assert _show(terminal=False, heartbeat=0).splitlines()[1:3] == [
        "  … [2/4] building etcd: 0 s, 25 %",
        "  … [2/4] building etcd: 0 s, 50 %",
    ]


def test_on_a_terminal_there_is_a_bar_while_it_lasts() -> None:
    shown = _show(terminal=True)
    assert "━" in shown
    assert shown.rstrip().endswith("[2/4] building etcd: done in 0 s")


def test_a_step_that_fails_is_not_called_done() -> None:
    file = io.StringIO()
    progress = Progress(Console(file=file, width=200))
    with pytest.raises(KeyError), progress.step("building etcd"):
        raise KeyError
    assert file.getvalue() == "building etcd …\n"
