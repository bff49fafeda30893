"""Asks an OAuth2 provider about a bearer token: RFC 7662."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from controller.clients.fetch import FetchFailed, FetchForbidden
from controller.gateway.claims import account_of, expiry_of
from controller.gateway.providers import InvalidToken, ProviderUnavailable

if TYPE_CHECKING:
    from controller.clients.fetch import Fetcher
    from controller.gateway.providers import Principal, Provider

__all__ = ["introspect"]


async def introspect(fetcher: Fetcher, provider: Provider, token: str, now: float) -> Principal:
    """Ask whose a token is.

    Args:
        fetcher: Calls.
        provider: One with an introspection URL.
        token: Of whoever called.
        now: The present time.

    Raises:
        InvalidToken: It is nobody's.
        ProviderUnavailable: There is no answer that tells.
    """
    secret = provider.client_secret
    # RFC 6749, 2.3.1: form-encoded, then HTTP Basic.
    login = (quote(provider.client_id, safe=""), quote(secret.reveal(), safe="") if secret else "")
    form = {"token": token, "token_type_hint": "access_token"}
    try:
        fetched = await fetcher.post(provider.introspection_url or "", form, login)
    except (FetchFailed, FetchForbidden) as error:
        raise ProviderUnavailable(f"spec.gateway.oauth.introspectionUrl: {error}") from error
    if fetched.status != 200:
        msg = (
            f"the provider answered an introspection with {fetched.status}: see"
            " spec.gateway.oauth, and client-id and client-secret in its Secret"
        )
        raise ProviderUnavailable(msg)
    claims = _object(fetched.body)
    if claims.get("active") is not True:
        raise InvalidToken
    expires = expiry_of(claims)
    if expires is not None and expires <= now:
        raise InvalidToken
    return account_of(claims, provider.channels_claim, expires)


def _object(body: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(body)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        msg = "the provider's answer to an introspection is not a JSON object"
        raise ProviderUnavailable(msg)
    return claims
