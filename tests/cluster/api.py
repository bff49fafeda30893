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
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["get", "try_create"]

_GROUP = "/apis/twitch-operator.dev/v1alpha1"
_PLACES = {
    "secret": ("/api/v1", "secrets"),
    "tch": (_GROUP, "twitchchannels"),
    "twitchchannel": (_GROUP, "twitchchannels"),
    "trule": (_GROUP, "triggerrules"),
    "triggerrule": (_GROUP, "triggerrules"),
    "extapp": (_GROUP, "extensionapps"),
    "extensionapp": (_GROUP, "extensionapps"),
}


def get(plane: ControlPlane, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """An object; None: of this kind only kubectl knows where it is, or it is not there."""
    if kind not in _PLACES:
        return None
    response = _client(plane.kubeconfig).get(f"{_path(namespace, kind)}/{name}")
    return dict(response.json()) if response.status_code == 200 else None


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
