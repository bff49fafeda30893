"""What the gateway answers with: bodies in JSON, and refusals that end a request anywhere."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

__all__ = [
    "Refusal",
    "answer",
    "answer_refusal",
    "channel_not_allowed",
    "not_ready",
    "quoted",
    "unauthorized",
]

_QUOTED = 128  # characters of what a client sent that are told back to it

# Escapes all but ASCII: what others sent may hold what UTF-8 cannot carry.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Refusal(Exception):
    """Ends a request with an error.

    Args:
        status: HTTP status.
        body: Becomes JSON.
        headers: Beside those that each answer has.
    """

    def __init__(
        self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers


def answer(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Response:
    """Make a response with a body in JSON."""
    return Response(_encode(body), status, headers, media_type="application/json")


async def answer_refusal(_request: Request, error: Exception) -> Response:
    """Make the response of a `Refusal`: for FastAPI, which finds it by the type."""
    if not isinstance(error, Refusal):
        raise error
    return answer(error.status, error.body, error.headers)


def quoted(text: str) -> str:
    """What a client sent, as it may be told back: of bounded length."""
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"


def unauthorized(detail: str) -> Refusal:
    """The bearer token lets nobody in."""
    return Refusal(401, {"detail": detail}, {"WWW-Authenticate": "Bearer"})


def channel_not_allowed(channel: str, available: Sequence[str]) -> Refusal:
    """Somebody is known, and this channel is not theirs."""
    return Refusal(
        403,
        {
            "error": "channel_not_allowed",
            "detail": f"No permission for channel '{quoted(channel)}'",
            "available_channels": list(available),
        },
    )


def not_ready(error: str, detail: str, retry_after: float) -> Refusal:
    """It may pass by itself, after so many seconds."""
    seconds = max(1, math.ceil(retry_after))
    return Refusal(503, {"error": error, "detail": detail}, {"Retry-After": str(seconds)})
