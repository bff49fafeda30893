"""The gateway's /send/ beside the barest service that signs and makes one call.

Both have the same core to themselves, in turn; what they call, and what calls them, share another.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.command import Options, Size, run
from bench.gateway_services import CHANNELS_A_TOKEN, CLIENT_ID, TOKENS
from bench.http_load import at_rate, saturate
from bench.processes import BenchError, running, warm_up
from bench.report import Measure, percentile, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.http_load import Load
    from bench.processes import Child

__all__ = ["Plan", "benchmark", "measure"]

_CONNECTIONS = 32
_SHARE = 0.8  # of the floor's requests a second
_LATE = 50.0  # ms: the 99th percentile at half of the gateway's own rate
_GROWTH = 5.0  # percent of memory that is noise
_WITHIN = 1800.0
_BODY = b'{"type":"deck","data":{"cards":["ace","king","queen","jack","ten"],"wins":3},"version":1}'


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Of floor and gateway in turn.
        requests: In each of them.
        paced: At half the rate.
        long: Over which the memory is watched, after as many as in two rounds.
    """

    rounds: int = 5
    requests: int = 5000
    paced: int = 10_000
    long: int = 200_000

    @classmethod
    def of(cls, size: Size) -> Plan:
        """As much as is asked for."""
        match size:
            case Size.QUICK:
                return cls(rounds=3, requests=3000, paced=3000, long=20_000)
            case Size.SMOKE:
                return cls(rounds=1, requests=300, paced=300, long=300)
        return cls()


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    return await measure(Plan.of(options.size))


async def measure(plan: Plan) -> list[Measure]:
    """Run the benchmark.

    Raises:
        BenchError: Something did not come to its end.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        say("gateway: one core only: all processes share it")
    os.sched_setaffinity(0, cores[1:] or cores)  # for this process, and all that it starts
    try:
        with tempfile.TemporaryDirectory() as folder:
            await warm_up("bench.gateway_services")
            return await _measure(plan, Path(folder), cores[0])
    finally:
        os.sched_setaffinity(0, cores)


async def _measure(plan: Plan, folder: Path, core: int) -> list[Measure]:
    async with AsyncExitStack() as stack:

        async def start(name: str, **configuration: str) -> Child:
            return await stack.enter_async_context(
                running(
                    name, "bench.gateway_services", name, folder=folder, configuration=configuration
                )
            )

        upstream = await start("upstream")
        url = f"http://127.0.0.1:{upstream.told['port']}"
        floor, gateway = await start("floor", upstream=url), await start("gateway", upstream=url)
        floor.pin(core)
        gateway.pin(core)
        requests = itertools.cycle(list(_requests()))
        pairs = await _take_turns(plan, floor, gateway, requests)
        rate = statistics.median(ours.rate for _, ours in pairs) / 2
        paced = await _pace(gateway, requests, rate, plan.paced)
        return [*_rates(pairs), paced, await _memory(gateway, requests, plan.long)]


async def _take_turns(
    plan: Plan, floor: Child, gateway: Child, requests: Iterator[bytes]
) -> list[list[Load]]:
    pairs = []
    for service in (floor, gateway):  # connections are made, tokens are asked about
        await _saturate(service, requests, plan.requests)
    for number in range(plan.rounds):
        say(f"gateway: round {number + 1} of {plan.rounds}, floor and gateway in turn")
        pairs.append([await _saturate(each, requests, plan.requests) for each in (floor, gateway)])
    return pairs


async def _pace(gateway: Child, requests: Iterator[bytes], rate: float, count: int) -> Measure:
    say(f"gateway: {count} requests at {rate:.0f} a second")
    load = at_rate(gateway.told["port"], requests, _CONNECTIONS, rate, count)
    latencies = _good(await gateway.during(load, _WITHIN)).latencies
    return Measure(
        "p99 of /send/ at half that rate",
        1000 * percentile(latencies, 0.99),
        "ms",
        _LATE,
        f"{count} requests at {rate:.0f} a second; p50 {1000 * percentile(latencies, 0.5):.1f} ms",
    )


async def _memory(gateway: Child, requests: Iterator[bytes], count: int) -> Measure:
    say(f"gateway: {count} requests, and its memory")
    before = gateway.memory()
    await _saturate(gateway, requests, count)
    after = gateway.memory()
    return Measure(
        "growth of the gateway's memory",
        100 * (after / before - 1),
        "%",
        _GROWTH,
        f"{before:.0f} MiB before, {after:.0f} MiB after {count} requests",
    )


def _rates(pairs: list[list[Load]]) -> list[Measure]:
    theirs, ours = (
        statistics.median(load.rate for load in loads) for loads in zip(*pairs, strict=True)
    )
    ratio = statistics.median(floor.rate / gateway.rate for floor, gateway in pairs)
    rounds = f"median of {len(pairs)} rounds, {_CONNECTIONS} connections"
    return [
        Measure("requests a second of the floor", theirs, "", None, rounds),
        Measure("requests a second of /send/", ours, "", None, rounds),
        Measure(
            "the floor's requests for each of the gateway's",
            ratio,
            "",
            1 / _SHARE,
            f"the gateway makes {1 / ratio:.2f} times as many; {_SHARE} are wanted",
        ),
    ]


async def _saturate(service: Child, requests: Iterator[bytes], count: int) -> Load:
    load = saturate(service.told["port"], requests, _CONNECTIONS, count)
    return _good(await service.during(load, _WITHIN))


def _good(load: Load) -> Load:
    """See to it that only answers of the same worth are compared."""
    if load.bad:
        msg = f"{load.bad} of {len(load.latencies)} answers were not 200"
        raise BenchError(msg)
    return load


def _requests() -> Iterator[bytes]:
    """One for each channel, which Twitch and the gateway give a hundred and more messages each."""
    for place in range(CHANNELS_A_TOKEN):
        for number in range(TOKENS):
            channel = number * CHANNELS_A_TOKEN + place
            head = (
                "POST /send/ HTTP/1.1\r\nHost: gateway.example.com\r\n"
                f"Authorization: Bearer token-{number}\r\n"
                f"X-Twitch-Client-Id: {CLIENT_ID}\r\nX-Twitch-User-Id: {channel}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
            )
            yield head.encode() + _BODY


if __name__ == "__main__":
    run({"gateway": benchmark})
