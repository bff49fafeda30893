"""What a benchmark found, as a table and as JSON. No I/O but printing."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Measure", "machine", "percentile", "say", "show", "to_json"]

_BEGIN = time.monotonic()


@dataclass(frozen=True, slots=True)
class Measure:
    """One number.

    Attributes:
        name: What was measured.
        value: The number.
        unit: Of the number; empty for ratios and counts.
        at_most: The target; None: told for orientation.
        note: How it came about.
    """

    name: str
    value: float
    unit: str = ""
    at_most: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the target, if there is one, is met."""
        return self.at_most is None or self.value <= self.at_most


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share (0 to 1) of them does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def say(text: str) -> None:
    """Tell what goes on, on standard error."""
    print(f"[{time.monotonic() - _BEGIN:5.0f} s] {text}", file=sys.stderr, flush=True)


def machine() -> dict[str, str]:
    """What it was measured on."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def show(measures: Iterable[Measure], *, judged: bool = True) -> None:
    """Print a table of it on standard output; say what passed only where targets are judged."""
    title = "twitch-operator benchmarks"
    if not judged:
        title += ": a smoke test, whose figures mean nothing"
    table = Table(title=title, title_justify="left")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    table.add_column("how")
    for measure in measures:
        target = "" if measure.at_most is None else f"≤ {measure.at_most:g}"
        mark = "pass" if measure.passed else "FAIL"
        if measure.at_most is None or not judged:
            mark = ""
        value = f"{_rounded(measure.value)} {measure.unit}".rstrip()
        table.add_row(measure.name, value, target, mark, measure.note)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print("on " + ", ".join(f"{name}: {value}" for name, value in machine().items()))


def to_json(measures: Iterable[Measure]) -> dict[str, Any]:
    """The same for a program."""
    return {
        "machine": machine(),
        "measures": [
            {**asdict(measure), "passed": measure.passed if measure.at_most is not None else None}
            for measure in measures
        ],
    }


def _rounded(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
