"""The memory of the operator with 10,000 channels and 10,000 rules, all Ready.

Its peak counts, from the start to the first status of each and some time after: that is what a
limit of a container kills for. A run of a twentieth tells how much of it is the program itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.command import Options, Size, run
from bench.processes import warm_up
from bench.report import Measure, say
from bench.stage import is_ready, open_stage, wait_for_all

if TYPE_CHECKING:
    from bench.stage import Stage

__all__ = ["Plan", "benchmark", "measure"]

_APP = "memory-app"
_TARGET = 512.0  # MiB
_MEANT = 10_000  # channels, and as many rules
_PACE = 0.5  # seconds for each channel with its rule, at the very most


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        few: Channels of a small run, and as many rules.
        many: Channels of a large run.
        later: Seconds in which what follows a start is over.
    """

    few: int = 500
    many: int = 10_000
    later: float = 20.0

    @classmethod
    def of(cls, size: Size) -> Plan:
        """As much as is asked for; what is not run is extrapolated."""
        match size:
            case Size.QUICK:
                return cls(few=500, many=1500)
            case Size.SMOKE:
                return cls(few=10, many=20, later=1.0)
        return cls()


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    return await measure(Plan.of(options.size))


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: Something did not come to its end.
    """
    async with open_stage() as stage:
        await warm_up("controller.commands.run")
        await stage.twitch.add_broadcasters(plan.many)
        await stage.twitch.add_app(_APP, f"{_APP}-secret")
        few = await _peak(stage, plan.few, plan.later)
        many = await _peak(stage, plan.many, plan.later)
    pair = (many - few) / (plan.many - plan.few)
    peak = many + pair * (_MEANT - plan.many)
    note = f"{_MEANT} channels, {_MEANT} rules"
    if plan.many != _MEANT:
        note += f", extrapolated from {plan.few} and {plan.many}"
    return [
        Measure("memory of a channel with its rule", 1024 * pair, "KiB"),
        Measure("peak memory", peak, "MiB", _TARGET, note),
    ]


async def _peak(stage: Stage, channels: int, later: float) -> float:
    namespace = f"memory-{channels}"
    say(f"memory: making {channels} channels and rules")
    await stage.prepare(namespace, channels, _APP)
    async with (
        stage.cluster.observe(namespace, 2 * channels, is_ready) as observation,
        stage.operator(namespace) as operator,
    ):
        await wait_for_all(operator, observation, 60 + channels * _PACE)
        await asyncio.sleep(later)
        peak = operator.peak_memory()
    say(f"memory: {peak:.0f} MiB")
    return peak


if __name__ == "__main__":
    run({"memory": benchmark})
