"""The feeds in use: one listener for each distinct key set, whatever number of rules share it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from controller.feeds.health import FeedHealth
from controller.feeds.pubnub import PubNubFeed
from controller.rules.index import RuleIndex

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controller.engine.metrics import Metrics
    from controller.engine.resource import Key
    from controller.engine.rules import Rule
    from controller.events import Event
    from controller.feeds.pubnub import PubNubKeys
    from controller.settings import Settings

__all__ = ["FeedPool"]

logger = logging.getLogger(__name__)

_SETTLE = 0.02  # rules that come together change the topics once
_TURN = 0.005  # seconds after which other tasks get a turn
_TELL_EVERY = 10.0  # seconds between two log lines about malformed messages


class _Feed:
    """A listener, its rules, and the task that meets events with rules."""

    def __init__(self, listener: PubNubFeed) -> None:
        self.listener = listener
        self.rules: RuleIndex[Key] = RuleIndex()
        self.windows: dict[Key, tuple[tuple[str, ...], float]] = {}
        self.consumer: asyncio.Task[None] | None = None
        self.stale = False

    def topics(self) -> dict[str, float]:
        """Topic → the longest time into the past that a rule wants."""
        wanted: dict[str, float] = {}
        for topics, window in self.windows.values():
            for topic in topics:
                wanted[topic] = max(window, wanted.get(topic, 0.0))
        return wanted


class FeedPool:
    """All feeds.

    Args:
        settings: Where PubNub is, and how patient to be.
        metrics: Counts what is heard.
        on_event: Called with the key of each rule that an event may match, and the event.
        on_health: Called with the key of each rule whose feed changed its health.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        on_event: Callable[[list[Key], Event], Awaitable[None]],
        on_health: Callable[[Key], None],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._on_event = on_event
        self._on_health = on_health
        self._feeds: dict[PubNubKeys, _Feed] = {}
        self._of_rule: dict[Key, PubNubKeys] = {}
        self._unsettled: dict[PubNubKeys, set[Key]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._dropped = 0
        self._told_at = -_TELL_EVERY

    def use(self, rule: Rule) -> None:
        """Listen for a rule as it is now; nothing more is heard once the pool is closed."""
        if self._closed:
            return
        key, keys, topics = rule.resource.key, rule.keys, rule.topics
        before = self._of_rule.get(key)
        if before is not None and (before != keys or not topics):
            self.drop(key)
        if keys is None or rule.compiled is None or not topics:
            return
        feed = self._feeds.get(keys)
        if feed is None:
            feed = self._feeds[keys] = self._open(keys)
        self._of_rule[key] = keys
        feed.rules.add(key, topics, rule.compiled)
        feed.windows[key] = (topics, rule.window)
        self._settle(keys, key)

    def drop(self, key: Key) -> None:
        """Stop listening for a rule."""
        keys = self._of_rule.pop(key, None)
        if keys is not None:
            feed = self._feeds[keys]
            feed.rules.remove(key)
            del feed.windows[key]
            self._settle(keys)

    def health(self, key: Key) -> FeedHealth | None:
        """Health of the feed that a rule listens to; None: it listens to none."""
        keys = self._of_rule.get(key)
        if keys is None:
            return None
        feed = self._feeds[keys]
        if feed.stale:
            limit = self._settings.feed_stale_after
            return FeedHealth(False, "FeedStale", f"no poll was completed for {limit:.0f} s")
        refused = feed.listener.denied.intersection(feed.windows[key][0])
        if refused:
            told = f"PubNub refuses the topic {min(refused)} (403)"
            return FeedHealth(False, "AccessDenied", told)
        return feed.listener.health_of(feed.windows[key][0])

    def check(self) -> bool:
        """Look for feeds that fell silent; return whether all their loops run."""
        if self._closed:
            return True
        now, oldest = time.time(), None
        for feed in self._feeds.values():
            last = feed.listener.last_poll
            stale = last is not None and now - last > self._settings.feed_stale_after
            if stale != feed.stale:
                feed.stale = stale
                self._tell(feed)
            oldest = min(last or 0.0, oldest or now)
        self._metrics.last_poll.set(oldest or 0.0)
        return all(
            feed.listener.alive and feed.consumer is not None and not feed.consumer.done()
            for feed in self._feeds.values()
        )

    async def close(self) -> None:
        """Stop them all, for good; what they told of their health stays."""
        self._closed = True
        await asyncio.gather(*(self._shut(feed) for feed in self._feeds.values()), *self._closing)

    def _open(self, keys: PubNubKeys) -> _Feed:
        listener = PubNubFeed(
            keys,
            self._settings,
            on_health=lambda: self._tell(feed),
            on_malformed=self._malformed,
        )
        feed = _Feed(listener)
        feed.consumer = asyncio.get_running_loop().create_task(self._consume(feed))
        return feed

    def _malformed(self, reason: str) -> None:
        self._metrics.malformed.inc()
        self._dropped += 1
        now = time.monotonic()
        if now >= self._told_at + _TELL_EVERY:
            logger.warning("%d messages were dropped; the last: %s", self._dropped, reason)
            self._told_at, self._dropped = now, 0

    def _tell(self, feed: _Feed) -> None:
        health = feed.listener.health
        logger.log(
            logging.INFO if health.connected else logging.WARNING,
            "feed: %s (%s)", health.message, health.reason,
        )  # fmt: skip
        for key in list(feed.windows):
            self._on_health(key)

    async def _consume(self, feed: _Feed) -> None:
        began = time.perf_counter()
        while True:
            event = await feed.listener.events.get()
            self._metrics.events.inc()
            try:
                found = feed.rules.candidates(event.topic, event.payload)
                await self._on_event([key for key, _ in found], event)
            except Exception:
                # A fault of ours in one event must not end the feed of all rules.
                logger.exception("event %s on %s was not handled", event.id, event.topic)
            if time.perf_counter() - began > _TURN:
                await asyncio.sleep(0)
                began = time.perf_counter()

    def _settle(self, keys: PubNubKeys, *new: Key) -> None:
        if not self._unsettled:
            asyncio.get_running_loop().call_later(_SETTLE, self._apply)
        self._unsettled.setdefault(keys, set()).update(new)

    def _apply(self) -> None:
        unsettled, self._unsettled = self._unsettled, {}
        for keys, new in unsettled.items():
            feed = self._feeds.get(keys)
            if feed is None or self._closed:
                continue
            if feed.windows:
                feed.listener.set_topics(feed.topics())
                # A listener that is connected already has no change to tell of.
                for key in new & feed.windows.keys():
                    self._on_health(key)
                continue
            del self._feeds[keys]
            task = asyncio.get_running_loop().create_task(self._shut(feed))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _shut(self, feed: _Feed) -> None:
        if feed.consumer is not None:
            feed.consumer.cancel()
            await asyncio.gather(feed.consumer, return_exceptions=True)
        await feed.listener.close()
