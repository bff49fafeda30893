"""values.yaml → what each value is: its default, its description, its schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["Value", "read_values"]

_SCHEMA = "@schema "
_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """One value of the chart.

    Args:
        path: Such as `image.tag`.
        default: What values.yaml has.
        description: The comment above it.
        extra: What its line `@schema` adds.
        children: The values in it; none: it is one, whatever it holds.
    """

    path: str
    default: Any
    description: str
    extra: dict[str, Any]
    children: list[Value] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition(".")[2]

    def schema(self) -> dict[str, Any]:
        """Return its JSON schema; an object with known keys takes no others."""
        told = {"description": self.description} if self.description else {}
        if self.children:
            return told | _closed({each.name: each.schema() for each in self.children}) | self.extra
        return {**told, "type": _TYPES[type(self.default)], "default": self.default, **self.extra}


def read_values(text: str) -> list[Value]:
    """Return the values of a values.yaml in its order."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    return _values(node, yaml.safe_load(text), text.splitlines(), "")


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _values(node: Any, defaults: Any, lines: list[str], prefix: str) -> list[Value]:  # noqa: ANN401
    found = []
    for key, inner in node.value:
        default, path = defaults[key.value], prefix + key.value
        description, extra = _comment(lines, key.start_mark.line, key.start_mark.column)
        known = isinstance(default, dict) and "additionalProperties" not in extra
        children = _values(inner, default, lines, path + ".") if known else []
        found.append(Value(path, default, description, extra, children))
    return found


def _comment(lines: list[str], line: int, column: int) -> tuple[str, dict[str, Any]]:
    """Return the description and the schema in the comment that ends right above a line."""
    start, extra = " " * column + "# ", {}
    told: list[str] = []
    while lines[line - 1].startswith(start) and line > 0:
        line -= 1
        text = lines[line].removeprefix(start)
        if text.startswith(_SCHEMA):
            extra = yaml.safe_load(text.removeprefix(_SCHEMA))
        else:
            told.insert(0, text)
    return " ".join(told), extra
