"""Replicas of the operator that elect a leader, between one Twitch that tells who called it."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message, rule
from tests.cluster.studio import new_studio
from tests.other_twitch import OtherTwitch

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

    from tests.cluster.operator_harness import Operator, Site
    from tests.cluster.studio import Studio
    from tests.other_identity import User

__all__ = ["Replicas", "new_replicas"]

MAX_AGE = 60.0
LENGTH = 150.0
_HOSTS = ("127.0.0.1", "localhost")  # tell who calls, with two replicas at a time
_LEASE = "operators"


@dataclass(frozen=True)
class Called:
    """A changing call that Twitch got: when, at which of its host names, for what."""

    time: float
    host: str
    path: str


class Witness(OtherTwitch):
    """Would start a second commercial at once, and remembers who asked for what."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[Called] = []

    def add_routes(self, app: web.Application) -> None:
        super().add_routes(app)
        app.middlewares.append(self._note)

    @web.middleware
    async def _note(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method != "GET":
            self.called.append(Called(time.time(), request.url.host or "", request.path))
        return await handler(request)

    def _run(self, user: User, length: int, now: float, *, by_api: bool) -> None:
        super()._run(user, length, now, by_api=by_api)
        if by_api:
            self._channels[user.login].free_from = 0.0


@dataclass
class Replica:
    """One process, the name by which it holds the Lease, and the name by which it calls Twitch."""

    name: str
    host: str
    operator: Operator


@dataclass
class Replicas:
    """The replicas that run.

    Attributes:
        lease: Seconds.
        apart: Seconds by which the wall clocks of two that follow each other differ.
        running: Those that were not ended.
        published: When the cue of each channel was published.
    """

    studio: Studio
    twitch: Witness
    lease: float
    apart: float = 0.0
    running: list[Replica] = field(default_factory=list)
    published: dict[str, float] = field(default_factory=dict)
    _started: int = 0

    async def start(self, kubeconfig: Path | None = None, **settings: str) -> Replica:
        """Start one more, and wait until it has seen all resources."""
        used = {replica.host for replica in self.running}
        host = next(host for host in _HOSTS if host not in used)
        self._started += 1
        name = f"replica-{self._started}"
        urls = {
            key: url.replace(_HOSTS[0], host)
            for key, url in self.studio.settings.items()
            if key.endswith("_URL")
        }
        elects = {
            "LEADER_ELECTION": "true",
            "LEASE_DURATION": f"{self.lease:g}s",
            "LEASE_NAME": _LEASE,
            "LEASE_NAMESPACE": self.studio.site.namespace,
            "LEASE_IDENTITY": name,
        }
        self.studio.site.clock_ahead = self.apart * (self._started % 2)
        chosen = self.studio.settings | urls | elects | settings
        operator = await self.studio.site.start_operator(kubeconfig=kubeconfig, wait=True, **chosen)
        replica = Replica(name, host, operator)
        self.running.append(replica)
        return replica

    async def end(self, replica: Replica, by: signal.Signals) -> None:
        self.running.remove(replica)
        await replica.operator.end(by)

    async def holder(self) -> str:
        """Who holds the Lease; "": nobody."""
        found = await self.studio.site.kubectl(
            "get", "lease", _LEASE, "-o", "json", "--ignore-not-found"
        )
        return str(json.loads(found)["spec"].get("holderIdentity") or "") if found else ""

    @property
    def leaders(self) -> list[Replica]:
        return [each for each in self.running if f"leads, as {each.name}" in each.operator.log]

    async def leader(self) -> Replica:
        """Wait until one of those that run leads."""
        await eventually(lambda: self.leaders)
        return self.leaders[-1]

    async def add_channels(self, names: Iterable[str], **spec: object) -> None:
        """Broadcasters with a channel and a rule each, all of them Ready."""
        settings = {"maxAge": f"{MAX_AGE:.0f}s", **spec}
        await self.studio.add(
            *(one for name in names for one in (*self.studio.channel(name), rule(name, **settings)))
        )

    def publish(self, name: str, length: float = LENGTH) -> None:
        self.published[name] = time.time()
        self.studio.publish(name, message(cue_id=f"cue-{name}", duration_sec=length))

    def calls_of(self, replica: Replica) -> list[Called]:
        return [call for call in self.twitch.called if call.host == replica.host]


@asynccontextmanager
async def new_replicas(site: Site, lease: float) -> AsyncIterator[Replicas]:
    """No replica yet, and no channel."""
    twitch = Witness()
    # As long as the lease allows: a busy machine must be able to read what Twitch knows.
    settings = {"CALL_TIMEOUT": f"{lease / 2:g}s"}
    async with new_studio(site, settings, twitch) as studio:
        yield Replicas(studio, twitch, lease)
