"""The extension backend service as an ASGI application."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from controller.gateway.answers import Refusal, answer_refusal
from controller.gateway.openapi import DESCRIPTION, SECURITY, SEND, SETUP
from controller.gateway.reference import CSP, reference
from controller.gateway.requests import Requests
from controller.gateway.send import Sending
from controller.gateway.setup import Setup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from controller.clients.extensions import Extensions
    from controller.gateway.authorizer import Authorizer
    from controller.gateway.catalog import Catalog
    from controller.gateway.metrics import GatewayMetrics

__all__ = ["make_app"]


def make_app(
    catalog: Catalog,
    authorizer: Authorizer,
    extensions: Extensions,
    metrics: GatewayMetrics,
) -> FastAPI:
    """Make the application.

    Args:
        catalog: What is served; it may change at any time.
        authorizer: Knows whose a bearer token is.
        extensions: Calls Twitch.
        metrics: Are kept.
    """
    app = _App(
        title="twitch-operator gateway",
        description=DESCRIPTION,
        version=importlib.metadata.version("twitch-operator"),
        docs_url=None,  # theirs loads scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    _add(app, "/send", Sending(catalog, authorizer, extensions, metrics).answer, SEND)
    _add(app, "/setup", Setup(extensions, metrics).answer, SETUP)
    app.add_route("/docs", app.docs, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(Refusal, answer_refusal)
    app.add_middleware(Requests, catalog=catalog, metrics=metrics)
    return app


def _add(
    app: FastAPI,
    path: str,
    endpoint: Callable[[Request], Awaitable[Response]],
    described: dict[str, Any],
) -> None:
    """Add a route, with and without a slash at its end; a redirect would lose the body."""
    app.add_api_route(path + "/", endpoint, methods=["POST"], **described)
    app.add_api_route(
        path, endpoint, methods=["POST"], response_model=None, include_in_schema=False
    )


class _App(FastAPI):
    """FastAPI, which cannot know by itself how to log in."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document["components"]["securitySchemes"] = SECURITY
        return document

    async def docs(self, _request: Request) -> Response:
        """Show what /openapi.json says."""
        return HTMLResponse(reference(self.openapi()), headers={"Content-Security-Policy": CSP})
