from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.resources.schema import KINDS
from controller.resources.triggerrule import TriggerRuleSpec
from controller.resources.twitchchannel import TwitchChannelSpec
from controller.rules.compiled import compile_rule

if TYPE_CHECKING:
    from controller.resources.kind import Kind

EXAMPLES = Path(__file__).parents[2] / "examples"


def manifests(kind: str) -> list[dict[str, Any]]:
    documents = (
        document
        for file in sorted(EXAMPLES.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    )
    return [document for document in documents if document and document["kind"] == kind]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_there_are_examples_of_each_kind_and_they_parse(kind: Kind) -> None:
    examples = manifests(kind.name)

    assert examples
    for example in examples:
        kind.spec.from_spec(example["spec"])


def test_the_examples_refer_to_what_they_bring_along() -> None:
    secrets = {
        secret["metadata"]["name"]: set(secret["stringData"]) for secret in manifests("Secret")
    }
    channels = {channel["metadata"]["name"] for channel in manifests("TwitchChannel")}
    extensions = {extension["metadata"]["name"] for extension in manifests("ExtensionApp")}

    for channel in manifests("TwitchChannel"):
        spec = TwitchChannelSpec.from_spec(channel["spec"])
        given = spec.authorization.secret_key_ref
        assert {"client-id", "client-secret"} <= secrets[spec.app.secret_ref.name]
        assert given is None or given.key in secrets[given.name]
        made = {spec.token_secret_name(channel["metadata"]["name"]), spec.stream_key_secret_name}
        assert not made & set(secrets)
    for rule in manifests("TriggerRule"):
        spec = rule["spec"]
        assert spec["channelRef"]["name"] in channels
        assert "subscribe-key" in secrets[spec["feed"]["pubnub"]["secretRef"]["name"]]
        compile_rule(TriggerRuleSpec.from_spec(spec))
        message = spec["action"].get("extensionMessage")
        assert message is None or message["extensionRef"]["name"] in extensions


def test_the_examples_of_messages_are_json_objects_of_both_kinds() -> None:
    messages = [json.loads(file.read_text()) for file in (EXAMPLES / "messages").iterdir()]

    assert {message["msg_type"] for message in messages} == {"scte35", "video"}
