"""The settings of the program as values of the chart."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from controller.durations import DURATION_PATTERN
from controller.feeds import registry as _feeds  # noqa: F401 - and their settings
from controller.settings import PREFIX, Settings
from reference.settings import default_text

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["ELSEWHERE", "in_values", "setting_schemas"]

ELSEWHERE = {
    PREFIX + "WATCH_NAMESPACES": "watchNamespaces",
    PREFIX + "GATEWAY_ADDRESS": "gateway.port",
    PREFIX + "HEALTH_ADDRESS": "healthPort",
    PREFIX + "METRICS_ADDRESS": "metrics.port",
    PREFIX + "SHARDS": "shards",
    PREFIX + "SHARD": "the number of the Deployment",
    PREFIX + "LEASE_NAMESPACE": "the release's namespace",
    PREFIX + "LEASE_IDENTITY": "the UID of the Pod",
}
"""Variables that the chart has under another name, for more depends on them."""

_BEGIN, _END = "  # BEGIN SETTINGS (made by `make chart`)\n", "  # END SETTINGS\n"


def setting_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each value below `settings`."""
    return {
        _camel(name): {
            "description": field.description,
            **_schema(field),
            **({"pattern": "^https?://"} if name.endswith("_URL") else {}),
            "default": _default(field),
        }
        for name, field in Settings.variables().items()
        if name not in ELSEWHERE
    }


def in_values(text: str) -> str:
    """Return a values.yaml with all settings in it, as comments where it sets none."""
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    lines = []
    for name, schema in setting_schemas().items():
        if f"\n  {name}:" in before:
            continue
        lines += [f"  # {line}\n" for line in textwrap.wrap(schema["description"], 94)]
        default = schema["default"]
        shown = default if isinstance(default, str) and default else json.dumps(default)
        lines.append(f"  # {name}: {shown}\n")
    return before + _BEGIN + "".join(lines) + _END + after


def _schema(field: FieldInfo) -> dict[str, Any]:
    if get_origin(field.annotation) is Literal:
        return {"enum": list(get_args(field.annotation))}
    if get_origin(field.annotation) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    if field.annotation is float:
        return {"type": "string", "pattern": DURATION_PATTERN}
    if field.annotation is int:
        return {"type": "integer", "minimum": 1}
    return {"type": "boolean" if field.annotation is bool else "string"}


def _default(field: FieldInfo) -> Any:  # noqa: ANN401 - of the value's own type
    if get_origin(field.annotation) is tuple:
        return list(field.default)
    return default_text(field) if field.annotation is float else field.default


def _camel(name: str) -> str:
    first, *others = name.removeprefix(PREFIX).lower().split("_")
    return first + "".join(other.capitalize() for other in others)
