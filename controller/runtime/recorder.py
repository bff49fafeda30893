"""Tells transitions of conditions as Kubernetes Events: few, once, and after everything else.

An Event's name is made of what it says, so that the same news again, even after a restart, makes a
series of the Event that is there and not another one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import socket
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.backoff import backoff
from controller.clients.kube import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from controller.clients.kube.leases import micro_time
from controller.displayable import displayable
from controller.logs import fields, redact
from controller.policies.buckets import Bucket
from controller.resources.kind import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.clients.kube import Kube
    from controller.policies.announcements import Announcement
    from controller.runtime.call_priority import CallPriority
    from controller.runtime.metrics import Metrics
    from controller.runtime.resource import Key, Resource

    News = Callable[[Resource, Mapping[str, Any]], Iterable[Announcement]]

__all__ = ["Limits", "Recorder"]

logger = logging.getLogger(__name__)

_CONTROLLER = f"{GROUP}/operator"
_NAME = 253  # limits of the API server: characters of a name,
_INSTANCE = 128  # characters of a reportingInstance,
_NOTE = 1024  # and bytes of a note
_FORBIDDEN = 403
_TERMINATING = "is being terminated"
_TRIES = 10
_MOST_PAUSE = 15.0  # between two tries while the API server is away
_COUNTED = 10_000  # names of which the count is kept


@dataclass(frozen=True, slots=True)
class _Notice:
    """An Event to be posted, whose fields fit the API server's limits.

    Attributes:
        key: Of the resource that it is about.
        name: Of the Event.
        at: When it happened, in seconds since the epoch.
        event: What is posted.
        waits_since: The same instant, by `time.monotonic`.
    """

    key: Key
    name: str
    at: float
    event: Mapping[str, Any]
    waits_since: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many Events there may be.

    Attributes:
        rate: Events a second in the long run.
        burst: Events that may go at once after a pause.
        room: Events that may wait.
        age: Seconds after which one that waited is no news any more.
    """

    rate: float = 10.0
    burst: int = 20
    room: int = 1000
    age: float = 300.0


class Recorder:
    """Posts Events, one after the other, from a bounded queue that drops what waits longest.

    Args:
        kube: Takes them.
        metrics: Counts what became of them.
        call_priority: The calls that go first.
        news: Tells what is worth an Event between two statuses of a resource.
        limits: How many, and for how long.
    """

    def __init__(
        self,
        kube: Kube,
        metrics: Metrics,
        call_priority: CallPriority,
        news: News,
        limits: Limits = Limits(),
    ) -> None:
        self._kube = kube
        self._metrics = metrics
        self._call_priority = call_priority
        self._news = news
        self._pace = Bucket(limits.burst, limits.rate)
        self._age = limits.age
        self._waiting: deque[_Notice] = deque(maxlen=limits.room)
        self._wake = asyncio.Event()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._denied: set[str] = set()

    def announce(self, resource: Resource, status: Mapping[str, Any]) -> None:
        """Tell what a write of a status changed; returns at once.

        Args:
            resource: As the API server held it before.
            status: As it holds it now.
        """
        for news in self._news(resource, status):
            if len(self._waiting) == self._waiting.maxlen:
                self._count("overflow")  # the one that waits longest goes
            self._waiting.append(_notice(resource, news, time.time()))
            logger.log(
                logging.WARNING if news.type == "Warning" else logging.INFO,
                "%s: %s: %s", resource.key, news.reason, news.note,
                extra=fields(reason=news.reason),
            )  # fmt: skip
        self._wake.set()

    def waiting(self) -> int:
        """How many Events are not posted yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Post until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                now = time.monotonic()
                pause = self._pace.wait(now)
                self._pace.spend(now)
                await asyncio.sleep(pause)
                await self._post_next()

    async def flush(self, within: float) -> None:
        """Post what still waits, for at most so many seconds; `run` must have ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._waiting:
                    await self._post_next()
        if self._waiting:
            logger.warning("Events that were not posted at the end: %d", len(self._waiting))

    async def _post_next(self) -> None:
        notice = self._waiting.popleft()
        try:
            self._count(await self._result(notice))
        except asyncio.CancelledError:
            # In the middle at the end: the flush posts it, at worst as a repetition.
            self._waiting.appendleft(notice)
            raise
        except Exception:
            # A fault of ours: it must be seen, and must not stop the other Events.
            logger.exception("%s: an Event could not be posted", notice.key)
            self._count("refused")

    async def _result(self, notice: _Notice) -> str:
        """Post one, with patience for an API server that is away; returns what became of it."""
        for failures in range(1, _TRIES + 1):
            await self._call_priority.quiet()
            if time.monotonic() > notice.waits_since + self._age:
                break
            try:
                result = await self._post(notice)
            except KubeUnavailable as error:
                logger.debug("%s: an Event waits: %s", notice.key, error)
                pause = backoff(failures, random.random(), most=_MOST_PAUSE)  # noqa: S311 - jitter
                await asyncio.sleep(pause)
            except KubeError as error:
                return self._refusal(notice, error)
            else:
                self._denied.discard(notice.key.namespace)
                return result
        return "expired"

    async def _post(self, notice: _Notice) -> str:
        namespace = notice.key.namespace
        try:
            await self._kube.create_event(namespace, notice.event)
        except KubeConflict:
            # How often it was told before a restart is not known: it goes on from one.
            count = self._counts.get(notice.name, 1) + 1
            series = {"count": count, "lastObservedTime": micro_time(notice.at)}
            try:
                await self._kube.patch_event(namespace, notice.name, {"series": series})
            except KubeNotFound as error:
                msg = f"Event {namespace}/{notice.name} went in between"  # its hour was over
                raise KubeUnavailable(msg) from error
            self._remember(notice.name, count)
            return "repeated"
        self._remember(notice.name, 1)
        return "posted"

    def _refusal(self, notice: _Notice, error: KubeError) -> str:
        namespace = notice.key.namespace
        if isinstance(error, KubeNotFound) or _TERMINATING in str(error):
            return "gone"  # the namespace, and all that could have been told
        if error.status != _FORBIDDEN:
            logger.error("%s: an Event was refused: %s", notice.key, error)
            return "refused"
        if namespace not in self._denied:
            self._denied.add(namespace)
            logger.warning(
                "Events cannot be posted in namespace %s: give the operator's role the verbs create"
                " and patch on events of events.k8s.io (%s)", namespace, error,
            )  # fmt: skip
        return "forbidden"

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        while len(self._counts) > _COUNTED:
            self._counts.popitem(last=False)

    def _count(self, result: str) -> None:
        self._metrics.kubernetes_events.labels(result).inc()


def _notice(resource: Resource, news: Announcement, now: float) -> _Notice:
    key, note = resource.key, _clip(displayable(redact(news.note)))
    said = f"{resource.uid}\0{news.type}\0{news.reason}\0{note}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    name = f"{key.name[: _NAME - 1 - len(digest)].rstrip('.-')}.{digest}"
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.namespace},
        "eventTime": micro_time(now),
        "reportingController": _CONTROLLER,
        "reportingInstance": socket.gethostname()[:_INSTANCE] or "operator",
        "action": news.action,
        "reason": news.reason,
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": key.kind,
            "name": key.name,
            "namespace": key.namespace,
            "uid": resource.uid,
        },
        "note": note,
        "type": news.type,
    }
    return _Notice(key, name, now, event)


def _clip(text: str) -> str:
    """Cut a note to the API server's limit, which counts bytes."""
    whole = text.encode()
    if len(whole) <= _NOTE:
        return text
    return whole[: _NOTE - len("…".encode())].decode(errors="ignore") + "…"
