"""This operator's part of the namespaces, where several share them.

One Lease, which nobody holds, has the layout: how many shards there are, and which namespaces were
moved. Each change of it is made against the state that was read, so that all changes have an order.
A shard acts only while the layout has its number of shards. It writes the layout when it takes the
lead; who changes the number therefore sees it, or is seen.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from controller.clients.kube import KubeConflict, KubeNotFound
from controller.clients.kube.leases import Leases, micro_time
from controller.policies import leasing, sharding
from controller.policies.leasing import Lease, Sight
from controller.policies.sharding import Layout
from controller.term import Former, boot_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clients.kube import Kube
    from controller.settings import Settings

__all__ = ["TRIES_OF_A_LEASE", "Shards"]

logger = logging.getLogger(__name__)


TRIES_OF_A_LEASE = 5
"""Requests that may time out, one after the other, in the time of a lease."""


class Shards:
    """Knows the layout, and changes it.

    Every call raises `KubeUnavailable` or `KubeError` where the API server does not answer well.

    Args:
        kube: The API server.
        settings: SHARD and SHARDS, and those of the Leases.
        timeout: Seconds of each request.

    Attributes:
        layout: As it was last read.
        acting: By which this process decides; while it leads, it does not change.
        former: What is known of those who acted before for what is new here; None: nothing is new.
        lost: Why this process must end: another number of shards is in force; None: it need not.
    """

    def __init__(self, kube: Kube, settings: Settings, timeout: float) -> None:
        self._kube = kube
        self._settings = settings
        self._timeout = timeout
        self._store = self._lease(f"{settings.lease_name}-shards")
        self._sights: dict[str, Sight] = {}
        self._told = ""
        self._before = settings.shards
        self._entered: int | None = None  # the count of changes of the number, when it entered
        self.layout = self.acting = Layout(settings.shards)
        self.former: Former | None = None
        self.lost: str | None = None

    def owns(self, namespace: str) -> bool:
        """Whether this shard acts for a namespace, once it leads."""
        return self.acting.owner(namespace) == self._settings.shard

    @property
    def gained(self) -> bool:
        """Whether a namespace came to this shard since it leads."""
        mine, now = self._settings.shard, self.layout
        return now is not self.acting and any(
            shard == mine != self.acting.owner(namespace) for namespace, shard in now.moved.items()
        )

    async def look(self) -> None:
        """Read the layout, before this process leads."""
        layout, _ = await self._read()
        self._before = layout.shards if layout is not None else 1
        if layout is not None and not self.outside:
            self.layout = self.acting = layout

    @property
    def outside(self) -> bool:
        """Whether another number of shards was in force at the last look: none of this one acts."""
        return self._before != self._settings.shards

    async def free(self) -> bool:
        """Whether no operator with another number of shards may still act."""
        return not (self.outside and await self._held(self._before))

    async def enter(self) -> bool:
        """Make the layout one of this process' number of shards, or make sure that it is.

        This shard's own Lease must be held. It is written in any case: whoever changes the number
        of shards finds out that this one came in between.

        Returns:
            Whether this shard may act.
        """
        layout, stored = await self._read()
        before = layout.shards if layout is not None else 1
        changes = stored.transitions if stored is not None else 0
        if self._entered is not None and (self._entered, self._settings.shards) != (
            changes,
            before,
        ):
            self.lost = f"{self._store}: another number of shards was in force meanwhile"
            return False
        if before != self._settings.shards:
            if await self._held(before):
                return False
            changes += 1
            mine = Layout(self._settings.shards)
            logger.warning("the number of shards is %d now, it was %d", mine.shards, before)
            self.former = Former.IS_OVER
        else:
            mine = layout or self.layout
        if not await self._write(stored, mine, changes):
            return False
        if self._entered is None:
            self.acting = mine
        self._entered = changes
        if self._settings.shard in mine.moved.values():
            self.former = Former.IS_OVER  # what the shard that had them did last may not be written
        return True

    async def confirm(self) -> bool:
        """Read the layout while this shard leads; whether it still may act."""
        if self._settings.shards == 1:
            return True  # nobody changes it while this shard's Lease is held
        layout, stored = await self._read()
        if layout is None:
            return await self._write(stored, self.layout, self._entered or 0)
        if layout.shards != self._settings.shards:
            self.lost = f"{self._store}: the number of shards is {layout.shards} now"
            return False
        self.layout = layout
        return True

    async def give(self, moved: Mapping[str, int]) -> None:
        """Let other shards act for namespaces of this one, which must not act any more."""
        layout, stored = await self._read()
        if layout is None or layout.shards != self._settings.shards:
            return
        if await self._write(stored, layout.with_moved(moved), self._entered or 0):
            for namespace, shard in sorted(moved.items()):
                logger.info("namespace %s belongs to shard %d now", namespace, shard)

    async def _read(self) -> tuple[Layout | None, Lease | None]:
        stored = await self._store.get()
        return (Layout.of(_annotations(stored)) if stored is not None else None), stored

    async def _write(self, stored: Lease | None, layout: Layout, changes: int) -> bool:
        metadata = dict(stored.metadata) if stored is not None else {}
        told = {**(_annotations(stored) if stored is not None else {}), **layout.annotations}
        lease = Lease("", 1, changes, metadata={**metadata, "annotations": told})
        try:
            await self._store.put(lease, micro_time(time.time()), new=stored is None)
        except (KubeConflict, KubeNotFound):
            return False  # somebody wrote it in between
        self.layout = layout
        return True

    async def _held(self, shards: int) -> bool:
        """Whether an operator of another number of shards may still act."""
        for shard in range(shards):
            name = sharding.lease_name(self._settings.lease_name, shard, shards)
            lease = await self._lease(name).get()
            now = boot_time()
            self._sights[name] = sight = leasing.observe(self._sights.get(name), lease, now)
            due = leasing.expires(sight, "", self._settings.lease_duration)
            if lease is None:  # it may have been deleted while its holder led
                due = sight.since + self._settings.lease_duration
            if now < due:
                self._tell(f"Lease {name} is held" if lease is not None else f"no Lease {name}")
                return True
        return False

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            logger.info("waiting for operators with another number of shards to end: %s", why)

    def _lease(self, name: str) -> Leases:
        return Leases(self._kube, self._settings.lease_namespace, name, self._timeout)


def _annotations(lease: Lease) -> Mapping[str, str]:
    return lease.metadata.get("annotations") or {}
