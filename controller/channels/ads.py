"""Looks at the ads of the channels that are live: whether ours ran, and what else did."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Protocol

from controller.arbiter.ads_log import CONFIRM_AT
from controller.clients.helix import Unauthorized
from controller.errors import TransientError
from controller.resources.twitchchannel import READ_ADS_SCOPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from controller.arbiter.ads_log import AdsNews
    from controller.channels.channel import Channel
    from controller.clients.helix import Helix

__all__ = ["AdsListener", "AdsWatch"]

logger = logging.getLogger(__name__)

_AT_ONCE = 16
_LONGEST_SLEEP = 3600.0


class AdsListener(Protocol):
    """Who follows the ads of channels."""

    def saw_ads(self, channel: Channel, news: AdsNews) -> None:
        """Twitch told of the channel's ads."""
        ...

    def conclude(self, channel: Channel) -> None:
        """The ads of a channel that was introduced are known, or cannot be."""
        ...

    def doubt(self, channel: Channel) -> None:
        """Twitch refused the channel's token."""
        ...


class AdsWatch:
    """Asks for each live channel every interval, and some moments after each commercial.

    Args:
        helix: Asks.
        channels: All channels.
        listener: Follows what a look brings.
        interval: Seconds between two looks at one channel.
        quiet: Waits for a moment in which a look is in nobody's way.
    """

    def __init__(
        self,
        helix: Helix,
        channels: Callable[[], Iterable[Channel]],
        listener: AdsListener,
        interval: float,
        quiet: Callable[[], Awaitable[None]],
    ) -> None:
        self._helix = helix
        self._channels = channels
        self._listener = listener
        self._interval = interval
        self._quiet = quiet
        self._new: deque[Channel] = deque()
        self._looks: list[tuple[float, int, Channel]] = []
        self._order = count()
        self._wake = asyncio.Event()
        self._introduced = asyncio.Event()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()

    def introduce(self, channel: Channel) -> None:
        """Look at the ads of a channel that is found live, and then conclude on it.

        What Twitch tells of them is a part of the status: it is read before the status is written,
        so that a channel that goes live is written once and not a second time a minute later.
        """
        if channel.airtime.arbiter.ads.schedule is not None or not self._tells(channel):
            self._listener.conclude(channel)
            return
        self._new.append(channel)
        self._introduced.set()

    def expect(self, channel: Channel, called: float) -> None:
        """A commercial was accepted: look whether it runs.

        Args:
            channel: The channel.
            called: When it was called for.
        """
        if not channel.may(READ_ADS_SCOPE):
            channel.airtime.arbiter.ads.give_up()  # nobody will ever tell
            return
        begun = time.monotonic() + called - time.time()
        for after in CONFIRM_AT:
            heapq.heappush(self._looks, (begun + after, next(self._order), channel))
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_at_new())
            group.create_task(self._go_round())
            group.create_task(self._keep_appointments())

    async def _look_at_new(self) -> None:
        while True:
            await self._introduced.wait()
            self._introduced.clear()
            while self._new:
                await self._places.acquire()
                self._start(self._first_visit(self._new.popleft()))

    async def _first_visit(self, channel: Channel) -> None:
        """Look at a channel for the first time; the place is taken already."""
        try:
            await self._visit(channel)
        finally:
            self._listener.conclude(channel)

    async def _go_round(self) -> None:
        """Each channel in its turn, evenly over the interval."""
        while True:
            channels = [channel for channel in self._channels() if self._tells(channel)]
            begun = time.monotonic()
            for done, channel in enumerate(channels, start=1):
                await self._places.acquire()
                self._start(self._visit(channel))
                ahead = begun + self._interval * done / len(channels) - time.monotonic()
                await asyncio.sleep(max(0.0, ahead))
            if not channels:
                await asyncio.sleep(min(self._interval, 1.0))

    async def _visit(self, channel: Channel) -> None:
        """Look at a channel that is still worth it; the place is taken already."""
        try:
            await self._quiet()
            if self._tells(channel):
                await self._look(channel)
        finally:
            self._places.release()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    @staticmethod
    def _tells(channel: Channel) -> bool:
        """Whether there is anything to see, and a right to see it."""
        live = channel.live is True and not channel.stopped and not channel.suspended
        return live and channel.grant_manager.user is not None and channel.may(READ_ADS_SCOPE)

    async def _keep_appointments(self) -> None:
        while True:
            pause = self._looks[0][0] - time.monotonic() if self._looks else _LONGEST_SLEEP
            if pause > 0:
                try:
                    async with asyncio.timeout(min(pause, _LONGEST_SLEEP)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                continue
            _, _, channel = heapq.heappop(self._looks)
            if channel.airtime.arbiter.ads.waits:
                self._start(self._appointment(channel))

    async def _appointment(self, channel: Channel) -> None:
        async with self._places:
            await self._quiet()
            await self._look(channel)
        channel.airtime.arbiter.ads.give_up(time.time())

    async def _look(self, channel: Channel) -> None:
        credential, user = channel.credential(), channel.grant_manager.user
        if credential is None or user is None or channel.stopped:
            return
        try:
            schedule = await self._helix.ad_schedule(credential, user.id)
        except Unauthorized:
            self._listener.doubt(channel)
            return
        except TransientError as error:
            logger.warning("%s: what ads ran is not known: %s", channel.resource.key, error)
            return
        self._listener.saw_ads(channel, channel.airtime.saw_ads(schedule))
