"""The feeds in use: one listener for each distinct key set, whatever number of rules share it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.feeds.health import FeedHealth
from controller.feeds.pubnub.feed import PubNubFeed
from controller.feeds.turns import TURN
from controller.logs import fields
from controller.plurals import counted
from controller.rules.index import RuleIndex
from controller.triggers.metrics import FeedState
from controller.triggers.topic_memory import Heard, TopicMemory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping

    from controller.events import Event
    from controller.feeds.pubnub.feed import PubNubKeys
    from controller.feeds.pubnub.history import Gap
    from controller.rules.compiled import CompiledRule
    from controller.runtime.resource import Key
    from controller.settings import Settings
    from controller.triggers.metrics import RuleMetrics
    from controller.triggers.rule import Rule

__all__ = ["FeedPool"]

logger = logging.getLogger(__name__)

_SETTLE = 0.02  # rules that come together change the topics once
_NAMED = 3  # Secrets and rules that a log line names
_TELL_EVERY = 10.0  # seconds between two log lines about malformed messages


@dataclass(frozen=True, slots=True)
class _Listening:
    """What a rule listens to, and since when."""

    topics: tuple[str, ...]
    secret: str
    window: float
    compiled: CompiledRule
    since: Heard


class _Feed:
    """A listener, its rules, and the task that meets events with rules."""

    def __init__(self, listener: PubNubFeed) -> None:
        self.listener = listener
        self.rules: RuleIndex[Key] = RuleIndex()
        self.cancels: RuleIndex[Key] = RuleIndex()
        self.memory = TopicMemory()
        self.listening: dict[Key, _Listening] = {}
        self.consumer: asyncio.Task[None] | None = None
        self.stale = False
        self._windows: dict[str, dict[Key, float]] = {}
        self._unsettled: set[str] = set()

    def add(self, key: Key, listening: _Listening) -> None:
        """Listen for a rule, or for what it is now."""
        self.remove(key)
        self.listening[key] = listening
        self.rules.add(key, listening.topics, listening.compiled)
        if listening.compiled.cancels:
            self.cancels.add(key, listening.topics, listening.compiled, listening.compiled.cancels)
        for topic in listening.topics:
            self._windows.setdefault(topic, {})[key] = listening.window
        self._unsettled.update(listening.topics)

    def remove(self, key: Key) -> None:
        """Listen for a rule no more."""
        listening = self.listening.pop(key, None)
        if listening is None:
            return
        self.rules.remove(key)
        self.cancels.remove(key)
        for topic in listening.topics:
            self._windows[topic].pop(key, None)
        self._unsettled.update(listening.topics)

    def settle(self) -> None:
        """Let the listener follow: the longest time into the past that a rule wants of a topic."""
        wanted: dict[str, float] = {}
        gone = []
        for topic in self._unsettled:
            windows = self._windows[topic]
            if windows:
                wanted[topic] = max(windows.values())
            else:
                del self._windows[topic]
                self.memory.forget(topic)
                gone.append(topic)
        self._unsettled.clear()
        self.listener.change_topics(wanted, gone)

    def rules_of(self, topics: Iterable[str]) -> dict[Key, None]:
        """Return the rules that listen to any of these topics."""
        return {key: None for topic in topics for key in self._windows.get(topic, ())}


class FeedPool:
    """All feeds.

    Args:
        settings: Where PubNub is, and how patient to be.
        metrics: Counts what is heard.
        on_event: Called with the keys of the rules that an event may match, of those for which it
            may be an off cue, and the event.
        on_health: Called with the key of each rule whose feed changed its health.
        on_gap: Called with each span of a topic that PubNub did not bring, whether its messages
            were read from the history or may be lost.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: RuleMetrics,
        on_event: Callable[[list[Key], list[Key], Event], Awaitable[None]],
        on_health: Callable[[Key], None],
        on_gap: Callable[[Gap], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        metrics.rule_feeds.states = self._states
        self._on_event = on_event
        self._on_health = on_health
        self._on_gap = on_gap
        self._feeds: dict[PubNubKeys, _Feed] = {}
        self._of_rule: dict[Key, PubNubKeys] = {}
        self._unsettled: dict[PubNubKeys, set[Key]] = {}
        self._untold: dict[Key, None] = {}
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
        before_this = feed.listening.get(key)
        since = Heard.now()
        if before_this is not None and before_this.topics == topics:
            since = before_this.since
        secret = rule.spec.pubnub.secret_ref.name if rule.spec is not None else ""
        listening = _Listening(topics, secret, rule.window, rule.compiled, since)
        if listening != before_this:
            feed.add(key, listening)
            self._settle(keys, key)

    def drop(self, key: Key) -> None:
        """Stop listening for a rule."""
        keys = self._of_rule.pop(key, None)
        if keys is not None:
            self._feeds[keys].remove(key)
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
        topics = feed.listening[key].topics
        refused = feed.listener.denied_of(topics)
        if refused:
            told = f"PubNub refuses the topic {min(refused)} (403)"
            return FeedHealth(False, "AccessDenied", told)
        return feed.listener.health_of(topics)

    def _states(self) -> Iterator[FeedState]:
        for key, keys in self._of_rule.items():
            health, listener = self.health(key), self._feeds[keys].listener
            if health is not None:
                last_poll = listener.last_poll_of(self._feeds[keys].listening[key].topics)
                yield FeedState(
                    key.namespace, key.name, last_poll or 0.0, bool(health.connected), health.reason
                )

    def silent_since(self, key: Key) -> Heard | None:
        """When a rule's topics last brought an event, or since when they are listened to for it.

        None: it listens to none.
        """
        keys = self._of_rule.get(key)
        if keys is None:
            return None
        feed = self._feeds[keys]
        listening = feed.listening[key]
        return max(listening.since, feed.memory.heard(listening.topics))

    def recent(self, key: Key) -> list[Event]:
        """The last events on a rule's topics, oldest first, as far as they are kept."""
        keys = self._of_rule.get(key)
        if keys is None:
            return []
        feed = self._feeds[keys]
        return feed.memory.recent(feed.listening[key].topics)

    def check(self) -> bool:
        """Look for feeds that fell silent; return whether all their loops run."""
        if self._closed:
            return True
        now = time.monotonic()
        for feed in self._feeds.values():
            feed.listener.forget_gaps(now)
            last = feed.listener.polled_at
            stale = last is not None and now - last > self._settings.feed_stale_after
            if stale != feed.stale:
                feed.stale = stale
                self._tell_rules(feed.listening)
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
            on_health=lambda topics: self._tell(feed, topics),
            on_malformed=self._malformed,
            on_gap=self._found_gap,
        )
        feed = _Feed(listener)
        feed.consumer = asyncio.get_running_loop().create_task(self._consume(feed))
        return feed

    def _malformed(self, reason: str) -> None:
        self._metrics.malformed.inc()
        self._dropped += 1
        now = time.monotonic()
        if now >= self._told_at + _TELL_EVERY:
            told = counted(self._dropped, "message", "were")
            logger.warning("%s dropped; the last: %s", told, reason)
            self._told_at, self._dropped = now, 0

    def _found_gap(self, gap: Gap) -> None:
        if gap.problem is None:
            told = counted(len(gap.missed), "missed message", "were")
            logger.info("topic %s: %s read from the history", gap.topic, told)
        self._on_gap(gap)

    def _tell(self, feed: _Feed, topics: Collection[str]) -> None:
        health, rules = feed.listener.health_of(topics), feed.rules_of(topics)
        logger.log(
            logging.INFO if health.reason in {"Succeeded", "Connecting"} else logging.WARNING,
            "feed of %s: %s (%s)", _named(rules, feed.listening), health.message, health.reason,
            extra=fields(reason=health.reason),
        )  # fmt: skip
        self._tell_rules(rules)

    def _tell_rules(self, keys: Iterable[Key]) -> None:
        if not self._untold:
            asyncio.get_running_loop().call_soon(self._tell_some)
        self._untold.update(dict.fromkeys(keys))

    def _tell_some(self) -> None:
        """Tell as many as there is time for before others get a turn."""
        until = time.perf_counter() + TURN
        while self._untold and time.perf_counter() < until:
            key, _ = self._untold.popitem()
            self._on_health(key)
        if self._untold:
            asyncio.get_running_loop().call_soon(self._tell_some)

    async def _consume(self, feed: _Feed) -> None:
        began = time.perf_counter()
        while True:
            event = await feed.listener.events.get()
            self._metrics.events.inc()
            try:
                feed.memory.note(event)
                found = feed.rules.candidates(event.topic, event.payload)
                off = feed.cancels.candidates(event.topic, event.payload)
                await self._on_event([key for key, _ in found], [key for key, _ in off], event)
            except Exception:
                # A fault of ours in one event must not end the feed of all rules.
                logger.exception("event %s on %s was not handled", event.id, event.topic)
            if time.perf_counter() - began > TURN:
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
            feed.settle()
            if feed.listening:
                # A listener that is connected already has no change to tell of.
                self._tell_rules(key for key in new if key in feed.listening)
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


def _named(rules: Iterable[Key], listening: Mapping[Key, _Listening]) -> str:
    """Name a feed for people: by its Secrets and its rules, of which a few stand for all."""
    rules = list(rules)
    secrets = dict.fromkeys(
        f"{key.namespace}/{listening[key].secret}" for key in rules if key in listening
    )
    return f"Secret {_some(secrets)}, for TriggerRule {_some(key.path for key in rules)}"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "(none)") + more
