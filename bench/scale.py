"""From the start of the operator until a thousand channels and a thousand rules are Ready.

Beside it, for orientation: kopf alone, which patches one field of the status of as many objects and
asks nobody about them. The operator meanwhile exchanges and stores a thousand grants. Each start
has a namespace of its own, with objects that nobody has touched.

Then, from the API server's audit log, what the operator wrote: one status for each new object, one
Secret for each new grant, at most one Event for each new channel, and nothing at all when it is
started again.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import objects
from bench.audit import Write
from bench.command import Options, Size, run
from bench.processes import running, warm_up
from bench.report import Measure, say
from bench.stage import is_ready, open_stage, wait_for_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from bench.processes import Child
    from bench.stage import Stage

__all__ = ["Plan", "benchmark", "measure"]

_APP = "scale-app"
_READY_WITHIN = 180.0
_STATUS_INTERVAL = 10.0  # of the operator: what it still has to write is written by then
_MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        channels: And as many rules.
        rounds: Starts of each of the two.
    """

    channels: int = 1000
    rounds: int = 1

    @classmethod
    def of(cls, size: Size) -> Plan:
        """As much as is asked for."""
        return cls(channels={Size.FULL: 1000, Size.QUICK: 100, Size.SMOKE: 10}[size])


@dataclass(frozen=True, slots=True)
class _Start:
    """One start: seconds until all was done, and MiB at the most."""

    seconds: float
    memory: float


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    return await measure(Plan.of(options.size))


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: Something did not come to its end.
    """
    floor: list[_Start] = []
    operator: list[_Start] = []
    async with open_stage() as stage:
        await warm_up("bench.kopf_floor", "controller.commands.run")
        say(f"scale: {plan.channels} broadcasters")
        await stage.twitch.add_broadcasters(plan.channels)
        await stage.twitch.add_app(_APP, f"{_APP}-secret")
        for number in range(plan.rounds):
            say(f"scale: round {number + 1} of {plan.rounds}: making objects")
            namespace = f"kopf-{number}"
            await stage.prepare(namespace, plan.channels, None)
            floor.append(await _start_floor(stage, namespace, plan.channels))
            say(f"scale: kopf {floor[-1].seconds:.1f} s, {floor[-1].memory:.0f} MiB; more objects")
            namespace = f"operator-{number}"
            await stage.prepare(namespace, plan.channels, _APP)
            last = number + 1 == plan.rounds
            start, writes = await _start_operator(stage, namespace, plan.channels, audited=last)
            operator.append(start)
            say(f"scale: operator {start.seconds:.1f} s, {start.memory:.0f} MiB")
        say("scale: starting the operator again, on objects that are as they shall be")
        again = await _start_again(stage, namespace, plan.channels)
    return [*_times(plan, floor, operator), *_counts(plan, writes, again)]


async def _start_floor(stage: Stage, namespace: str, channels: int) -> _Start:
    def start() -> AbstractAsyncContextManager[Child]:
        return running(
            "kopf",
            "bench.kopf_floor",
            namespace,
            folder=stage.folder,
            settings={"KUBECONFIG": str(stage.kubeconfig)},
        )

    async with stage.cluster.observe(namespace, 2 * channels, _is_told) as observation:
        begin = time.monotonic()
        async with start() as child:
            await wait_for_all(child, observation, _READY_WITHIN)
            return _Start(time.monotonic() - begin, child.peak_memory())


async def _start_operator(
    stage: Stage, namespace: str, channels: int, *, audited: bool
) -> tuple[_Start, Counter[Write]]:
    stage.audit.mark()
    async with stage.cluster.observe(namespace, 2 * channels, is_ready) as observation:
        begin = time.monotonic()
        async with stage.operator(namespace) as child:
            await wait_for_all(child, observation, _READY_WITHIN)
            start = _Start(time.monotonic() - begin, child.peak_memory())
            if audited:
                await asyncio.sleep(_STATUS_INTERVAL + _MARGIN)
    return start, stage.audit.writes(namespace)


async def _start_again(stage: Stage, namespace: str, channels: int) -> Counter[Write]:
    """What it writes where there is nothing to write; each grant is validated at a start."""
    await stage.twitch.forget()
    stage.audit.mark()

    async with stage.operator(namespace) as child:
        await child.during(_validated(stage, channels), _READY_WITHIN)
        await asyncio.sleep(_STATUS_INTERVAL + _MARGIN)
    return stage.audit.writes(namespace)


async def _validated(stage: Stage, channels: int) -> None:
    """Wait until the operator has validated all grants, the user of each included."""
    while True:
        if await stage.twitch.count("GET", "/helix/users") >= channels:
            return
        await asyncio.sleep(1)


def _is_told(body: dict[str, Any]) -> bool:
    told = (body.get("status") or {}).get("observedGeneration")
    return bool(told == body["metadata"]["generation"])


def _times(plan: Plan, floor: list[_Start], operator: list[_Start]) -> list[Measure]:
    note = f"median of {plan.rounds}; {plan.channels} channels, {plan.channels} rules"
    starts = (("kopf alone", floor), ("operator", operator))
    found = []
    for what, unit, of in (
        ("time until Ready", "s", lambda start: start.seconds),
        ("peak memory", "MiB", lambda start: start.memory),
    ):
        of_start: Callable[[_Start], float] = of
        for name, each in starts:
            value = statistics.median(map(of_start, each))
            found.append(Measure(f"{what}, {name}", value, unit, note=note))
    return found


def _counts(plan: Plan, writes: Counter[Write], again: Counter[Write]) -> list[Measure]:
    names = [objects.name(number) for number in range(plan.channels)]
    wanted = Counter(
        {
            Write("patch", f"{plural}/status", name): 1
            for plural in objects.PLURALS
            for name in names
        }
    )
    wanted.update(Write("create", "secrets", f"{name}-twitch-token") for name in names)
    # They follow at leisure, and are named after what they say.
    events = Counter(
        {write: count for write, count in writes.items() if write.resource == "events"}
    )
    writes, beyond = writes - events, max(0, events.total() - plan.channels)
    return [
        Measure("new objects: Events beyond one a channel", beyond, "", 0, _told(events)),
        Measure(
            "new objects: writes too few", (wanted - writes).total(), "", 0, _told(wanted - writes)
        ),
        Measure(
            "new objects: writes too many", (writes - wanted).total(), "", 0, _told(writes - wanted)
        ),
        Measure("unchanged objects: writes after a restart", again.total(), "", 0, _told(again)),
    ]


def _told(writes: Counter[Write]) -> str:
    """The kinds of writes, or what was looked for."""
    kinds: Counter[str] = Counter()
    for write, count in writes.items():
        kinds[f"{write.verb} {write.resource}"] += count
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return told or "one status an object, one Secret a grant"


if __name__ == "__main__":
    run({"scale": benchmark})
