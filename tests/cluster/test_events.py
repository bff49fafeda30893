"""Events on a real API server: each transition once, as kubectl shows them, whatever happens."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.channels.policies.announcements import announcements
from controller.clients.kube import Kube
from controller.clients.kube.config import load_configuration
from controller.policies.findings import Finding
from controller.resources.common import parse_instant
from controller.resources.twitchchannel import CHANNEL, TwitchChannelStatus
from controller.runtime.call_priority import CallPriority
from controller.runtime.conditions import to_conditions
from controller.runtime.metrics import Metrics
from controller.runtime.recorder import Limits, Recorder
from controller.runtime.resource import Resource
from controller.runtime.statuses import StatusWriter
from tests.cluster.kubectl import Kubectl, eventually
from tests.cluster.manifests import channel
from tests.cluster.operator_access import Line, account_kubeconfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from controller.policies.announcements import Announcement
    from controller.sandbox.controlplane import ControlPlane

    NewDesk = Callable[..., AbstractAsyncContextManager["Desk"]]

pytestmark = pytest.mark.cluster

GRANTED = Finding("Authorized", "True", "Succeeded", "authorized by mst3k")
REVOKED = Finding("Authorized", "False", "AuthorizationRevoked", "consent again", human=True)


@pytest.fixture
def kubectl(cluster: ControlPlane, namespace: str) -> Kubectl:
    return Kubectl(cluster, namespace)


@pytest_asyncio.fixture
async def resource(kubectl: Kubectl) -> Resource:
    """A channel that was just applied; no operator runs."""
    await kubectl.apply(channel("mst3k"))
    return Resource.from_body(CHANNEL, await kubectl.get("tch", "mst3k"))


def news(resource: Resource, status: Mapping[str, Any]) -> tuple[Announcement, ...]:
    return announcements(resource.status, status)


class Desk:
    """A recorder that runs, and what it counted."""

    def __init__(self, kube: Kube, **limits: int) -> None:
        self.kube = kube
        self.metrics = Metrics()
        self.traffic = CallPriority()
        self.recorder = Recorder(kube, self.metrics, self.traffic, news, Limits(**limits))

    def count(self, result: str) -> int:
        name = "twitch_operator_kubernetes_events_total"
        found = self.metrics.registry.get_sample_value(name, {"result": result})
        assert found is not None
        return int(found)

    async def counted(self, **results: int) -> None:
        await eventually(lambda: {each: self.count(each) for each in results} == results)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Let the recorder run."""
        task = asyncio.get_running_loop().create_task(self.recorder.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def desk(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> NewDesk:
    """Makes desks, open ones by default, with a way to the API server and limits of their own."""

    @asynccontextmanager
    async def new_desk(
        kubeconfig: Path = cluster.kubeconfig, *, closed: bool = False, **limits: int
    ) -> AsyncIterator[Desk]:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        async with Kube(load_configuration) as kube:
            made = Desk(kube, **limits)
            async with nullcontext() if closed else made.open():
                yield made

    return new_desk


def admin(kubectl: Kubectl) -> Path:
    """The kubeconfig with all rights."""
    return kubectl._plane.kubeconfig


def status(*findings: Finding) -> dict[str, Any]:
    return TwitchChannelStatus(conditions=to_conditions(findings, (), 1, time.time())).to_status()


def holding(resource: Resource, *findings: Finding) -> Resource:
    return replace(resource, status=status(*findings))


async def events(kubectl: Kubectl) -> list[dict[str, Any]]:
    """All Events of the namespace, oldest first."""
    found: list[dict[str, Any]] = json.loads(
        await kubectl("get", "events.v1.events.k8s.io", "-o", "json")
    )["items"]
    return sorted(found, key=lambda each: str(each["eventTime"]))


async def test_an_event_is_shown_by_kubectl_get_and_describe(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    async with desk() as ours:
        ours.recorder.announce(resource, status(REVOKED))
        await ours.counted(posted=1)
    (event,) = await events(kubectl)
    assert event["metadata"]["name"].startswith("mst3k.")
    assert event["regarding"] == {
        "apiVersion": "twitch-operator.dev/v1alpha1",
        "kind": "TwitchChannel",
        "name": "mst3k",
        "namespace": kubectl.namespace,
        "uid": resource.uid,
    }
    shown = (await kubectl("get", "events", "--no-headers")).split(maxsplit=4)
    assert shown[1:] == [
        "Warning", "AuthorizationRevoked", "twitchchannel/mst3k", "consent again\n",
    ]  # fmt: skip
    described = (await kubectl("describe", "tch", "mst3k")).splitlines()[-1].split(maxsplit=4)
    assert [*described[:2], *described[3:]] == [
        "Warning", "AuthorizationRevoked", "twitch-operator.dev/operator", "consent again",
    ]  # fmt: skip


async def test_the_same_news_again_makes_a_series_even_after_a_restart(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    async with desk() as ours:
        for _ in range(3):
            ours.recorder.announce(holding(resource, GRANTED), status(REVOKED))
            ours.recorder.announce(holding(resource, REVOKED), status(GRANTED))
        await ours.counted(posted=2, repeated=4)
    found = {each["reason"]: each for each in await events(kubectl)}
    assert {name: each["series"]["count"] for name, each in found.items()} == {
        "AuthorizationRevoked": 3, "Authorized": 3,
    }  # fmt: skip
    assert "(x3 over" in await kubectl("describe", "tch", "mst3k")

    async with desk() as restarted:
        restarted.recorder.announce(holding(resource, GRANTED), status(REVOKED))
        await restarted.counted(posted=0, repeated=1)
    again = {each["reason"]: each for each in await events(kubectl)}
    assert again.keys() == found.keys()
    seen, before = (each["AuthorizationRevoked"]["series"] for each in (again, found))
    assert seen["count"] >= 2
    assert seen["lastObservedTime"] > before["lastObservedTime"]


async def test_an_event_whose_hour_was_over_is_posted_and_counted_anew(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    async with desk() as ours:
        for round_ in (1, 2):
            await kubectl("delete", "events", "--all")
            for _ in range(2):
                ours.recorder.announce(resource, status(REVOKED))
            await ours.counted(posted=round_, repeated=round_)
    (event,) = await events(kubectl)
    assert event["series"]["count"] == 2


async def test_what_waited_too_long_is_dropped(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    async with desk(age=0) as ours:
        ours.recorder.announce(resource, status(REVOKED))
        await ours.counted(expired=1, posted=0)
    assert await events(kubectl) == []


async def test_other_news_and_another_object_of_the_name_make_events_of_their_own(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    other_words = replace(REVOKED, message="the application was disconnected: consent again")
    async with desk() as ours:
        ours.recorder.announce(resource, status(REVOKED))
        ours.recorder.announce(resource, status(other_words))
        ours.recorder.announce(replace(resource, uid="another"), status(REVOKED))
        await ours.counted(posted=3)
    assert len({each["metadata"]["name"] for each in await events(kubectl)}) == 3


async def test_what_is_too_long_is_cut_to_what_the_api_server_takes(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    key = replace(resource, key=resource.key._replace(name=f"{'a' * 235}.{'b' * 17}"))
    lengthy = replace(REVOKED, reason="R" * 128, message="Große Worte 🎬 " * 200)
    async with desk() as ours:
        ours.recorder.announce(key, status(lengthy))
        await ours.counted(posted=1)
    (event,) = await events(kubectl)
    assert event["note"].endswith("…")
    assert 1020 <= len(event["note"].encode()) <= 1024
    assert event["metadata"]["name"].startswith("a" * 235 + ".")


async def test_a_credential_in_a_message_is_not_told(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    # The secret begins before the limit of a note and ends behind it.
    quoting = replace(REVOKED, message=f'{"x" * 990}{{"refresh_token": "hunter2{"y" * 99}"}}')
    async with desk() as ours:
        ours.recorder.announce(resource, status(quoting))
        await ours.counted(posted=1)
    (event,) = await events(kubectl)
    assert "hunter2" not in json.dumps(event)


async def test_an_event_comes_later_when_the_api_server_was_away(
    kubectl: Kubectl,
    resource: Resource,
    desk: NewDesk,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "controller.runtime.recorder")
    async with (
        Line(tmp_path / "line", admin(kubectl)) as line,
        desk(line.kubeconfig) as ours,
    ):
        await line.cut()
        ours.recorder.announce(resource, status(REVOKED))
        await eventually(lambda: "an Event waits" in caplog.text)
        assert await events(kubectl) == []
        mended = time.time()
        await line.mend()
        await ours.counted(posted=1)
    (event,) = await events(kubectl)
    assert parse_instant(event["eventTime"]) < mended


async def test_what_waits_at_the_end_is_posted_by_the_flush(
    kubectl: Kubectl,
    resource: Resource,
    desk: NewDesk,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "controller.runtime.recorder")
    async with (
        Line(tmp_path / "line", admin(kubectl)) as line,
        desk(line.kubeconfig, closed=True) as ours,
    ):
        async with ours.open():
            await line.cut()
            ours.recorder.announce(resource, status(REVOKED))
            ours.recorder.announce(holding(resource, REVOKED), status(GRANTED))
            await eventually(lambda: "an Event waits" in caplog.text)
        await ours.recorder.flush(0.1)
        assert "Events that were not posted at the end: 2" in caplog.text
        await line.mend()
        await ours.recorder.flush(10)
    assert [each["reason"] for each in await events(kubectl)] == [
        "AuthorizationRevoked", "Authorized",
    ]  # fmt: skip


async def test_a_role_without_the_right_is_told_once_until_it_is_given(
    kubectl: Kubectl,
    resource: Resource,
    desk: NewDesk,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = await account_kubeconfig(kubectl, admin(kubectl), tmp_path / "few")
    await kubectl("delete", "role", "operator")

    def warnings() -> list[str]:
        told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        return [text for text in told if "Events cannot be posted" in text]

    async with desk(few) as ours:
        for _ in range(3):
            ours.recorder.announce(resource, status(REVOKED))
        await ours.counted(forbidden=3)
        (told,) = warnings()
        assert "the verbs create and patch on events of events.k8s.io" in told
        assert kubectl.namespace in told
        right = ("--verb=create,patch", "--resource=events.events.k8s.io")
        await kubectl("create", "role", "operator", *right)
        await _until_allowed(kubectl)
        for _ in range(2):
            ours.recorder.announce(resource, status(REVOKED))
        await ours.counted(posted=1, repeated=1)
    assert len(warnings()) == 1


async def _until_allowed(kubectl: Kubectl) -> None:
    account = f"--as=system:serviceaccount:{kubectl.namespace}:operator"
    asked = ("auth", "can-i", "create", "events.events.k8s.io", account)
    deadline = time.monotonic() + 10
    while "yes" not in await kubectl(*asked, check=False):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_a_namespace_that_goes_takes_its_events_along_quietly(
    cluster: ControlPlane,
    kubectl: Kubectl,
    resource: Resource,
    desk: NewDesk,
    caplog: pytest.LogCaptureFixture,
) -> None:
    going = f"{kubectl.namespace}-going"
    meta = {"name": "holds", "finalizers": ["twitch-operator.dev/test"]}
    holds = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    cluster.run_kubectl("create", "namespace", going, check=True)
    await Kubectl(cluster, going).apply(holds)
    cluster.run_kubectl("delete", "namespace", going, "--wait=false", check=True)
    try:
        async with desk() as ours:
            for namespace in (going, "never-was"):
                there = replace(resource, key=resource.key._replace(namespace=namespace))
                ours.recorder.announce(there, status(REVOKED))
            await ours.counted(gone=2)
    finally:
        free = '[{"op": "remove", "path": "/metadata/finalizers"}]'
        await Kubectl(cluster, going)("patch", "cm", "holds", "--type=json", "-p", free)
    told = [each.getMessage() for each in caplog.records if each.levelno >= 30]
    assert [text for text in told if "AuthorizationRevoked" not in text] == []  # the news itself


async def test_a_flood_is_bounded_in_order_and_slow(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    async with desk(rate=50, burst=10, room=100) as ours:
        begun = time.monotonic()
        for number in range(1000):
            ours.recorder.announce(resource, status(replace(REVOKED, message=f"{number:03}")))
        assert ours.count("overflow") == 900
        await ours.counted(posted=100)
        assert time.monotonic() - begun >= (100 - 10) / 50
    notes = [each["note"] for each in await events(kubectl)]
    assert notes == [f"{number:03}" for number in range(900, 1000)]


class Told:
    """Reports one channel whose conditions the test chooses."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.finding = GRANTED

    def compose(self, now: float) -> TwitchChannelStatus:
        return TwitchChannelStatus(conditions=to_conditions([self.finding], (), 1, now))

    def written(self, body: Mapping[str, Any]) -> None:
        self.resource = replace(self.resource, status=body)


async def test_each_written_transition_is_told_once_and_a_restart_tells_nothing(
    kubectl: Kubectl, resource: Resource, desk: NewDesk
) -> None:
    def writer(ours: Desk, told: Told) -> StatusWriter:
        return StatusWriter(
            ours.kube,
            ours.metrics,
            ours.traffic,
            0.1,
            reporter=lambda _: told,
            on_result=lambda resource, body: ours.recorder.announce(resource, body or {}),
        )

    async def write(statuses: StatusWriter) -> None:
        statuses.mark(resource.key, urgent=True)
        await statuses.flush(10)

    async with desk() as ours:
        told = Told(resource)
        statuses = writer(ours, told)
        await write(statuses)
        for finding in (REVOKED, GRANTED):
            told.finding = finding
            statuses.mark(resource.key, urgent=True)  # a flap that no write saw
        await write(statuses)
        told.finding = REVOKED
        await write(statuses)
        await ours.counted(posted=2)
    async with desk() as restarted:
        told = Told(Resource.from_body(CHANNEL, await kubectl.get("tch", "mst3k")))
        told.finding = replace(REVOKED, message="the same, in other words")
        await write(writer(restarted, told))
        await restarted.recorder.flush(10)
        assert (restarted.count("posted"), restarted.count("repeated")) == (0, 0)
    assert [each["reason"] for each in await events(kubectl)] == [
        "Authorized", "AuthorizationRevoked",
    ]  # fmt: skip
