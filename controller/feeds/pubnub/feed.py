"""PubNub → events: one listener for each key set.

The SDK's own subscribe loop loses or repeats messages in ways that a listener cannot see: after a
reconnect messages come twice, an exception in a callback ends it silently, it gives up for good
after some minutes. So only the SDK's single request is used, and the loop is `Poller`.

Contract: https://www.pubnub.com/docs/sdks/rest-api
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from controller.feeds.health import FeedHealth
from controller.feeds.pace import Pace
from controller.feeds.pubnub.client import PubNubConnection
from controller.feeds.pubnub.history import KEPT_FOR, find_gaps, read_gaps, ticks_of
from controller.feeds.pubnub.messages import TICKS, Decoder
from controller.feeds.pubnub.polling import Poller
from controller.feeds.pubnub.recall import Recall
from controller.feeds.turns import in_turns
from controller.resources.fields import rfc3339
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from controller.events import Event
    from controller.feeds.pubnub.exchange import Delivery
    from controller.feeds.pubnub.history import Gap
    from controller.sensitive import Sensitive
    from controller.settings import Settings

__all__ = ["PubNubFeed", "PubNubKeys"]

logger = logging.getLogger(__name__)

_MAX_PATH = 6000  # characters of topics in one request
_QUEUE = 200  # of 32 KiB, which take twenty times as much in memory
_CLOCKS_AGREE = 0.5  # seconds; less is the network's latency


@dataclass(frozen=True, slots=True)
class PubNubKeys:
    """A key set: what makes two feeds the same feed."""

    subscribe_key: Sensitive
    auth_key: Sensitive | None = None
    cipher_key: Sensitive | None = None


class _Share:
    """The topics of one request, and whatever asks for them."""

    def __init__(self, connection: PubNubConnection) -> None:
        self.connection = connection
        self.poller: Poller
        self.windows: dict[str, float] = {}
        self.room = _MAX_PATH


class PubNubFeed:
    """One listener for one key set, whatever number of rules share it.

    Args:
        keys: The key set.
        settings: Origin, TLS and timeouts.
        on_health: Called with the topics of which the health changed.
        on_malformed: Called with the reason for each message that is not an event.
        on_gap: Called with each gap that was found, whether it could be filled or not.

    Attributes:
        events: What was heard, oldest first; bounded: a full queue holds the position back.
    """

    def __init__(
        self,
        keys: PubNubKeys,
        settings: Settings,
        on_health: Callable[[Collection[str]], None],
        on_malformed: Callable[[str], None],
        on_gap: Callable[[Gap], None],
    ) -> None:
        self._on_health = on_health
        self._on_malformed = on_malformed
        self._on_gap = on_gap
        self._keys = keys
        self._settings = settings
        self._decoder = Decoder(keys.cipher_key, lambda topic: on_health([topic]))
        self._shares: list[_Share] = []
        self._share_of: dict[str, _Share] = {}
        self._recall = Recall()
        self._pace = Pace()
        self._gaps: dict[str, tuple[float, FeedHealth]] = {}
        self.events: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)

    @property
    def health(self) -> FeedHealth:
        """The worst of its requests."""
        return self._worst(share.poller.health for share in self._shares if share.windows)

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        """The worst of these topics; others are not their matter."""
        topics = [topic for topic in topics if topic in self._share_of]
        health = self._worst(self._share_of[topic].poller.health for topic in topics)
        if health.connected:
            gaps = (self._gaps[topic][1] for topic in topics if topic in self._gaps)
            return next(gaps, None) or self._decoder.undecrypted.health_of(topics) or health
        return health

    @staticmethod
    def _worst(states: Iterable[FeedHealth]) -> FeedHealth:
        return min(
            states,
            key=lambda health: {False: 0, None: 1, True: 2}[health.connected],
            default=FeedHealth(None, "Connecting", "no topic yet"),
        )

    @property
    def denied(self) -> frozenset[str]:
        """Topics that PubNub refuses while it grants others of the key set."""
        return frozenset().union(*(share.poller.denied for share in self._shares))

    def denied_of(self, topics: Iterable[str]) -> list[str]:
        """Those of the topics that PubNub refuses while it grants others."""
        return [
            topic
            for topic in topics
            if topic in self._share_of and topic in self._share_of[topic].poller.denied
        ]

    @property
    def polled_at(self) -> float | None:
        """When the request that is longest without an answer had one, by `time.monotonic`."""
        return _oldest([share.poller.polled_at for share in self._shares if share.windows])

    def last_poll_of(self, topics: Iterable[str]) -> float | None:
        """The same for the requests for any of these topics, in seconds since the epoch."""
        shares = [self._share_of[topic] for topic in topics if topic in self._share_of]
        return _oldest([share.poller.last_poll for share in shares])

    @property
    def alive(self) -> bool:
        """Whether all its loops run."""
        return all(share.poller.alive for share in self._shares)

    def set_topics(self, windows: Mapping[str, float]) -> None:
        """Listen to these topics from now on, and to no others.

        Args:
            windows: Topic → seconds before now from which it is heard when it is new.
        """
        self.change_topics(windows, self._share_of.keys() - windows.keys())

    def change_topics(self, windows: Mapping[str, float], gone: Iterable[str]) -> None:
        """Listen to some topics more and to some no more, without a gap for those that stay.

        The cost is that of the topics that are named, and of those in the same requests.

        Args:
            windows: Topic → seconds before now from which it is heard when it is new.
            gone: Topics that are not listened to any more.
        """
        changed: dict[_Share, None] = {}
        for topic in gone:
            share = self._share_of.pop(topic, None)
            if share is not None:
                del share.windows[topic]
                self._decoder.undecrypted.forget(topic)
                share.room += _length(topic)
                changed[share] = None
                self._recall.leave(topic)
                self._gaps.pop(topic, None)
        for topic, window in sorted(windows.items()):
            share = self._share_of.get(topic)
            if share is None:
                share = self._share_of[topic] = self._share_with_room(_length(topic))
                share.room -= _length(topic)
                self._recall.come(topic)
            share.windows[topic] = window
            changed[share] = None
        for share in changed:
            share.poller.set_topics(share.windows)

    def _share_with_room(self, length: int) -> _Share:
        share = next((each for each in self._shares if each.room >= length), None)
        if share is None:
            share = _Share(PubNubConnection(self._keys, self._settings, self._pace))
            share.poller = Poller(
                share.connection.subscribe,
                partial(self._take, share),
                lambda: self._on_health(share.windows.keys()),
                ticks=TICKS,
                cut_after=self._settings.subscribe_timeout,
                kept_for=KEPT_FOR,
                pace=self._pace,
            )
            self._shares.append(share)
        return share

    def forget_gaps(self, now: float) -> None:
        """Let gaps pass that were told for long enough.

        Args:
            now: By `time.monotonic`.
        """
        past = [topic for topic, (until, _) in self._gaps.items() if until <= now]
        for topic in past:
            del self._gaps[topic]
        if past:
            self._on_health(past)

    async def close(self) -> None:
        """Stop, and give the connections back."""
        await asyncio.gather(*(share.poller.close() for share in self._shares))
        await asyncio.gather(*(share.connection.close() for share in self._shares))

    async def _take(self, share: _Share, delivery: Delivery) -> None:
        received = time.monotonic()
        # Ages are told by this machine's clock: where it is off, PubNub's times are moved to it.
        shift = delivery.ahead if abs(delivery.ahead) >= _CLOCKS_AGREE else 0.0
        try:
            messages = await self._completed(share, delivery)
        except Exception:
            # A fault of ours in looking for what is missing must not hold back what came.
            logger.exception("gaps were not looked for")
            messages = delivery.messages
        async for message in in_turns(messages):
            try:
                event = self._decoder.event(message, received, shift, self._recall.is_new)
            except Exception:
                # A fault of ours with one message must not hold the others back.
                logger.exception("a message was not understood")
                self._on_malformed("an internal fault")
                continue
            if isinstance(event, Refusal):
                self._on_malformed(event.reason)
            elif event is not None:
                await self.events.put(event)

    async def _completed(self, share: _Share, delivery: Delivery) -> Sequence[Any]:
        """Put what was missed before what came, as far as the history has it."""
        gaps = find_gaps(delivery)
        if not gaps:
            return delivery.messages
        now = time.time()
        young_from = {
            gap.topic: int((now + delivery.ahead - share.windows.get(gap.topic, 0.0)) * TICKS)
            for gap in gaps
        }
        await read_gaps(share.connection.history, gaps, young_from)
        self._tell_of(gaps, time.monotonic() + self._settings.feed_stale_after)
        missed = [message for gap in gaps for _, message in gap.missed]
        if not missed:
            return delivery.messages
        return sorted([*missed, *delivery.messages], key=lambda each: ticks_of(each) or 0)

    def _tell_of(self, gaps: Iterable[Gap], until: float) -> None:
        """Let the health of topics tell for a while of what may be lost."""
        opened = []
        for gap in gaps:
            if gap.problem is not None and gap.topic in self._share_of:
                self._gaps[gap.topic] = until, FeedHealth(False, "FeedStale", _told(gap))
                opened.append(gap.topic)
            if gap.problem is not None or gap.missed:
                self._on_gap(gap)
        if opened:
            self._on_health(opened)


def _oldest(polls: Sequence[float | None]) -> float | None:
    """The earliest of the instants; None: one is missing, or there are none."""
    answered = [at for at in polls if at is not None]
    return min(answered) if answered and len(answered) == len(polls) else None


def _length(topic: str) -> int:
    """Characters that a topic takes in a request."""
    return len(quote(topic)) + 1


def _told(gap: Gap) -> str:
    after, before = (rfc3339(position // TICKS) for position in (gap.after, gap.before))
    return (
        f"messages on topic {gap.topic} between {after} and {before} may be lost: {gap.cause}, and "
        f"{gap.problem}: enable Message Persistence for the PubNub key set"
    )
