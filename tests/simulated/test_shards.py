"""Operators of several numbers of shards beside one another: never do two act for a namespace."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from controller.clients.http import new_http_client
from controller.clients.kube import Kube
from controller.clients.kube.leases import Leases
from controller.operator import Operator
from controller.policies.sharding import SHARD_LABEL, Layout, lease_name, shard_of
from controller.runtime.leadership import Leadership
from controller.runtime.metrics import Metrics
from controller.runtime.shards import Shards
from controller.settings import Settings
from controller.term import Term
from controller.tracing.tracer import NO_TRACER
from tests.simulated.lease_api import LeaseApi
from tests.simulated.local_api import LocalApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.asyncio

LEASE = 2.0
NAMESPACES = [f"team-{number}" for number in range(12)]


class Process:
    """What an operator has of the election, and what it would act for."""

    def __init__(self, kube: Kube, term: Term, shard: int, shards: int) -> None:
        settings = Settings(
            leader_election=True, lease_duration=LEASE, call_timeout=0.2,
            shard=shard, shards=shards, lease_namespace="here",
        )  # fmt: skip
        name = lease_name(settings.lease_name, shard, shards)
        leases = Leases(kube, "here", name, LEASE / 5)
        self.term = term
        self.shards = Shards(kube, settings, LEASE / 5)
        self.leadership = Leadership(
            leases, uuid.uuid4().hex, settings, self.shards, term, Metrics()
        )
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        following = asyncio.create_task(self.leadership.run())
        try:
            await self.leadership.acquired.wait()
            self.term.begin(time.time())
            await following
        finally:
            following.cancel()

    @property
    def leads(self) -> bool:
        return self.term.may_act

    def acts_for(self, namespace: str) -> bool:
        return self.leads and self.shards.owns(namespace)

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        """End in order, as an operator does."""
        await self.leadership.release(self.task, complete=True)


class World:
    """All processes, and a look at them a hundred times a second."""

    def __init__(self, stack: AsyncExitStack, local: LocalApi, api: LeaseApi) -> None:
        self._stack = stack
        self._local = local
        self.api = api
        self.processes: list[Process] = []

    async def start(self, shards: int) -> list[Process]:
        made = []
        for shard in range(shards):
            term = Term()
            kube = await self._stack.enter_async_context(Kube(self._local.load, term))
            made.append(Process(kube, term, shard, shards))
        self.processes += made
        return made

    def acting(self, namespace: str) -> list[Process]:
        return [process for process in self.processes if process.acts_for(namespace)]

    async def until(self, condition: Callable[[], object], within: float = 6 * LEASE) -> float:
        """Wait, and see to it that no two act for one namespace; returns how long it took."""
        began = time.monotonic()
        while True:
            for namespace in NAMESPACES:
                assert len(self.acting(namespace)) <= 1, namespace
            if condition():
                return time.monotonic() - began
            assert time.monotonic() < began + within
            await asyncio.sleep(0.01)

    async def pass_by(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        await self.until(lambda: time.monotonic() > ends, seconds + 1)

    def all_served(self) -> bool:
        return all(self.acting(namespace) for namespace in NAMESPACES)


@asynccontextmanager
async def new_world() -> AsyncIterator[World]:
    api = LeaseApi()
    async with LocalApi(api.app) as local, AsyncExitStack() as stack:
        world = World(stack, local, api)
        try:
            yield world
        finally:
            for process in world.processes:
                await process.kill()


async def test_one_becomes_three_and_one_again() -> None:
    async with new_world() as world:
        running = await world.start(1)
        await world.until(world.all_served)
        for shards in (3, 1):
            coming = await world.start(shards)
            await world.pass_by(LEASE)
            assert not any(process.leads for process in coming)
            await asyncio.gather(*(process.end() for process in running))
            assert await world.until(world.all_served) < LEASE
            assert all(process.leads for process in coming)
            running = coming


async def test_operators_that_died_are_waited_for() -> None:
    async with new_world() as world:
        [old] = await world.start(1)
        await world.until(world.all_served)
        await old.kill()
        died = time.monotonic()
        coming = await world.start(3)
        # What died may act until its deadline, as a process that hangs would.
        await world.until(lambda: all(process.leads for process in coming))
        assert time.monotonic() - died > LEASE - 1  # it may have renewed it a while before


async def test_who_was_away_while_another_number_was_in_force_ends() -> None:
    async with new_world() as world:
        [old] = await world.start(1)
        await world.until(world.all_served)
        renew, old.leadership._leases._timeout = old.leadership._leases._timeout, 1e-6
        new = await world.start(3)
        await world.until(lambda: all(process.leads for process in new))
        old.leadership._leases._timeout = renew
        await world.until(lambda: old.leadership.lost)
        assert "shards" in (old.leadership.lost or "")
        await world.until(world.all_served)


async def test_two_numbers_at_once_do_not_both_act() -> None:
    async with new_world() as world:
        one, three = await asyncio.gather(world.start(1), world.start(3))
        await world.until(world.all_served)
        await world.pass_by(LEASE)
        assert [one[0].leads, *(process.leads for process in three)] in (
            [True, False, False, False],
            [False, True, True, True],
        )


async def test_a_namespace_is_given_to_another_shard() -> None:
    async with new_world() as world:
        running = await world.start(3)
        await world.until(world.all_served)
        name = NAMESPACES[0]
        home = shard_of(name, 3)
        target = (home + 1) % 3
        old, new = running[home], running[target]
        await old.shards.give({name: target})
        await world.until(lambda: new.shards.gained)
        # Both begin anew: in a term, what a process acts for stays the same.
        assert not new.acts_for(name)
        await old.end()
        await new.end()
        await world.start(3)
        await world.until(world.all_served)
        [acting] = world.acting(name)
        assert acting.shards.acting == Layout(3, {name: target})


async def test_a_layout_that_was_deleted_is_written_again() -> None:
    async with new_world() as world:
        running = await world.start(3)
        await world.until(world.all_served)
        await running[0].shards.give({NAMESPACES[0]: 1})
        await world.until(lambda: running[2].shards.layout.moved)
        await world.api.delete("twitch-operator-shards")
        await world.until(lambda: "twitch-operator-shards" in world.api.leases)
        whole = Layout(3, {NAMESPACES[0]: 1})
        await world.until(lambda: running[2].shards.layout == whole)
        assert all(process.leads for process in running)


async def test_an_operator_gives_a_labelled_namespace_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.runtime.kernel._SETTLED", 0.0)
    api = LeaseApi()
    name, shard = NAMESPACES[0], shard_of(NAMESPACES[0], 3)
    api.resources["twitchchannels"] = [
        {
            "metadata": {
                "name": "one", "namespace": name, "uid": "uid-one", "generation": 1,
                "creationTimestamp": "2026-11-29T10:00:00Z", "resourceVersion": "1",
                "labels": {SHARD_LABEL: str((shard + 1) % 3)},
            },
            "spec": {
                "app": {"secretRef": {"name": "app"}}, "authorization": {"deviceCode": {}},
            },
        }
    ]  # fmt: skip
    settings = Settings(
        leader_election=True, lease_duration=LEASE, call_timeout=0.2, shard=shard, shards=3,
        lease_namespace="here",
    )  # fmt: skip
    term = Term()
    async with (
        LocalApi(api.app) as local,
        Kube(local.load, term) as kube,
        new_http_client(settings, term) as http,
    ):
        operator = Operator(settings, kube, http, NO_TRACER, term, "me")
        work = asyncio.create_task(operator.run())
        async with asyncio.timeout(10 * LEASE):
            while not operator.moving:
                assert not work.done(), work.exception()
                await asyncio.sleep(0.01)
        await operator.drain()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await operator.flush()
    stored = Layout.of(api.leases["twitch-operator-shards"]["metadata"]["annotations"])
    assert stored == Layout(3, {name: (shard + 1) % 3})
    assert "one" in api.written  # its status, before it was given away
    assert not api.leases[f"twitch-operator-{shard}-of-3"]["spec"]["holderIdentity"]
