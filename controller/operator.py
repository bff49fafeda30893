"""The operator: a controller for each kind of resource, over one kernel.

It is level-triggered. Whatever happens (a resource came, changed or went; a Secret changed; a feed
fell silent) leads to a look at the whole of what is concerned, and to a retry if that fails.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from controller.channels.controller import ChannelController
from controller.clients.kube.leases import Leases
from controller.clients.twitch import Twitch
from controller.extensions.controller import ExtensionController
from controller.policies.clocks import WallClock
from controller.policies.sharding import lease_name
from controller.runtime.gc_tuning import Garbage
from controller.runtime.kernel import Kernel
from controller.runtime.leadership import Leadership
from controller.runtime.shards import TRIES_OF_A_LEASE
from controller.term import Former, Term
from controller.tracing.tracer import NO_TRACER
from controller.triggers.controller import RuleController

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from controller.clients.http import HttpClient
    from controller.clients.kube import Kube
    from controller.resources.kind import Kind
    from controller.runtime.shards import Shards
    from controller.settings import Settings
    from controller.tracing.tracer import Tracer

__all__ = ["Operator"]

_FLUSH = 5.0
_HOUSEKEEPING = 1.0
_SETTLED = 30.0


class Operator:
    """All that runs.

    Args:
        settings: Limits and intervals.
        kube: The API server.
        http: For the calls to Twitch.
        tracer: Takes down what happens for cues.
        term: Whether this process decides, and may make changing calls: `kube` and `http` ask it.
        identity: Of this replica, with leader election.
    """

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        http: HttpClient,
        tracer: Tracer = NO_TRACER,
        term: Term | None = None,
        identity: str = "",
    ) -> None:
        self._settings = settings
        self._kernel = kernel = Kernel(settings, kube, term or Term(), tracer)
        http.on_exchange = kernel.metrics.calls.twitch
        twitch = Twitch(http, settings, kernel.call_priority.note)
        channels = ChannelController(kernel, twitch)
        extensions = ExtensionController(kernel, twitch.extensions, channels.broadcaster_of)
        rules = RuleController(kernel, channels.objects, extensions, twitch.extensions)
        kernel.register(channels, rules, extensions)
        self._controllers = (channels, rules, extensions)
        self._beat = time.monotonic()
        self._garbage = Garbage()
        self._leadership = self._elect(identity, kernel.shards) if kernel.shards else None
        self._election: asyncio.Task[None] | None = None
        self._moves: Mapping[str, int] = {}

    def _elect(self, identity: str, shards: Shards) -> Leadership:
        settings, kernel = self._settings, self._kernel
        leases = Leases(
            kernel.kube,
            settings.lease_namespace,
            lease_name(settings.lease_name, settings.shard, settings.shards),
            settings.lease_duration / TRIES_OF_A_LEASE,
        )
        kernel.secrets.sparing = True
        return Leadership(leases, identity, settings, shards, kernel.term, kernel.metrics)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is to be watched."""
        return self._kernel.intake.kinds

    @property
    def registry(self) -> CollectorRegistry:
        """All metrics."""
        return self._kernel.metrics.registry

    def watch_restarted(self) -> None:
        """Count a restart of what calls `notify`; may be called from another thread."""
        self._kernel.metrics.watch_restarts.inc()

    @property
    def synced(self) -> bool:
        """Whether all resources were listed once."""
        return self._kernel.sync.done

    @property
    def ready(self) -> bool:
        """Whether it has seen all resources, and may take part in the election if there is one."""
        refused = self._leadership is not None and self._leadership.refused
        return self.synced and not refused

    @property
    def healthy(self) -> bool:
        """Whether the event loop keeps up; `run` ends when one of its loops does."""
        elects = self._leadership is None or self._election is None or self._leadership.alive
        return elects and time.monotonic() - self._beat < 10 * _HOUSEKEEPING

    @property
    def lost(self) -> str | None:
        """Why this process must end at once: another replica leads; None: it need not."""
        return self._leadership.lost if self._leadership is not None else None

    @property
    def moving(self) -> bool:
        """Whether to end and to begin anew: namespaces are to go to another shard, or came."""
        shards = self._kernel.shards
        gained = shards is not None and self._kernel.term.begun and shards.gained
        return bool(self._moves) or gained

    def notify(self, kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        """Take a watch event: ADDED, MODIFIED, DELETED."""
        self._kernel.intake.notify(kind, event, body)

    async def run(self) -> None:
        """Run until cancelled."""
        kernel, leadership = self._kernel, self._leadership
        if leadership is None:
            kernel.begin()
        await kernel.sync.first()
        async with asyncio.TaskGroup() as group:
            for job in (*kernel.jobs(), self._keep_house()):
                group.create_task(job)
            if leadership is not None:
                # Not a part of this group: it keeps the lease until all is written at the end.
                self._election = asyncio.get_running_loop().create_task(leadership.run())
                group.create_task(_follow(self._election))
                await leadership.acquired.wait()
                kernel.intake.sift()
                await kernel.sync.surely()  # the statuses have what the former leader did last
                kernel.begin(self._former)

    @property
    def _former(self) -> Former:
        leadership, shards = self._leadership, self._kernel.shards
        if leadership is None:
            return Former.MAY_CALL
        return (shards and shards.former) or leadership.former

    async def drain(self) -> None:
        """Take no new cues, and wait for the answers to the calls under way."""
        within = 2 * self._settings.call_timeout
        for controller in self._controllers:
            await controller.close()
        await asyncio.gather(*(controller.drain(within) for controller in self._controllers))
        for controller in self._controllers:
            controller.stop()

    async def flush(self) -> None:
        """Write down what is not to be lost, and let another lead; `run` must have ended."""
        for controller in self._controllers:
            await controller.flush()
        written, term = False, self._kernel.term
        if term.begun and self.lost is None:
            written = not await self._kernel.statuses.flush(_FLUSH)
            await self._kernel.recorder.flush(_FLUSH)
            if written:
                await self._kernel.give(self._moves)
        if self._leadership is not None and self._election is not None:
            # What a leader before this one did last is found out in the first moments of a term.
            found_out = term.former is Former.HANDED_OVER or time.time() > term.since + _SETTLED
            await self._leadership.release(self._election, complete=written and found_out)

    async def _keep_house(self) -> None:
        clock = WallClock(time.time(), time.monotonic())
        while True:
            due = time.monotonic() + _HOUSEKEEPING
            await asyncio.sleep(_HOUSEKEEPING)
            self._beat = time.monotonic()
            self._kernel.metrics.loop_lag.note(max(0.0, self._beat - due), self._beat)
            set_back = clock.set_back(time.time(), self._beat)
            for controller in self._controllers:
                controller.tick(set_back)
            self._garbage.look()
            self._moves = self._kernel.moves()


async def _follow(election: asyncio.Task[None]) -> None:
    """Fail with the election, and let it go on when this is cancelled."""
    await asyncio.shield(election)
