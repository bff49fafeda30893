"""CRDs of two releases: each change that an object or an operator of the other could not bear."""

from __future__ import annotations

import copy
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.resources.schema import crd_manifests
from reference import compatibility
from reference.compatibility import changes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Schema = dict[str, Any]

ONE_OF = "[has(dyn(self).pubnub), has(dyn(self).hls)].exists_one(given, given)"
SPEC: Schema = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a"},
        "count": {"type": "integer", "minimum": 1, "maximum": 5, "default": 2},
        "mode": {"type": "string", "enum": ["Enforce", "DryRun"]},
        "topics": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "set",
            "items": {"type": "string", "maxLength": 4},
        },
        "labels": {
            "type": "object",
            "maxProperties": 3,
            "additionalProperties": {"type": "string", "maxLength": 4},
        },
        "feed": {
            "type": "object",
            "properties": {"pubnub": {"type": "object"}, "hls": {"type": "object"}},
            "x-kubernetes-validations": [{"rule": ONE_OF}, {"rule": "self == oldSelf"}],
        },
    },
}
STATUS: Schema = {
    "type": "object",
    "properties": {
        "state": {"type": "string", "enum": ["Active", "Pending"]},
        "message": {"type": "string", "maxLength": 9},
    },
}


def crd() -> Schema:
    schema = {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
    version = {"name": "v1", "served": True, "storage": True}
    names = {"kind": "Thing", "plural": "things", "shortNames": ["th"]}
    return copy.deepcopy(
        {
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": names,
                "versions": [version | {"schema": {"openAPIV3Schema": schema}}],
            }
        }
    )


def changed(change: Callable[[Schema], object], *path: str) -> list[str]:
    """What is found if a part of the schema changes."""
    new = crd()
    part = new["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in path:
        part = part["items"] if step == "[]" else part["properties"][step]
    change(part)
    return changes(crd(), new)


def fields(**changes_: Any) -> Callable[[Schema], object]:  # noqa: ANN401 - of a schema
    return lambda part: part.update(changes_)


def without(name: str) -> Callable[[Schema], object]:
    return lambda part: part.pop(name)


def adding(name: str, **schema: object) -> Callable[[Schema], object]:
    return lambda part: part["properties"].update({name: schema})


def rule(text: str) -> Callable[[Schema], object]:
    return lambda part: part["x-kubernetes-validations"].insert(0, {"rule": text})


THIRD = "[has(dyn(self).pubnub), has(dyn(self).hls), has(dyn(self).chat)].exists_one(given, given)"


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        (["spec"], fields(required=["name", "mode"]), "Thing.spec.mode: became required"),
        (["spec"], lambda part: part["properties"].pop("mode"), "Thing.spec.mode: was removed"),
        (["spec", "name"], fields(maxLength=8), "Thing.spec.name: maxLength 9 became 8"),
        (["spec", "name"], fields(minLength=2), "Thing.spec.name: minLength 1 became 2"),
        (["spec", "name"], fields(pattern="^ab"), "Thing.spec.name: pattern became ^ab"),
        (["spec", "name"], fields(format="uri"), "Thing.spec.name: format became uri"),
        (["spec", "name"], fields(type="integer"), "Thing.spec.name: type became integer"),
        (["spec", "name"], without("type"), "Thing.spec.name: type string was removed"),
        (["spec", "name"], fields(default="a"), "Thing.spec.name: got the default 'a'"),
        (["spec", "count"], fields(minimum=2), "Thing.spec.count: minimum 1 became 2"),
        (["spec", "count"], fields(maximum=4), "Thing.spec.count: maximum 5 became 4"),
        (["spec", "count"], fields(multipleOf=2), "Thing.spec.count: multipleOf became 2"),
        (["spec", "count"], fields(default=3), "Thing.spec.count: the default 2 became 3"),
        (["spec", "count"], without("default"), "Thing.spec.count: the default 2 became None"),
        (["spec", "mode"], fields(enum=["Enforce"]), "Thing.spec.mode: enum ['Enforce', 'DryRun']"),
        (["spec", "name"], fields(enum=["a"]), "Thing.spec.name: enum (none) became ['a']"),
        (["spec", "topics"], fields(maxItems=2), "Thing.spec.topics: maxItems 3 became 2"),
        (["spec", "topics"], fields(minItems=1), "Thing.spec.topics: minItems (none) became 1"),
        (
            ["spec", "topics", "[]"],
            fields(maxLength=3),
            "Thing.spec.topics[]: maxLength 4 became 3",
        ),
        (
            ["spec", "topics"],
            without("x-kubernetes-list-type"),
            "Thing.spec.topics: x-kubernetes-list-type set was removed",
        ),
        (
            ["spec", "labels"],
            fields(maxProperties=2),
            "Thing.spec.labels: maxProperties 3 became 2",
        ),
        (
            ["spec", "labels"],
            fields(additionalProperties={"type": "string", "maxLength": 3}),
            "Thing.spec.labels[]: maxLength 4 became 3",
        ),
        (["spec", "labels"], without("additionalProperties"), "additionalProperties was removed"),
        (["spec", "feed"], rule("self.x"), "Thing.spec.feed: has a new rule: self.x"),
        (
            ["spec"],
            adding("pace", type="string", default="x"),
            "Thing.spec.pace: is new and has a default",
        ),
        (
            ["status"],
            lambda part: part["properties"].pop("state"),
            "Thing.status.state: was removed",
        ),
        (["status", "state"], fields(enum=["Active"]), "Thing.status.state: enum"),
        (
            ["status", "state"],
            fields(enum=["Active", "Pending", "Lost"]),
            "became ['Active', 'Pending', 'Lost']: the CRDs of the last release would refuse",
        ),
        (
            ["status", "message"],
            fields(maxLength=10),
            "Thing.status.message: maxLength 9 became 10",
        ),
        (["status", "message"], without("maxLength"), "maxLength 9 became (none)"),
    ],
)
def test_what_the_other_version_could_not_bear_is_told_with_its_path(
    path: list[str], change: Callable[[Schema], object], told: str
) -> None:
    [finding] = changed(change, *path)
    assert told in finding


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (["spec"], fields(required=[])),
        (["spec"], adding("pace", type="string")),
        (["spec"], adding("pace", type="object", properties={"x": {"default": 1}})),
        (["spec", "name"], fields(maxLength=10)),
        (["spec", "name"], without("pattern")),
        (["spec", "count"], fields(minimum=0, maximum=6)),
        (["spec", "mode"], fields(enum=["DryRun", "Enforce", "Off"])),
        (["spec", "topics"], fields(maxItems=4)),
        (["spec", "feed"], fields(**{"x-kubernetes-validations": []})),
        (["spec", "feed"], lambda part: (adding("chat", type="object")(part), rule(THIRD)(part))),
        (["spec", "name"], fields(description="other words")),
        (["status"], adding("more", type="string")),
    ],
)
def test_what_widens_is_compatible(path: list[str], change: Callable[[Schema], object]) -> None:
    assert changed(change, *path) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (fields(group="other.example.com"), ["Thing: group changed"]),
        (fields(scope="Cluster"), ["Thing: scope changed"]),
        (lambda spec: spec["names"].update(plural="stuff"), ["Thing: names changed"]),
        (lambda spec: spec["names"].update(shortNames=[]), ["Thing: names changed"]),
        (lambda spec: spec["names"].update(shortNames=["th", "t"]), []),
        (
            lambda spec: spec["versions"][0].update(served=False),
            ["Thing: version v1 is not served any more"],
        ),
        (
            lambda spec: spec["versions"][0].update(storage=False),
            ["Thing: version v1 is not stored any more"],
        ),
    ],
)
def test_the_frame_of_a_crd_stays(change: Callable[[Schema], object], told: list[str]) -> None:
    new = crd()
    change(new["spec"])
    assert changes(crd(), new) == told


