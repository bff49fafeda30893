"""What all simulators have in common under `/_sandbox`: the list of orders, and how one is refused.

`GET /_sandbox` answers `{"endpoints": [{"method", "path", "does", "body"}, …], …}`; a mistake is
answered with `{"error": "…"}`, which names the field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = ["complaint", "described"]


def described(method: str, path: str, does: str, body: type[BaseModel] | None) -> dict[str, Any]:
    """Return an entry of the list; `body` has the fields that are taken, null: there are none."""
    fields = body.model_json_schema()["properties"] if body is not None else None
    return {"method": method, "path": path, "does": does, "body": fields}


def complaint(error: ValidationError, body: type[BaseModel]) -> str:
    """Say what is wrong with the fields of an order; of one that is unknown, which there are."""
    known = ", ".join(body.model_fields)
    told = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(map(str, fault["loc"])) or "body"
        unknown = fault["type"] == "extra_forbidden"
        told.append(f"{field}: " + (f"unknown; there are {known}" if unknown else fault["msg"]))
    return "; ".join(told)
