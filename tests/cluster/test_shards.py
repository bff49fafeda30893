"""One operator becomes three and then one again, in a stream of cues; each starts one commercial.

Environment:
    TWITCH_OPERATOR_TEST_ROUNDS: How often 1 -> 3 -> 1; default 1.
    TWITCH_OPERATOR_TEST_LEASE: Seconds of the lease; default 3. For a proof: 10.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from controller.policies.sharding import shard_of
from tests.cluster.kubectl import Kubectl, eventually
from tests.cluster.manifests import channel, message, rule, secret
from tests.cluster.operator_harness import SCOPES
from tests.cluster.studio import APP, SECRET
from tests.other_twitch import OtherTwitch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.cluster.operator_harness import Operator, Site
    from tests.other_identity import User

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

ROUNDS = int(os.environ.get("TWITCH_OPERATOR_TEST_ROUNDS") or 1)
LEASE = float(os.environ.get("TWITCH_OPERATOR_TEST_LEASE") or 3)
SHARDS = 3
MAX_AGE = 60.0
CUES = 9  # of each change of the number
SPACING = 0.4  # seconds between two cues


class Tireless(OtherTwitch):
    """Would start a second commercial at once: a doubled cue shows."""

    def _run(self, user: User, length: int, now: float, *, by_api: bool) -> None:
        super()._run(user, length, now, by_api=by_api)
        if by_api:
            self._channels[user.login].free_from = 0.0


@dataclass
class Tenants:
    """A namespace of each shard, with channels that get one cue each.

    Attributes:
        namespaces: By the shard that their names lead to.
        published: When the cue of each channel was.
    """

    site: Site
    twitch: Tireless
    namespaces: Sequence[str]
    published: dict[str, float] = field(default_factory=dict)

    async def start(self, shard: int, shards: int) -> Operator:
        chosen = {
            "HELIX_URL": self.twitch.helix_url,
            "IDENTITY_URL": self.twitch.identity_url,
            "WATCH_NAMESPACES": ",".join(self.namespaces),
            "CALL_TIMEOUT": "1s",
            "LEADER_ELECTION": "true",
            "LEASE_DURATION": f"{LEASE:g}s",
            "LEASE_NAMESPACE": self.site.namespace,
            "SHARD": str(shard),
            "SHARDS": str(shards),
        }
        return await self.site.start_operator(wait=False, kubeconfig=None, **chosen)

    def kubectl(self, namespace: str) -> Kubectl:
        return Kubectl(self.site.plane, namespace)

    async def add(self, names: Sequence[str]) -> None:
        """Channels with a rule each, in one namespace after the other, all of them Ready."""
        of = dict(zip(names, itertools.cycle(self.namespaces), strict=False))
        for namespace in self.namespaces:
            mine = [name for name in names if of[name] == namespace]
            made = [one for name in mine for one in self.station(name)]
            whole = {"apiVersion": "v1", "kind": "List", "items": made}
            await self.kubectl(namespace)("create", "-f", "-", manifest=json.dumps(whole))
        for name in names:
            await self.kubectl(of[name]).ready(f"tch/{name}", f"trule/{name}")

    def station(self, name: str) -> list[dict[str, object]]:
        self.twitch.add_broadcaster(name)
        token = self.twitch.consent(name, APP, SCOPES).refresh_token
        app = {"secretRef": {"name": APP}}
        return [
            secret(f"{name}-grant", refresh_token=token),
            channel(name, app=app),
            rule(name, maxAge=f"{MAX_AGE:g}s"),
        ]

    def publish(self, name: str) -> None:
        self.published[name] = time.time()
        told = message(cue_id=f"cue-{name}", duration_sec=150.0)
        self.site.pubnub.publish(name, told, subscribe_key=self.site.subscribe_key)

    async def stream(self, names: Sequence[str]) -> None:
        for name in names:
            self.publish(name)
            await asyncio.sleep(SPACING)

    def starts(self, name: str) -> list[float]:
        return [c.time for c in self.twitch.commercials if c.login == name and c.by_api]

    async def judge(self, names: Sequence[str]) -> list[float]:
        """Each cue started one commercial; returns how late each was, in seconds."""
        await eventually(lambda: all(self.starts(name) for name in names), MAX_AGE)
        starts = {name: self.starts(name) for name in names}
        assert all(len(found) == 1 for found in starts.values()), starts
        return sorted(found[0] - self.published[name] for name, found in starts.items())


@asynccontextmanager
async def new_tenants(site: Site) -> AsyncIterator[Tenants]:
    namespaces: dict[int, str] = {}
    for number in itertools.count():
        name = f"{site.namespace}-{number}"
        namespaces.setdefault(shard_of(name, SHARDS), name)
        if len(namespaces) == SHARDS:
            break
    async with Tireless() as twitch:
        twitch.add_app(APP, SECRET)
        tenants = Tenants(site, twitch, [namespaces[shard] for shard in range(SHARDS)])
        for namespace in tenants.namespaces:
            await site.kubectl("create", "namespace", namespace)
            await tenants.kubectl(namespace).apply(
                secret(APP, client_id=APP, client_secret=SECRET),
                secret("playout", subscribe_key=site.subscribe_key),
            )
        try:
            yield tenants
        finally:
            await site.close()
            await site.kubectl("delete", "namespace", *tenants.namespaces, "--wait=false")


def leads(operator: Operator) -> bool:
    return "this replica leads" in operator.log


async def replace(old: Sequence[Operator], new: Sequence[Operator]) -> None:
    """End the old ones while the new ones wait, as an upgrade of the chart does."""
    for operator in new:
        await operator.running()
    await eventually(lambda: all("waiting for operators" in each.log for each in new))
    assert not any(leads(operator) for operator in new)
    codes = await asyncio.gather(*(operator.end(signal.SIGTERM) for operator in old))
    assert codes == [0] * len(old)
    await eventually(lambda: all(leads(operator) for operator in new))


async def test_one_operator_becomes_three_and_one_again(site: Site) -> None:
    late: list[float] = []
    async with new_tenants(site) as tenants:
        running = [await tenants.start(0, 1)]
        for number, shards in enumerate((SHARDS, 1) * ROUNDS):
            names = [f"r{number}-{cue}" for cue in range(CUES)]
            await tenants.add(names)
            new = [await tenants.start(shard, shards) for shard in range(shards)]
            stream = asyncio.create_task(tenants.stream(names))
            await replace(running, new)
            await stream
            late += await tenants.judge(names)
            running = new
    told = ", ".join(f"{one:.1f}" for one in sorted(late))
    print(f"{len(late)} cues, a lease of {LEASE:g} s; seconds from cue to call: {told}")  # noqa: T201
