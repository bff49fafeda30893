"""The page of a resource: its columns, and each field of its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from controller.resources.schema import crd_manifests
from reference.tables import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["resource_pages"]


def resource_pages() -> dict[str, str]:
    """Return the page of each kind, by file name."""
    crds = [yaml.safe_load(manifest) for manifest in crd_manifests().values()]
    return {f"{crd['spec']['names']['singular']}.md": _page(crd) for crd in crds}


def _page(crd: dict[str, Any]) -> str:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    api_version = f"{crd['spec']['group']}/{version['name']}"
    parts = [
        f"# {names['kind']}",
        schema["description"],
        f"`apiVersion: {api_version}`, short name `{names['shortNames'][0]}`.",
        f"In a cluster, `kubectl explain {names['singular']}.spec --recursive` lists the fields.",
        "## Columns of kubectl get",
        _columns(version["additionalPrinterColumns"]),
    ]
    for name in ("spec", "status"):
        parts += _object(name, schema["properties"][name], 2)
    return "\n\n".join(parts) + "\n"


def _columns(columns: list[dict[str, Any]]) -> str:
    rows = [
        [column["name"], code(column["jsonPath"]), "`-o wide`" if column.get("priority") else ""]
        for column in columns
    ]
    return table(["column", "value", "shown with"], rows)


def _object(path: str, schema: dict[str, Any], depth: int) -> Iterator[str]:
    """Yield the section of an object, and then those of the objects in it."""
    yield f"{'#' * min(depth, 4)} {path}"
    yield schema["description"]
    rules = [f"- {rule['message']}" for rule in schema.get("x-kubernetes-validations", ())]
    if rules:
        yield "The API server checks:\n\n" + "\n".join(rules)
    fields: dict[str, Any] = schema["properties"]
    required = schema.get("required", ())
    yield table(
        ["field", "type", "default", "description"],
        [_row(path, name, field, required=name in required) for name, field in fields.items()],
    )
    for name, field in fields.items():
        step, inner = _inner(field)
        if "properties" in inner:
            told = {**inner, "description": inner.get("description", field["description"])}
            yield from _object(f"{path}.{name}{step}", told, depth + 1)


def _inner(field: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a list or a map holds, and how a path goes on into it."""
    if "items" in field:
        return "[]", field["items"]
    if isinstance(field.get("additionalProperties"), dict):
        return "{}", field["additionalProperties"]
    return "", field


def _row(path: str, name: str, field: dict[str, Any], *, required: bool) -> list[str]:
    step, inner = _inner(field)
    shown = code(name)
    if "properties" in inner:
        anchor = f"{path}.{name}{step}".lower().translate({ord(c): None for c in ".[]{}"})
        shown = f"[{shown}](#{anchor})"
    default = field.get("default", "")
    if isinstance(default, bool):
        default = str(default).lower()
    told = field["description"].removesuffix(f" Defaults to {default}.")
    rules = [] if "properties" in inner else field.get("x-kubernetes-validations", [])
    return [
        shown + (" (required)" if required else ""),
        _type(field),
        code(default),
        " ".join([told, *(f"It {rule['message']}." for rule in rules)]),
    ]


def _type(field: dict[str, Any]) -> str:
    step, inner = _inner(field)
    if step:
        return ("list of " if step == "[]" else "map of ") + _type(inner)
    if "enum" in field:
        return ", ".join(code(value) for value in field["enum"])
    return str(field.get("type", "any"))
