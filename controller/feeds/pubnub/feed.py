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
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from controller.feeds.base import FeedHealth, GapFound, HealthChanged, Malformed
from controller.feeds.pace import Pace
from controller.feeds.pubnub.client import PubNubConnection
from controller.feeds.pubnub.dedup import Recall
from controller.feeds.pubnub.gaps import KEPT_FOR, find_gaps, read_gaps, ticks_of
from controller.feeds.pubnub.messages import TICKS, Decoder
from controller.feeds.pubnub.polling import NetworkTraits, Poller
from controller.feeds.turns import in_turns
from controller.resources.fields import rfc3339
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from controller.feeds.base import Sink
    from controller.feeds.pubnub.exchange import Delivery
    from controller.feeds.pubnub.gaps import Gap
    from controller.feeds.pubnub.keys import PubNubKeys
    from controller.settings import Settings

__all__ = ["PubNubFeed"]

logger = logging.getLogger(__name__)

_MAX_PATH = 6000  # characters of topics in one request
_CLOCKS_AGREE = 0.5  # seconds; less is the network's latency


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
        sink: Takes what was heard, oldest first; while it has no room, the position waits.
    """

    def __init__(self, keys: PubNubKeys, settings: Settings, sink: Sink) -> None:
        self._sink = sink
        self._keys = keys
        self._settings = settings
        self._decoder = Decoder(keys.cipher_key, lambda topic: self._changed([topic]))
        self._shares: list[_Share] = []
        self._share_of: dict[str, _Share] = {}
        self._recall = Recall()
        self._pace = Pace()
        self._gaps: dict[str, tuple[float, FeedHealth]] = {}
        self._stale = False

    @property
    def health(self) -> FeedHealth:
        """The worst of its requests."""
        return self._worst(share.poller.health for share in self._shares if share.windows)

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        """The worst of these topics; others are not their matter."""
        if self._stale:
            limit = self._settings.feed_stale_after
            return FeedHealth(False, "FeedStale", f"no poll was completed for {limit:.0f} s")
        topics = [topic for topic in topics if topic in self._share_of]
        refused = [topic for topic in topics if topic in self._share_of[topic].poller.denied]
        if refused:
            told = f"PubNub refuses the topic {min(refused)} (403)"
            return FeedHealth(False, "AccessDenied", told)
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
        self.want(windows, self._share_of.keys() - windows.keys())

    def want(self, windows: Mapping[str, float], gone: Iterable[str]) -> None:
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
                lambda: self._changed(share.windows.keys()),
                network=NetworkTraits(TICKS, KEPT_FOR),
                cut_after=self._settings.subscribe_timeout,
                pace=self._pace,
            )
            self._shares.append(share)
        return share

    def check(self, now: float) -> None:
        """Notice polls that are not answered, and let gaps pass that were told for long enough.

        Args:
            now: By `time.monotonic`.
        """
        last = self.polled_at
        stale = last is not None and now - last > self._settings.feed_stale_after
        if stale != self._stale:
            self._stale = stale
            self._changed(self._share_of.keys())
        past = [topic for topic, (until, _) in self._gaps.items() if until <= now]
        for topic in past:
            del self._gaps[topic]
        if past:
            self._changed(past)

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
                self._sink.tell(Malformed("an internal fault"))
                continue
            if isinstance(event, Refusal):
                self._sink.tell(Malformed(event.reason))
            elif event is not None:
                await self._sink.put(event)

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
                self._sink.tell(GapFound(gap.topic, len(gap.missed), gap.problem))
        if opened:
            self._changed(opened)

    def _changed(self, topics: Collection[str]) -> None:
        self._sink.tell(HealthChanged(topics))


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
