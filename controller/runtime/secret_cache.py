"""The Secrets that resources name: read when needed, then looked at about once a minute.

No list and no watch of Secrets: the operator needs the verb `get` alone, and sees only those that
are named.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import random
import time
from typing import TYPE_CHECKING, TypeVar

from controller.clients.kube import KubeError, KubeNotFound, KubeUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable

    from controller.clients.kube import Kube, Secret
    from controller.settings import Settings

__all__ = ["SecretStore", "due_in_tick"]

logger = logging.getLogger(__name__)

_AT_ONCE = 8
_TICK = 1.0
_SPARING = 4.0  # seconds between two looks of a standby
_HASTE = 1.5  # looks in a tick, as a multiple of what keeps all intervals

Name = tuple[str, str]
T = TypeVar("T")


class _Entry:
    __slots__ = ("dependants", "known", "next_look", "secret")

    def __init__(self) -> None:
        self.secret: Secret | None = None
        self.known = False
        self.next_look = 0.0
        self.dependants: set[Hashable] = set()


async def _at_once() -> None:
    """Nobody is in the way."""


def due_in_tick(waits: Iterable[tuple[T, float, float]], now: float, tick: float) -> list[T]:
    """Return what to look at in this tick, the longest overdue first.

    What was read within seconds, after a start, would come due within seconds each time.

    Args:
        waits: What waits, the time at which it is due, and the seconds between two looks at it.
        now: On the same clock.
        tick: Seconds until the next tick.
    """
    rate, due = 0.0, []
    for what, at, interval in waits:
        rate += 1 / interval
        if at <= now:
            due.append((at, what))
    most = math.ceil(_HASTE * rate * tick)
    return [what for _, what in heapq.nsmallest(most, due, key=lambda each: each[0])]


class SecretStore:
    """What the named Secrets hold.

    Args:
        kube: Reads them.
        settings: How often.
        on_change: Called with each dependant of a Secret that came, went or changed.
        quiet: Waits for a moment in which a look is in nobody's way.

    Attributes:
        sparing: Look at one Secret every few seconds, however many there are.
    """

    def __init__(
        self,
        kube: Kube,
        settings: Settings,
        on_change: Callable[[Hashable], None],
        quiet: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._on_change = on_change
        self._quiet = quiet
        self._entries: dict[Name, _Entry] = {}
        self._names: dict[Hashable, tuple[Name, ...]] = {}
        self.sparing = False

    async def get(
        self, namespace: str, name: str, dependant: Hashable, *, fresh: bool = False
    ) -> Secret | None:
        """Return a Secret, or None where there is none.

        Args:
            namespace: Its namespace.
            name: Its name.
            dependant: Who is told when it changes.
            fresh: Ask the API server now.

        Raises:
            KubeUnavailable: The API server is away and the Secret was not read before.
        """
        entry = self._entries.get((namespace, name))
        if entry is None:
            entry = self._entries[namespace, name] = _Entry()
        if dependant not in entry.dependants:
            entry.dependants.add(dependant)
            self._names[dependant] = (*self._names.get(dependant, ()), (namespace, name))
        if fresh or not entry.known:
            self._keep(entry, await self._read(namespace, name))
        return entry.secret

    def put(self, namespace: str, name: str, secret: Secret) -> None:
        """Note what was just written, so that it is not taken for somebody else's change."""
        entry = self._entries.get((namespace, name))
        if entry is not None:
            self._keep(entry, secret)

    def look_again(self, dependant: Hashable) -> None:
        """Read a dependant's Secrets anew when they are next asked for."""
        for name in self._names.get(dependant, ()):
            self._entries[name].known = False

    def release(self, dependant: Hashable, *, but: Collection[Name] = ()) -> None:
        """Forget a dependant's Secrets, and those that nobody else needs.

        Args:
            dependant: Who does not need them any more.
            but: Namespace and name of those that it still needs.
        """
        names = self._names.pop(dependant, ())
        if kept := tuple(name for name in names if name in but):
            self._names[dependant] = kept
        for name in names:
            if name in but:
                continue
            entry = self._entries[name]
            entry.dependants.discard(dependant)
            if not entry.dependants:
                del self._entries[name]

    async def run(self) -> None:
        """Look at what is due until cancelled."""
        slots = asyncio.Semaphore(_AT_ONCE)
        while True:
            waits = (
                ((name, entry), entry.next_look, self._interval(entry.secret))
                for name, entry in self._entries.items()
                if entry.known
            )
            due = due_in_tick(waits, time.monotonic(), _TICK)
            if self.sparing:
                due = due[:1]
            await asyncio.gather(*(self._look(name, entry, slots) for name, entry in due))
            await asyncio.sleep(_SPARING if self.sparing else _TICK)

    async def _look(self, name: Name, entry: _Entry, slots: asyncio.Semaphore) -> None:
        async with slots:
            await self._quiet()
            before = entry.secret
            try:
                secret = await self._read(*name)
            except (KubeUnavailable, KubeError) as error:
                logger.debug("Secret %s/%s: %s", *name, error)
                entry.next_look = time.monotonic() + self._settings.missing_secret_check_interval
                return
        if entry.secret is not before:
            return  # written or read anew meanwhile: what this look saw may be older
        changed = _version(secret) != _version(entry.secret)
        self._keep(entry, secret)
        if changed:
            for dependant in entry.dependants:
                self._on_change(dependant)

    async def _read(self, namespace: str, name: str) -> Secret | None:
        try:
            return await self._kube.get_secret(namespace, name)
        except KubeNotFound:
            return None

    def _interval(self, secret: Secret | None) -> float:
        """Seconds until it is looked at again."""
        if secret is None:
            return self._settings.missing_secret_check_interval
        return self._settings.secret_check_interval

    def _keep(self, entry: _Entry, secret: Secret | None) -> None:
        entry.secret, entry.known = secret, True
        pause = self._interval(secret) * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
        entry.next_look = time.monotonic() + pause


def _version(secret: Secret | None) -> str | None:
    return None if secret is None else f"{secret.uid}/{secret.resource_version}"
