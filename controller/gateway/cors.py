"""CORS: which web pages' scripts may call.

A preflight does not say for which extension it is: it is answered for the origins of all. What
follows it does, and its answer is for the origins of that extension alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from controller.gateway.request_context import CHANNEL, CLIENT_ID, VERSION

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope

    from controller.gateway.catalog import Catalog
    from controller.gateway.request_context import RequestContext

__all__ = ["Preflights", "cors_headers"]

_EXPOSED = b"X-Request-Id, Retry-After"


class Preflights(CORSMiddleware):
    """Answers preflights; it is not in the way of anything else.

    Args:
        app: Is not called.
        catalog: Has the origins.
    """

    def __init__(self, app: ASGIApp, catalog: Catalog) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", CLIENT_ID, CHANNEL, VERSION, "X-Request-Id"),
        )
        self._catalog = catalog

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether any of the extensions names it."""
        return self._catalog.allows_origin(origin.lower())

    def answer(self, scope: Scope) -> Response | None:
        """The answer to a preflight; None: it is none."""
        if scope["method"] != "OPTIONS":
            return None
        headers = Headers(scope=scope)
        if "Origin" not in headers or "Access-Control-Request-Method" not in headers:
            return None
        return self.preflight_response(headers)


def cors_headers(context: RequestContext, catalog: Catalog) -> list[tuple[bytes, bytes]]:
    """What lets a page's script see an answer, or not."""
    headers = [(b"vary", b"Origin")]
    origin = context.header("Origin")
    if not origin:
        return headers
    served = context.served
    allowed = (
        origin.lower() in served.allowed_origins
        if served is not None
        else catalog.allows_origin(origin.lower())
    )
    if allowed:
        headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        headers.append((b"access-control-expose-headers", _EXPOSED))
    return headers
