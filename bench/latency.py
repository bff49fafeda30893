"""From publish to the arrival of the commercial call at Twitch: the operator beside a bare script.

Both run all the time, listen to the same simulated PubNub (each with a subscribe key of its own, so
that a cue reaches one of them) and call the same simulated Twitch. Rounds of cues go to the one and
the other in turn, so that whatever the machine does meanwhile meets both. The time of the publish
is the timetoken that PubNub gave the message; the time of the arrival is Twitch's record.

The paced rounds have some fifty times the cues that a hundred channels can have (one in 480 s
each). At several hundred times, an API server on the same two cores has no time left for anybody:
the statuses of each cue cost it more than all the rest costs together. The bursts show that.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from bench import objects
from bench.command import Options, run
from bench.processes import BenchError, running
from bench.report import Measure, percentile, say
from bench.stage import is_ready, open_stage, wait_for_all

if TYPE_CHECKING:
    from bench.stage import Stage

__all__ = ["Plan", "benchmark", "measure"]

_CHANNELS = 100
_NAMESPACE = "latency"
_AFTER_START = 3.0  # cues of an operator's first half second are looked into: another path
_READY_WITHIN = 90.0
_SETTLE = 1.0  # for the statuses that follow a round
_ARRIVE_WITHIN = 15.0
_SHORTEST, _TICKS = 30, 10_000_000
_P50_TARGET, _P99_TARGET = 1.2, 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: For each of the two.
        cues: In a round.
        rate: Cues a second in a round.
        bursts: Rounds of one cue for each channel, all at once.
    """

    rounds: int = 10
    cues: int = 100
    rate: float = 12
    bursts: int = 5

    @classmethod
    def quick(cls) -> Plan:
        """A look."""
        return cls(rounds=3, cues=50, bursts=2)


