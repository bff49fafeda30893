"""Looks which broadcasters are live: up to a hundred with one call."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from controller.clients.helix import MAX_IDS, Unauthorized
from controller.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.channels.channel import Channel
    from controller.clients.helix import Helix

__all__ = ["LiveWatch"]

logger = logging.getLogger(__name__)

_MOST_TRIES = 10  # tokens for one call
_GATHER = 0.1  # channels that become ready together are asked for together


class LiveWatch:
    """Asks for all ready channels every interval, and for a new one at once.

    Args:
        helix: Asks.
        channels: All channels.
        on_change: Called with each channel whose state changed.
        on_refused: Called with a channel whose token was refused.
        interval: Seconds between two rounds.
    """

    def __init__(
        self,
        helix: Helix,
        channels: Callable[[], Iterable[Channel]],
        on_change: Callable[[Channel], None],
        on_refused: Callable[[Channel], None],
        interval: float,
    ) -> None:
        self._helix = helix
        self._channels = channels
        self._on_change = on_change
        self._on_refused = on_refused
        self._interval = interval
        self._asked: list[Channel] = []
        self._wake = asyncio.Event()

    def ask(self, channel: Channel) -> None:
        """Look at this channel soon."""
        self._asked.append(channel)
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._look(list(self._channels()))
            loop = asyncio.get_running_loop()
            end = loop.time() + self._interval
            while (left := end - loop.time()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await self._wake.wait()
                except TimeoutError:
                    break
                await asyncio.sleep(_GATHER)
                self._wake.clear()  # what asks from here on, during the look, is heard
                asked, self._asked = self._asked, []
                await self._look(asked)

    async def _look(self, channels: Iterable[Channel]) -> None:
        by_client: dict[str, list[Channel]] = defaultdict(list)
        for channel in channels:
            credential = channel.credential()
            if channel.suspended:
                continue
            if credential is not None and channel.grant_manager.user is not None:
                by_client[credential.client_id].append(channel)
        for group in by_client.values():
            rest = iter(group)
            while part := list(islice(rest, MAX_IDS)):
                await self._look_at(part)

    async def _look_at(self, part: list[Channel]) -> None:
        ids = [
            channel.grant_manager.user.id
            for channel in part
            if channel.grant_manager.user is not None
        ]
        live = await self._ask_twitch(part, ids)
        for channel in part:
            user = channel.grant_manager.user
            state = None if live is None or user is None else user.id in live
            if state is None:
                if not channel.concluded:
                    self._on_change(channel)  # there is the rest to tell
            elif state is not channel.live:
                channel.live = state
                self._on_change(channel)

    async def _ask_twitch(self, part: list[Channel], ids: list[str]) -> set[str] | None:
        """Any token may ask; one that is refused is its own channel's matter."""
        for channel in part[:_MOST_TRIES]:
            credential = channel.credential()
            if credential is None:
                continue
            try:
                return await self._helix.live_user_ids(credential, ids)
            except Unauthorized:
                self._on_refused(channel)
            except TransientError as error:
                logger.warning("whether channels are live is not known: %s", error)
                return None
        return None
