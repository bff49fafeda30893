"""200 HLS playlists, each read once in its target duration of 2 s: CPU, and playlist to event.

The feed runs in this process, whose CPU time counts; the origin is a process of its own. An event's
time is taken from the arrival of the playlist that tells it to its hand-over to the rules.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from bench.command import Options, Size, run
from bench.processes import running
from bench.report import Measure, percentile, say
from controller.feeds.hls.feed import HlsFeed
from controller.feeds.hls.keys import HlsKey
from controller.feeds.hls.renditions import Choice
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.events import Event
    from controller.feeds.base import News

__all__ = ["benchmark"]

_TARGET = 2.0  # seconds of a segment
_CORE = 0.5
_SHARE_OF_BREAKS = 5.0  # seconds between two ad breaks
_SETTINGS = Settings(allowed_fetch_hosts=("127.0.0.1",))


@dataclass
class _Sink:
    """Notes how long each event was on its way."""

    latencies: list[float] = field(default_factory=list)

    async def put(self, event: Event) -> None:
        self.latencies.append(1000 * (time.monotonic() - event.received))

    def tell(self, news: News) -> None:
        del news


async def benchmark(options: Options) -> list[Measure]:
    """Measure it."""
    playlists, seconds = {
        Size.FULL: (200, 60.0),
        Size.QUICK: (200, 20.0),
        Size.SMOKE: (10, 5.0),
    }[options.size]
    with tempfile.TemporaryDirectory() as folder:
        async with running(
            "hls", "bench.simulators", "hls", folder=Path(folder), configuration={}
        ) as origin:
            work = _measure(str(origin.told["url"]), playlists, seconds)
            return await origin.during(work, seconds + 120)


async def _measure(url: str, playlists: int, seconds: float) -> list[Measure]:
    say(f"HLS: {playlists} playlists for {seconds:.0f} s")
    names = [f"s{number}" for number in range(playlists)]
    control = f"{url}/_sandbox/streams"
    async with httpx.AsyncClient(trust_env=False) as http:
        for name in names:
            (await http.post(control, json={"name": name, "target": _TARGET})).raise_for_status()
        sink = _Sink()
        feed = HlsFeed(HlsKey("", (), Choice()), _SETTINGS, sink)
        feed.want({f"{url}/{name}/master.m3u8": 30.0 for name in names}, ())
        await asyncio.sleep(3 * _TARGET)  # each has found its rhythm
        began, cpu, number = time.monotonic(), time.process_time(), 0
        while time.monotonic() < began + seconds:
            await asyncio.sleep(min(0.5, _SHARE_OF_BREAKS / playlists * 10))
            name = names[number % playlists]
            answer = await http.post(f"{control}/{name}/breaks", json={"duration": _TARGET})
            answer.raise_for_status()
            number += 1
        share = (time.process_time() - cpu) / (time.monotonic() - began)
        await asyncio.sleep(3 * _TARGET)
        await feed.close()
    note = f"{playlists} playlists, {len(sink.latencies)} events"
    return [
        Measure("HLS: share of a core", share, at_most=_CORE, note=note),
        Measure("HLS: playlist to event, p50", percentile(sink.latencies, 0.5), "ms"),
        Measure("HLS: playlist to event, p99", percentile(sink.latencies, 0.99), "ms"),
    ]


if __name__ == "__main__":
    run({"hls": benchmark})
