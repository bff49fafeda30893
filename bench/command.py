"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import BenchError
from bench.report import Measure, say, show, to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Options", "Size", "run"]


class Size(Enum):
    """How much is measured."""

    FULL = auto()
    """What docs/benchmarks.md says."""

    QUICK = auto()
    """Fewer rounds and objects: a look."""

    SMOKE = auto()
    """As little as shows that the benchmark itself works; its numbers say nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark is told.

    Attributes:
        size: How much to measure.
        rate: Cues a second; None: as planned.
    """

    size: Size = Size.FULL
    rate: float | None = None


def run(benchmarks: Mapping[str, Callable[[Options], Awaitable[list[Measure]]]]) -> None:
    """Read the arguments, run the benchmarks one after the other, and leave with an exit code.

    0: all targets are met, or the run is a smoke test; 1: one is not; 2: a benchmark could not be
    run.

    Args:
        benchmarks: By name.
    """
    parser = argparse.ArgumentParser(description="Benchmarks of twitch-operator.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer rounds, fewer objects")
    size.add_argument(
        "--smoke",
        action="store_true",
        help="run each benchmark to its end, as small as it can be; targets are not judged",
    )
    parser.add_argument("--rate", type=float, help="cues a second in a round of the latency")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the numbers as JSON")
    arguments = parser.parse_args()
    try:
        measures = asyncio.run(_run_all(benchmarks, Options(_size(arguments), arguments.rate)))
    except (BenchError, TimeoutError) as error:
        say(f"error: {error}" if str(error) else "error: something took too long")
        sys.exit(2)
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; all that was started has ended")
        sys.exit(130)
    show(measures, judged=not arguments.smoke)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(to_json(measures), indent=2) + "\n", "utf-8")
    sys.exit(0 if arguments.smoke or all(measure.passed for measure in measures) else 1)


def _size(arguments: argparse.Namespace) -> Size:
    if arguments.smoke:
        return Size.SMOKE
    return Size.QUICK if arguments.quick else Size.FULL


async def _run_all(
    benchmarks: Mapping[str, Callable[[Options], Awaitable[list[Measure]]]], options: Options
) -> list[Measure]:
    task = asyncio.current_task()
    if task is not None:  # SIGTERM ends things in order, as Ctrl-C does
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return [measure for bench in benchmarks.values() for measure in await bench(options)]
