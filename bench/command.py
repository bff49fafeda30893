"""The command line of the benchmarks."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.processes import BenchError
from bench.report import Measure, say, show, to_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Options", "run"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a benchmark is told.

    Attributes:
        quick: Measure less.
        rate: Cues a second; None: as planned.
    """

    quick: bool = False
    rate: float | None = None


def run(benchmarks: Mapping[str, Callable[[Options], Awaitable[list[Measure]]]]) -> None:
    """Read the arguments, run the benchmarks one after the other, and leave with an exit code.

    0: all targets are met; 1: one is not; 2: a benchmark could not be run.

    Args:
        benchmarks: By name.
    """
    parser = argparse.ArgumentParser(description="Benchmarks of twitch-operator.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, fewer objects")
    parser.add_argument("--rate", type=float, help="cues a second in a round of the latency")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the numbers as JSON")
    arguments = parser.parse_args()
    try:
        measures = asyncio.run(_run_all(benchmarks, Options(arguments.quick, arguments.rate)))
    except (BenchError, TimeoutError) as error:
        say(f"error: {error}" if str(error) else "error: something took too long")
        sys.exit(2)
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; all that was started has ended")
        sys.exit(130)
    show(measures)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(to_json(measures), indent=2) + "\n", "utf-8")
    sys.exit(0 if all(measure.passed for measure in measures) else 1)


async def _run_all(
    benchmarks: Mapping[str, Callable[[Options], Awaitable[list[Measure]]]], options: Options
) -> list[Measure]:
    task = asyncio.current_task()
    if task is not None:  # SIGTERM ends things in order, as Ctrl-C does
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return [measure for bench in benchmarks.values() for measure in await bench(options)]
