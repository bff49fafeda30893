"""The chart in a real API server, and both programs with nothing but the rights that it gives."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from controller.sandbox import controlplane
from tests.chart.helm import CHART, Manifest, helm, obtain_crds, render
from tests.chart.pods import Pods
from tests.chart.rights import Audit, granted
from tests.chart.test_chart_templates import EVERYTHING, OTHERWISE, SMALL, of_kind
from tests.chart.tour import tour
from tests.chart.walk import Walk, commands
from tests.cluster.gateway_harness import new_scene, new_secret
from tests.cluster.kubectl import conditions
from tests.cluster.manifests import message
from tests.cluster.operator_harness import CLIENT_ID, leaked, new_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.gateway_harness import Gateway, Scene
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

HOME = "twitch"
NAME = "tw-twitch-operator"
REQUESTED = "twitch-operator.dev/requestedAt"
ACCOUNT = f"{HOME}:{NAME}"
CLUSTER_KINDS = "clusterrole,clusterrolebinding"
OURS = ("-l", "app.kubernetes.io/instance=tw", "-o", "name")


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "log"


@pytest.fixture(scope="module")
def plane(audit_log: Path) -> Iterator[ControlPlane]:
    """A control plane of its own: what is cluster-wide must not reach other tests' namespaces."""
    with controlplane.start(audit_log=audit_log) as plane:
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


@pytest_asyncio.fixture(loop_scope="module")
async def pods(plane: ControlPlane, site: Site, tmp_path: Path) -> AsyncIterator[Pods]:
    pods = Pods(plane, HOME, tmp_path)
    yield pods
    await pods.close()
    assert not leaked(site.credentials(), pods.logs)


