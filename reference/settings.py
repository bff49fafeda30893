"""The page of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args, get_origin

from controller.settings import PREFIX, Settings
from reference.tables import code, table

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["default_text", "settings_page"]

_INTRODUCTION = f"""# Settings

Every setting is an environment variable with the prefix `{PREFIX}`. Write durations in Go
syntax, such as `90s` or `1m30s`, and lists with commas. The operator (`twitch-operator run`) and
the gateway (`twitch-operator gateway`) read the same variables. If a value cannot be parsed, the
process exits with a message that names the variable. The log warns about unknown variables with
this prefix.

Set `ALLOWED_FETCH_HOSTS` to the same value for both: the condition `GatewayConfigured`, which the
operator writes, says which URLs the gateway will not call.
"""


def settings_page() -> str:
    """Return the page."""
    rows = [
        [code(name), _type(field), code(default_text(field)), field.description or ""]
        for name, field in Settings.variables().items()
    ]
    return _INTRODUCTION + "\n" + table(["variable", "type", "default", "description"], rows) + "\n"


def _type(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(code(value) for value in get_args(field.annotation))
    if get_origin(field.annotation) is tuple:
        return "list"
    names = {bool: "boolean", int: "integer", float: "duration", str: "string"}
    return names[field.annotation] if field.annotation in names else str(field.annotation)


def default_text(field: FieldInfo) -> object:
    """Return the default as a user writes it."""
    value = field.default
    if isinstance(value, bool):
        return str(value).lower()
    return _go_duration(value) if field.annotation is float else value


def _go_duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{number:g}{unit}" for number, unit in parts if number)
