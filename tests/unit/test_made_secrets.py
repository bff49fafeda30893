"""Which Secrets a reference may name: those of the user, not what the operator made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.channels.grant import token_secret as tokens
from controller.clients.kube import Secret
from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret
from controller.feeds.pubnub.spec import PubNubSpec
from controller.feeds.registry import source_of
from controller.policies.problems import Blocked
from controller.policies.target_secret import CLIENT_ID_OF, target_labels
from controller.resources.common import SecretReference
from controller.resources.one_of import Chosen
from controller.runtime.owned_secrets import owner_reference
from controller.runtime.resource import Key

OTHER = Key("TwitchChannel", "tv", "other")
GIVEN = Secret({"key": b"text", "subscribe-key": b"sub-c-1"}, {}, (), "1", "u")
TOKENS = replace(GIVEN, labels=tokens.labels(OTHER))
OWNER = ({**owner_reference(OTHER, "u")},)


@pytest.mark.parametrize(
    ("secret", "held"),
    [
        (TOKENS, "the tokens of TwitchChannel other"),
        (
            replace(TOKENS, labels={**TOKENS.labels, "more": "labels"}),
            "the tokens of TwitchChannel",
        ),
        (
            replace(TOKENS, labels={**TOKENS.labels, tokens.CONTENT: "stream-key"}),
            "the stream key of TwitchChannel other",
        ),
        (replace(GIVEN, labels=target_labels("else")), "the shared secrets of ExtensionApp else"),
        (replace(GIVEN, labels={"app.kubernetes.io/managed-by": "twitch-operator"}), "data of its"),
        # The labels were lost.
        (replace(GIVEN, data={**GIVEN.data, "input-sha256": b""}), "the tokens of a TwitchChannel"),
        (replace(GIVEN, data={**GIVEN.data, "device-code": b"{}"}), "the tokens of a"),
        (replace(GIVEN, annotations={CLIENT_ID_OF: "x"}), "the shared secrets of an ExtensionApp"),
        (replace(GIVEN, owners=OWNER), "what the operator keeps for another resource"),
    ],
)
def test_what_the_operator_made_is_refused(secret: Secret, held: str) -> None:
    with pytest.raises(InvalidSecret) as refused:
        text_of_key(secret, "its-name", "key")
    assert f"Secret its-name was made by the operator and holds {held}" in str(refused.value)
    assert "name a Secret of your own" in str(refused.value)
    spec = PubNubSpec(secret_ref=SecretReference(name="its-name"), topics=("a",))
    blocked = source_of(Chosen("pubnub", spec), secret, "tv")
    assert isinstance(blocked, Blocked)
    assert (blocked.reason, blocked.human) == ("InvalidSecret", True)
    assert blocked.message.startswith("spec.feed.pubnub.secretRef: Secret its-name was made by")


@pytest.mark.parametrize(
    "secret",
    [
        GIVEN,
        replace(GIVEN, labels={"app.kubernetes.io/managed-by": "Helm"}),
        replace(GIVEN, annotations={"twitch-operator.dev/allowed-host": "id.example.com"}),
        replace(GIVEN, owners=({"apiVersion": "bitnami.com/v1alpha1", "uid": "u"},)),
    ],
)
def test_what_the_user_or_another_tool_made_is_read(secret: Secret) -> None:
    assert text_of_key(secret, "its-name", "key").reveal() == "text"
