"""A loop of long polls over a position, without knowledge of any SDK.

The position moves only after the messages before it were handed on; a request that fails, is cut or
changes its topics is repeated from the same position. So nothing is lost while the network keeps
it, and what is repeated is recognised by whoever takes the messages.

A first request at position 0, which is answered at once, proves keys and connection and tells the
network's own time. It is made again after each failure and each poll that was cut, because a silent
connection looks the same healthy or dead.

The network keeps messages for a while only. So the loop knows for each topic until when all of it
was heard, and hands that on with each batch: whoever knows what the network keeps can tell what is
missing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.backoff import backoff
from controller.errors import TransientError
from controller.feeds.base import FeedHealth
from controller.feeds.pace import MESSAGES, SIZE
from controller.feeds.pubnub.denied_topics import MOST_PAUSE as MOST_PAUSE_DENIED
from controller.feeds.pubnub.denied_topics import Denials
from controller.feeds.pubnub.exchange import AccessDenied, AnswerTooLarge, Delivery
from controller.feeds.pubnub.positions import Heard, NetworkClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from controller.feeds.pace import Pace
    from controller.feeds.pubnub.exchange import Subscribe

__all__ = ["NetworkTraits", "Poller"]

logger = logging.getLogger(__name__)

_MOST_PAUSE = 5.0  # a longer one would cost cues that are still young
_JOIN_TIMEOUT = 10.0  # for what is answered at once
_YOUNG = 60.0  # seconds for which a message matters most: cues start nothing after 30, as a rule
_CLOCKS = 30.0  # seconds that the network's clock may be off without being noticed


@dataclass(frozen=True, slots=True)
class NetworkTraits:
    """What a network counts and keeps.

    Attributes:
        ticks: Units of a position in a second.
        kept_for: Seconds for which it keeps a message.
    """

    ticks: int
    kept_for: float


class Poller:
    """Listens to a changing set of topics.

    Args:
        subscribe: Makes one request.
        hand_on: Takes what came; the position waits for it.
        on_health: Called when the health changes.
        network: What the network counts and keeps.
        cut_after: Seconds after which a poll without an answer is asked anew.
        pace: How much is taken in a second.
    """

    def __init__(
        self,
        subscribe: Subscribe,
        hand_on: Callable[[Delivery], Awaitable[None]],
        on_health: Callable[[], None],
        *,
        network: NetworkTraits,
        cut_after: float,
        pace: Pace,
    ) -> None:
        self._subscribe = subscribe
        self._hand_on = hand_on
        self._on_health = on_health
        self._clock = NetworkClock(network.ticks)
        self._cut_after = cut_after
        self._kept_for = network.kept_for
        self._pace = pace
        self._windows: dict[str, float] = {}
        self._joined: frozenset[str] = frozenset()
        self._proven = False
        self._position = 0
        self._region: str | None = None
        self._heard = Heard()
        self._denials = Denials()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.health = FeedHealth(None, "Connecting", "the first request is under way")
        self.last_poll: float | None = None  # in seconds since the epoch, for people
        self.polled_at: float | None = None  # the same instant by `time.monotonic`

    @property
    def topics(self) -> Mapping[str, float]:
        """Topic → seconds of the past that are heard when it is new."""
        return self._windows

    @property
    def denied(self) -> frozenset[str]:
        """Topics that the network refuses while it grants others."""
        return self._denials.topics

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""
        return self._task is not None and not self._task.done()

    def set_topics(self, windows: Mapping[str, float]) -> None:
        """Listen to these topics from now on, without a gap for those that stay."""
        if windows.keys() != self._windows.keys():
            self._changed.set()
        self._windows = dict(windows)
        self._denials.keep(windows)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="poller")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._step()
                failures = 0
            except AccessDenied as error:
                if self._hold_back(error.topics):
                    continue
                failures += 1
                await self._failed(str(error), failures, "AccessDenied")
            except AnswerTooLarge as error:
                failures += 1
                await self._failed(str(error), failures, "AnswerTooLarge")
            except TransientError as error:
                failures += 1
                await self._failed(str(error), failures)
            except Exception:
                # A fault of ours must not silence the feed: it is told, and the loop goes on.
                logger.exception("a poll failed")
                failures += 1
                await self._failed("an internal fault; see the operator's log", failures)

    def _hold_back(self, named: frozenset[str]) -> bool:
        """Go on without the topics that are refused; False: nothing would be left."""
        now = time.monotonic()
        asked = self._denials.admitted(self._windows, now)
        refused = named & asked
        if not refused or refused == asked:
            return False
        self._denials.add(refused, now)
        self._proven = False
        self._on_health()
        return True

    async def _failed(self, told: str, failures: int, reason: str = "TransientError") -> None:
        self._proven = False
        self._tell(FeedHealth(False, reason, told))
        most = MOST_PAUSE_DENIED if reason == "AccessDenied" else _MOST_PAUSE
        await self._pause(backoff(failures, random.random(), first=0.5, most=most))  # noqa: S311 - jitter

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _step(self) -> None:
        """One request, or the wait for a first topic."""
        self._changed.clear()
        topics = self._denials.admitted(self._windows, time.monotonic())
        if not self._windows:
            self._joined, self._position, self._heard = topics, 0, Heard()
            await self._changed.wait()
        elif not topics:
            await self._pause(self._denials.wait(time.monotonic()) or 0.0)
        elif not self._proven or topics - self._joined:
            await self._join(topics)
        elif wait := self._pace.wait(time.monotonic()):
            self._tell(self._connected())
            await self._pause(wait)
        else:
            self._joined = topics
            await self._poll(topics)

    async def _join(self, topics: frozenset[str]) -> None:
        """Prove that all topics may be heard; go back in time for the new ones."""
        asked = time.time()
        try:
            async with asyncio.timeout(min(self._cut_after, _JOIN_TIMEOUT)):
                batch = await self._subscribe(topics, 0, None)
        except TimeoutError:
            msg = "the network does not answer"
            raise TransientError(msg) from None
        self._clock.set(batch.position, asked, time.time())
        new = topics - self._joined
        if new:
            starts = {
                topic: batch.position - self._clock.in_ticks(self._windows.get(topic, 0.0))
                for topic in new
            }
            start = min(starts.values())
            self._position = min(self._position, start) if self._position else start
            self._heard.begin(starts)
        self._joined = topics
        self._proven = True
        if self._denials.clear(topics):
            self._on_health()
        self._answered()

    async def _poll(self, topics: frozenset[str]) -> None:
        """One long poll; cut short when the topics change or it takes long."""
        loop = asyncio.get_running_loop()
        asked = self._clock.position
        await self._tell_of_dropped(topics, asked)
        request = self._subscribe(topics, self._position, self._region)
        poll = asyncio.ensure_future(request)
        changed = loop.create_task(self._changed.wait())
        try:
            held_back = self._denials.wait(time.monotonic())
            cut_after = self._cut_after if held_back is None else min(self._cut_after, held_back)
            await asyncio.wait(
                {poll, changed}, timeout=cut_after, return_when=asyncio.FIRST_COMPLETED
            )
            if poll.done():
                batch = poll.result()
                await self._hand_on(self._delivery(topics, batch.messages, asked))
                self._position, self._region = batch.position, batch.region
                self._heard.up_to(max(batch.position, asked - self._clock.in_ticks(_CLOCKS)))
                self._answered()
            elif not changed.done():
                # What there was when it was asked for would have been answered at once.
                self._heard.up_to(asked - self._clock.in_ticks(_CLOCKS))
                self._proven = False
        except AnswerTooLarge as error:
            await self._skip(topics, asked, str(error))
            raise
        finally:
            poll.cancel()
            changed.cancel()
            await asyncio.gather(poll, changed, return_exceptions=True)

    async def _skip(self, topics: frozenset[str], asked: int, cause: str) -> None:
        """Go on with what is young, or, where that is too much as well, with what is to come."""
        young = asked - self._clock.in_ticks(_YOUNG)
        position = young if self._position < young else asked
        await self._hand_on(
            Delivery(topics, (), self._heard.of, position, cause, self._clock.ahead)
        )
        self._position, self._region = position, None
        self._heard.up_to(position)

    async def _tell_of_dropped(self, topics: frozenset[str], now: int) -> None:
        """Hand on that there is what the network cannot give any more, once for each outage."""
        kept = now - self._clock.in_ticks(self._kept_for)
        if min((self._heard.of(topic) for topic in topics), default=kept) < kept:
            await self._hand_on(self._delivery(topics, (), now))
            self._heard.up_to(kept)

    def _delivery(self, topics: frozenset[str], messages: Sequence[Any], asked: int) -> Delivery:
        kept = asked - self._clock.in_ticks(self._kept_for)
        cause = f"nothing was heard for more than {self._kept_for / 60:.0f} minutes"
        return Delivery(topics, messages, self._heard.of, kept, cause, self._clock.ahead)

    def _answered(self) -> None:
        self.last_poll, self.polled_at = time.time(), time.monotonic()
        self._tell(self._connected())

    def _connected(self) -> FeedHealth:
        if not self._pace.exceeded:
            return FeedHealth(True, "Succeeded", "connected")
        told = (
            f"connected; the PubNub key set brings more than {SIZE // 1024} KiB or {MESSAGES}"
            " messages a second: it is read at that pace, and its cues may come late"
        )
        return FeedHealth(True, "Paced", told)

    def _tell(self, health: FeedHealth) -> None:
        if health != self.health:
            self.health = health
            self._on_health()
