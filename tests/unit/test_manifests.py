"""Files with resources, as kubectl takes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.commands.manifests import read_manifests
from controller.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

API = "twitch-operator.dev/v1alpha1"


def read(folder: Path, text: str) -> list[dict[str, Any]]:
    file = folder / "file"
    file.write_text(text, "utf-8")
    return read_manifests([str(file)])


def a_rule(**match: object) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "TriggerRule", "spec": {"match": [match]}}


def test_yaml_is_what_kubectl_makes_of_it(tmp_path: Path) -> None:
    text = (
        f"apiVersion: {API}\nkind: TriggerRule\nspec:\n  match: [{{equals: y, gt: 1e1, in: [08]}}]"
    )
    assert read(tmp_path, text) == [a_rule(equals=True, gt=10, **{"in": [8]})]


def test_json_may_be_indented_with_tabs_and_follow_json(tmp_path: Path) -> None:
    rule = a_rule(equals="y", gt=1e1, lt=2**63)
    text = json.dumps(rule, indent="\t")
    assert read(tmp_path, text + text) == [rule, rule]
    (found, _) = read(tmp_path, text + text)
    match = found["spec"]["match"][0]
    assert [type(match[name]) for name in ("gt", "lt")] == [int, float]


def test_lists_are_taken_apart_and_other_resources_passed_over(tmp_path: Path) -> None:
    rule = a_rule(equals=1)
    config = {"apiVersion": "v1", "kind": "ConfigMap"}
    rules = {"apiVersion": API, "kind": "TriggerRuleList", "items": [rule]}
    several = {"apiVersion": "v1", "kind": "List", "items": [rule, config]}
    text = "---\n# nothing\n---\n" + yaml.safe_dump_all([rules, config, several])
    assert read(tmp_path, text) == [rule, rule]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML that kubectl takes: while parsing a flow node"),
        ("a: .inf", "Kubernetes takes no infinite number and no NaN"),
        ("- a", "document 1 is a list of 1, and a manifest is an object"),
        ("{}\n---\nhello", 'document 2 is "hello", and a manifest is an object'),
    ],
)
def test_what_kubectl_would_not_take_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        read(tmp_path, text)
    assert told in str(refusal.value)
