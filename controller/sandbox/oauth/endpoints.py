"""What the provider serves to everybody: introspection (RFC 7662), discovery, and its key set."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote_plus

from aiohttp import web

from controller.sandbox.oauth.provider import INTROSPECTION_PATH

if TYPE_CHECKING:
    from controller.sandbox.oauth.provider import Provider

__all__ = ["JWKS_PATH", "Endpoints", "basic_credentials", "form_token"]

JWKS_PATH = "/oauth2/jwks"

_DISCOVERY_PATH = "/.well-known/openid-configuration"
_FORM = "application/x-www-form-urlencoded"
_UNTOLD = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # as RFC 6749 asks of such answers


class Endpoints:
    """Puts a provider on HTTP.

    Args:
        provider: Who knows.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def add_routes(self, app: web.Application) -> None:
        """Put the endpoints on an application."""
        app.add_routes(
            [
                web.post(INTROSPECTION_PATH, self._introspect),
                web.get(JWKS_PATH, self._key_set),
                web.get(_DISCOVERY_PATH, self._discover),
            ]
        )

    async def _introspect(self, request: web.Request) -> web.Response:
        if not self._provider.knows(*basic_credentials(request)):
            return web.json_response(
                {"error": "invalid_client", "error_description": "log in by HTTP Basic"},
                status=401,
                headers={"WWW-Authenticate": 'Basic realm="introspection"'} | _UNTOLD,
            )
        token = await form_token(request)
        if not token:
            described = {"error": "invalid_request", "error_description": "the form has no token"}
            return web.json_response(described, status=400, headers=_UNTOLD)
        return web.json_response(self._provider.tokens.introspect(token), headers=_UNTOLD)

    async def _key_set(self, _request: web.Request) -> web.Response:
        return web.json_response(self._provider.keys.published())

    async def _discover(self, _request: web.Request) -> web.Response:
        url = self._provider.url
        return web.json_response(
            {
                "issuer": self._provider.issuer,
                "jwks_uri": f"{url}{JWKS_PATH}",
                "introspection_endpoint": f"{url}{INTROSPECTION_PATH}",
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "response_types_supported": ["none"],  # tokens come from the control endpoints
                "subject_types_supported": ["public"],
            }
        )


def basic_credentials(request: web.BaseRequest) -> tuple[str, str]:
    """Client id and secret of HTTP Basic, each form-encoded as RFC 6749 (2.3.1) has them.

    Returns:
        Two empty texts where there are none, or none that can be read.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)


async def form_token(request: web.BaseRequest) -> str:
    """The field `token` of a form; empty where there is none."""
    if request.content_type != _FORM:
        return ""
    fields = parse_qs((await request.read()).decode("utf-8", "replace"))
    return fields.get("token", [""])[0]
