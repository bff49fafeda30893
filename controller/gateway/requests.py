"""Around each request: its id, CORS, metrics, the log line, and an answer whatever happens.

A plain ASGI middleware: all that is on the way of every request is here.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from controller.gateway.answers import answer
from controller.gateway.cors import Preflights, cors_headers
from controller.gateway.request_context import UNKNOWN, RequestContext

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from controller.gateway.catalog import Catalog
    from controller.gateway.metrics import GatewayMetrics

__all__ = ["CLIENT_GONE", "Requests"]

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""Stands for the status where the client has gone before its request was read."""


class Requests:
    """The middleware.

    Args:
        app: Answers.
        catalog: What is served.
        metrics: Are kept.
    """

    def __init__(self, app: ASGIApp, catalog: Catalog, metrics: GatewayMetrics) -> None:
        self._app = app
        self._preflights = Preflights(app, catalog)
        self._catalog = catalog
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = RequestContext(scope, self._catalog)
        preflight = self._preflights.answer(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status = message["status"]
                message["headers"] = [*message["headers"], *_headers(context)]
                if preflight is None:
                    message["headers"] += cors_headers(context, self._catalog)
            await send(message)

        begin = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await _answer(preflight or self._app, context, scope, receive, send_with_headers)
        finally:
            self._metrics.in_flight.dec()
            self._tell(scope["method"], context, time.perf_counter() - begin)

    def _tell(self, method: str, context: RequestContext, seconds: float) -> None:
        status = context.status or CLIENT_GONE
        # It may have been deleted meanwhile, and its series dropped: they must not come back.
        extension = context.label if context.still_served else UNKNOWN
        self._metrics.answered(context.route, status, extension)
        logger.info(
            "%s %s %d in %.1f ms, extension %s, request %s",
            method,
            context.route,
            status,
            1000 * seconds,
            context.label,
            context.request_id,
        )


async def _answer(
    app: ASGIApp, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    try:
        await app(scope, receive, send)
    except ClientDisconnect:
        pass
    except Exception:
        if context.status:
            raise  # it is too late for another answer
        logger.exception("request %s", context.request_id)
        detail = f"This is a fault of the gateway: its log tells of {context.request_id}."
        await answer(500, {"detail": detail})(scope, receive, send)


def _headers(context: RequestContext) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-request-id", context.request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
