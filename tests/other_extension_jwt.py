"""How the other Twitch (see `other_extensions`) looks at JWTs: by hand, and with no mercy."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Key", "fault", "new_text", "signed_by", "verified"]


@dataclass(eq=False)
class Key:
    """A shared secret: its base64 text, and from when until when it counts."""

    text: str
    active: float
    ends: float
    deleted: bool = False

    def counts(self, now: float) -> bool:
        return not self.deleted and self.active <= now < self.ends


def new_text() -> str:
    return base64.b64encode(secrets.token_bytes(33)).decode()


def signed_by(key: Key, claims: Mapping[str, Any]) -> str:
    head = {"typ": "JWT", "alg": "HS256"}
    parts = (_url64(json.dumps(each).encode()) for each in (head, claims))
    signed = ".".join(parts)
    return f"{signed}.{_url64(_mac(signed, key))}"


def verified(token: str, key: Key) -> dict[str, Any] | None:
    """The claims, if this secret has signed them."""
    signed, _, mac = token.rpartition(".")
    try:
        if not hmac.compare_digest(_unurl64(mac), _mac(signed, key)):
            return None
        head, claims = (json.loads(_unurl64(part)) for part in signed.split("."))
    except ValueError:
        return None
    return claims if head.get("alg") == "HS256" and isinstance(claims, dict) else None


def fault(owner_id: str, key: Key, claims: dict[str, Any], now: float) -> str:
    """What is wrong with a JWT that one of the secrets has signed; "": nothing."""
    if key.deleted:
        return "signed with a deleted secret"
    if now < key.active:
        return "signed with a secret that is not active yet"
    if now >= key.ends:
        return "signed with an expired secret"
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires is True or expires <= now:
        return "exp: missing, or past"
    if expires > now + 3600:
        return "exp: hours ahead"
    if claims.get("user_id") != owner_id:
        return f"user_id: {claims.get('user_id')!r}"
    return "" if claims.get("role") == "external" else f"role: {claims.get('role')!r}"


def _mac(signed: str, key: Key) -> bytes:
    return hmac.new(base64.b64decode(key.text), signed.encode(), hashlib.sha256).digest()


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unurl64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