def run(plane: ControlPlane, *arguments: str, values: Manifest | None = None) -> str:
    where = ("--kubeconfig", str(plane.kubeconfig), "-n", HOME)
    done = helm(*arguments, *where, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def values_for(site: Site, **more: Any) -> Manifest:  # noqa: ANN401 - values of any kind
    """The simulators, and intervals as the other tests have them, all as values."""
    settings = {
        "helixUrl": site.twitch.helix_url,
        "identityUrl": site.twitch.identity_url,
        "pubnubOrigin": site.pubnub.origin,
        "pubnubTls": False,
        "logFormat": "text",
        "allowedFetchHosts": ["127.0.0.1"],
        "gatewayDrain": "1s",
        "secretCheckInterval": "1s",
        "missingSecretCheckInterval": "1s",
        "statusInterval": "1s",
        "liveCheckInterval": "1s",
        "resyncInterval": "3s",
        "extensionCheckInterval": "2s",
    }
    return {"image": {"repository": "tv/twitch-operator"}, "settings": settings, **more}


def roles(plane: ControlPlane, kind: str, name: str, *where: str) -> list[Manifest]:
    done = plane.run_kubectl("get", kind, name, *where, "-o", "json", check=True)
    return [json.loads(done.stdout)]


async def test_the_api_server_accepts_whatever_the_chart_renders(plane: ControlPlane) -> None:
    crds = [argument for file in obtain_crds() for argument in ("-f", str(file))]
    plane.run_kubectl("create", *crds, check=True)
    for name in ("a", "b"):
        plane.run_kubectl("create", "namespace", name, check=True)
    plane.until_established("crd", "--all")
    for values in (SMALL | EVERYTHING, SMALL | OTHERWISE):
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


async def test_an_installed_operator_has_the_rights_that_it_uses_in_all_namespaces(
    plane: ControlPlane, site: Site, pods: Pods, audit_log: Path
) -> None:
    said = run(plane, "install", "tw", str(CHART), values=values_for(site))
    assert "serves all namespaces" in said
    plane.until_established("crd", "--all")
    audit = Audit(audit_log)
    operator = await pods.start(NAME)
    await tour(site, "everywhere")
    assert await operator.end() == 0
    assert audit.missing(ACCOUNT) == set()
    assert audit.used(ACCOUNT) == granted(roles(plane, "clusterrole", ACCOUNT))


async def test_an_upgrade_to_watched_namespaces_takes_the_cluster_s_rights_away(
    plane: ControlPlane, site: Site, pods: Pods, audit_log: Path, tmp_path: Path
) -> None:
    async with new_scene(site, tmp_path) as scene:
        secrets = [f"{scene.name}-secrets", f"{scene.name}-login"]
        gateway_values = {"enabled": True, "secretNames": secrets}
        values = values_for(site, watchNamespaces=[site.namespace], gateway=gateway_values)
        values["settings"]["helixUrl"] = scene.helix_url
        said = run(plane, "upgrade", "tw", str(CHART), values=values)
        assert f"kubectl twitch authorize CHANNEL -n {site.namespace}" in said
        assert plane.run_kubectl("get", CLUSTER_KINDS, *OURS, check=True).stdout == ""
        audit = Audit(audit_log)
        await scene.kubectl.apply(scene.app(), scene.login(), scene.target(new_secret()))
        await sends(await pods.start(f"{NAME}-gateway"), scene)
        check_rights(plane, audit, f"{ACCOUNT}-gateway", site.namespace)


async def test_rights_in_watched_namespaces_are_used_and_an_owner_takes_one_more(
    plane: ControlPlane, site: Site, pods: Pods, audit_log: Path
) -> None:
    values = values_for(site, watchNamespaces=[site.namespace])
    run(plane, "upgrade", "tw", str(CHART), values=values)
    audit = Audit(audit_log)
    await pods.start(NAME)
    await tour(site, "named")
    station = await site.add_station("owned")
    check_rights(plane, audit, ACCOUNT, site.namespace)
    await site.kubectl.apply(station.channel(token={"deletionPolicy": "Delete"}))
    found = await until_authorized(site, "OwnerRefused")
    assert "Give the operator the verb delete on this Secret" in found["message"]
    site.twitch.expire_access_tokens("owned")
    station.publish(message())  # it is refreshed, and stored, all the same
    assert await station.verdicts() == ["Fired"]
    assert station.refreshes == 2
    run(plane, "upgrade", "tw", str(CHART), values=values | {"rbac": {"deleteSecrets": True}})
    await granted_in_time(site)
    [owner] = (await site.kubectl.get("secret", "owned-twitch-token"))["metadata"][
        "ownerReferences"
    ]
    assert owner["name"] == "owned"


async def sends(gateway: Gateway, scene: Scene) -> None:
    """Have the gateway send a message."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(
            f"{gateway.url}/send/", headers=scene.send_headers(), json={"type": "deck", "data": {}}
        )
    assert answer.status_code == 200


def check_rights(plane: ControlPlane, audit: Audit, account: str, namespace: str) -> None:
    """Whether an account has used exactly what it may do in a namespace."""
    assert audit.missing(account) == set()
    assert audit.used(account) == granted(roles(plane, "role", account, "-n", namespace))


async def granted_in_time(site: Site) -> None:
    """Ask until the API server has heard of the right: the operator would ask in a minute."""
    reason, count = "OwnerRefused", 0
    while reason == "OwnerRefused":
        count += 1
        assert count < 60, "the owner is still refused"
        await site.kubectl("annotate", "--overwrite", "tch", "owned", f"{REQUESTED}={count}")
        path = f"lastHandledReconcileAt={count}"
        status = await site.kubectl.until_path("tch", "owned", path)
        reason = conditions(status)["Authorized"]["reason"]
    assert reason == "Succeeded"


async def until_authorized(site: Site, reason: str) -> Manifest:
    """Wait until the channel's Authorized has this reason."""
    status = await site.kubectl.until(
        "tch", "owned", lambda s: conditions(s).get("Authorized", {}).get("reason") == reason
    )
    return dict(conditions(status)["Authorized"])


async def test_a_rollback_gives_them_back_and_what_was_declared_outlives_the_chart(
    plane: ControlPlane, site: Site
) -> None:
    run(plane, "rollback", "tw", "1")
    assert NAME in plane.run_kubectl("get", "clusterrole", *OURS).stdout
    run(plane, "uninstall", "tw")
    left = plane.run_kubectl("get", "all,serviceaccount,role,pdb", "-n", HOME, *OURS, check=True)
    assert left.stdout == ""
    assert plane.run_kubectl("get", CLUSTER_KINDS, *OURS, check=True).stdout == ""
    assert await site.kubectl("get", "tch", "everywhere", "-o", "name")


async def test_what_an_installation_cannot_have_is_said_by_name(plane: ControlPlane) -> None:
    image = ("--set", "image.repository=tv/twitch-operator")
    where = ("-n", HOME, "--kubeconfig", str(plane.kubeconfig))
    # The CRDs that were kept are those of the release `tw`, which may come again.
    other = helm("install", "other", str(CHART), *image, *where)
    assert other.returncode != 0
    assert 'CustomResourceDefinition "extensionapps.twitch-operator.dev"' in other.stderr
    assert 'must equal "other": current value is "tw"' in other.stderr
    typo = helm("install", "tw", str(CHART), *image, *where, "--set", "watchNamespaces={sprots}")
    assert typo.returncode != 0
    assert "namespaces" in typo.stderr
    assert "sprots" in typo.stderr


async def test_the_page_leads_from_nothing_to_the_first_commercial(
    plane: ControlPlane, site: Site, tmp_path: Path
) -> None:
    ours = ("crd", "-l", "app.kubernetes.io/instance=tw")
    plane.run_kubectl("delete", *ours, timeout=120, check=True)
    given = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": site.client_secret}
    given |= {"SUBSCRIBE_KEY": site.subscribe_key, "PUBLISH_KEY": "any"}
    given |= {"IMAGE_REGISTRY": "registry.example.com", "IMAGE_REPOSITORY": "tv/twitch-operator"}
    script = commands("From nothing to the first commercial", given)
    script = script.replace("https://ps.pndsn.com", f"http://{site.pubnub.origin}")
    walk = Walk(plane, tmp_path, {"settings": values_for(site)["settings"]})
    pods, name = Pods(plane, "twitch-operator", tmp_path), "twitch-operator"
    site.twitch.add_broadcaster("mst3k")

    async def consent() -> None:
        site.twitch.approve_device(await walk.code(), "mst3k")

    try:
        node = walk.be_the_node(pods, name, name)
        said, *_ = await asyncio.gather(walk.run(script), node, consent())
    finally:
        await pods.close()
    assert not leaked(site.credentials(), pods.logs)
    assert "twitchchannel/mst3k is Ready" in said
    [commercial] = [each for each in site.twitch.commercials if each.login == "mst3k"]
    assert commercial.requested == 30
