"""One feed, the rules that share it, and the way of its events to them."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.feeds.registry import FEEDS, named
from controller.feeds.turns import TURN
from controller.rules.index import RuleIndex
from controller.triggers.topic_memory import Heard, TopicMemory
from controller.triggers.young_events import YoungEvents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from controller.events import Event
    from controller.feeds.base import FeedHealth, News, Source
    from controller.resources.one_of import Chosen
    from controller.rules.compiled import CompiledRule
    from controller.runtime.resource import Key
    from controller.settings import Settings
    from controller.term import Term
    from controller.triggers.rule import Rule

__all__ = ["Listener", "Listening"]

logger = logging.getLogger(__name__)

_QUEUE = 200  # events of 32 KiB, which take twenty times as much in memory
_NAMED = 3  # Secrets and rules that a log line names


@dataclass(frozen=True, slots=True)
class Listening:
    """What a rule listens to.

    Attributes:
        feed: Its `spec.feed`.
        topics: The topics in it.
        window: Seconds of the past that it wants at the start.
        compiled: What events are held against.
    """

    feed: Chosen
    topics: tuple[str, ...]
    window: float
    compiled: CompiledRule

    @classmethod
    def of(cls, rule: Rule) -> Listening | None:
        """What a rule listens to as it is now; None: nothing."""
        topics = rule.topics
        if rule.spec is None or rule.compiled is None or not topics:
            return None
        return cls(rule.spec.feed, topics, rule.window, rule.compiled)


class Listener:
    """A feed, its rules, and the task that meets events with rules.

    Args:
        source: What it listens at.
        settings: How patient to be.
        on_event: Called with the keys of the rules that an event may match, of those for which it
            may be an off cue, and the event.
        on_news: Called with whatever else the feed tells.
        term: Whether this process decides: until it does, young events are kept.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        on_event: Callable[[list[Key], list[Key], Event], Awaitable[None]],
        on_news: Callable[[Listener, News], None],
        term: Term,
    ) -> None:
        self._term = term
        self._young = YoungEvents()
        self._on_event = on_event
        self._on_news = on_news
        self._rules: RuleIndex[Key] = RuleIndex()
        self._cancels: RuleIndex[Key] = RuleIndex()
        self._memory = TopicMemory()
        self._windows: dict[str, dict[Key, float]] = {}
        self._unsettled: set[str] = set()
        self._since: dict[Key, Heard] = {}
        self._events: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self.listening: dict[Key, Listening] = {}
        self.feed = FEEDS.open(source, settings, self)
        self._consumer = asyncio.get_running_loop().create_task(self._consume())

    # What the feed tells

    async def put(self, event: Event) -> None:
        """Take an event; a full queue holds the feed's position back."""
        await self._events.put(event)

    def tell(self, news: News) -> None:
        """Take any other news."""
        self._on_news(self, news)

    async def _consume(self) -> None:
        began = time.perf_counter()
        while True:
            kept = self._young.take() if self._term.begun else None
            event = kept or await self._events.get()
            try:
                if kept is None:
                    self._memory.note(event)
                found = self._rules.candidates(event.topic, event.payload)
                off = self._cancels.candidates(event.topic, event.payload)
                if self._term.begun:
                    await self._on_event([key for key, _ in found], [key for key, _ in off], event)
                elif found or off:
                    self._young.keep(event, time.time(), self._window)
            except Exception:
                # A fault of ours in one event must not end the feed of all rules.
                logger.exception("event %s on %s was not handled", event.id, event.topic)
            if time.perf_counter() - began > TURN:
                await asyncio.sleep(0)
                began = time.perf_counter()

    def _window(self, topic: str) -> float:
        return max(self._windows.get(topic, {}).values(), default=0.0)

    def begin(self) -> None:
        """Let rules meet events from now on, first those that were kept."""
        self._consumer.cancel()  # it waits for an event that may never come
        self._consumer = asyncio.get_running_loop().create_task(self._consume())

    # Its rules

    def add(self, key: Key, listening: Listening) -> bool:
        """Listen for a rule as it is now; return whether anything changes by it."""
        before, since = self.listening.get(key), self._since.get(key)
        if listening == before:
            return False
        self.remove(key)
        kept = since if before is not None and before.topics == listening.topics else None
        self._since[key] = kept or Heard.now()
        self.listening[key] = listening
        self._rules.add(key, listening.topics, listening.compiled)
        if listening.compiled.cancels:
            self._cancels.add(key, listening.topics, listening.compiled, listening.compiled.cancels)
        for topic in listening.topics:
            self._windows.setdefault(topic, {})[key] = listening.window
        self._unsettled.update(listening.topics)
        return True

    def remove(self, key: Key) -> None:
        """Listen for a rule no more."""
        listening = self.listening.pop(key, None)
        if listening is None:
            return
        del self._since[key]
        self._rules.remove(key)
        self._cancels.remove(key)
        for topic in listening.topics:
            self._windows[topic].pop(key, None)
        self._unsettled.update(listening.topics)

    def settle(self) -> None:
        """Let the feed follow: the longest time into the past that a rule wants of a topic."""
        wanted: dict[str, float] = {}
        gone = []
        for topic in self._unsettled:
            windows = self._windows[topic]
            if windows:
                wanted[topic] = max(windows.values())
            else:
                del self._windows[topic]
                self._memory.forget(topic)
                gone.append(topic)
        self._unsettled.clear()
        self.feed.want(wanted, gone)

    def rules_of(self, topics: Iterable[str]) -> list[Key]:
        """The rules that listen to any of these topics."""
        return list({key: None for topic in topics for key in self._windows.get(topic, ())})

    # What its rules are told

    def health(self, key: Key) -> FeedHealth:
        """Health of a rule's topics."""
        return self.feed.health_of(self.listening[key].topics)

    def last_poll(self, key: Key) -> float | None:
        """When a rule's topics last proved to be connected, in seconds since the epoch."""
        return self.feed.last_poll_of(self.listening[key].topics)

    def silent_since(self, key: Key) -> Heard:
        """When a rule's topics last brought an event, or since when they are listened to."""
        return max(self._since[key], self._memory.heard(self.listening[key].topics))

    def recent(self, key: Key) -> list[Event]:
        """The last events on a rule's topics, oldest first, as far as they are kept."""
        return self._memory.recent(self.listening[key].topics)

    def named(self, rules: Iterable[Key]) -> str:
        """Name the feed for people: by its Secrets and some of its rules."""
        rules = list(rules)
        heard = [
            (self.listening[key].feed, key.namespace) for key in rules if key in self.listening
        ]
        feeds = dict.fromkeys(named(feed, namespace) for feed, namespace in heard)
        return f"{_some(feeds)}, for TriggerRule {_some(key.path for key in rules)}"

    # Life

    @property
    def waiting(self) -> int:
        """How many events are received and were not met with rules yet."""
        return self._events.qsize()

    @property
    def alive(self) -> bool:
        """Whether all its loops run."""
        return self.feed.alive and not self._consumer.done()

    async def close(self) -> None:
        """Stop."""
        self._consumer.cancel()
        await asyncio.gather(self._consumer, return_exceptions=True)
        await self.feed.close()


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "(none)") + more