def test_a_choice_that_exists_already_is_no_new_one() -> None:
    fewer = "[has(dyn(self).pubnub)].exists_one(given, given)"
    assert changed(rule(fewer), "spec", "feed") == [f"Thing.spec.feed: has a new rule: {fewer}"]


def test_the_crds_are_compatible_with_themselves() -> None:
    for text in crd_manifests().values():
        manifest = yaml.safe_load(text)
        assert changes(manifest, copy.deepcopy(manifest)) == []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the present CRDs, and no release."""
    monkeypatch.setattr(compatibility, "ROOT", tmp_path)
    (tmp_path / "crds").mkdir()
    for name, text in crd_manifests().items():
        (tmp_path / "crds" / name).write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "CRDs")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_the_last_release_is_the_highest_tag(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compatibility.main() == 0
    assert "there is no release yet" in capsys.readouterr().out
    for tag in ("v0.9.0", "v0.10.0"):
        git(repository, "tag", tag)
    assert compatibility.main() == 0
    assert capsys.readouterr().out == "crds/ is compatible with v0.10.0\n"
    file = repository / "crds" / "triggerrules.yaml"
    file.write_text(re.sub(r" *- DryRun\n", "", file.read_text()))
    (repository / "crds" / "extensionapps.yaml").unlink()
    assert compatibility.main() == 1
    told = capsys.readouterr().out
    assert "TriggerRule.spec.mode: enum ['Enforce', 'DryRun'] became ['Enforce']" in told
    assert "crds/extensionapps.yaml was removed" in told


def test_a_clone_without_history_is_refused(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    clone = tmp_path_factory.mktemp("clones") / "shallow"
    file = repository / "crds" / "triggerrules.yaml"
    file.write_text("changed")
    git(repository, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qam", "x")
    git(repository, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    monkeypatch.setattr(compatibility, "ROOT", clone)
    assert compatibility.main() == 1
    assert "git fetch --unshallow --tags" in capsys.readouterr().out
