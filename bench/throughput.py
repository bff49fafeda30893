"""500 events a second on one core, a thousand channels, fifty of them with a Twitch that is slow.

The operator has a core of its own; the API server, the simulators and this process share the
others. What is told is the operator's own histogram of the seconds from the receipt of an event to
the call that it led to; what the calls then take is Twitch's. Its memory before and after shows
whether anything grows with the events.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.command import Options, Size, run
from bench.playout import EVENTS_A_CUE
from bench.processes import BenchError, running, warm_up
from bench.report import Measure, say
from bench.stage import is_ready, open_stage, wait_for_all

if TYPE_CHECKING:
    from bench.processes import Child
    from bench.stage import Stage

__all__ = ["Plan", "benchmark", "measure"]

_NAMESPACE = "throughput"
_APP = "throughput-app"
_SLOW = 10.0  # seconds of Twitch's answer; the operator waits for 5 of them
_LATE = "0.05"  # seconds: a bucket of the operator's histogram
_GROWTH = 10.0  # percent of memory that is noise
_READY_WITHIN = 300.0
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        channels: And as many rules.
        slow: Channels whose Twitch is slow.
        rate: Events a second.
        warm: Events before anything is measured, so that what is made once is made.
        events: Events while it is measured.
        settle: Seconds that are left, after events, to what they lead to.
    """

    channels: int = 1000
    slow: int = 50
    rate: float = 500
    warm: int = 50_000
    events: int = 200_000
    settle: float = 15.0

    @classmethod
    def of(cls, size: Size) -> Plan:
        """As much as is asked for.

        A channel has a cue after the last one's break is over, whatever the size.
        """
        match size:
            case Size.QUICK:
                return cls(channels=500, slow=25, warm=5000, events=20_000)
            case Size.SMOKE:
                return cls(channels=20, slow=1, warm=100, events=400, settle=6.0)
        return cls()


@dataclass(frozen=True, slots=True)
class _State:
    """What the operator had done and needed at one moment.

    Attributes:
        events: That it heard.
        calls: That it made.
        in_time: Of these, so many not late.
        cpu: Seconds of CPU.
        memory: Resident, in MiB.
        verdicts: Of its decisions.
    """

    events: float
    calls: float
    in_time: float
    cpu: float
    memory: float
    verdicts: Counter[str]


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    plan = Plan.of(options.size)
    return await measure(dataclasses.replace(plan, rate=options.rate or plan.rate))


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: Something did not come to its end.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        say("throughput: one core only: all processes share it")
    os.sched_setaffinity(0, cores[1:] or cores)  # for this process, and all that it starts
    try:
        async with open_stage() as stage:
            await warm_up("controller.commands.run")
            return await _measure(stage, plan, cores[0])
    finally:
        os.sched_setaffinity(0, cores)


async def _measure(stage: Stage, plan: Plan, core: int) -> list[Measure]:
    say(f"throughput: making {plan.channels} channels and rules")
    await stage.twitch.add_broadcasters(plan.channels)
    await stage.twitch.add_app(_APP, f"{_APP}-secret")
    await stage.prepare(_NAMESPACE, plan.channels, _APP)
    for number in range(plan.slow):
        await stage.twitch.be_slow(number, _SLOW)
    async with running("playout", "bench.playout", folder=stage.folder, configuration={}) as play:
        with_playout = dataclasses.replace(stage, pubnub=play.told)
        # More writes than these the API server does not take on the core that is left.
        async with (
            stage.cluster.observe(_NAMESPACE, 2 * plan.channels, is_ready) as observation,
            with_playout.operator(
                _NAMESPACE, metrics_address="127.0.0.1:0", status_interval="60s"
            ) as operator,
        ):
            operator.pin(core)
            await wait_for_all(operator, observation, _READY_WITHIN)
            say(f"throughput: {plan.warm} events to begin with")
            await _play(operator, play, plan, plan.warm)
            before = await _state(stage, operator)
            say(f"throughput: {plan.events} events at {plan.rate:.0f} a second")
            seconds = await _play(operator, play, plan, plan.events)
            after = await _state(stage, operator)
    return _measures(plan, before, after, seconds)


async def _play(operator: Child, play: Child, plan: Plan, events: int) -> float:
    """Let events happen, and what they lead to; returns the seconds that they were spread over."""
    order = {"rate": plan.rate, "events": events, "channels": plan.channels}
    within = 2 * events / plan.rate + 60
    told = await operator.during(play.order(order), within)
    await asyncio.sleep(plan.settle)
    return float(told["seconds"])


async def _state(stage: Stage, operator: Child) -> _State:
    host, port = operator.find(r"serving /metrics on (\S+) port (\d+)").groups()
    response = await stage.http.get(f"http://{host}:{port}/metrics")
    response.raise_for_status()
    found = {(name, labels): float(value) for name, labels, value in _SAMPLE.findall(response.text)}
    latency = "twitch_operator_cue_to_call_seconds"
    return _State(
        events=found["twitch_operator_feed_events_total", ""],
        calls=found[f"{latency}_count", ""],
        in_time=found[f"{latency}_bucket", f'le="{_LATE}"'],
        cpu=operator.cpu(),
        memory=operator.memory(),
        verdicts=Counter(
            {
                labels.split('"')[1]: int(count)
                for (name, labels), count in found.items()
                if name == "twitch_operator_decisions_total"
            }
        ),
    )


def _measures(plan: Plan, before: _State, after: _State, seconds: float) -> list[Measure]:
    heard, calls = after.events - before.events, after.calls - before.calls
    late = calls - (after.in_time - before.in_time)
    if not calls:
        msg = "no event led to a call"
        raise BenchError(msg)
    rate = plan.events / seconds
    verdicts = (after.verdicts - before.verdicts).most_common()
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts)
    note = f"{plan.events} events on {plan.channels} channels, {rate:.0f} a second"
    slow = f"{calls:.0f} calls; {plan.slow} channels with a Twitch that takes {_SLOW:.0f} s"
    cues = plan.events / EVENTS_A_CUE
    growth = 100 * (after.memory / before.memory - 1)
    grew = f"{before.memory:.0f} MiB before, {after.memory:.0f} MiB after them"
    cpu = 1000 * (after.cpu - before.cpu) / plan.events
    return [
        Measure("events missing", plan.events - heard, "", 0, note),
        Measure("cues without a call", max(0.0, cues - calls), "", 0, f"{cues:.0f} cues: {told}"),
        Measure("calls that left later than 50 ms", 100 * late / calls, "%", 1, slow),
        Measure("CPU of all the operator does, an event", cpu, "ms", 1000 / plan.rate, note),
        Measure("growth of memory", growth, "%", _GROWTH, grew),
    ]


if __name__ == "__main__":
    run({"throughput": benchmark})
