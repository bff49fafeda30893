"""Showing that something slow goes on: a bar on a terminal, lines where there is none."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Progress", "Step"]


class Step:
    """One slow thing under way: call `update` as often as there is news, or none."""

    def __init__(self, progress: Progress, title: str, bars: Bars | None) -> None:
        self._progress = progress
        self._title = title
        self._bars = bars
        self._task = bars.add_task(title, total=None) if bars else None
        self._began = self._spoke = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def update(self, done: float = 0, total: float | None = None) -> None:
        """Tell how far it is, in whatever unit; without a total only that it is alive."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._spoke >= self._progress.heartbeat:
            self._spoke = time.monotonic()
            part = f", {100 * done / total:.0f} %" if total else ""
            self._progress.say(f"  … {self._title}: {self.elapsed:.0f} s{part}")


class Progress:
    """Where the user reads what goes on.

    Args:
        console: Where to write; None: standard error.
        heartbeat: Seconds between two lines of the same step, where there is no terminal.
    """

    def __init__(self, console: Console | None = None, heartbeat: float = 30) -> None:
        self._console = console or Console(stderr=True)
        self.heartbeat = heartbeat

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str, number: int = 1, of: int = 1) -> Iterator[Step]:
        """Show a slow step while the block runs, and how long it took when it succeeded.

        Args:
            title: What is done, such as `building etcd v3.6.16`.
            number: Which step of `of` it is.
            of: How many there are.
        """
        title = f"[{number}/{of}] {title}" if of > 1 else title
        if self._console.is_terminal:
            with self._bars() as bars:
                step = Step(self, title, bars)
                yield step
        else:
            self.say(f"{title} …")
            step = Step(self, title, None)
            yield step
        self.say(f"{title}: done in {step.elapsed:.0f} s")

    def _bars(self) -> Bars:
        return Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
