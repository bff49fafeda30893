"""A loop of long polls over a position, without knowledge of any SDK.

The position moves only after the messages before it were handed on; a request that fails, is cut or
changes its topics is repeated from the same position. So nothing is lost while the network keeps
it, and what is repeated is recognised by whoever takes the messages.

A first request at position 0, which is answered at once, proves keys and connection and tells the
network's own time. It is made again after each failure and each poll that was cut, because a silent
connection looks the same healthy or dead.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from controller.errors import TransientError
from controller.feeds.denials import MOST_PAUSE as MOST_PAUSE_DENIED
from controller.feeds.denials import Denials
from controller.feeds.health import FeedHealth
from controller.policies.backoff import backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

__all__ = ["AccessDenied", "Batch", "Poller", "Subscribe"]

logger = logging.getLogger(__name__)

_MOST_PAUSE = 5.0  # a longer one would cost cues that are still young
_JOIN_TIMEOUT = 10.0  # for what is answered at once


class AccessDenied(TransientError):
    """The network refuses the keys or a topic; it may think otherwise later.

    Args:
        message: For the user.
        topics: Those that it names; none: the keys as a whole.
    """

    def __init__(self, message: str, topics: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.topics = topics


@dataclass(frozen=True, slots=True)
class Batch:
    """Answer to one poll.

    Attributes:
        position: From where the next poll goes on.
        region: To be sent along with it.
        messages: As they came over the wire.
    """

    position: int
    region: str | None
    messages: Sequence[Any]


class Subscribe(Protocol):
    """One request for the messages of topics after a position."""

    def __call__(
        self, topics: frozenset[str], position: int, region: str | None
    ) -> Awaitable[Batch]:
        """Raise a `TransientError` for whatever goes wrong."""
        ...


class Poller:
    """Listens to a changing set of topics.

    Args:
        subscribe: Makes one request.
        hand_on: Takes the messages of a batch, and by how many seconds the network's clock is ahead
            of this machine's; the position waits for it.
        on_health: Called when the health changes.
        ticks: Units of a position in a second.
        cut_after: Seconds after which a poll without an answer is asked anew.
    """

    def __init__(
        self,
        subscribe: Subscribe,
        hand_on: Callable[[Sequence[Any], float], Awaitable[None]],
        on_health: Callable[[], None],
        ticks: int,
        cut_after: float,
    ) -> None:
        self._subscribe = subscribe
        self._hand_on = hand_on
        self._on_health = on_health
        self._ticks = ticks
        self._cut_after = cut_after
        self._windows: dict[str, float] = {}
        self._joined: frozenset[str] = frozenset()
        self._proven = False
        self._position = 0
        self._region: str | None = None
        self._ahead = 0.0
        self._denials = Denials()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.health = FeedHealth(None, "Connecting", "the first request is under way")
        self.last_poll: float | None = None

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
                await self._failed(str(error), failures, denied=True)
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
        now = time.time()
        asked = self._denials.admitted(self._windows, now)
        refused = named & asked
        if not refused or refused == asked:
            return False
        self._denials.add(refused, now)
        self._proven = False
        self._on_health()
        return True

    async def _failed(self, told: str, failures: int, *, denied: bool = False) -> None:
        self._proven = False
        self._tell(FeedHealth(False, "AccessDenied" if denied else "TransientError", told))
        most = MOST_PAUSE_DENIED if denied else _MOST_PAUSE
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
        topics = self._denials.admitted(self._windows, time.time())
        if not self._windows:
            self._joined, self._position = topics, 0
            await self._changed.wait()
        elif not topics:
            await self._pause(self._denials.wait(time.time()) or 0.0)
        elif not self._proven or topics - self._joined:
            await self._join(topics)
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
        self._ahead = _ahead(batch.position / self._ticks, asked, time.time())
        new = topics - self._joined
        if new:
            window = max(self._windows.get(topic, 0.0) for topic in new)
            start = batch.position - int(window * self._ticks)
            self._position = min(self._position, start) if self._position else start
        self._joined = topics
        self._proven = True
        if self._denials.clear(topics):
            self._on_health()
        self._answered()

    async def _poll(self, topics: frozenset[str]) -> None:
        """One long poll; cut short when the topics change or it takes long."""
        loop = asyncio.get_running_loop()
        request = self._subscribe(topics, self._position, self._region)
        poll = asyncio.ensure_future(request)
        changed = loop.create_task(self._changed.wait())
        try:
            held_back = self._denials.wait(time.time())
            cut_after = self._cut_after if held_back is None else min(self._cut_after, held_back)
            await asyncio.wait(
                {poll, changed}, timeout=cut_after, return_when=asyncio.FIRST_COMPLETED
            )
            if poll.done():
                batch = poll.result()
                await self._hand_on(batch.messages, self._ahead)
                self._position, self._region = batch.position, batch.region
                self._answered()
            elif not changed.done():
                self._proven = False
        finally:
            poll.cancel()
            changed.cancel()
            await asyncio.gather(poll, changed, return_exceptions=True)

    def _answered(self) -> None:
        self.last_poll = time.time()
        self._tell(FeedHealth(True, "Succeeded", "connected"))

    def _tell(self, health: FeedHealth) -> None:
        if health != self.health:
            self.health = health
            self._on_health()


def _ahead(told: float, asked: float, answered: float) -> float:
    """By how many seconds the network's clock is ahead, at least: it spoke somewhere in between."""
    if told < asked:
        return told - asked
    return max(0.0, told - answered)