@dataclass
class _Side:
    """One of the two; latencies in milliseconds, a list for each round."""

    name: str
    subscribe_key: str
    client_id: str
    rounds: list[list[float]] = field(default_factory=list)
    bursts: list[list[float]] = field(default_factory=list)


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: A cue led to no call, or to more than one.
    """
    floor = _Side("floor", "sub-c-floor", "floor-app")
    operator = _Side("operator", objects.SUBSCRIBE_KEY, "operator-app")
    async with open_stage() as stage, AsyncExitStack() as stack:
        say(f"latency: preparing {_CHANNELS} channels and rules")
        await _start(stage, floor, operator, stack)
        bench = _Bench(stage)
        for side in (floor, operator):
            await bench.round(side, _CHANNELS, 3 * plan.rate)  # warm-up
        for number in range(plan.rounds):
            for side in (floor, operator):
                side.rounds.append(await bench.round(side, plan.cues, plan.rate))
            say(f"latency: round {number + 1} of {plan.rounds}: {_last(floor, operator)}")
        say(f"latency: {plan.bursts} bursts of {_CHANNELS} cues at once")
        for _ in range(plan.bursts):
            for side in (floor, operator):
                side.bursts.append(await bench.round(side, _CHANNELS, None))
    return _measures(floor, operator)


async def _start(stage: Stage, floor: _Side, operator: _Side, stack: AsyncExitStack) -> None:
    ids = await stage.twitch.add_broadcasters(_CHANNELS)
    for side in (floor, operator):
        await stage.twitch.add_app(side.client_id, f"{side.client_id}-secret")
    await stage.prepare(_NAMESPACE, _CHANNELS, operator.client_id)
    channels = {}
    for number, user_id in enumerate(ids):
        tokens = await stage.twitch.consent(number, floor.client_id)
        channels[objects.topic(number)] = (user_id, tokens["access_token"])
    configuration = {
        "origin": stage.pubnub["origin"],
        "subscribe_key": floor.subscribe_key,
        "helix_url": stage.twitch.helix_url,
        "client_id": floor.client_id,
        "channels": channels,
    }
    await stack.enter_async_context(
        running("floor", "bench.floor", folder=stage.folder, configuration=configuration)
    )
    async with stage.cluster.observe(_NAMESPACE, 2 * _CHANNELS, is_ready) as observation:
        child = await stack.enter_async_context(stage.operator(_NAMESPACE))
        await wait_for_all(child, observation, _READY_WITHIN)
    await asyncio.sleep(_AFTER_START)


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    plan = Plan.quick() if options.quick else Plan()
    return await measure(replace(plan, rate=options.rate) if options.rate else plan)


class _Bench:
    """Publishes cues and looks when their calls came."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._random = random.Random(20)  # noqa: S311 - the same cues in each run
        self._ids = count(1)

    async def round(self, side: _Side, cues: int, rate: float | None) -> list[float]:
        """Publish cues to one side.

        Args:
            side: Who hears them.
            cues: How many.
            rate: So many a second, give or take; None: all at once.

        Returns:
            Latencies in milliseconds.
        """
        await self._stage.twitch.forget()
        due = 0.0
        begin = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for channel, length in self._cues(cues):
                await asyncio.sleep(begin + due - asyncio.get_running_loop().time())
                tasks.append(group.create_task(self._publish(side, channel, length)))
                due += self._random.uniform(0.5, 1.5) / rate if rate is not None else 0.0
        published = dict(task.result() for task in tasks)
        arrived = await self._arrivals(side, len(published))
        await asyncio.sleep(_SETTLE)
        if arrived.keys() != published.keys():
            msg = f"{side.name}: {len(published)} cues, but calls for {len(arrived)} of them"
            raise BenchError(msg)
        return [1000 * (arrived[cue] - published[cue]) for cue in published]

    def _cues(self, cues: int) -> list[tuple[int, int]]:
        """Channel and length, all different: a call tells by them which cue it is for."""
        found = []
        for number in range(0, cues, _CHANNELS):
            order = self._random.sample(range(_CHANNELS), _CHANNELS)
            found += [(channel, _SHORTEST + number // _CHANNELS) for channel in order]
        return found[:cues]

    async def _publish(
        self, side: _Side, channel: int, length: int
    ) -> tuple[tuple[str, int], float]:
        cue_id = f"{time.time():.3f}_{next(self._ids)}"
        path = f"/publish/pub-c-bench/{side.subscribe_key}/0/{objects.topic(channel)}/0"
        response = await self._stage.http.post(
            self._stage.pubnub["url"] + path,
            json=objects.message(channel, length, cue_id, time.time()),
        )
        response.raise_for_status()
        [_, _, timetoken] = response.json()
        return (objects.login(channel), length), int(timetoken) / _TICKS

    async def _arrivals(self, side: _Side, wanted: int) -> dict[tuple[str, int], float]:
        end = time.monotonic() + _ARRIVE_WITHIN
        while True:
            await asyncio.sleep(0.3)
            calls = await self._stage.twitch.commercial_calls()
            if any(call.client_id != side.client_id for call in calls):
                msg = f"somebody else called during a round of {side.name}"
                raise BenchError(msg)
            if len(calls) > wanted:
                msg = f"{side.name}: {len(calls)} calls for {wanted} cues"
                raise BenchError(msg)
            if len(calls) == wanted or time.monotonic() > end:
                return {(call.login, call.length): call.time for call in calls}


def _last(floor: _Side, operator: _Side) -> str:
    return ", ".join(
        f"{side.name} p50 {percentile(side.rounds[-1], 0.5):.2f} ms"
        f" p99 {percentile(side.rounds[-1], 0.99):.2f} ms"
        for side in (floor, operator)
    )


def _measures(floor: _Side, operator: _Side) -> list[Measure]:
    found = []
    targets: dict[str, Any] = {"p50": (0.5, _P50_TARGET), "p99": (0.99, _P99_TARGET)}
    for label, (share, target) in targets.items():
        values = []
        for side in (floor, operator):
            pooled = [latency for one in side.rounds for latency in one]
            values.append(percentile(pooled, share))
            note = f"{len(pooled)} cues on {_CHANNELS} channels"
            found.append(Measure(f"latency {side.name} {label}", values[-1], "ms", note=note))
        ratios = [
            percentile(ours, share) / percentile(theirs, share)
            for theirs, ours in zip(floor.rounds, operator.rounds, strict=True)
        ]
        note = f"median of {len(ratios)} rounds: {statistics.median(ratios):.2f}"
        ratio = values[1] / values[0]
        found.append(Measure(f"latency operator/floor {label}", ratio, "", target, note))
    for label, (share, _) in targets.items():
        for side in (floor, operator):
            value = statistics.median(percentile(one, share) for one in side.bursts)
            note = f"median of {len(side.bursts)} bursts of {_CHANNELS} cues at once"
            found.append(Measure(f"burst {side.name} {label}", value, "ms", note=note))
    return found


if __name__ == "__main__":
    run({"latency": benchmark})
