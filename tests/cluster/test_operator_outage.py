"""The API server away, a watch that missed something or ends, and few rights."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from controller.clients.kube import KubeNotFound, KubeUnavailable
from controller.clients.kube.config import load_configuration
from controller.handlers.watch import Patience, Watch
from controller.resources.schema import KINDS
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message
from tests.cluster.operator_access import Line, account_kubeconfig
from tests.cluster.operator_harness import new_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]


async def test_cues_fire_while_the_api_server_is_away_and_statuses_catch_up(
    site: Site, tmp_path: Path
) -> None:
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        operator = await site.start_operator(kubeconfig=api.kubeconfig)
        station, other = await asyncio.gather(site.add_station("alone"), site.add_station("gone"))
        await site.kubectl.apply(other.rule() | {"metadata": {"name": "stays"}})
        await site.kubectl.ready("trule/stays")
        await api.cut()
        station.publish(message())
        await eventually(lambda: station.commercials)
        # What happens meanwhile is seen afterwards: kopf tells no deletion that it missed.
        await site.kubectl("delete", "trule", "gone")
        late = await site.prepare("late_comer")
        await site.kubectl.apply(late.channel(), late.rule())
        await eventually(lambda: "the API server did not answer" in operator.log)
        assert await site.kubectl.status("trule", "late-comer") == {"observedGeneration": -1}
        await api.mend()
        assert await station.verdicts() == ["Fired"]
        await site.kubectl.ready("trule/late-comer", "tch/late-comer")
        await operator.until_forgotten("gone")
        other.publish(message())
        stays = await site.kubectl.until("trule", "stays", lambda s: s.get("recentDecisions"))
        assert [each["verdict"] for each in stays["recentDecisions"]] == ["Fired"]
        assert not operator.ended
        await operator.kill()


async def test_an_operator_that_starts_without_an_api_server_waits_for_it(
    site: Site, tmp_path: Path
) -> None:
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        await api.cut()
        operator = await site.start_operator(kubeconfig=api.kubeconfig, wait=False)
        await eventually(lambda: "waiting for the API server" in operator.log)
        assert (await operator.get("/healthz")).status_code == 200
        assert (await operator.get("/readyz")).status_code == 503
        await api.mend()
        await operator.running()
        assert (await operator.get("/readyz")).status_code == 200
        await operator.kill()


async def test_the_rights_in_one_namespace_suffice(cluster: ControlPlane, tmp_path: Path) -> None:
    async with new_site(cluster, tmp_path) as site:
        kubeconfig = await account_kubeconfig(
            site.kubectl, cluster.kubeconfig, tmp_path / "kubeconfig"
        )
        operator = await site.start_operator(kubeconfig=kubeconfig)
        station = await site.add_station("modest", token={"deletionPolicy": "Delete"})
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        await site.kubectl("delete", "trule", "modest")
        await operator.until_forgotten("modest")
        assert "answered" not in operator.log


async def test_a_namespace_without_rights_keeps_no_other_from_being_served(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    async with new_site(cluster, tmp_path) as site:
        kubeconfig = await account_kubeconfig(
            site.kubectl, cluster.kubeconfig, tmp_path / "kubeconfig"
        )
        watched = f"default,{site.namespace}"
        operator = await site.start_operator(kubeconfig=kubeconfig, WATCH_NAMESPACES=watched)
        station = await site.add_station("served")
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        assert "twitchchannels of namespace default: " in operator.log
        assert "if this is no namespace, correct TWITCH_OPERATOR_WATCH_NAMESPACES" in operator.log
        # The others are compared with lists, too.
        await site.kubectl("delete", "trule", "served")
        await operator.until_forgotten("served")
        assert not operator.ended


async def test_a_watcher_that_dies_is_replaced_while_the_operator_goes_on(
    site: Site, tmp_path: Path
) -> None:
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        operator = await site.start_operator(kubeconfig=api.kubeconfig)
        await site.add_station("watched")
        await api.fail_watches()
        await eventually(lambda: "restarting the watch" in operator.log)
        await site.add_station("watched_anew")
        assert not operator.ended
        await operator.kill()


async def test_an_api_server_that_leaves_before_the_first_watch_ends_nothing(
    site: Site, tmp_path: Path
) -> None:
    station = await site.prepare("early")
    await site.kubectl.apply(station.channel(), station.rule())
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        api.silent_at = "/apis"  # what kopf asks before it has a watcher
        operator = await site.start_operator(kubeconfig=api.kubeconfig)
        await site.kubectl.ready("tch/early", "trule/early")
        await api.cut()
        await eventually(lambda: "restarting the watch" in operator.log)
        station.publish(message())
        await eventually(lambda: station.commercials)
        assert not operator.ended
        await api.mend()
        assert await station.verdicts() == ["Fired"]
        await site.add_station("after_the_outage")
        assert not operator.ended
        await operator.kill()


@asynccontextmanager
async def watching(
    site: Site, api: Line, monkeypatch: pytest.MonkeyPatch, answer: Exception | None
) -> AsyncIterator[tuple[Watch, list[str]]]:
    """A watch whose watchdog has little patience, and the names that it reports."""
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig))
    names: list[str] = []

    def notify(_kind: object, _event: object, body: Mapping[str, Any]) -> None:
        names.append(body["metadata"]["name"])

    def discover() -> None:
        if answer is not None:
            raise answer

    watch = Watch(
        notify,
        lambda: asyncio.run(load_configuration()),
        discover,
        namespaces=(site.namespace,),
        kinds=KINDS,
        patience=Patience(grace=0.5, most_pause=0.5),
    )
    watch.start()
    try:
        yield watch, names
    finally:
        await asyncio.to_thread(watch.stop)


async def test_no_watcher_is_missed_while_the_api_server_does_not_answer(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        await api.cut()
        away = KubeUnavailable("away")
        async with watching(site, api, monkeypatch, away) as (watch, names):
            await eventually(
                lambda: caplog.text.count("0 of 3 watchers run; restarting the watch") > 3
            )
            assert watch.alive
            await api.mend()
            await site.kubectl.apply(site.new_station("noticed").channel())
            await eventually(lambda: "noticed" in names)
            assert watch.problem is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "0 of 3 watchers run, 3 times in a row"),
        (KubeNotFound("the CRDs are gone", 404, "get"), "the CRDs are gone"),
    ],
)
async def test_watchers_that_are_missing_while_the_api_server_answers_end_the_watch(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Exception | None,
    problem: str,
) -> None:
    async with Line(tmp_path / "kubeconfig", site.plane.kubeconfig) as api:
        await api.cut()
        async with watching(site, api, monkeypatch, answer) as (watch, _):
            await eventually(lambda: not watch.alive)
            assert watch.problem == problem


async def test_rights_that_are_taken_away_heal_when_they_are_given_back(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    async with new_site(cluster, tmp_path) as site:
        few = await account_kubeconfig(site.kubectl, cluster.kubeconfig, tmp_path / "few")
        async with Line(tmp_path / "kubeconfig", few) as api:
            operator = await site.start_operator(kubeconfig=api.kubeconfig)
            station = await site.add_station("deprived")
            binding = await site.kubectl.get("rolebinding", "operator")
            await site.kubectl("delete", "rolebinding", "operator")
            await api.cut()  # a watch that is open outlives the right to it
            await api.mend()
            await eventually(lambda: "with 403" in operator.log)
            station.publish(message())
            await eventually(lambda: station.commercials)
            del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
            await site.kubectl.apply(binding)
            assert await station.verdicts() == ["Fired"]
            await site.add_station("newcomer")
            assert not operator.ended
