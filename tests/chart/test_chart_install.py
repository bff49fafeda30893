"""The chart in a real API server, and both programs with nothing but the rights that it gives."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from controller.sandbox import controlplane
from controller.settings import PREFIX
from tests.chart.helm import CHART, Manifest, helm, obtain_crds, render
from tests.chart.test_chart_templates import EVERYTHING, SMALL, container, of_kind
from tests.cluster.gateway_harness import new_scene, new_secret
from tests.cluster.manifests import message
from tests.cluster.operator_harness import new_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Operator, Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

HOME = "twitch"
CLUSTER_KINDS = "clusterrole,clusterrolebinding"
OURS = ("-l", "app.kubernetes.io/instance=tw", "-o", "name")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane of its own: what is cluster-wide must not reach other tests' namespaces."""
    with controlplane.start() as plane:
        restricted = "pod-security.kubernetes.io/enforce=restricted"
        plane.run_kubectl("create", "namespace", HOME, check=True)
        plane.run_kubectl("label", "namespace", HOME, restricted, check=True)
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with new_site(plane, tmp_path_factory.mktemp("site")) as site:
        yield site


def run(plane: ControlPlane, *arguments: str, values: Manifest | None = None) -> str:
    where = ("--kubeconfig", str(plane.kubeconfig), "-n", HOME)
    done = helm(*arguments, *where, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def installed(plane: ControlPlane, kind: str) -> list[Manifest]:
    done = plane.run_kubectl("get", kind, "-n", HOME, "-o", "json", check=True)
    return list(json.loads(done.stdout)["items"])


def values_for(site: Site, **more: Any) -> Manifest:  # noqa: ANN401 - values of any kind
    """The simulators, and intervals as the other tests have them, all as values."""
    settings = {
        "helixUrl": site.twitch.helix_url,
        "identityUrl": site.twitch.identity_url,
        "pubnubOrigin": site.pubnub.origin,
        "pubnubTls": False,
        "logFormat": "text",
    }
    return {"image": {"repository": "tv/twitch-operator"}, "settings": settings, **more}


def environment(plane: ControlPlane, deployment: str) -> dict[str, Any]:
    """What the installed Deployment sets, but for ports, which must be free here."""
    program = container(installed(plane, "deployment"), deployment)
    found = {each["name"].removeprefix(PREFIX): each["value"] for each in program["env"]}
    ports = [name for name in found if name.endswith("_ADDRESS")]
    return {"WATCH_NAMESPACES": "", **found, **dict.fromkeys(ports, "127.0.0.1:0")}


def account(plane: ControlPlane, deployment: str, folder: Path) -> Path:
    """A kubeconfig of the ServiceAccount that the installed Deployment names."""
    [found] = [
        each
        for each in installed(plane, "deployment")
        if each["metadata"]["name"] == deployment
    ]  # fmt: skip
    name = found["spec"]["template"]["spec"]["serviceAccountName"]
    made = plane.run_kubectl("create", "token", name, "-n", HOME, check=True)
    config = json.loads(plane.kubeconfig.read_text("utf-8"))
    config["users"][0]["user"] = {"token": made.stdout.strip()}
    kubeconfig = folder / deployment
    kubeconfig.write_text(json.dumps(config), "utf-8")
    return kubeconfig


async def fires(site: Site, kubeconfig: Path, login: str) -> Operator:
    """Start the installed operator, and let it run one commercial."""
    operator = await site.start_operator(
        kubeconfig=kubeconfig, **environment(site.plane, "tw-twitch-operator")
    )
    station = await site.add_station(login)
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    assert "403" not in operator.log
    return operator


async def test_the_api_server_accepts_whatever_the_chart_renders(plane: ControlPlane) -> None:
    crds = [argument for file in obtain_crds() for argument in ("-f", str(file))]
    plane.run_kubectl("create", *crds, check=True)
    for name in ("a", "b"):
        plane.run_kubectl("create", "namespace", name, check=True)
    plane.until_established("crd", "--all")
    named = SMALL | {"watchNamespaces": ["a", "b"], "gateway": {"enabled": True}}
    for values in (SMALL | EVERYTHING, named):
        manifests = render(values, namespace=HOME)
        pods = [pod_of(each) for each in of_kind(manifests, "Deployment")]
        for pod in of_kind(manifests, "Pod") + pods:
            pod["spec"]["serviceAccountName"] = "default"  # its own one is a dry run too
        whole = {"apiVersion": "v1", "kind": "List", "items": manifests + pods}
        create = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
        done = plane.run_kubectl(*create, input=json.dumps(whole))
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == len(manifests + pods)


def pod_of(deployment: Manifest) -> Manifest:
    """One of the Deployment's Pods: the Pod Security Standard is enforced for these alone."""
    template = deployment["spec"]["template"]
    meta = {**template["metadata"], "name": deployment["metadata"]["name"], "namespace": HOME}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**template["spec"]}}


