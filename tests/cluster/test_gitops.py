"""Resources that a GitOps tool applies and a person changes, while the operator writes statuses."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.api import try_create
from tests.cluster.manifests import message
from tests.gitops.tools import kstatus, obtain_crds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

GITOPS = Path(__file__).parents[2] / "examples" / "gitops"
AN_HOUR = 120  # messages of a playout system: one each half minute
TOOL = ("--server-side", "--field-manager=kustomize-controller")


async def test_an_hour_of_events_is_no_drift_for_a_tool_and_a_person(site: Site) -> None:
    station = site.new_station("steady")
    await site.kubectl.apply(station.grant())
    declared = json.dumps(
        {"apiVersion": "v1", "kind": "List", "items": [station.channel(), station.rule()]}
    )
    await site.kubectl("apply", *TOOL, "-f", "-", manifest=declared)
    for kind in ("tch", "trule"):
        new = await site.kubectl.get(kind, "steady")
        assert new["status"] == {"observedGeneration": -1}
        assert kstatus([new])[0][0] == "InProgress"

    await site.start_operator()
    await site.kubectl.ready("tch/steady", "trule/steady")
    # A person sets what the tool does not.
    change = {"metadata": {"labels": {"team": "night"}}, "spec": {"maxAge": "1m"}}
    await site.kubectl("patch", "trule/steady", "--type=merge", "-p", json.dumps(change))
    by_hand = site.new_station("by_hand")
    theirs = json.dumps(by_hand.rule(channelRef={"name": "steady"}))
    await site.kubectl("apply", "-f", "-", manifest=theirs)
    await site.kubectl.ready("trule/steady", "trule/by-hand")
    before = {each: await site.kubectl.get(*each) for each in APPLIED}

    for number in range(AN_HOUR):
        station.publish(message(cue_id=f"{number}_steady"))
        by_hand.publish(message(cue_id=f"{number}_by_hand"))
    for name in ("steady", "by-hand"):
        await site.kubectl.until_path("trule", name, f"counts.matched={AN_HOUR}")
    await site.kubectl.until("tch", "steady", lambda status: "commercials" in status)

    # `kubectl diff` ends with 1, which raises here, if anything differs.
    assert await site.kubectl("diff", *TOOL, "-f", "-", manifest=declared) == ""
    assert await site.kubectl("diff", "-f", "-", manifest=theirs) == ""
    # Nothing is in conflict: the tool need not force.
    await site.kubectl("apply", *TOOL, "-f", "-", manifest=declared)
    for each, old in before.items():
        found = await site.kubectl.get(*each)
        assert found["status"] != old["status"] or each == ("tch", "steady")
        for part in ("annotations", "labels", "generation", "finalizers", "ownerReferences"):
            assert found["metadata"].get(part) == old["metadata"].get(part)
        assert found["spec"] == old["spec"]
        assert written_by_the_operator(found) == {"f:status"}
        assert kstatus([found])[0][0] == "Current"
    rule = await site.kubectl.get("trule", "steady")
    assert (rule["spec"]["maxAge"], rule["metadata"]["labels"]["team"]) == ("1m", "night")


APPLIED = (("tch", "steady"), ("trule", "steady"), ("trule", "by-hand"))


def written_by_the_operator(found: Mapping[str, Any]) -> set[str]:
    """The top-level fields that the operator owns."""
    entries = found["metadata"]["managedFields"]
    ours = [each for each in entries if each["manager"] == "twitch-operator"]
    assert ours
    return {name for each in ours for name in each["fieldsV1"]}


def rendered(plane: ControlPlane, overlay: str) -> list[dict[str, Any]]:
    done = plane.run_kubectl("kustomize", str(GITOPS / "kustomize" / overlay), check=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("overlay", ["base", "overlays/production", "overlays/staging"])
async def test_the_api_server_accepts_what_kustomize_renders(
    cluster: ControlPlane, overlay: str
) -> None:
    manifests = await asyncio.to_thread(rendered, cluster, overlay)
    assert {each["kind"] for each in manifests} == {"TwitchChannel", "TriggerRule"}
    for each in manifests:
        each["metadata"].pop("namespace", None)
        done = await asyncio.to_thread(try_create, cluster, each)
        assert done.returncode == 0, done.stderr


async def test_kustomize_renames_a_channel_with_its_references(cluster: ControlPlane) -> None:
    found = {each["kind"]: each for each in rendered(cluster, "overlays/staging")}
    name = found["TwitchChannel"]["metadata"]["name"]
    assert name == "staging-mst3k"
    assert found["TriggerRule"]["spec"]["channelRef"]["name"] == name
    assert found["TriggerRule"]["spec"]["mode"] == "DryRun"


async def test_the_tools_own_crds_accept_the_examples(cluster: ControlPlane) -> None:
    crds = [argument for file in obtain_crds() for argument in ("-f", str(file))]
    install = ("apply", "--server-side", "--force-conflicts", *crds, "-o", "name")
    done = await asyncio.to_thread(cluster.run_kubectl, *install, check=True)
    await asyncio.to_thread(cluster.until_established, *done.stdout.split())
    files = sorted([*(GITOPS / "flux").iterdir(), *(GITOPS / "argocd").iterdir()])
    texts = [
        re.sub(r"<URL[^>]*>", "https://git.example.com/tv", each.read_text()) for each in files
    ]
    objects = [each for text in texts for each in yaml.safe_load_all(text)]
    for each in objects:
        each["metadata"]["namespace"] = "default"
    whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    create = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    done = await asyncio.to_thread(cluster.run_kubectl, *create, input=whole)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(objects) == 7
