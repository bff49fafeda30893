"""From publish to the arrival of the commercial call at Twitch: the operator beside a bare script.

Both run all the time, listen to the same simulated PubNub (each with a subscribe key of its own, so
that a cue reaches one of them) and call the same simulated Twitch. Rounds of cues go to the one and
the other in turn, so that whatever the machine does meanwhile meets both. The time of the publish
is the timetoken that PubNub gave the message; the time of the arrival is Twitch's record.

Each cue has a channel, a rule and a broadcaster of its own, and no broadcaster is called for by
both: a second cue for a channel could belong to the break of the first, and an ad that the floor
started would put the operator's channel into its cooldown. All channels share a hundred topics.

At several times the rate of the paced rounds, an API server on the same two cores has no time left
for anybody: the statuses of each cue cost it more than all the rest costs together. The bursts show
that.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from bench import objects
from bench.command import Options, Size, run
from bench.processes import BenchError, running
from bench.report import Measure, percentile, say
from bench.stage import is_ready, open_stage, wait_for_all

if TYPE_CHECKING:
    from bench.stage import Stage

__all__ = ["Plan", "benchmark", "measure"]

_TOPICS = 100
_NAMESPACE = "latency"
_AFTER_START = 3.0  # cues of an operator's first half second are looked into: another path
_READY_WITHIN = 300.0
_SETTLE = 1.0  # for the statuses that follow a round
_ARRIVE_WITHIN = 15.0
_LENGTH, _TICKS = 30, 10_000_000
_P50_TARGET, _P99_TARGET = 1.2, 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: For each of the two.
        cues: In a round.
        rate: Cues a second in a round.
        bursts: Rounds of cues that come all at once.
        at_once: Cues in a burst, and in the round that warms up.
    """

    rounds: int = 10
    cues: int = 100
    rate: float = 12
    bursts: int = 5
    at_once: int = 100

    @property
    def channels(self) -> int:
        """How many each side needs: one for each of its cues."""
        return self.rounds * self.cues + (1 + self.bursts) * self.at_once

    @classmethod
    def of(cls, size: Size) -> Plan:
        """As much as is asked for."""
        match size:
            case Size.QUICK:
                return cls(rounds=3, cues=50, bursts=2)
            case Size.SMOKE:
                return cls(rounds=1, cues=10, bursts=1, at_once=10)
        return cls()


@dataclass
class _Side:
    """One of the two.

    Attributes:
        name: Of it.
        subscribe_key: That it listens with.
        client_id: That it calls with.
        channels: That have had no cue yet.
        rounds: Latencies in milliseconds, a list for each round.
        bursts: The same for each burst.
    """

    name: str
    subscribe_key: str
    client_id: str
    channels: list[int]
    rounds: list[list[float]] = field(default_factory=list)
    bursts: list[list[float]] = field(default_factory=list)


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: A cue led to no call, or to more than one.
    """
    order, each = random.Random(20), plan.channels  # noqa: S311 - the same cues in each run
    channels = order.sample(range(each), each), order.sample(range(each, 2 * each), each)
    floor = _Side("floor", "sub-c-floor", "floor-app", channels[1])
    operator = _Side("operator", objects.SUBSCRIBE_KEY, "operator-app", channels[0])
    async with open_stage() as stage, AsyncExitStack() as stack:
        say(f"latency: preparing {each} channels and rules, and as many broadcasters for the floor")
        await _start(stage, floor, operator, stack)
        bench = _Bench(stage, order)
        for side in (floor, operator):
            await bench.round(side, plan.at_once, 3 * plan.rate)  # warm-up
        for number in range(plan.rounds):
            for side in (floor, operator):
                side.rounds.append(await bench.round(side, plan.cues, plan.rate))
            say(f"latency: round {number + 1} of {plan.rounds}: {_last(floor, operator)}")
        say(f"latency: {plan.bursts} bursts of {plan.at_once} cues at once")
        for _ in range(plan.bursts):
            for side in (floor, operator):
                side.bursts.append(await bench.round(side, plan.at_once, None))
    return _measures(floor, operator)


async def _start(stage: Stage, floor: _Side, operator: _Side, stack: AsyncExitStack) -> None:
    each = len(operator.channels)
    await stage.twitch.add_broadcasters(each)
    ids = await stage.twitch.add_broadcasters(each, first=each)
    for side in (floor, operator):
        await stage.twitch.add_app(side.client_id, f"{side.client_id}-secret")
    await stage.prepare(_NAMESPACE, each, operator.client_id, topics=_TOPICS)
    channels = {}
    for number, user_id in enumerate(ids, each):
        tokens = await stage.twitch.consent(number, floor.client_id)
        channels[objects.name(number)] = (user_id, tokens["access_token"])
    configuration = {
        "origin": stage.pubnub["origin"],
        "subscribe_key": floor.subscribe_key,
        "helix_url": stage.twitch.helix_url,
        "client_id": floor.client_id,
        "topics": [objects.topic(number) for number in range(_TOPICS)],
        "channels": channels,
    }
    await stack.enter_async_context(
        running("floor", "bench.floor", folder=stage.folder, configuration=configuration)
    )
    async with stage.cluster.observe(_NAMESPACE, 2 * each, is_ready) as observation:
        child = await stack.enter_async_context(stage.operator(_NAMESPACE))
        await wait_for_all(child, observation, _READY_WITHIN)
    await asyncio.sleep(_AFTER_START)


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    plan = Plan.of(options.size)
    return await measure(replace(plan, rate=options.rate) if options.rate else plan)


class _Bench:
    """Publishes cues and looks when their calls came."""

    def __init__(self, stage: Stage, order: random.Random) -> None:
        self._stage = stage
        self._random = order

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
            for _ in range(cues):
                await asyncio.sleep(begin + due - asyncio.get_running_loop().time())
                tasks.append(group.create_task(self._publish(side, side.channels.pop())))
                due += self._random.uniform(0.5, 1.5) / rate if rate is not None else 0.0
        published = dict(task.result() for task in tasks)
        arrived = await self._arrivals(side, len(published))
        await asyncio.sleep(_SETTLE)
        if arrived.keys() != published.keys():
            msg = f"{side.name}: {len(published)} cues, but calls for {len(arrived)} of them"
            raise BenchError(msg)
        return [1000 * (arrived[login] - published[login]) for login in published]

    async def _publish(self, side: _Side, channel: int) -> tuple[str, float]:
        """Publish the cue of a channel; returns its login and when PubNub took the cue in."""
        now = time.time()
        topic = objects.topic(channel % _TOPICS)
        path = f"/publish/pub-c-bench/{side.subscribe_key}/0/{topic}/0"
        response = await self._stage.http.post(
            self._stage.pubnub["url"] + path,
            json=objects.message(channel, _LENGTH, f"{now:.3f}_{channel}", now),
        )
        response.raise_for_status()
        [_, _, timetoken] = response.json()
        return objects.login(channel), int(timetoken) / _TICKS

    async def _arrivals(self, side: _Side, wanted: int) -> dict[str, float]:
        """When the call for each broadcaster arrived."""
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
                return {call.login: call.time for call in calls}


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
            pooled = list(chain.from_iterable(side.rounds))
            values.append(percentile(pooled, share))
            note = f"{len(pooled)} cues, each on a channel of its own"
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
            note = f"median of {len(side.bursts)} bursts of {len(side.bursts[0])} cues at once"
            found.append(Measure(f"burst {side.name} {label}", value, "ms", note=note))
    return found


if __name__ == "__main__":
    run({"latency": benchmark})
