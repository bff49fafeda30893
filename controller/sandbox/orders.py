"""What all simulators have in common under `/_sandbox`: the list of orders, and how one is refused.

`GET /_sandbox` answers `{"endpoints": [{"method", "path", "does", "body"}, …], …}`; a mistake is
answered with `{"error": "…"}`, which names the field.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from aiohttp import web

from controller.pydantic_messages import problem_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from aiohttp.typedefs import Handler, Middleware
    from pydantic import BaseModel, ValidationError

__all__ = ["bad_order", "complaint", "described", "order_middleware", "surplus"]


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
        told.append(
            f"{field}: " + (f"unknown; there are {known}" if unknown else problem_of(fault))
        )
    return "; ".join(told)


def bad_order(error: ValidationError, body: type[BaseModel]) -> web.HTTPBadRequest:
    """The answer to an order whose fields are wrong."""
    text = json.dumps({"error": complaint(error, body)})
    return web.HTTPBadRequest(text=text, content_type="application/json")


def surplus(query: str, known: Collection[str], raw: bytes, *, takes_body: bool) -> str | None:
    """Say what an order was given that it does not take, and would not look at; None: nothing.

    Args:
        query: The raw query string.
        known: Names of the query parameters that the order takes.
        raw: The body; an empty JSON object counts as none.
        takes_body: The order takes a body, whose fields are judged by `complaint`.
    """
    there_are = f"there are {', '.join(known)}" if known else "this order takes none"
    told = [
        f"query parameter {name}: unknown; {there_are}"
        for name in parse_qs(query, keep_blank_values=True)
        if name not in known
    ]
    if not takes_body and raw.strip():
        told += [f"{field}: unknown; this order takes no body" for field in _fields(raw)]
    return "; ".join(told) or None


def _fields(raw: bytes) -> list[str]:
    """The names of a body's fields, or what stands for them."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return ["body"]
    return list(value) if isinstance(value, dict) else ["body"]


def order_middleware(
    root: str,
    endpoints: Iterable[tuple[str, str, str, type[BaseModel] | None]],
    queries: Collection[tuple[str, str, str]] = (),
) -> Middleware:
    """Make an aiohttp middleware that refuses what an order does not take.

    Args:
        root: Path of the control.
        endpoints: Method, path below the root, what it does, body.
        queries: Method, path and name of each query parameter that is taken.
    """
    bodies = {(method, root + path): body for method, path, _, body in endpoints}

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        order = request.method, request.path
        if order in bodies:
            known = [name for method, path, name in queries if (method, root + path) == order]
            raw, query = await request.read(), request.rel_url.raw_query_string
            told = surplus(query, known, raw, takes_body=bodies[order] is not None)
            if told is not None:
                return web.json_response({"error": told}, status=400)
        return await handler(request)

    return refuse
