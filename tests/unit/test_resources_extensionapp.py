"""The spec of an ExtensionApp, as the operator parses it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from controller.resources.common import InvalidSpec
from controller.resources.extensionapp import ExtensionAppSpec, ExtensionAppStatus

SPEC: dict[str, Any] = {
    "clientId": "d72hk844mgvex3kbfhrgjtdoeqrh0t",
    "ownerId": "27419011",
    "version": "1.3.0",
    "secret": {
        "bootstrapSecretRef": {"name": "deck-tracker-bootstrap", "key": "secret"},
        "targetSecretName": "deck-tracker-secrets",
    },
}


def spec(**changes: object) -> dict[str, Any]:
    return deepcopy(SPEC) | changes


def test_the_least_spec_has_the_defaults_of_the_product() -> None:
    parsed = ExtensionAppSpec.from_spec(SPEC)
    assert parsed.secret.rotation.interval == 720 * 3600
    assert parsed.secret.rotation.activation_delay == 600
    assert parsed.secret.deletion_policy == "Retain"
    assert parsed.gateway is None


def test_a_broadcaster_segment_is_left_alone_unless_it_is_enforced() -> None:
    channels = [
        {"channelRef": {"name": "mst3k"}, "segment": "developer", "content": "{}"},
        {"channelRef": {"name": "mst3k"}, "segment": "broadcaster", "content": "{}"},
        {
            "channelRef": {"name": "riff"},
            "segment": "broadcaster",
            "content": "{}",
            "policy": "Enforce",
        },
    ]
    parsed = ExtensionAppSpec.from_spec(spec(configuration={"channels": channels}))
    assert parsed.configuration is not None
    assert [entry.enforced for entry in parsed.configuration.channels] == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ownerId": "me"}, "spec.ownerId"),
        ({"clientId": "a\r\nb"}, "spec.clientId"),
        ({"version": ""}, "spec.version"),
        (
            {"configuration": {"global": {"content": "ö" * 2561}}},
            "at most 5120 bytes",
        ),
        (
            {
                "configuration": {
                    "channels": [
                        {"channelRef": {"name": "a"}, "segment": "developer", "content": "1"},
                        {"channelRef": {"name": "a"}, "segment": "developer", "content": "2"},
                    ]
                }
            },
            "twice",
        ),
        ({"gateway": {"oauth": {"channelsClaim": "x"}}}, "exactly one of"),
        (
            {"gateway": {"oauth": {"introspectionUrl": "https://a.example"}}},
            "secretRef goes with introspectionUrl",
        ),
        (
            {"gateway": {"oauth": {"issuer": "https://a.example", "secretRef": {"name": "x"}}}},
            "secretRef goes with introspectionUrl",
        ),
        (
            {"gateway": {"oauth": {"issuer": "https://user@a.example"}}},
            "https URL",
        ),
        ({"gateway": {"allowedOrigins": ["https://a.example/path"]}}, "origin"),
        ({"gateway": {"allowedOrigins": ["*"]}}, "origin"),
    ],
)
def test_what_cannot_work_is_refused_with_its_field(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSpec, match="spec") as refused:
        ExtensionAppSpec.from_spec(spec(**changes))
    assert told in str(refused.value)


def test_content_of_just_five_kilobytes_fits() -> None:
    ExtensionAppSpec.from_spec(spec(configuration={"global": {"content": "ö" * 2560}}))


@pytest.mark.parametrize(
    ("rotation", "told"),
    [
        ({"interval": "10s", "activationDelay": "6s"}, "twice activationDelay"),
        ({"activationDelay": "46m"}, "45m"),
        ({"interval": "1s"}, "10s"),
    ],
)
def test_a_rotation_that_leaves_no_time_is_refused(rotation: dict[str, str], told: str) -> None:
    secret = SPEC["secret"] | {"rotation": rotation}
    with pytest.raises(InvalidSpec, match=told):
        ExtensionAppSpec.from_spec(spec(secret=secret))


def test_the_target_secret_is_none_that_the_user_writes() -> None:
    secret = SPEC["secret"] | {"targetSecretName": "deck-tracker-bootstrap"}
    with pytest.raises(InvalidSpec, match="must be another Secret"):
        ExtensionAppSpec.from_spec(spec(secret=secret))


def test_a_status_of_another_version_is_read_as_far_as_it_goes() -> None:
    status = ExtensionAppStatus.from_status(
        {"secrets": [{"fingerprint": "abc", "state": "Strange"}], "lastHandledRevokeAt": "x"}
    )
    assert status.secrets == ()
    assert status.last_handled_revoke_at == "x"
