"""An API server without the CRDs: they are waited for, named, and missed when they go."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.resources.schema import crd_manifests
from controller.sandbox import controlplane
from tests.cluster.kubectl import Kubectl, eventually
from tests.cluster.manifests import message
from tests.cluster.operator_harness import CRDS, new_site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: the other tests need the CRDs, and have their namespaces."""
    with controlplane.start() as plane:
        yield plane


async def test_missing_crds_are_named_and_waited_for_and_their_removal_ends_the_operator(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async with new_site(plane, tmp_path) as site:
        operator = await site.start_operator(wait=False)
        told = "the CRDs are not installed: twitch-operator crds | kubectl apply -f -"
        await eventually(lambda: told in operator.log)
        await site.kubectl("apply", "-f", str(CRDS))
        await operator.running()
        station = await site.add_station("patient")
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        await site.kubectl("delete", "-f", str(CRDS))
        await eventually(lambda: operator.ended)
        assert operator.process.returncode == 1
        assert "ending: the CRDs are not installed any more" in operator.log


async def test_one_operator_watches_all_namespaces(plane: ControlPlane, tmp_path: Path) -> None:
    plane.run_kubectl("apply", "-f", str(CRDS), check=True)
    plane.until_established("crd", "--all")
    async with new_site(plane, tmp_path) as site:
        await site.start_operator(WATCH_NAMESPACES="")
        station = await site.add_station("everywhere")
        station.publish(message())
        assert await station.verdicts() == ["Fired"]
        second = Kubectl(plane, f"test-{uuid.uuid4().hex[:12]}")
        await second("create", "namespace", second.namespace)
        await second.apply(station.rule())
        found = await second.until_reason("trule", "everywhere", "SecretNotFound")
        assert "Secret playout does not exist" in found["Ready"]["message"]


def schemas(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> str:
    """The CRDs as another version has them: `change` gets the fields of each spec and status."""
    found = [yaml.safe_load(text) for text in crd_manifests().values()]
    for crd in found:
        [version] = crd["spec"]["versions"]
        fields = version["schema"]["openAPIV3Schema"]["properties"]
        change(fields["spec"]["properties"], fields["status"]["properties"])
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})


def remove(spec: dict[str, Any], status: dict[str, Any]) -> None:
    for name in ("maxAge", "priority", "commercials"):
        spec.pop(name, None)
    for name in ("broadcaster", "counts", "lastEventTime"):
        status.pop(name, None)


def add(spec: dict[str, Any], status: dict[str, Any]) -> None:
    spec["later"] = {"type": "string", "maxLength": 9}
    status["later"] = {"type": "string", "maxLength": 9}


async def test_crds_may_be_older_or_newer_than_the_operator(
    plane: ControlPlane, tmp_path: Path
) -> None:
    async def serve(manifest: str) -> None:
        apply = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        await asyncio.to_thread(plane.run_kubectl, *apply, input=manifest, check=True)
        await asyncio.to_thread(plane.until_established, "crd", "--all")

    async with new_site(plane, tmp_path) as site:
        # Former CRDs lack fields. They are not stored, and everything else works.
        await serve(schemas(remove))
        operator = await site.start_operator()
        former = await site.add_station("former")
        former.publish(message())
        told = await site.kubectl.until_path("trule", "former", "recentDecisions[0].verdict=Fired")
        assert told.keys().isdisjoint({"counts", "lastEventTime"})
        channel = await site.kubectl.until("tch", "former", lambda status: "commercials" in status)
        assert "broadcaster" not in channel
        for kind in ("TwitchChannel", "TriggerRule"):
            warning = f"the CRD of {kind} lacks fields of this operator's status"
            assert operator.log.count(warning) == 1
            series = f'status_writes_total{{kind="{kind}",result="pruned"}}'
            assert series in (await operator.get("/metrics")).text
        before = await site.kubectl.get("trule", "former")
        await site.kubectl("annotate", "trule/former", "twitch-operator.dev/requestedAt=1")
        await site.kubectl.until_path("trule", "former", "lastHandledReconcileAt=1")

        # An upgrade: what was stored by the former schema is served, with the new defaults.
        await serve(schemas(lambda *_: None))
        upgraded = await site.kubectl.get("trule", "former")
        assert "maxAge" not in before["spec"]
        assert upgraded["spec"]["maxAge"] == "30s"
        assert await operator.end() == 0
        operator = await site.start_operator()
        present = await site.add_station("present")
        present.publish(message())
        assert await present.verdicts() == ["Fired"]
        await site.kubectl.until_path("tch", "former", "broadcaster.login=former")
        await site.kubectl.ready("tch/former", "trule/former")
        assert (len(former.commercials), former.calls()) == (1, 1)
        assert 'result="pruned"' not in (await operator.get("/metrics")).text

        # Newer CRDs: only what uses a new field is refused.
        await serve(schemas(add))
        later = await site.add_station("later")
        later.publish(message())
        assert await later.verdicts() == ["Fired"]
        await site.kubectl.apply(present.rule(later="x"))
        found = await site.kubectl.until_reason("trule", "present", "InvalidSpec")
        assert found["Stalled"]["status"] == "True"
        assert (
            "spec.later: this version of the operator has no such field"
            in (found["Ready"]["message"])
        )
        assert await operator.end() == 0
        await site.start_operator()
        await site.kubectl.ready("tch/present", "tch/later", "trule/later")
