"""What the simulator reads and writes, without sockets: a call, an answer, a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - part of the public dataclasses
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Answer", "Call", "Refusal", "json_answer"]


class Refusal(Exception):
    """Something the simulator does not do, as HTTP would say it.

    Args:
        status: HTTP status.
        message: The text a client sees.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Call:
    """One HTTP request as it arrived. Holds credentials as they are: see `journal.show`.

    Attributes:
        time: When it arrived, seconds since the epoch by the simulator's clock.
        method: Such as `POST`.
        path: Such as `/helix/channels/commercial`, without the query.
        query: The raw query string.
        headers: By name, in any case.
        body: As it came.
        login: The broadcaster whose credential the call carried; "" where there was none.
        status: What was answered; None while under way, and for a dropped connection.
    """

    time: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    login: str = ""
    status: int | None = None

    def values(self, name: str) -> list[str]:
        """All values of one query parameter, empty ones left out."""
        return parse_qs(self.query).get(name, [])

    def value(self, name: str) -> str:
        """The first value of one query parameter, or ""."""
        return next(iter(self.values(name)), "")

    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body; none for a body of any other type."""
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return {}
        fields = parse_qs(self.body.decode(errors="replace"))
        return {name: values[0] for name, values in fields.items()}

    def token(self, *schemes: str) -> str:
        """The token of the Authorization header if its scheme is one of these, else ""."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() in schemes else ""

    def json(self) -> dict[str, Any]:
        """The JSON object of the body; empty for anything else, so that fields are missing."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response.

    Attributes:
        status: HTTP status.
        body: Bytes to send.
        headers: Content-Type among them, unless the body is empty.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, value: object, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that carries a JSON value."""
    content_type = {"Content-Type": "application/json; charset=utf-8"}
    return Answer(status, json.dumps(value).encode(), content_type | dict(headers or {}))
