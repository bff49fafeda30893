"""Whose a target Secret is, and what is told where it is somebody else's."""

from __future__ import annotations

import pytest

from controller.policies.target_secret import (
    CLIENT_ID_OF,
    foreign_target,
    is_target,
    target_labels,
)

MINE = target_labels("deck")


def told(labels: dict[str, str], annotations: dict[str, str], *, holds_secrets: bool = True) -> str:
    found = foreign_target(
        "deck-secrets",
        labels,
        annotations,
        namespace="games",
        extension="deck",
        client_id="d72hk",
        holds_secrets=holds_secrets,
    )
    if found is None:
        return ""
    assert (found.reason, found.human) == ("Conflict", True)
    assert found.message.startswith("spec.secret.targetSecretName: Secret deck-secrets ")
    assert "not touched" in found.message
    return found.message


def test_it_is_the_extensions_own_by_its_labels_and_client_id() -> None:
    annotations = {CLIENT_ID_OF: "d72hk", "a": "b"}
    assert is_target(MINE | {"more": "labels"}, annotations, "deck", "d72hk")
    assert not told(MINE, annotations)


@pytest.mark.parametrize("labels", [MINE, {}, target_labels("former")])
def test_that_of_another_extension_is_never_handed_over(labels: dict[str, str]) -> None:
    annotations = {CLIENT_ID_OF: "another"}
    assert not is_target(labels, annotations, "deck", "d72hk")
    message = told(labels, annotations)
    assert "clientId another" in message
    assert "kubectl label" not in message
    assert "the last that Twitch takes" in message


def test_one_that_may_hold_the_last_secret_is_handed_over_by_its_marks() -> None:
    for labels, marks in (
        ({}, {}),
        (MINE, {}),
        (MINE, {"a": "b"}),
        (target_labels("former"), {CLIENT_ID_OF: "d72hk"}),
        ({"twitch-operator.dev/extension": "deck"}, {}),
    ):
        message = told(labels, marks)
        assert "delete" not in message
        command = (
            "kubectl label secret deck-secrets -n games --overwrite"
            " app.kubernetes.io/managed-by=twitch-operator twitch-operator.dev/extension=deck"
            " && kubectl annotate secret deck-secrets -n games --overwrite"
            " twitch-operator.dev/client-id=d72hk;"
        )
        assert command in message
    assert "(but as that of former)" in told(target_labels("former"), {})


def test_one_without_secrets_is_not_handed_over() -> None:
    message = told({}, {}, holds_secrets=False)
    assert "kubectl label" not in message
    assert "holds no extension secrets" in message
