"""Whose a bearer token is: asked at its provider, and remembered for a while."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from controller.gateway.introspection import introspect
from controller.gateway.issuer import Issuers
from controller.gateway.memory import Memory
from controller.gateway.providers import InvalidToken, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.fetch import Fetcher
    from controller.gateway.providers import Principal, Provider

__all__ = ["Authorizer"]

_MOST_PROVIDERS = 256
_LONGEST = 8192
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")

_Key = tuple["Provider", bytes]


class Authorizer:
    """Knows whose a bearer token is.

    Args:
        fetcher: Calls the providers.
        clock: Gives seconds since the epoch.
    """

    def __init__(self, fetcher: Fetcher, clock: Callable[[], float] = time.time) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._issuers = Issuers(fetcher)
        self._memories: OrderedDict[Provider, Memory] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[Principal]] = {}

    async def authorize(self, provider: Provider, token: str) -> Principal:
        """Find out whose a token is.

        Args:
            provider: Who vouches for it.
            token: As the client sent it.

        Raises:
            InvalidToken: It is nobody's.
            ProviderUnavailable: It is not known at present.
        """
        if len(token) > _LONGEST or not _B64TOKEN.fullmatch(token):
            raise InvalidToken
        if provider.problem is not None:
            raise ProviderUnavailable(provider.problem)
        digest = hashlib.sha256(token.encode()).digest()
        principal = self._memory(provider).find(digest, self._clock())
        if principal is not None:
            return principal
        # A task of its own: a client that goes away takes the answer from nobody else.
        return await asyncio.shield(self._task((provider, digest), token))

    def _memory(self, provider: Provider) -> Memory:
        memory = self._memories.get(provider)
        if memory is None:
            memory = self._memories[provider] = Memory()
        self._memories.move_to_end(provider)
        if len(self._memories) > _MOST_PROVIDERS:
            self._memories.popitem(last=False)
        return memory

    def _task(self, key: _Key, token: str) -> asyncio.Task[Principal]:
        """The question about a token; those who come meanwhile share it."""

        def done(task: asyncio.Task[Principal]) -> None:
            del self._asking[key]
            if not task.cancelled():
                task.exception()  # whoever waits gets it; where nobody does, it is no news

        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(key, token))
            self._asking[key] = task
            task.add_done_callback(done)
        return task

    async def _ask(self, key: _Key, token: str) -> Principal:
        provider, digest = key
        memory, now = self._memory(provider), self._clock()
        try:
            if provider.issuer is not None:
                principal = await self._issuers.verify(provider, token, now)
            else:
                principal = await introspect(self._fetcher, provider, token, now)
        except InvalidToken:
            memory.refuse(digest, self._clock())
            raise
        # From when it was asked on: the answer may have been slow.
        memory.keep(digest, principal, now)
        return principal
