"""The examples for GitOps tools, as far as they can be checked without one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from controller.resources.schema import KINDS, crd_manifests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BASE = Path(__file__).parents[2] / "examples" / "gitops" / "kustomize" / "base"


def test_kustomize_knows_every_reference_of_the_resources() -> None:
    known = yaml.safe_load((BASE / "references.yaml").read_text("utf-8"))["nameReference"]
    told = {f"{spec['kind']}: {spec['path']}" for each in known for spec in each["fieldSpecs"]}
    assert told == set(references())


def references() -> Iterator[str]:
    """Kind and path of each field that names another object."""
    for kind in KINDS:
        crd = yaml.safe_load(crd_manifests()[f"{kind.plural}.yaml"])
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path in names_in(schema, "spec"):
            yield f"{kind.name}: {path}"


def names_in(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        if name.endswith("Ref"):
            yield f"{path}/{name}/name"
        yield from names_in(part, f"{path}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from names_in(schema["items"], path)