async def test_an_installed_operator_fires_in_all_namespaces(
    plane: ControlPlane, site: Site, tmp_path: Path
) -> None:
    said = run(plane, "install", "tw", str(CHART), values=values_for(site))
    assert "serves all namespaces" in said
    plane.until_established("crd", "--all")
    kubeconfig = account(plane, "tw-twitch-operator", tmp_path)
    operator = await fires(site, kubeconfig, "everywhere")
    ready = str((await operator.get("/readyz")).url)
    assert check_ready(kubeconfig, tmp_path, ready) == 0
    assert await operator.end() == 0
    assert check_ready(kubeconfig, tmp_path, ready) == 1


def check_ready(kubeconfig: Path, folder: Path, ready: str) -> int:
    """Run what `helm test` runs."""
    config = json.loads(kubeconfig.read_text("utf-8"))
    cluster = config["clusters"][0]["cluster"]
    (folder / "token").write_text(config["users"][0]["user"]["token"], "utf-8")
    (folder / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    script = CHART / "files" / "ready.py"
    argv = [sys.executable, script, cluster["server"], folder, ready]
    return subprocess.run(argv, check=False, timeout=30).returncode


async def test_an_upgrade_to_watched_namespaces_takes_the_cluster_s_rights_away(
    plane: ControlPlane, site: Site, tmp_path: Path
) -> None:
    async with new_scene(site, tmp_path) as scene:
        secrets = [f"{scene.name}-secrets", f"{scene.name}-login"]
        gateway_values = {"enabled": True, "secretNames": secrets}
        values = values_for(site, watchNamespaces=[site.namespace], gateway=gateway_values)
        said = run(plane, "upgrade", "tw", str(CHART), values=values)
        assert f"kubectl twitch authorize CHANNEL -n {site.namespace}" in said
        assert plane.run_kubectl("get", CLUSTER_KINDS, *OURS, check=True).stdout == ""
        name = "tw-twitch-operator-gateway"
        shared = new_secret()
        await scene.kubectl.apply(scene.app(), scene.login(), scene.target(shared))
        operator, gateway = await asyncio.gather(
            fires(site, account(plane, "tw-twitch-operator", tmp_path), "named"),
            scene.start(kubeconfig=account(plane, name, tmp_path)),
        )
        async with httpx.AsyncClient(trust_env=False) as client:
            body = {"type": "deck", "data": {}}
            answer = await client.post(
                f"{gateway.url}/send/", headers=scene.send_headers(), json=body
            )
            assert answer.status_code == 200
        assert "403" not in gateway.log
        assert await operator.end() == 0


async def test_a_rollback_gives_them_back_and_what_was_declared_outlives_the_chart(
    plane: ControlPlane, site: Site
) -> None:
    run(plane, "rollback", "tw", "1")
    assert "tw-twitch-operator" in plane.run_kubectl("get", "clusterrole", *OURS).stdout
    run(plane, "uninstall", "tw")
    left = plane.run_kubectl("get", "all,serviceaccount,role,pdb", "-n", HOME, *OURS, check=True)
    assert left.stdout == ""
    assert plane.run_kubectl("get", CLUSTER_KINDS, *OURS, check=True).stdout == ""
    assert await site.kubectl("get", "tch", "everywhere", "-o", "name")
