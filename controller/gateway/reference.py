"""/docs: the OpenAPI document as a page for people, which needs no script and no other host."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CSP", "reference"]

CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""What the page may load: nothing."""

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{border:1px solid #8886;padding:.3rem .6rem;
text-align:left;vertical-align:top}code{font-family:ui-monospace,monospace}
:root{color-scheme:light dark}"""


def reference(document: Mapping[str, Any]) -> str:
    """Make the page.

    Args:
        document: OpenAPI, as /openapi.json has it.
    """
    title = escape(document["info"]["title"])
    operations = "".join(
        _operation(f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    about = escape(document["info"].get("description", "")).replace("`", "")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{about}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a></p>{operations}</html>'
    )


def _operation(name: str, operation: Mapping[str, Any]) -> str:
    headers = [("Authorization", "required", f"Bearer: {_schemes(operation)}")] + [
        (each["name"], "required" if each["required"] else "", each["description"])
        for each in operation.get("parameters", ())
    ]
    answers = [
        (status, each.get("description", "")) for status, each in operation["responses"].items()
    ]
    body = operation.get("requestBody")
    fields = [
        (field, _needed(field, schema), f"{described['type']}. {described['description']}")
        for schema in ([body["content"]["application/json"]["schema"]] if body else [])
        for field, described in schema["properties"].items()
    ]
    parts = [("Headers", headers), ("Body (JSON)", fields), ("Answers", sorted(answers))]
    return f"<h2><code>{escape(name)}</code></h2><p>{escape(operation['summary'])}</p>" + "".join(
        f"<h3>{title}</h3>{_table(rows)}" for title, rows in parts if rows
    )


def _schemes(operation: Mapping[str, Any]) -> str:
    return ", ".join(name for each in operation.get("security", ()) for name in each)


def _needed(field: str, schema: Mapping[str, Any]) -> str:
    return "required" if field in schema.get("required", ()) else ""


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    return (
        "<table>"
        + "".join(
            f"<tr><th><code>{escape(first)}</code>"
            + "".join(f"<td>{escape(cell)}" for cell in rest)
            for first, *rest in rows
        )
        + "</table>"
    )
