"""Takes the Lease, and keeps it: of several replicas one leads, and it alone makes changing calls.

`policies.leasing` decides by what was seen of the Lease; here are the requests and the clock.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING

from controller.clients.kube import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.clients.kube.leases import Leases, micro_time
from controller.policies import leasing
from controller.policies.leasing import Lease, Sight
from controller.term import Former, boot_time

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from controller.runtime.metrics import Metrics
    from controller.runtime.shards import Shards
    from controller.settings import Settings
    from controller.term import Term

__all__ = ["Leadership"]

logger = logging.getLogger(__name__)

_WATCH = 60.0  # seconds of one watch, in case that its connection died unseen
_RENEWALS = 5  # in the time of a lease
_FORBIDDEN = 403
_EVENTS = ("Acquired", "Lapsed", "Renewed", "Lost", "Released")


class Leadership:
    """This replica's part in the election.

    Args:
        leases: The Lease.
        identity: Of this replica: the same after a restart of its container, and nobody else's.
        settings: LEASE_DURATION and CALL_TIMEOUT.
        shards: In which this replica's shard must be one of those in force.
        term: Gets the deadline of changing calls.
        metrics: Counts.

    Attributes:
        former: What is known of the process that led before.
        acquired: Set when this replica leads.
        refused: It lacks a right on the Leases.
        lost: Why it leads no more and must end; None: it does not have to.
    """

    def __init__(
        self,
        leases: Leases,
        identity: str,
        settings: Settings,
        shards: Shards,
        term: Term,
        metrics: Metrics,
    ) -> None:
        self._leases = leases
        self._shards = shards
        self._identity = identity
        self._seconds = settings.lease_duration
        self._call_timeout = settings.call_timeout
        self._term = term
        self._transitions = metrics.counter(
            "leader_transitions",
            "What happened to this replica's lead, with leader election.",
            ["event"],
            values=_EVENTS,
        )
        self._pause = self._seconds / _RENEWALS
        self._sight: Sight | None = None
        self._taking = False
        self._lapsed = False
        self._problem = ""
        self._beat = boot_time()
        self._released = asyncio.Event()
        self.former = Former.MAY_CALL
        self.acquired = asyncio.Event()
        self.refused = False
        self.lost: str | None = None
        term.until = -math.inf

    @property
    def alive(self) -> bool:
        """Whether its loop runs."""
        return boot_time() - self._beat < _WATCH + 2 * self._seconds

    async def run(self) -> None:
        """Wait for the lead, and keep it until another replica has it."""
        await self._stand_by()
        await self._lead()

    # Before

    async def _stand_by(self) -> None:
        told = ""
        while True:
            self._beat = boot_time()
            if not await self._look():
                await asyncio.sleep(self._pause)
                continue
            lease = self._known.lease
            if lease is None:
                if not await self._write(leasing.vacant(self._seconds)):
                    await asyncio.sleep(self._pause)
                continue
            if self._left() > 0 and lease.holder != told:
                told = lease.holder
                logger.info("%s: standing by; %s leads", self._leases, told or "nobody")
            vacant = self._shards.outside and not lease.holder
            due = vacant or self._left() <= 0 or await self._follow(lease)
            if due and await self._may_enter() and await self._take():
                return

    @property
    def _known(self) -> Sight:
        if self._sight is None:
            msg = "the Lease was not looked at yet"
            raise RuntimeError(msg)
        return self._sight

    async def _may_enter(self) -> bool:
        """Whether no operator with another number of shards may still act."""
        free = await self._answer(self._shards.free())
        if not free:
            await asyncio.sleep(0.2 * self._pause)
        return free

    async def _answer(self, question: Awaitable[bool]) -> bool:
        """What is known of the layout; False, too, where the API server does not tell."""
        try:
            return await question
        except (KubeUnavailable, KubeError) as error:
            self._failed(error)
            return False

    async def _look(self) -> bool:
        """Read the Lease; whether the API server told it."""
        try:
            if not self.acquired.is_set():
                await self._shards.look()
            self._saw(await self._leases.get())
        except (KubeUnavailable, KubeError) as error:
            self._failed(error)
            return False
        return True

    def _saw(self, lease: Lease | None) -> None:
        self._beat = now = boot_time()
        self._sight = leasing.observe(self._sight, lease, now)
        self._problem, self.refused = "", False

    def _failed(self, error: KubeUnavailable | KubeError) -> None:
        sight = self._sight
        if sight is not None and sight.failing is None:
            self._sight = Sight(sight.lease, sight.since, boot_time())
        told = str(error)
        self.refused = isinstance(error, KubeError) and error.status == _FORBIDDEN
        if told != self._problem:
            self._problem = told
            remedy = ""
            if self.refused:
                remedy = ": give the operator's role get, watch, create and update on leases"
            logger.warning("%s: %s%s", self._leases, told, remedy)

    async def _follow(self, lease: Lease) -> bool:
        """Watch the Lease; whether it can be taken without another look, as after a release."""
        loop = asyncio.get_running_loop()
        began = boot_time()
        try:
            async with asyncio.timeout(self._left()) as limit:
                async for changed in self._leases.changes(lease, _WATCH):
                    self._saw(changed)
                    if changed is None:
                        return False
                    left = self._left()
                    if left <= 0:
                        return True
                    limit.reschedule(loop.time() + left)
        except TimeoutError:
            return False  # not renewed in time: one more look
        except (KubeUnavailable, KubeError) as error:
            self._failed(error)
        await asyncio.sleep(max(0.0, began + self._pause - boot_time()))
        return False

    def _left(self) -> float:
        return leasing.expires(self._known, self._identity, self._seconds) - boot_time()

    async def _take(self) -> bool:
        sight = self._known
        mine = sight.lease is not None and sight.lease.holder == self._identity
        if not (mine and self._taking):  # else it is this process' own write that it sees
            self.former = leasing.former(sight, self._identity)
        self._taking = True
        if not await self._renew(sight.lease):
            await asyncio.sleep(0.1 * self._pause)
            return False
        self._count("Acquired")
        logger.info("%s: this replica leads, as %s", self._leases, self._identity)
        self.acquired.set()
        return True

    # While it leads

    async def _lead(self) -> None:
        while not self._released.is_set():
            self._beat = boot_time()
            try:
                async with asyncio.timeout(self._pause):
                    await self._released.wait()
                return
            except TimeoutError:
                pass
            while not await self._renew(self._known.lease):
                self._note_lapse()
                # Somebody else wrote it, or this process did, without an answer.
                if self._released.is_set() or (await self._look() and self._is_lost()):
                    return
                await asyncio.sleep(0.2 * self._pause)
                self._beat = boot_time()
            if self._lapsed:
                self._lapsed = False
                self._count("Renewed")
                logger.warning("%s: renewed; calls go on", self._leases)

    def _note_lapse(self) -> None:
        if not self._lapsed and not self._term.may_act:
            self._lapsed = True
            self._count("Lapsed")
            logger.error("%s: not renewed in time: no changing call until it is", self._leases)

    def _is_lost(self) -> bool:
        lease, lost, in_time = self._known.lease, self._shards.lost, self._term.left > 0
        if lost is None:
            if leasing.may_keep(lease, self._identity, in_time=in_time):
                return False
            holder = (lease.holder if lease is not None else "") or "nobody"
            lost = f"{self._leases}: {holder} leads instead of this replica"
        self._term.until = -math.inf
        self._count("Lost")
        self.lost = lost
        return True

    async def _renew(self, lease: Lease | None) -> bool:
        """Write the Lease; whether this process leads by it."""
        sent, now, in_time = boot_time(), micro_time(time.time()), self._term.left > 0
        if not await self._write(leasing.renewed(lease, self._identity, self._seconds, now), now):
            return False
        if not await self._answer(self._shards.confirm() if in_time else self._shards.enter()):
            return False
        if self._released.is_set():
            return True
        self._term.until = leasing.fence(sent, self._seconds, self._call_timeout)
        return True

    async def _write(self, lease: Lease, now: str = "") -> bool:
        """Store it; whether that is certain."""
        try:
            self._saw(await self._leases.put(lease, now))
        except (KubeConflict, KubeNotFound):
            return False
        except (KubeUnavailable, KubeError) as error:
            self._failed(error)
            return False
        return True

    # After

    async def release(self, election: asyncio.Task[None], *, complete: bool) -> None:
        """Make no changing call any more, and let another replica lead at once.

        Args:
            election: Runs `run`.
            complete: The statuses have all that this process and those before it did; else the
                next leader must find out by itself.
        """
        self._term.until = -math.inf
        self._released.set()
        if not self.acquired.is_set():
            election.cancel()
        await asyncio.gather(election, return_exceptions=True)  # a renewal on its way ends first
        lease = self._known.lease if self.acquired.is_set() and self.lost is None else None
        if lease is None:
            return
        free = Lease("", 1, lease.transitions, "", complete, lease.metadata)
        try:
            await self._leases.put(free, micro_time(time.time()))
        except (KubeUnavailable, KubeError) as error:
            logger.warning("%s was not released: %s", self._leases, error)
            return
        self._count("Released")
        logger.info("%s: released", self._leases)

    def _count(self, event: str) -> None:
        self._transitions.labels(event).inc()
