"""What docs/connect.md shows, and examples/connect has: it parses, and belongs together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.resources.twitchchannel import TwitchChannelSpec

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "connect"
PAGE = (ROOT / "docs" / "connect.md").read_text()
WAYS = {
    "authorization-code.yaml": "authorizationCode",
    "device-code.yaml": "deviceCode",
    "refresh-token.yaml": "refreshToken",
}


def manifests(name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for document in yaml.safe_load_all((FOLDER / name).read_text()):
        if document:
            found.setdefault(document["kind"], []).append(document)
    return found


def spec_of(name: str) -> TwitchChannelSpec:
    (channel,) = manifests(name)["TwitchChannel"]
    return TwitchChannelSpec.from_spec(channel["spec"])


@pytest.mark.parametrize(("name", "way"), WAYS.items())
def test_there_is_an_example_of_each_way_in_with_its_application(name: str, way: str) -> None:
    spec = spec_of(name)
    secrets = {each["metadata"]["name"]: each["stringData"] for each in manifests(name)["Secret"]}
    assert spec.authorization.way == way
    app = secrets[spec.app.secret_ref.name]
    assert "client-id" in app
    assert ("client-secret" in app) == (way != "deviceCode")
    assert f"examples/connect/{name}" in PAGE


def test_the_role_names_the_secrets_of_the_examples_and_no_other() -> None:
    (role,) = manifests("authorize-role.yaml")["Role"]
    rights = {
        name: rule["verbs"] for rule in role["rules"] for name in rule.get("resourceNames", ())
    }
    specs = [spec_of(name) for name in WAYS]
    given = {ref.name for spec in specs if (ref := spec.authorization.secret_key_ref)}
    assert rights == {
        "mst3k": ["get", "patch"],
        **{spec.app.secret_ref.name: ["get"] for spec in specs},
        **{name: ["patch"] for name in given},
    }


def test_the_encoder_mounts_the_stream_key_of_the_example() -> None:
    (pod,) = manifests("encoder.yaml")["Pod"]
    (volume,) = pod["spec"]["volumes"]
    wanted = spec_of("authorization-code.yaml").stream_key_secret_name
    assert volume["secret"]["secretName"] == wanted


def test_every_yaml_on_the_page_parses_and_its_channel_is_valid() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    parsed = [yaml.safe_load(block) for block in blocks]
    channels = [each for each in parsed if each.get("kind") == "TwitchChannel"]
    assert len(channels) == 1
    assert TwitchChannelSpec.from_spec(channels[0]["spec"]).authorization.way == "authorizationCode"
