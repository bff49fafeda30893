"""Defaults of the CRDs, and what of a channel can change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.commercials import DEFAULT_POLICY
from controller.resources.triggerrule import (
    TriggerRuleSpec,
)
from controller.resources.twitchchannel import (
    TwitchChannelSpec,
)
from tests.cluster.crd_cases import (
    COMMERCIAL,
    ONE_WAY_IN,
    channel,
    code,
    create,
    grant,
    matching,
    rule,
)

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from controller.sandbox.controlplane import ControlPlane


pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def test_defaults_are_filled_in(control_plane: ControlPlane) -> None:
    stored_channel = create(control_plane, channel(), "--dry-run=server").stdout
    stored_rule = create(control_plane, rule(), "--dry-run=server").stdout

    channel_spec, rule_spec = json.loads(stored_channel)["spec"], json.loads(stored_rule)["spec"]
    assert channel_spec["token"] == {"deletionPolicy": "Retain"}
    assert channel_spec["suspend"] is False
    assert channel_spec["commercials"] == {
        "delay": "0s",
        "onCooldown": "Wait",
        "lateness": "Shorten",
        "lengths": "Exact",
        "minLength": "30s",
        "breakGap": "10s",
    }
    assert not {"scopes", "streamKeySecretName"} & set(channel_spec)
    assert TwitchChannelSpec.from_spec(channel_spec).commercials is DEFAULT_POLICY
    assert rule_spec["match"] == [{"field": "msg_type", "equals": "video", "not": False}]
    assert {
        "idField": "common.unique_id",
        "timeField": "",
        "maxAge": "30s",
        "mode": "Enforce",
        "priority": 0,
        "suspend": False,
    }.items() <= rule_spec.items()


def test_a_field_that_is_null_counts_as_left_out(control_plane: ControlPlane) -> None:
    given = matching(equals=1, exists=None, gt=None, **{"not": None})
    nulls = {"suspend": None, "priority": None, "cancelOn": None, "channelSelector": None}
    given["spec"] |= nulls
    stored = create(control_plane, given, "--dry-run=server").stdout
    assert TriggerRuleSpec.from_spec(json.loads(stored)["spec"]) == TriggerRuleSpec.from_spec(
        given["spec"]
    )


@pytest.mark.parametrize(
    ("before", "patch"),
    [
        ({"secretName": "tokens"}, {"token": {"secretName": "others"}}),
        ({"secretName": "tokens"}, {"token": {"secretName": None}}),
        ({"secretName": "tokens"}, {"token": None}),
        (None, {"token": {"secretName": "tokens"}}),
        (None, {"token": {"secretName": "mst3k-twitch-token"}}),
    ],
    ids=["changed", "removed", "removed with its parent", "added", "added as by default"],
)
def test_the_name_of_the_token_secret_cannot_change(
    control_plane: ControlPlane, namespace: str, before: object, patch: dict[str, Any]
) -> None:
    created = create(control_plane, channel(token=before), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(control_plane, namespace, patch)

    assert answer.returncode != 0
    assert "spec.token: Invalid value: token.secretName cannot be changed" in answer.stderr


@pytest.mark.parametrize("before", [{"secretName": "tokens"}, None])
def test_all_else_of_a_channel_can_change(
    control_plane: ControlPlane, namespace: str, before: object
) -> None:
    created = create(control_plane, channel(token=before), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(
        control_plane,
        namespace,
        {
            "login": "renamed",
            "app": {"secretRef": {"name": "other-app"}},
            "authorization": grant("other-grant"),
            "scopes": [*COMMERCIAL, "channel:read:stream_key"],
            "token": {"deletionPolicy": "Delete"},
            "streamKeySecretName": "encoder",
            "suspend": True,
        },
    )

    assert answer.returncode == 0, answer.stderr


def test_the_way_in_and_the_name_for_the_stream_key_can_change(
    control_plane: ControlPlane, namespace: str
) -> None:
    created = create(control_plane, channel(streamKeySecretName="encoder"), "-n", namespace)
    assert created.returncode == 0, created.stderr

    patches: tuple[dict[str, Any], ...] = (
        {"authorization": {"refreshToken": None, "deviceCode": {}}},
        {"authorization": {"deviceCode": None, **code()}, "streamKeySecretName": "encoder-2"},
        {"authorization": {"authorizationCode": None, **grant()}, "streamKeySecretName": None},
    )
    for patch in patches:
        answer = patch_channel(control_plane, namespace, patch)
        assert answer.returncode == 0, answer.stderr


def test_a_second_way_in_is_refused_beside_the_first(
    control_plane: ControlPlane, namespace: str
) -> None:
    created = create(control_plane, channel(), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(control_plane, namespace, {"authorization": {"deviceCode": {}}})

    assert answer.returncode != 0
    assert ONE_WAY_IN in answer.stderr


def patch_channel(
    control_plane: ControlPlane, namespace: str, spec: dict[str, Any]
) -> CompletedProcess[str]:
    patch = json.dumps({"spec": spec})
    return control_plane.run_kubectl(
        *("patch", "tch", "mst3k", "-n", namespace, "--type=merge", "-p", patch)
    )
