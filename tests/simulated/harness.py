"""A feed that listens to a simulated PubNub, and all that it tells."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.feeds.pubnub.feed import PubNubFeed, PubNubKeys
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from controller.sensitive import Sensitive
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.events import Event
    from controller.feeds.health import FeedHealth
    from controller.feeds.pubnub.history import Gap
    from controller.sandbox.pubnub import PubNubSimulator

__all__ = ["KEYS", "Hearing", "eventually", "listening"]

KEYS = PubNubKeys(Sensitive(SUBSCRIBE_KEY))
PATIENCE = 60.0  # seconds that a test waits for what must happen


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - many things hold without telling
            await asyncio.sleep(0.005)


@dataclass
class Hearing:
    """A feed and what came of it."""

    feed: PubNubFeed
    pubnub: PubNubSimulator
    health: list[FeedHealth] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    async def take(self, count: int) -> list[Event]:
        """The next events, which must come, and no other after them."""
        async with asyncio.timeout(PATIENCE):
            events = [await self.feed.events.get() for _ in range(count)]
        assert self.feed.events.empty()
        return events

    async def payloads(self, count: int) -> list[Any]:
        """The payloads of the next events."""
        return [dict(event.payload) for event in await self.take(count)]

    async def connected(self) -> None:
        """Wait until all is well and a poll is open."""
        await eventually(lambda: self.feed.health.connected and self.pubnub.open_polls())

    def reasons(self) -> list[str]:
        """Reasons of its health so far, without repeats in a row."""
        told = [health.reason for health in self.health]
        return [each for n, each in enumerate(told) if n == 0 or told[n - 1] != each]


@asynccontextmanager
async def listening(
    pubnub: PubNubSimulator,
    *topics: str,
    window: float = 0.0,
    keys: PubNubKeys = KEYS,
    connect: bool = True,
    **options: Any,  # noqa: ANN401 - fields of Settings
) -> AsyncIterator[Hearing]:
    """A feed that listens to topics; `connect`: from the first open poll on."""
    settings = Settings.model_validate(
        {"pubnub_origin": pubnub.origin, "pubnub_tls": False, **options}
    )
    health: list[FeedHealth] = []
    malformed: list[str] = []
    gaps: list[Gap] = []
    feed = PubNubFeed(
        keys,
        settings,
        on_health=lambda topics: health.append(feed.health_of(topics)),
        on_malformed=malformed.append,
        on_gap=gaps.append,
    )
    hearing = Hearing(feed, pubnub, health, malformed, gaps)
    if topics:
        feed.set_topics(dict.fromkeys(topics, window))
    try:
        if topics and connect:
            await hearing.connected()
        yield hearing
        assert feed.alive
    finally:
        await feed.close()
