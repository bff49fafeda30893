"""The models → structural schemas → CustomResourceDefinitions.

pydantic writes JSON Schema; the API server takes a small part of it, the structural schemas. The
converter knows each construct that the models use, and raises on any other: a field that it would
drop in silence is a field that the API server would not check.

It also holds the models to the house's rules: a description for each field, and an upper bound for
each text, each list and each map, without which the API server refuses CEL rules as too costly.
"""

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from controller.resources.extensionapp import EXTENSION_APP
from controller.resources.kind import GROUP, VERSION, Column, Kind
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL

__all__ = ["KINDS", "UnsupportedSchema", "crd_manifests", "structural_schema"]

KINDS: tuple[Kind, ...] = (TWITCH_CHANNEL, TRIGGER_RULE, EXTENSION_APP)

_HEADER = "# Generated from controller/resources by: twitch-operator crds\n"

# What a structural schema may hold, in the order in which it is written.
_KEYS = (
    *("description", "type", "format", "enum", "default"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    *("x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    *("required", "properties", "additionalProperties", "items"),
)
_NULL = {"type": "null"}
# A new object without a status counts as ready for kstatus, by which Flux and others judge.
_NOT_SEEN = {"default": {"observedGeneration": -1}}


class UnsupportedSchema(TypeError):
    """A model holds what a CRD cannot say, or lacks what a CRD needs; the message says where."""


def structural_schema(model: type[BaseModel], path: str) -> dict[str, Any]:
    """Return the structural schema of a model.

    Args:
        model: Of a spec, a status or a part of one.
        path: Where it stands in the resource, for messages; such as `TriggerRule.spec`.

    Raises:
        UnsupportedSchema: The model cannot be expressed.
    """
    # Defaults pass through the serializers in this mode alone: 30 seconds become "30s".
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    definitions = schema.pop("$defs", {})
    return _convert(schema, definitions, path)


def crd_manifests() -> dict[str, str]:
    """Return the CustomResourceDefinitions: file name → YAML, the same at each call."""
    return {f"{kind.plural}.yaml": _HEADER + _dump(_crd(kind)) for kind in KINDS}


def _convert(
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    path: str,
    within: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Convert one schema; `within` names the definitions around it, to find recursion."""
    schema, within = _flatten(schema, definitions, path, within)
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            result[key] = {
                name: _convert(part, definitions, f"{path}.{name}", within)
                for name, part in value.items()
            }
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            result[key] = _convert(value, definitions, f"{path}[]", within)
        else:
            result |= _keyword(key, value, path)
    if result.get("type") == "integer":
        result["format"] = "int64"
    _tell_default(result)
    _check(result, path)
    return {key: result[key] for key in _KEYS if key in result}


def _tell_default(schema: dict[str, Any]) -> None:
    """Say the default in words, too: `kubectl explain` shows nothing else."""
    default, told = schema.get("default"), schema.get("description", "")
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, str | int | float) and default != "" and "default" not in told.lower():
        schema["description"] = f"{told} Defaults to {default}."


def _keyword(key: str, value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Convert what holds no further schema."""
    match key:
        case "title":
            return {}
        case "additionalProperties" if value is False:
            return {}  # structural schemas prune, and strict field validation refuses
        case "default" | "required" if value in (None, []):
            return {}  # absence says the same
        case "default" if isinstance(value, dict):
            return {key: {name: part for name, part in value.items() if part not in (None, [])}}
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {key.removeprefix("exclusive").lower(): value, key: True}
        case "description":
            return {key: " ".join(value.split())}
        case _ if key in _KEYS:
            return {key: value}
    msg = f"{path}: the converter does not know {key!r}: {value!r}"
    raise UnsupportedSchema(msg)


def _flatten(
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
    path: str,
    within: tuple[str, ...],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Replace references and "or null" by what they stand for; the outer words win."""
    flat = dict(schema)
    while "$ref" in flat or "anyOf" in flat:
        if "$ref" in flat:
            name = flat.pop("$ref").removeprefix("#/$defs/")
            if name in within:
                msg = f"{path}: {name} holds itself, which no structural schema can say"
                raise UnsupportedSchema(msg)
            within = (*within, name)
            inner = definitions[name]
        else:
            choices = [choice for choice in flat.pop("anyOf") if choice != _NULL]
            if len(choices) != 1:
                msg = f"{path}: a union of types is not structural: {choices}"
                raise UnsupportedSchema(msg)
            inner = choices[0]
        flat = {**inner, **flat}
    return flat, within


def _check(schema: Mapping[str, Any], path: str) -> None:
    """Hold a converted schema to the house's rules."""
    lacking = []
    if "description" not in schema and not path.endswith("[]"):
        lacking.append("a description")
    match schema.get("type"):
        case "string" if not schema.keys() & {"maxLength", "enum"}:
            lacking.append("a maxLength")
        case "array" if "maxItems" not in schema:
            lacking.append("maxItems")
        case "object" if "additionalProperties" in schema and "maxProperties" not in schema:
            lacking.append("maxProperties")
        case "object" if not schema.keys() & {"properties", "additionalProperties"}:
            lacking.append("properties")
        case None if "x-kubernetes-preserve-unknown-fields" not in schema:
            lacking.append("a type")
    if lacking:
        msg = f"{path} needs {' and '.join(lacking)}"
        raise UnsupportedSchema(msg)


def _crd(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": structural_schema(kind.spec, f"{kind.name}.spec"),
            "status": structural_schema(kind.status, f"{kind.name}.status") | _NOT_SEEN,
        },
    }
    if kind.rules:
        schema["x-kubernetes-validations"] = [rule.to_schema() for rule in kind.rules]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["twitch"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    priority = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path} | priority


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out, each at its place: anchors are hard to read in a manifest."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _dump(manifest: Mapping[str, Any]) -> str:
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
