"""The feeds in use: one for each distinct source, whatever number of rules share it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from controller.feeds.base import GapFound, HealthChanged, Malformed
from controller.feeds.turns import TURN
from controller.logs import fields
from controller.plurals import counted
from controller.triggers.listener import Listener, Listening
from controller.triggers.metrics import FeedState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

    from controller.events import Event
    from controller.feeds.base import FeedHealth, News, Source
    from controller.runtime.resource import Key
    from controller.settings import Settings
    from controller.term import Term
    from controller.triggers.metrics import RuleMetrics
    from controller.triggers.rule import Rule
    from controller.triggers.topic_memory import Heard

__all__ = ["FeedPool"]

logger = logging.getLogger(__name__)

_SETTLE = 0.02  # rules that come together change the topics once
_TELL_EVERY = 10.0  # seconds between two log lines about malformed messages


class FeedPool:
    """All feeds.

    Args:
        settings: Where the services are, and how patient to be.
        metrics: Counts what is heard.
        on_event: Called with the keys of the rules that an event may match, of those for which it
            may be an off cue, and the event.
        on_health: Called with the key of each rule whose feed changed its health.
        term: Whether this process decides.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: RuleMetrics,
        on_event: Callable[[list[Key], list[Key], Event], Awaitable[None]],
        on_health: Callable[[Key], None],
        term: Term,
    ) -> None:
        self._settings = settings
        self._term = term
        self._metrics = metrics
        metrics.rule_feeds.states = self._states
        self._on_event = on_event
        self._on_health = on_health
        self._listeners: dict[Source, Listener] = {}
        self._of_rule: dict[Key, Source] = {}
        self._unsettled: dict[Source, set[Key]] = {}
        self._untold: dict[Key, None] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False
        self._dropped = 0
        self._told_at = -_TELL_EVERY

    def use(self, rule: Rule) -> None:
        """Listen for a rule as it is now; nothing more is heard once the pool is closed."""
        if self._closed:
            return
        key, source, listening = rule.resource.key, rule.source, Listening.of(rule)
        before = self._of_rule.get(key)
        if before is not None and (before != source or listening is None):
            self.drop(key)
        if source is None or listening is None:
            return
        listener = self._listeners.get(source)
        if listener is None:
            listener = Listener(source, self._settings, self._heard, self._news, self._term)
            self._listeners[source] = listener
        self._of_rule[key] = source
        if listener.add(key, listening):
            self._settle(source, key)

    def drop(self, key: Key) -> None:
        """Stop listening for a rule."""
        source = self._of_rule.pop(key, None)
        if source is not None:
            self._listeners[source].remove(key)
            self._settle(source)

    # What rules are told

    def _listener_of(self, key: Key) -> Listener | None:
        source = self._of_rule.get(key)
        return self._listeners[source] if source is not None else None

    def health(self, key: Key) -> FeedHealth | None:
        """Health of the feed that a rule listens to; None: it listens to none."""
        listener = self._listener_of(key)
        return listener.health(key) if listener is not None else None

    def _states(self) -> Iterator[FeedState]:
        for key, source in self._of_rule.items():
            listener = self._listeners[source]
            health, last_poll = listener.health(key), listener.last_poll(key) or 0.0
            yield FeedState(
                key.namespace, key.name, last_poll, bool(health.connected), health.reason
            )

    def waiting(self) -> int:
        """How many events are received and were not met with rules yet."""
        return sum(listener.waiting for listener in self._listeners.values())

    def silent_since(self, key: Key) -> Heard | None:
        """When a rule's topics last brought an event, or since when they are listened to for it.

        None: it listens to none.
        """
        listener = self._listener_of(key)
        return listener.silent_since(key) if listener is not None else None

    def recent(self, key: Key) -> list[Event]:
        """The last events on a rule's topics, oldest first, as far as they are kept."""
        listener = self._listener_of(key)
        return listener.recent(key) if listener is not None else []

    # What feeds tell

    async def _heard(self, found: list[Key], off: list[Key], event: Event) -> None:
        self._metrics.events.inc()
        self._metrics.feed_lag.observe(max(0.0, time.time() - event.published))
        await self._on_event(found, off, event)

    def _news(self, listener: Listener, news: News) -> None:
        match news:
            case HealthChanged(topics):
                self._health_changed(listener, topics)
            case GapFound():
                self._gap_found(news)
            case Malformed(reason):
                self._malformed(reason)

    def _malformed(self, reason: str) -> None:
        self._metrics.malformed.inc()
        self._dropped += 1
        now = time.monotonic()
        if now >= self._told_at + _TELL_EVERY:
            told = counted(self._dropped, "message", "were")
            logger.warning("%s dropped; the last: %s", told, reason)
            self._told_at, self._dropped = now, 0

    def _gap_found(self, gap: GapFound) -> None:
        if gap.problem is None:
            told = counted(gap.recovered, "missed message", "were")
            logger.info("topic %s: %s read from the history", gap.topic, told)
        self._metrics.feed_gaps.labels("Recovered" if gap.problem is None else "Lost").inc()

    def _health_changed(self, listener: Listener, topics: Collection[str]) -> None:
        health, rules = listener.feed.health_of(topics), listener.rules_of(topics)
        logger.log(
            logging.INFO if health.reason in {"Succeeded", "Connecting"} else logging.WARNING,
            "feed of %s: %s (%s)", listener.named(rules), health.message, health.reason,
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

    # Life

    def check(self) -> bool:
        """Let feeds notice what time alone changes; return whether all their loops run."""
        if self._closed:
            return True
        now = time.monotonic()
        for listener in self._listeners.values():
            listener.feed.check(now)
        return all(listener.alive for listener in self._listeners.values())

    def begin(self) -> None:
        """Let rules meet events from now on, first those that were kept."""
        for listener in self._listeners.values():
            listener.begin()

    async def close(self) -> None:
        """Stop them all, for good; what they told of their health stays."""
        self._closed = True
        closing = [listener.close() for listener in self._listeners.values()]
        await asyncio.gather(*closing, *self._closing)

    def _settle(self, source: Source, *new: Key) -> None:
        if not self._unsettled:
            asyncio.get_running_loop().call_later(_SETTLE, self._apply)
        self._unsettled.setdefault(source, set()).update(new)

    def _apply(self) -> None:
        unsettled, self._unsettled = self._unsettled, {}
        for source, new in unsettled.items():
            listener = self._listeners.get(source)
            if listener is None or self._closed:
                continue
            listener.settle()
            if listener.listening:
                # A feed that is connected already has no change to tell of.
                self._tell_rules(key for key in new if key in listener.listening)
                continue
            del self._listeners[source]
            task = asyncio.get_running_loop().create_task(listener.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
