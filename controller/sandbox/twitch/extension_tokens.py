"""The JWTs of extensions, read as strictly as Twitch does. No I/O and no clock.

Written out by hand: a library that callers use as well would hide their common mistakes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.sandbox.twitch.extensions import Extension

__all__ = ["helper_token", "signers", "verify"]


def helper_token(extension: Extension, claims: Mapping[str, Any], now: float) -> str:
    """Make a JWT (HS256) as Twitch's extension helper hands it to a front end.

    Raises:
        Refusal: 400, no secret is active.
    """
    active = extension.signers(now)
    if not active:
        raise Refusal(400, f"extension {extension.client_id} has no active secret")
    head = {"alg": "HS256", "typ": "JWT"}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, dict(claims)))
    return f"{text}.{_encoded(_signature(text, active[0].key))}"


def signers(extensions: Iterable[Extension], token: str, now: float) -> list[Extension]:
    """The extensions with whose secret a JWT is signed; none, where it is not a JWT either."""
    try:
        text, signature = _parts(token)
    except ValueError:
        return []
    return [each for each in extensions if _is_signed(each, text, signature, now)]


def verify(extension: Extension, token: str, now: float) -> dict[str, Any]:
    """The claims of a JWT with which an extension's backend calls Twitch.

    Raises:
        Refusal: 401, it is none, or none of this extension, or not good now.
    """
    try:
        text, signature = _parts(token)
        head, claims = (_object(part) for part in text.split("."))
    except (ValueError, RecursionError):
        raise Refusal(401, "JWT token is malformed") from None
    if head.get("alg") != "HS256":
        raise Refusal(401, "JWT token must be signed with HS256")
    if not _is_signed(extension, text, signature, now):
        raise Refusal(401, "JWT signature is invalid")
    _check_claims(extension, claims, now)
    return claims


def _check_claims(extension: Extension, claims: Mapping[str, Any], now: float) -> None:
    expiry, not_before = claims.get("exp"), claims.get("nbf", 0)
    if type(expiry) is not int:
        raise Refusal(401, "JWT must have the claim exp, a whole number of seconds")
    if expiry <= now:
        raise Refusal(401, "JWT token has expired")
    if type(not_before) not in (int, float) or not not_before <= now:
        raise Refusal(401, "JWT token is not valid yet")
    # The number 1 is not the text "1" here, either.
    if claims.get("user_id") != extension.owner_id:
        raise Refusal(401, "JWT user_id must be the id of the extension's owner, as a string")
    if claims.get("role") != "external":
        raise Refusal(401, "JWT role must be external")


def _is_signed(extension: Extension, text: str, signature: bytes, now: float) -> bool:
    secrets = extension.signers(now)
    return any(hmac.compare_digest(_signature(text, each.key), signature) for each in secrets)


def _parts(token: str) -> tuple[str, bytes]:
    """What is signed, and the signature.

    Raises:
        ValueError: It is not a JWT.
    """
    text, _, signature = token.rpartition(".")
    if text.count(".") != 1:
        msg = "a JWT has three parts"
        raise ValueError(msg)
    return text, _decoded(signature)


def _object(part: str) -> dict[str, Any]:
    value = json.loads(_decoded(part))
    if not isinstance(value, dict):
        msg = "not an object"
        raise ValueError(msg)
    return value


def _signature(text: str, key: bytes) -> bytes:
    return hmac.digest(key, text.encode(errors="surrogateescape"), hashlib.sha256)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """Base64url without padding.

    Raises:
        ValueError: It is anything else.
    """
    if "+" in text or "/" in text or "=" in text:
        msg = "not base64url"
        raise ValueError(msg)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        msg = "not base64url"
        raise ValueError(msg) from error
