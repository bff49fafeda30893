"""What the controllers of all kinds work with: a work queue, Secrets, statuses, Events, signals."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeError, KubeUnavailable
from controller.policies import sharding
from controller.runtime.call_priority import CallPriority
from controller.runtime.elsewhere import Elsewhere
from controller.runtime.intake import Intake
from controller.runtime.metrics import Metrics
from controller.runtime.recorder import Recorder
from controller.runtime.resource import Key
from controller.runtime.secret_cache import SecretStore
from controller.runtime.shards import TRIES_OF_A_LEASE, Shards
from controller.runtime.signals import Signals
from controller.runtime.statuses import StatusWriter
from controller.runtime.sync import Sync
from controller.runtime.workqueue import WorkQueue
from controller.term import Former
from controller.tracing.tracer import NO_TRACER

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable, Mapping, Sequence

    from controller.clients.kube import Kube
    from controller.policies.announcements import Announcement
    from controller.runtime.controller import Controller, Reporter
    from controller.runtime.resource import Resource
    from controller.settings import Settings
    from controller.term import Term
    from controller.tracing.tracer import Tracer

__all__ = ["Kernel"]

logger = logging.getLogger(__name__)

_WORKERS = 32
_SETTLED = 10.0  # seconds


class Kernel:
    """Brings resources to the controllers of their kinds, and what these write to the API server.

    Args:
        settings: Limits and intervals.
        kube: The API server.
        term: Since when this process decides.
        tracer: Takes down what happens for cues.

    Attributes:
        settings: Limits and intervals.
        kube: The API server.
        tracer: Takes down what happens for cues.
        controllers: By the name of their kind.
        term: Since when this process decides.
        begun: Set when it does.
        metrics: What is counted.
        call_priority: Lets calls to Twitch go first.
        signals: What the kinds tell each other.
        secrets: The Secrets that resources name.
        recorder: Writes Events.
        statuses: Writes statuses.
        elsewhere: What other shards act for.
        shards: Which namespaces this shard acts for; None: all, without an election.
        intake: Takes what is watched.
        sync: Lists.
    """

    def __init__(
        self, settings: Settings, kube: Kube, term: Term, tracer: Tracer = NO_TRACER
    ) -> None:
        self.settings = settings
        self.kube = kube
        self.tracer = tracer
        self.controllers: dict[str, Controller] = {}
        self.term = term
        self.begun = asyncio.Event()
        self.metrics = Metrics()
        kube.on_answer = self.metrics.calls.kubernetes
        self.call_priority = CallPriority()
        self.signals = Signals()
        self.secrets = SecretStore(kube, settings, self._ask_again, self.call_priority.quiet)
        self.recorder = Recorder(kube, self.metrics, self.call_priority, self._news)
        self.statuses = StatusWriter(
            kube,
            self.metrics,
            self.call_priority,
            settings.status_interval,
            reporter=self._reporter,
            on_result=self._status_written,
        )
        self.elsewhere = Elsewhere()
        self.shards = self._sharing()
        owns = self.shards.owns if self.shards is not None and settings.shards > 1 else None
        self.intake = Intake(self.controllers, owns, self.elsewhere)
        self.sync = Sync(kube, settings, self.intake)
        self._told: set[sharding.Wish] = set()
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _WORKERS)
        self.metrics.queue("reconcile", self._queue.waiting)
        self.metrics.queue("status", self.statuses.waiting)
        self.metrics.queue("event", self.recorder.waiting)

    def _sharing(self) -> Shards | None:
        settings = self.settings
        part = self.metrics.gauge(
            "shard_info", "Always 1; the labels name this process' shard.", ["shard", "shards"]
        )
        part.labels(str(settings.shard), str(settings.shards)).set(1)
        if not settings.leader_election:
            return None
        return Shards(self.kube, settings, settings.lease_duration / TRIES_OF_A_LEASE)

    def register(self, *controllers: Controller) -> None:
        """Take the controllers of all kinds, in the order in which the kinds are listed."""
        for controller in controllers:
            self.controllers[controller.kind.name] = controller
            self.metrics.begin_writes(controller.kind.name)

    def reconcile(self, key: Key) -> None:
        """Ask for a reconciliation of a resource."""
        self._queue.add(key)

    def mark(self, key: Key, *, urgent: bool = True) -> None:
        """Ask for the status of a resource to be written, if there is news."""
        self.statuses.mark(key, urgent=urgent)

    def forget(self, key: Key) -> None:
        """Drop a resource that is gone."""
        self._queue.forget(key)
        self.statuses.forget(key)
        self.secrets.release(key)

    def jobs(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What is to be run until cancelled, once the resources were listed."""
        return (
            self._queue.run(),
            self.secrets.run(),
            self._write(),
            self.sync.run(),
            *(controller.run() for controller in self.controllers.values()),
        )

    async def _write(self) -> None:
        await self.begun.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.statuses.run())
            group.create_task(self.recorder.run())

    def begin(self, former: Former = Former.MAY_CALL) -> None:
        """Begin to decide, with what the statuses tell of the process before."""
        self.term.begin(time.time(), former)
        self.metrics.leader.set_function(lambda: self.term.may_act)
        self.secrets.sparing = False
        self.begun.set()
        for controller in self.controllers.values():
            controller.begin()

    def moves(self) -> Mapping[str, int]:
        """The namespaces that are to go to another shard, and to which.

        Not in the first seconds: labels that contradict each other in turn must not keep it from
        its work.
        """
        shards, settings = self.shards, self.settings
        if shards is None or settings.shards == 1 or time.time() < self.term.since + _SETTLED:
            return {}
        wishes, namespaces = self.intake.wishes()
        ignored = sharding.ignored(
            (w for w in wishes if w.namespace in namespaces), settings.shards
        )
        for wish in ignored.keys() - self._told:
            logger.warning("%s (UID of the resource: %s)", ignored[wish], wish.uid)
        self._told = set(ignored)
        return sharding.moves(shards.acting, settings.shard, namespaces, wishes)

    async def give(self, moves: Mapping[str, int]) -> None:
        """Let other shards act for namespaces, whose resources are at rest and written."""
        if self.shards is None or not moves or not self.term.may_act:
            return
        try:
            await self.shards.give(moves)
        except (KubeUnavailable, KubeError) as error:
            logger.warning("namespaces that were not given to another shard: %s", error)

    async def _reconcile(self, key: Key) -> float | None:
        return await self.controllers[key.kind].reconcile(key)

    def _reporter(self, key: Key) -> Reporter | None:
        return self.controllers[key.kind].reporter(key)

    def _status_written(self, resource: Resource, status: Mapping[str, Any] | None) -> None:
        if status is None:
            self.sync.ask()
        else:
            self.recorder.announce(resource, status)

    def _news(self, resource: Resource, status: Mapping[str, Any]) -> Sequence[Announcement]:
        return self.controllers[resource.key.kind].announcements(resource.status, status)

    def _ask_again(self, dependant: Hashable) -> None:
        if isinstance(dependant, Key):
            self._queue.add(dependant)
