"""What the provider has issued, and to whom it tells what it knows. No I/O."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.sandbox.oauth.keys import SigningKeys

__all__ = ["CHANNELS_CLAIM", "Client", "Issued", "TokenOrder", "Tokens", "fingerprint"]

CHANNELS_CLAIM = "twitch_channels"
"""Claim with the ids of the channels that an account is linked to."""

_KEPT = 10_000  # tokens; the oldest are forgotten, and inactive from then on


class Client(BaseModel):
    """Who may introspect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: str = Field(min_length=1)
    client_secret: str = Field(min_length=1, repr=False)


class TokenOrder(BaseModel):
    """An access token to issue; JSON of the same fields is taken by the control endpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: str = Field("account", min_length=1, description="Whose it is: the claim sub.")
    channels: tuple[str, ...] | None = Field(
        (), description=f"Linked channel ids: the claim {CHANNELS_CLAIM}; null: no such claim."
    )
    lifetime: float | None = Field(
        3600, description="Seconds; below zero: expired already; null: no end, and no claim exp."
    )
    form: Literal["opaque", "jwt"] = Field("opaque", description="Random text, or a signed JWT.")
    audience: str | None = Field(None, min_length=1, description="The claim aud; null: none.")
    claims: dict[str, Any] = Field(
        default={}, description="More claims, or odd ones in place of those above."
    )


@dataclass(slots=True)
class Issued:
    """An access token that was issued.

    Attributes:
        order: How it was asked for.
        expires: Seconds since the epoch; None: never.
        claims: What a JWT says, and the introspection of either form.
        revoked: Whether it was taken back.
    """

    order: TokenOrder
    expires: float | None
    claims: Mapping[str, Any]
    revoked: bool = False

    def active(self, now: float) -> bool:
        """Whether it is good at this moment, in seconds since the epoch."""
        return not self.revoked and (self.expires is None or now < self.expires)


class Tokens:
    """Issues, remembers, describes and takes back access tokens.

    Args:
        keys: Sign those that are JWTs.
        clock: Seconds since the epoch.
    """

    def __init__(self, keys: SigningKeys, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock
        self._issued: dict[str, Issued] = {}

    def issue(self, order: TokenOrder, issuer: str) -> str:
        """Make an access token.

        Args:
            order: What it is to be.
            issuer: The claim iss.
        """
        now = self._clock()
        expires = None if order.lifetime is None else now + order.lifetime
        claims = _claims(order, issuer, now, expires)
        token = self._keys.sign(claims) if order.form == "jwt" else secrets.token_urlsafe(32)
        self._issued[token] = Issued(order, expires, claims)
        if len(self._issued) > _KEPT:
            del self._issued[next(iter(self._issued))]
        return token

    def introspect(self, token: str) -> dict[str, Any]:
        """What RFC 7662 tells of a token: no more than that where it is no good."""
        issued = self._issued.get(token)
        if issued is None or not issued.active(self._clock()):
            return {"active": False}
        described = {"active": True, "token_type": "Bearer", "username": issued.order.account}
        return {**described, **issued.claims}

    def revoke(self, *, token: str | None = None, account: str | None = None) -> int:
        """Take back one token, or all of an account.

        Returns:
            How many were good before.
        """
        now = self._clock()
        hit = [
            issued
            for text, issued in self._issued.items()
            if (token == text or account == issued.order.account) and issued.active(now)
        ]
        for issued in hit:
            issued.revoked = True
        return len(hit)

    def listed(self) -> list[dict[str, Any]]:
        """All tokens for other eyes, oldest first: their fingerprints in place of themselves."""
        now = self._clock()
        return [
            {
                "fingerprint": fingerprint(token),
                "form": issued.order.form,
                "active": issued.active(now),
                "revoked": issued.revoked,
                "expires": issued.expires,
                "claims": dict(issued.claims),
            }
            for token, issued in self._issued.items()
        ]


def fingerprint(token: str) -> str:
    """The first twelve hexadecimal digits of a token's SHA-256."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _claims(order: TokenOrder, issuer: str, now: float, expires: float | None) -> dict[str, Any]:
    claims: dict[str, Any] = {"iss": issuer, "sub": order.account, "iat": int(now)}
    claims["jti"] = secrets.token_hex(8)  # else two JWTs of one second were the same token
    if expires is not None:
        claims["exp"] = int(expires)
    if order.audience is not None:
        claims["aud"] = order.audience
    if order.channels is not None:
        claims[CHANNELS_CLAIM] = list(order.channels)
    return claims | order.claims
