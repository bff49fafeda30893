"""JWTs of Twitch's extension helper, with which an extension's front end tells who it is.

Contract: https://dev.twitch.tv/docs/extensions/reference/#jwt-schema
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from controller.policies.extension_secrets import key_of, verifying_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.policies.extension_secrets import SharedSecret

__all__ = ["BadHelperToken", "Viewer", "read_helper_token"]

_MAX_TOKEN = 8192  # characters
_MOST_AHEAD = 7 * 86_400.0  # seconds that a token may live
_EXPIRY_LEEWAY = 5.0  # seconds that a token is taken after its time, for clocks that drift apart
_START_LEEWAY = 30.0  # seconds that it is taken before its time
_NAMES = ("user_id", "channel_id", "role")
_JWS = jwt.PyJWS(algorithms=["HS256"])


class BadHelperToken(Exception):
    """A token that shows nothing.

    Attributes:
        error: What the answer calls it.
        detail: The same for people.
    """

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who sent a token.

    Attributes:
        user_id: "" where it is not shared.
        channel_id: Where they are.
        role: broadcaster, moderator, viewer or external.
        linked: Whether they share their identity with the extension.
    """

    user_id: str
    channel_id: str
    role: str
    linked: bool


def read_helper_token(token: str, secrets: Iterable[SharedSecret], now: float) -> Viewer:
    """Verify a token.

    Args:
        token: As the client sent it.
        secrets: All of the extension that are known.
        now: The present time.

    Raises:
        BadHelperToken: It is not one of Twitch's for this extension, is too old, or lacks a claim.
    """
    claims = _verify(token, secrets, now)
    for name in _NAMES:
        if name in claims and not isinstance(claims[name], str):
            raise _invalid(f"{name} is not a string")
    _check_times(claims, now)
    missing = [name for name in _NAMES if name not in claims]
    if missing:
        what = "The JWT has no " + ", ".join(missing)
        raise BadHelperToken("missing_payload_key", what)
    return Viewer(
        user_id=claims["user_id"].strip(),
        channel_id=claims["channel_id"],
        role=claims["role"],
        linked=claims.get("is_unlinked") in (None, False),
    )


def _verify(token: str, secrets: Iterable[SharedSecret], now: float) -> Mapping[str, Any]:
    """The claims of a token that one of the secrets signed."""
    if len(token) > _MAX_TOKEN:
        raise _invalid("it is too long")
    for secret in verifying_secrets(secrets, now):
        key = key_of(secret.content)
        if key is None:
            continue
        try:
            claims = json.loads(_JWS.decode(token, key, algorithms=["HS256"]).decode())
        except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
            continue
        except (jwt.PyJWTError, ValueError, RecursionError):
            break
        if isinstance(claims, dict):
            return claims
        break
    raise _invalid("it is not signed by Twitch for this extension (HS256)")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires = _number(claims.get("exp"))
    # Compared, never added to: JSON has numbers beyond those of a float, and Python also NaN.
    if expires is None or not expires <= now + _MOST_AHEAD:
        raise _invalid("exp is missing, is not a number, or is too far in the future")
    for name in ("iat", "nbf"):
        begin = _number(claims.get(name, 0))
        if begin is None or not begin <= now + _START_LEEWAY:
            raise _invalid(f"{name} is not a number, or is in the future")
    if expires <= now - _EXPIRY_LEEWAY:
        raise BadHelperToken("expired_signature", "The JWT has expired.")


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _invalid(why: str) -> BadHelperToken:
    return BadHelperToken("invalid_jwt", f"The JWT is not valid: {why}.")
