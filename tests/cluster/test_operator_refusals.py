"""Secrets that the API server refuses to store, for reasons that no retry cures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.cluster.kubectl import conditions, summary
from tests.cluster.manifests import message, secret
from tests.cluster.operator_access import account_kubeconfig

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Operator, Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

A_HUMAN = ("False", "False", "True")
WARNED = ("True", "False", "True")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    file = tmp_path_factory.mktemp("rights") / "kubeconfig"
    kubeconfig = await account_kubeconfig(site.kubectl, site.plane.kubeconfig, file)
    return await site.start_operator(kubeconfig=kubeconfig)


async def test_an_immutable_token_secret_is_told_and_costs_no_token(site: Site) -> None:
    station = await site.add_station("frozen")
    freeze = json.dumps({"immutable": True})
    await site.kubectl("patch", "secret", "frozen-twitch-token", "--type=merge", "-p", freeze)
    site.twitch.expire_access_tokens("frozen")
    station.publish(message())
    found = await station.until_reason("SecretRefused")
    assert summary(found) == A_HUMAN
    told = found["Ready"]["message"]
    assert "data: Forbidden: field is immutable when `immutable` is set" in told
    assert "immutable: true on the Secret" in told
    assert station.refreshes == 1
    await site.kubectl("delete", "secret", "frozen-twitch-token")
    await site.kubectl.ready("tch/frozen")
    assert station.refreshes == 2


def policy(namespace: str, name: str) -> list[dict[str, Any]]:
    """Denies one Secret of a namespace."""
    api, meta = "admissionregistration.k8s.io/v1", {"name": f"{namespace}.{name}"}
    rules = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
    rules["operations"] = ["CREATE", "UPDATE"]
    denial = "no tokens outside of the vault (policy SEC-7)"
    matched = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {**matched, "resourceRules": [rules]},
        "validations": [{"expression": f"object.metadata.name != '{name}'", "message": denial}],
    }
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": meta, "spec": spec},
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": meta,
            "spec": {"policyName": meta["name"], "validationActions": ["Deny"]},
        },
    ]


async def test_the_denial_of_an_admission_policy_is_told_in_its_own_words(site: Site) -> None:
    station = await site.prepare("denied")
    both = policy(site.namespace, "denied-twitch-token")
    await site.kubectl.apply(*both)
    try:
        probe = secret("denied-twitch-token", key="text")
        while "SEC-7" not in await site.kubectl(
            "create", "--dry-run=server", "-f", "-", manifest=json.dumps(probe), check=False
        ):
            pass  # a policy takes a moment to be heeded
        await site.kubectl.apply(station.channel())
        found = await station.until_reason("SecretRefused")
        assert summary(found) == A_HUMAN
        assert "no tokens outside of the vault (policy SEC-7)" in found["Ready"]["message"]
        # A rehearsal for another channel a moment ago may have counted for this one, too: then the
        # tokens are in hand, and are stored later.
        assert station.refreshes <= 1
    finally:
        for each in both:
            await site.kubectl("delete", each["kind"], each["metadata"]["name"])
    # Not to wait for the next try, which may be a minute away.
    await site.kubectl.annotate("tch", "denied", requestedAt="now")
    await site.kubectl.ready("tch/denied")
    assert station.refreshes == 1


async def test_tokens_are_stored_where_the_owner_may_not_be_changed(site: Site) -> None:
    station = await site.add_station("kept")
    await site.kubectl.apply(station.channel(token={"deletionPolicy": "Delete"}))
    status = await site.kubectl.until(
        "tch", "kept", lambda s: conditions(s)["Authorized"]["reason"] == "OwnerRefused"
    )
    found = conditions(status)
    assert summary(found) == WARNED
    assert (
        "spec.token.deletionPolicy: Secret kept-twitch-token is stored"
        in (found["Stalled"]["message"])
    )
    assert "cannot set an ownerRef on a resource you can't delete" in found["Stalled"]["message"]
    site.twitch.expire_access_tokens("kept")
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    assert station.refreshes == 2
    stored = await site.kubectl.get("secret", "kept-twitch-token")
    assert "ownerReferences" not in stored["metadata"]
    await site.kubectl.apply(station.channel(token={"deletionPolicy": "Retain"}))
    await site.kubectl.until("tch", "kept", lambda s: summary(conditions(s))[2] == "False")
