"""The API server over HTTP, for what tests ask hundreds of times: kubectl is a process each."""

from __future__ import annotations

import atexit
import base64
import json
import ssl
from functools import cache
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane

__all__ = [
    "apply",
    "create_namespace",
    "delete_namespace",
    "get",
    "knows",
    "listed",
    "patch",
    "try_create",
    "until",
]

_GROUP = "/apis/twitch-operator.dev/v1alpha1"
_PLACES = {
    "secret": ("/api/v1", "secrets"),
    "tch": (_GROUP, "twitchchannels"),
    "twitchchannel": (_GROUP, "twitchchannels"),
    "trule": (_GROUP, "triggerrules"),
    "triggerrule": (_GROUP, "triggerrules"),
    "extapp": (_GROUP, "extensionapps"),
    "extensionapp": (_GROUP, "extensionapps"),
    "event": ("/apis/events.k8s.io/v1", "events"),
}


def knows(kind: str) -> bool:
    """Whether it is known here where objects of this kind are."""
    return kind.lower() in _PLACES


def apply(plane: ControlPlane, namespace: str, manifest: dict[str, Any]) -> None:
    """Do what `kubectl apply --server-side --force-conflicts` does."""
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
    path = f"{_path(namespace, manifest['kind'].lower())}/{metadata['name']}"
    response = _client(plane.kubeconfig).patch(
        path,
        params={"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(manifest | {"metadata": metadata}),
    )
    assert response.is_success, response.text


def until(
    plane: ControlPlane, namespace: str, place: tuple[str, str],
    condition: Callable[[dict[str, Any]], object], within: float,
) -> dict[str, Any] | None:  # fmt: skip
    """Watch an object, by kind and name, as `kubectl wait` does: no state is missed.

    Returns:
        The object, once the condition on it holds; None: it does not in time.
    """
    kind, name = place
    query = {
        "watch": "true",
        "fieldSelector": f"metadata.name={name}",
        "timeoutSeconds": f"{within:.0f}",
    }
    client, path = _client(plane.kubeconfig), _path(namespace, kind)
    with client.stream("GET", path, params=query, timeout=within + 30) as response:
        for line in response.iter_lines():
            found: dict[str, Any] = json.loads(line)["object"]
            if condition(found):
                return found
    return None


def get(plane: ControlPlane, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """An object; None: of this kind only kubectl knows where it is, or it is not there."""
    if kind not in _PLACES:
        return None
    response = _client(plane.kubeconfig).get(f"{_path(namespace, kind)}/{name}")
    return dict(response.json()) if response.status_code == 200 else None


def create_namespace(plane: ControlPlane, name: str) -> None:
    """Create a namespace."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    response = _client(plane.kubeconfig).post("/api/v1/namespaces", json=body)
    assert response.is_success, response.text


def delete_namespace(plane: ControlPlane, name: str) -> None:
    """Ask for the deletion of a namespace, and do not wait for it."""
    response = _client(plane.kubeconfig).delete(f"/api/v1/namespaces/{name}")
    assert response.is_success, response.text


def listed(plane: ControlPlane, namespace: str, kind: str) -> list[dict[str, Any]]:
    """All objects of a kind in a namespace."""
    response = _client(plane.kubeconfig).get(_path(namespace, kind))
    assert response.is_success, response.text
    return list(response.json()["items"])


def patch(
    plane: ControlPlane, namespace: str, place: tuple[str, str], change: dict[str, Any],
    subresource: str = "",
) -> None:  # fmt: skip
    """Do what `kubectl patch --type=merge` does to an object, by kind and name."""
    kind, name = place
    path = f"{_path(namespace, kind)}/{name}" + (subresource and f"/{subresource}")
    response = _client(plane.kubeconfig).patch(
        path,
        headers={"Content-Type": "application/merge-patch+json"},
        content=json.dumps(change),
    )
    assert response.is_success, response.text


def try_create(plane: ControlPlane, manifest: dict[str, Any]) -> CompletedProcess[str]:
    """Let the API server check an object as strictly as kubectl does, and store nothing.

    Returns:
        What `kubectl create --dry-run=server -o json` would have said.
    """
    path = _path("default", manifest["kind"].lower())
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    response = _client(plane.kubeconfig).post(path, params=query, json=manifest)
    if response.status_code == 201:
        return CompletedProcess([], 0, response.text, "")
    return CompletedProcess([], 1, "", str(response.json()["message"]))


def _path(namespace: str, kind: str) -> str:
    base, plural = _PLACES[kind]
    return f"{base}/namespaces/{namespace}/{plural}"


@cache
def _client(kubeconfig: Path) -> httpx.Client:
    """One for each control plane; it is asked from several threads, which httpx allows."""
    config = json.loads(kubeconfig.read_text("utf-8"))
    [cluster], [user] = config["clusters"], config["users"]
    authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
    client = httpx.Client(
        base_url=cluster["cluster"]["server"],
        headers={"Authorization": f"Bearer {user['user']['token']}"},
        verify=ssl.create_default_context(cadata=authority),
        timeout=30,
        trust_env=False,
    )
    atexit.register(client.close)
    return client
