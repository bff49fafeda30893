"""A spec takes the types that the API server takes: a file is read as the cluster reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.resources.common import InvalidSpec
from controller.resources.schema import KINDS, crd_manifests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resources.kind import Kind

WRONG: dict[str, tuple[object, ...]] = {
    "boolean": ("true", 1, 0.0),
    "integer": ("5", True, 5.5, "true"),
    "number": ("5", True),
    "string": (5, 5.5, True),
}

_Path = tuple[str | int, ...]


def leaves(schema: dict[str, Any], path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    for name, part in schema.get("properties", {}).items():
        yield from leaves(part, (*path, name))
    if "type" in schema and "items" in schema:
        yield from leaves(schema["items"], (*path, 0))
    if isinstance(inner := schema.get("additionalProperties"), dict):
        yield from leaves(inner, (*path, "key"))
    if schema.get("type") in WRONG:
        yield path, schema["type"]


def fields() -> Iterator[tuple[Kind, _Path, str]]:
    for kind in KINDS:
        version = yaml.safe_load(crd_manifests()[f"{kind.plural}.yaml"])["spec"]["versions"][0]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        yield from ((kind, path, type_) for path, type_ in leaves(spec))


def faults(kind: Kind, path: _Path, value: object) -> list[str]:
    """What is said of the one field; others that the spec lacks do not matter."""
    for part in reversed(path):
        value = [value] if part == 0 else {part: value}
    at = "spec" + "".join("[0]" if part == 0 else f".{part}" for part in path)
    try:
        kind.spec.from_spec(value)  # type: ignore[arg-type]
    except InvalidSpec as error:
        return [fault for fault in str(error).split("; ") if fault.startswith(f"{at}: ")]
    return []


def test_no_field_takes_a_value_of_another_type() -> None:
    taken = [
        (kind.name, path, value)
        for kind, path, type_ in fields()
        for value in WRONG[type_]
        if not faults(kind, path, value)
    ]

    assert len(list(fields())) > 60
    assert taken == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("match", 0, "exists"), "true", "must be true or false, without quotes"),
        (("suspend",), "true", "must be true or false, without quotes"),
        (("priority",), "5", "must be a whole number, without quotes"),
        (("match", 0, "in"), "video", "must be a list"),
        (("match", 0, "glob"), ["a"], "must be a string"),
        (("match", 0), "video", "must be an object"),
        (("asRun",), ["a"], "must be an object"),
        (("dedupe", "key"), [], "list should have at least 1 item after validation, not 0"),
        (("maxAge",), 30, "must be a duration from 1s to 5m, such as 30s or 1m30s"),
    ],
)
def test_a_refusal_tells_how_to_write_it(path: _Path, value: object, said: str) -> None:
    [rule] = [kind for kind in KINDS if kind.name == "TriggerRule"]
    at = ".".join(map(str, path)).replace(".0", "[0]")

    assert faults(rule, path, value) == [f"spec.{at}: {said}"]


def test_a_whole_number_may_have_a_fraction_of_nought() -> None:
    [rule] = [kind for kind in KINDS if kind.name == "TriggerRule"]

    assert faults(rule, ("priority",), 5.0) == []
