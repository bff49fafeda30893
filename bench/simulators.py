"""A process that runs a simulator: `python -m bench.simulators twitch`, `pubnub` or `hls`."""

from __future__ import annotations

import asyncio
import json
import sys

from bench.processes import run_until_end_of_input
from controller.sandbox.hls import HlsSimulator
from controller.sandbox.pubnub import PubNubSimulator
from controller.sandbox.twitch import Options, TwitchSimulator

__all__: list[str] = []

_CALLS_KEPT = 100_000


async def _twitch() -> None:
    # A channel takes a commercial whenever it is asked: what is measured is the way there.
    options = Options(cooldown=0, rate_limit=1_000_000)
    async with TwitchSimulator(options, keep=_CALLS_KEPT) as twitch:
        _tell(url=twitch.url, helix_url=twitch.helix_url, identity_url=twitch.identity_url)
        await run_until_end_of_input()


async def _pubnub() -> None:
    async with PubNubSimulator() as pubnub:
        _tell(url=pubnub.url, origin=pubnub.origin)
        await run_until_end_of_input()


async def _hls() -> None:
    async with HlsSimulator() as hls:
        _tell(url=hls.url)
        await run_until_end_of_input()


def _tell(**addresses: str) -> None:
    sys.stdin.readline()  # the configuration, of which there is none
    print(json.dumps(addresses), flush=True)


if __name__ == "__main__":
    asyncio.run({"twitch": _twitch, "pubnub": _pubnub, "hls": _hls}[sys.argv[1]]())
