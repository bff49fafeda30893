"""What the simulator received: the last calls, and how many there were. No I/O."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.sandbox.twitch.wire import Call

__all__ = ["Journal", "show"]

_MASK = "***"
_SECRET_FIELDS = frozenset(
    {"access_token", "client_secret", "code", "device_code", "jwt", "refresh_token", "token"}
)
_HEADERS_SHOWN = ("Client-Id", "Content-Type", "User-Agent")


class Journal:
    """The last `keep` calls, oldest first, with the credentials they carried."""

    def __init__(self, keep: int) -> None:
        self._calls: deque[Call] = deque(maxlen=keep)
        self.count = 0

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def add(self, call: Call) -> None:
        """Keep a call, and count it."""
        self._calls.append(call)
        self.count += 1

    def clear(self) -> None:
        """Forget all calls, and count from zero."""
        self._calls.clear()
        self.count = 0

    def find(self, method: str = "", path: str = "", login: str = "") -> list[Call]:
        """The kept calls with this method, path and broadcaster; "" stands for any."""
        return [
            call
            for call in self._calls
            if method in ("", call.method) and path in ("", call.path) and login in ("", call.login)
        ]


def show(call: Call) -> dict[str, Any]:
    """A call as JSON for other eyes: credentials are `***`, unreadable bodies only counted."""
    headers = {name.lower(): call.headers[name] for name in _HEADERS_SHOWN if name in call.headers}
    if "Authorization" in call.headers:
        scheme, space, _ = call.headers["Authorization"].partition(" ")
        headers["authorization"] = f"{scheme} {_MASK}" if space else _MASK
    return {
        "time": call.time,
        "method": call.method,
        "path": call.path,
        "query": _pairs(call.query),
        "headers": headers,
        "body": _body(call),
        "login": call.login,
        "status": call.status,
    }


def _pairs(encoded: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(encoded, keep_blank_values=True)
    return [(name, _MASK if name.lower() in _SECRET_FIELDS else value) for name, value in pairs]


def _body(call: Call) -> Any:  # noqa: ANN401 - any JSON value
    if not call.body:
        return None
    if call.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        return dict(_pairs(call.body.decode(errors="replace")))
    try:
        return _masked(json.loads(call.body))
    except (ValueError, RecursionError):
        return f"({len(call.body)} bytes that are neither a form nor JSON)"


def _masked(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {
            name: _MASK if name.lower() in _SECRET_FIELDS else _masked(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return value
