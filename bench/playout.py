"""A process that plays out: a simulated PubNub, and what a thousand channels say over it.

Run by `throughput`. Reads JSON lines and answers each: first `{}`, with `url` and `origin`; then
orders such as `{"rate": 500, "events": 1000, "channels": 100}`, when they are done, with `seconds`.

Of fifty events one is a new cue, four repeat the last cue of the same channel, as a backup headend
does, and the others are what a playout says all day.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from bench import objects
from controller.sandbox.pubnub import PubNubSimulator

__all__ = ["EVENTS_A_CUE"]

EVENTS_A_CUE = 50
_REPEATS = 4
_LENGTH = 30
_TICK = 0.01


class _Playout:
    """What is said; an order goes on where the one before ended."""

    def __init__(self, pubnub: PubNubSimulator) -> None:
        self._pubnub = pubnub
        self._said = 0
        self._cue: dict[str, Any] = {}

    async def play(self, rate: float, events: int, channels: int) -> dict[str, Any]:
        """Publish so many events, so many a second."""
        begin, first = time.monotonic(), self._said
        while (done := self._said - first) < events:
            due = min(events, int((time.monotonic() - begin) * rate) + 1)
            for _ in range(due - done):
                self._publish(self._said, channels)
                self._said += 1
            await asyncio.sleep(_TICK)
        return {"seconds": time.monotonic() - begin}

    def _publish(self, number: int, channels: int) -> None:
        now = time.time()
        cue, part = divmod(number, EVENTS_A_CUE)
        if part == 0:
            self._cue = objects.message(cue % channels, _LENGTH, f"{now:.3f}_{cue}", now)
        if part <= _REPEATS:
            channel, message = cue % channels, self._cue
        else:
            channel = number % channels
            message = objects.message(channel, _LENGTH, f"{now:.3f}_said_{number}", now)
            message["action"] = "said"
        self._pubnub.publish(objects.topic(channel), message, subscribe_key=objects.SUBSCRIBE_KEY)


async def _main() -> None:
    async with PubNubSimulator() as pubnub:
        playout = _Playout(pubnub)
        answer: dict[str, Any] = {"url": pubnub.url, "origin": pubnub.origin}
        while line := await asyncio.to_thread(sys.stdin.readline):
            if order := json.loads(line):
                answer = await playout.play(**order)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
