"""Resources as users write them, and the API server that is asked about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.resources.kind import GROUP, VERSION
from tests.cluster.api import try_create

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from controller.sandbox.controlplane import ControlPlane


ROOT = Path(__file__).parents[2]
MANY = "x" * 10_000
LONG_AGO = 1611912393.0
FAR_AHEAD = 4102444800.0
NIGHT = {"from": "22:00", "to": "06:00", "timeZone": "America/New_York"}


def resource(kind: str, name: str, **parts: object) -> dict[str, Any]:
    api = f"{GROUP}/{VERSION}"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **parts}


def channel(name: str = "mst3k", **changes: object) -> dict[str, Any]:
    spec = {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {
            "refreshToken": {"secretKeyRef": {"name": "mst3k-grant", "key": "refresh-token"}}
        },
    }
    return resource("TwitchChannel", name, spec=changed(spec, changes))


def rule(**changes: object) -> dict[str, Any]:
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": pubnub("mst3k.playout"),
        "match": [{"field": "msg_type", "equals": "video"}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
    }
    return resource("TriggerRule", "ad-assets", spec=changed(spec, changes))


def changed(spec: dict[str, Any], changes: dict[str, object]) -> dict[str, Any]:
    return {key: part for key, part in {**spec, **changes}.items() if part is not None}


def hls(**spec: object) -> dict[str, Any]:
    return {"hls": {"url": "https://example.com/live.m3u8", **spec}}


def pubnub(*topics: str) -> dict[str, Any]:
    return {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": list(topics)}}


def grant(name: str = "mst3k-grant", key: str = "refresh-token") -> dict[str, Any]:
    return {"refreshToken": {"secretKeyRef": {"name": name, "key": key}}}


def code(
    name: str = "mst3k-code",
    redirect_uri: str | None = "http://localhost:3000/auth/twitch/callback",
) -> dict[str, Any]:
    given = {"secretKeyRef": {"name": name, "key": "code"}, "redirectUri": redirect_uri}
    return {"authorizationCode": changed(given, {})}


def commercial(**changes: object) -> dict[str, Any]:
    return rule(action={"commercial": changes})


def matching(**test: object) -> dict[str, Any]:
    return rule(match=[{"field": "action", **test}])


def quiet(**changes: object) -> dict[str, Any]:
    return channel(commercials={"quietHours": [changed(NIGHT, changes)]})


def selecting(**selector: object) -> dict[str, Any]:
    return rule(channelRef=None, channelSelector=selector)


def create(
    control_plane: ControlPlane, manifest: dict[str, Any], *args: str
) -> CompletedProcess[str]:
    if "--dry-run=server" in args:
        return try_create(control_plane, manifest)
    return control_plane.run_kubectl(
        "create", "-f", "-", "-o", "json", *args, input=json.dumps(manifest)
    )


COMMERCIAL = ["channel:edit:commercial"]


ONE_WAY_IN = (
    "spec.authorization: Invalid value: must have exactly one of: refreshToken, authorizationCode,"
    " deviceCode"
)


def contains(stored: object, given: object) -> bool:
    """Whether `given` is all there, of the same types, defaults aside."""
    if isinstance(given, dict) and isinstance(stored, dict):
        return all(key in stored and contains(stored[key], part) for key, part in given.items())
    if isinstance(given, list) and isinstance(stored, list):
        return len(given) == len(stored) and all(map(contains, stored, given))
    if isinstance(given, bool) or isinstance(stored, bool):
        return stored is given
    return stored == given
