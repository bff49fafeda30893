"""A feed that listens to a simulated PubNub, and all that it tells."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.feeds.base import GapFound, HealthChanged, Malformed
from controller.feeds.pubnub.feed import PubNubFeed
from controller.feeds.pubnub.keys import PubNubKeys
from controller.feeds.pubnub.spec import PubNubSettings
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from controller.sensitive import Sensitive
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.events import Event
    from controller.feeds.base import FeedHealth, News
    from controller.sandbox.pubnub import PubNubSimulator

__all__ = [
    "KEYS",
    "MOMENT",
    "NEVER",
    "PATIENCE",
    "Hearing",
    "eventually",
    "hurried",
    "listening",
    "settings_for",
]

KEYS = PubNubKeys(Sensitive(SUBSCRIBE_KEY))
PATIENCE = 60.0  # seconds that a test waits for what must happen, also on a busy machine
MOMENT = 0.5  # seconds, for a time limit that must pass
NEVER = 600.0  # seconds that an answer takes for which nobody waits


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - many things hold without telling
            await asyncio.sleep(0.005)


def settings_for(pubnub: PubNubSimulator, **options: Any) -> Settings:  # noqa: ANN401 - fields of Settings
    """Settings with which PubNub is the simulator."""
    own = PubNubSettings(origin=pubnub.origin, tls=False)
    return Settings.model_validate(options).with_parts(own)


def hurried(settings: Settings) -> Settings:
    """The settings with time limits for calls to Twitch that pass at once."""
    return settings.model_copy(update={"call_timeout": MOMENT, "identity_timeout": MOMENT})


@dataclass
class Hearing:
    """A feed and what came of it."""

    pubnub: PubNubSimulator
    health: list[FeedHealth] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    gaps: list[GapFound] = field(default_factory=list)
    events: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(200))
    feed: PubNubFeed = field(init=False)

    async def put(self, event: Event) -> None:
        """Take an event."""
        await self.events.put(event)

    def tell(self, news: News) -> None:
        """Take any other news."""
        match news:
            case HealthChanged(topics):
                self.health.append(self.feed.health_of(topics))
            case Malformed(reason):
                self.malformed.append(reason)
            case GapFound():
                self.gaps.append(news)

    async def take(self, count: int) -> list[Event]:
        """The next events, which must come, and no other after them."""
        async with asyncio.timeout(PATIENCE):
            events = [await self.events.get() for _ in range(count)]
        assert self.events.empty()
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
    hearing = Hearing(pubnub)
    hearing.feed = feed = PubNubFeed(keys, settings_for(pubnub, **options), hearing)
    if topics:
        feed.set_topics(dict.fromkeys(topics, window))
    try:
        if topics and connect:
            await hearing.connected()
        yield hearing
        assert feed.alive
    finally:
        await feed.close()
