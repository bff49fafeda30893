"""The CRD of ExtensionApp, and messages of a TriggerRule, against a real API server."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.common import Condition
from controller.resources.extensionapp import (
    MAX_CHANNEL_SEGMENTS,
    ExtensionAppSpec,
    ExtensionAppStatus,
    ExtensionSecret,
    SegmentStatus,
)
from controller.resources.kind import GROUP, VERSION
from controller.resources.triggerrule import TriggerRuleSpec
from tests.cluster.api import try_create

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from controller.sandbox.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]

MANY = "x" * 10_000
LONG_AGO = 1611912393.0
FAR_AHEAD = 4102444800.0

SPEC: dict[str, Any] = {
    "clientId": "d72hk844mgvex3kbfhrgjtdoeqrh0t",
    "ownerId": "27419011",
    "version": "1.3.0",
    "secret": {
        "bootstrapSecretRef": {"name": "deck-tracker-bootstrap", "key": "secret"},
        "targetSecretName": "deck-tracker-secrets",
    },
}
INTROSPECTION = {
    "introspectionUrl": "https://id.example.com/oauth2/introspect?tenant=a",
    "secretRef": {"name": "oauth"},
}


def resource(kind: str, name: str, **parts: object) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        **parts,
    }


def app(name: str = "deck-tracker", **changes: object) -> dict[str, Any]:
    return resource("ExtensionApp", name, spec=deepcopy(SPEC) | changes)


def secret(**changes: object) -> dict[str, Any]:
    return app(secret=SPEC["secret"] | changes)


def segment(channel: str = "mst3k", **changes: object) -> dict[str, Any]:
    return {"channelRef": {"name": channel}, "segment": "developer", "content": "{}"} | changes


def configured(*channels: dict[str, Any]) -> dict[str, Any]:
    return app(configuration={"channels": list(channels)})


def gateway(**changes: object) -> dict[str, Any]:
    return app(gateway=changes)


def oauth(**changes: object) -> dict[str, Any]:
    return gateway(oauth=changes)


def rule(message: dict[str, Any], **changes: object) -> dict[str, Any]:
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": ["a"]}},
        "match": [{"field": "msg_type", "equals": "video"}],
        "action": {
            "extensionMessage": {
                "extensionRef": {"name": "deck-tracker"},
                "type": "ad-break",
            }
            | message
        },
    }
    return resource("TriggerRule", "messages", spec=spec | changes)


ACCEPTED: dict[str, dict[str, Any]] = {
    "the least": app(),
    "a rotation": secret(
        rotation={"interval": "10s", "activationDelay": "5s"}, deletionPolicy="Delete"
    ),
    "required configuration": app(requiredConfiguration={"value": "COMPLETE"}),
    "configuration": app(
        configuration={
            "global": {"version": "1", "content": '{"theme":"dark"}'},
            "channels": [
                segment(version="2"),
                segment(segment="broadcaster", policy="Enforce"),
                segment("riff", policy="IfAbsent"),
            ],
        }
    ),
    "as many channels as may be": configured(
        *(segment(f"channel-{n}", content="ö" * 2560) for n in range(MAX_CHANNEL_SEGMENTS))
    ),
    "five kilobytes": app(configuration={"global": {"content": "ö" * 2560}}),
    "a gateway": gateway(allowedOrigins=["https://abc.ext-twitch.tv", "http://localhost:8080"]),
    "a gateway that is off": gateway(enabled=False),
    "introspection": oauth(**INTROSPECTION, channelsClaim="https://example.com/channels"),
    "an issuer": oauth(issuer="https://id.example.com/realm", audience="gateway"),
    "a message": rule({}),
    "a message with all": rule({"data": '{"a": event.b}', "version": 3, "target": "broadcast"}),
    "a global message": rule({"target": "global"}),
    "a whisper": rule({"target": "whisper", "opaqueIdField": "data.opaque_id"}),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_is_right_is_accepted_and_nothing_of_it_is_lost(
    control_plane: ControlPlane, manifest: dict[str, Any]
) -> None:
    answer = create(control_plane, manifest, "--dry-run=server", "--validate=strict")

    assert answer.returncode == 0, answer.stderr
    stored = json.loads(answer.stdout)["spec"]
    model = ExtensionAppSpec if manifest["kind"] == "ExtensionApp" else TriggerRuleSpec
    assert model.from_spec(stored) == model.from_spec(manifest["spec"])


TWICE = "spec.configuration.channels: Invalid value: channels has a segment of a channel twice"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an owner that is a name": (
        app(ownerId="me"),
        "spec.ownerId: Invalid value: …digits in quotes",
    ),
    "an owner that is a number": (app(ownerId=27419011), "spec.ownerId: Invalid value"),
    "a client id with a line": (app(clientId="a\nb"), "spec.clientId: Invalid value: …client id"),
    "no client id": (app(clientId=""), "spec.clientId"),
    "a version with a space": (app(version="1 0"), "spec.version: Invalid value: …such as 1.3.0"),
    "a field too many": (app(secrets={}), 'unknown field "spec.secrets"'),
    "the same Secret twice": (
        secret(targetSecretName="deck-tracker-bootstrap"),
        "spec.secret.targetSecretName: Invalid value: …must be another Secret",
    ),
    "an interval too short": (
        secret(rotation={"interval": "30m", "activationDelay": "20m"}),
        "spec.secret.rotation.interval: Invalid value: interval must be at least twice",
    ),
    "an interval too short for the default delay": (
        secret(rotation={"interval": "10m"}),
        "spec.secret.rotation.interval: Invalid value: interval must be at least twice",
    ),
    "a delay too long": (
        secret(rotation={"activationDelay": "46m"}),
        "spec.secret.rotation.activationDelay: Invalid value: …from 1s to 45m",
    ),
    "content too long in bytes": (
        app(configuration={"global": {"content": "ö" * 2561}}),
        "spec.configuration.global.content: Invalid value: …at most 5120 bytes of UTF-8",
    ),
    "a segment twice": (configured(segment(), segment(content="x")), TWICE),
    "too many channels": (
        configured(*(segment(f"channel-{n}") for n in range(MAX_CHANNEL_SEGMENTS + 1))),
        "spec.configuration.channels: Too many: 101: must have at most 100 items",
    ),
    "a segment of a channel that is global": (
        configured(segment(segment="global")),
        'supported values: "developer", "broadcaster"',
    ),
    "two providers": (
        oauth(**INTROSPECTION, issuer="https://id.example.com"),
        "must have exactly one of: introspectionUrl, issuer",
    ),
    "no provider": (oauth(), "must have exactly one of: introspectionUrl, issuer"),
    "introspection without a Secret": (
        oauth(introspectionUrl="https://id.example.com"),
        "secretRef goes with introspectionUrl",
    ),
    "an audience without an issuer": (
        oauth(**INTROSPECTION, audience="a"),
        "audience is for the tokens of an issuer",
    ),
    "a URL with a password": (
        oauth(issuer="https://me:secret@id.example.com"),
        "spec.gateway.oauth.issuer: Invalid value: …without user",
    ),
    "a URL of a file": (oauth(issuer="file:///etc/passwd"), "spec.gateway.oauth.issuer"),
    "an origin with a path": (
        gateway(allowedOrigins=["https://abc.ext-twitch.tv/panel"]),
        "spec.gateway.allowedOrigins[0]: Invalid value: …must be an origin",
    ),
    "any origin": (gateway(allowedOrigins=["*"]), "must be an origin"),
    "a whisper to nobody": (rule({"target": "whisper"}), "opaqueIdField goes with target: whisper"),
    "a broadcast to one": (rule({"opaqueIdField": "a"}), "opaqueIdField goes with target: whisper"),
    "a global message for many channels": (
        rule({"target": "global"}, channelRef=None, channelSelector={"matchLabels": {"a": "b"}}),
        "a global message goes out once",
    ),
    "a type that is blank": (rule({"type": " "}), "must not be blank"),
    "two actions": (
        rule(
            {},
            action={
                "commercial": {"length": "60s"},
                "extensionMessage": {"extensionRef": {"name": "a"}, "type": "a"},
            },
        ),
        "must have exactly one of: commercial, extensionMessage",
    ),
}


@pytest.mark.parametrize(("manifest", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_refused_with_the_field_and_the_remedy(
    control_plane: ControlPlane, manifest: dict[str, Any], message: str
) -> None:
    answer = create(control_plane, manifest, "--dry-run=server", "--validate=strict")

    assert answer.returncode != 0, answer.stdout
    assert all(part in answer.stderr for part in message.split("…")), answer.stderr


def test_defaults_are_filled_in(control_plane: ControlPlane) -> None:
    stored = create(control_plane, oauth(**INTROSPECTION), "--dry-run=server").stdout

    spec = json.loads(stored)["spec"]
    assert spec["secret"]["rotation"] == {"interval": "720h", "activationDelay": "10m"}
    assert spec["secret"]["deletionPolicy"] == "Retain"
    assert spec["gateway"]["enabled"] is True
    assert spec["gateway"]["oauth"]["channelsClaim"] == "twitch_channels"


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"clientId": "another"}, "clientId is immutable"),
        ({"secret": {"targetSecretName": "another"}}, "targetSecretName is immutable"),
    ],
)
def test_what_others_rely_on_cannot_change(
    control_plane: ControlPlane, namespace: str, patch: dict[str, Any], message: str
) -> None:
    assert create(control_plane, app(), "-n", namespace).returncode == 0

    answer = control_plane.run_kubectl(
        *("patch", "extapp", "deck-tracker", "-n", namespace, "--type=merge"),
        *("-p", json.dumps({"spec": patch})),
    )

    assert answer.returncode != 0
    assert message in answer.stderr


def test_a_name_that_is_no_label_is_refused(control_plane: ControlPlane) -> None:
    answer = create(control_plane, app("x" * 64), "--dry-run=server")

    assert answer.returncode != 0
    assert "metadata.name must have at most 63 characters" in answer.stderr


STATUS = ExtensionAppStatus(
    observed_generation=3,
    last_handled_reconcile_at=MANY,
    conditions=tuple(
        Condition(
            type=kind,
            status="True",
            observed_generation=3,
            last_transition_time=LONG_AGO,
            reason="Succeeded",
            message=MANY,
        )
        for kind in ("Ready", "SecretsCurrent", "ConfigurationSynced", "GatewayConfigured")
    ),
    secrets=tuple(
        ExtensionSecret(
            fingerprint=MANY, active_time=LONG_AGO, expiration_time=FAR_AHEAD, state=state
        )
        for state in ("Active", "Pending", "Retiring", "Revoked")
    ),
    last_rotation_time=LONG_AGO,
    next_rotation_time=FAR_AHEAD,
    last_handled_revoke_at=MANY,
    helper_tokens_refused_until=FAR_AHEAD,
    configuration=tuple(
        SegmentStatus(
            segment=MANY,
            channel=MANY,
            state=MANY,
            version=MANY,
            message=MANY,
            last_set_time=LONG_AGO,
            sha256=MANY,
        )
        for _ in range(500)
    ),
)

AN_AGE = r"[0-9][0-9a-z]*"
SHOWN = {
    "NAME": "deck-tracker",
    "READY": "True",
    "SECRETS": "True",
    "CONFIG": "True",
    "ROTATED": AN_AGE,
    "NEXT-ROTATION": "2100-01-01T00:00:00Z",
    "REASON": "Succeeded",
}
SHOWN_WIDE = {
    "CLIENT-ID": "d72hk844mgvex3kbfhrgjtdoeqrh0t",
    "VERSION": "1.3.0",
    "GATEWAY": "True",
    "MESSAGE": "x+…",
    "AGE": AN_AGE,
}


@pytest.mark.parametrize(("args", "shown"), [((), SHOWN), (("-o", "wide"), SHOWN | SHOWN_WIDE)])
def test_the_fullest_status_is_accepted_and_shown(
    control_plane: ControlPlane, namespace: str, args: tuple[str, ...], shown: dict[str, str]
) -> None:
    assert create(control_plane, app(), "-n", namespace).returncode == 0
    written = control_plane.run_kubectl(
        *("apply", "--server-side", "--subresource=status", "--validate=strict"),
        *("-n", namespace, "-f", "-"),
        input=json.dumps(resource("ExtensionApp", "deck-tracker", status=STATUS.to_status())),
    )
    assert written.returncode == 0, written.stderr

    stored = control_plane.run_kubectl("get", "extapp", "-n", namespace, "-o", "json").stdout
    (item,) = json.loads(stored)["items"]
    assert item["status"] == STATUS.to_status()
    assert ExtensionAppStatus.from_status(item["status"]) == STATUS
    answer = control_plane.run_kubectl("get", "extapp", "-n", namespace, *args).stdout
    header, row = (re.split(r" {2,}", line.strip()) for line in answer.splitlines())
    assert header == list(shown)
    for name, cell in zip(header, row, strict=True):
        assert re.fullmatch(shown[name], cell), name


def create(
    control_plane: ControlPlane, manifest: dict[str, Any], *args: str
) -> CompletedProcess[str]:
    if "--dry-run=server" in args:
        return try_create(control_plane, manifest)
    return control_plane.run_kubectl(
        "create", "-f", "-", "-o", "json", *args, input=json.dumps(manifest)
    )
