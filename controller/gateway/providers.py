"""OAuth2 providers, as a resource names them, and what comes of asking one."""

from __future__ import annotations

from dataclasses import dataclass

from controller.errors import TransientError
from controller.sensitive import Sensitive  # noqa: TC001 - part of a public dataclass

__all__ = ["Account", "InvalidToken", "Provider", "ProviderUnavailable"]


@dataclass(frozen=True, slots=True)
class Provider:
    """Who vouches for bearer tokens: by introspection (RFC 7662), or as the issuer of JWTs.

    Attributes:
        introspection_url: Where a token is asked about; None: it is a JWT of `issuer`.
        client_id: With which the gateway logs in there.
        client_secret: The same.
        issuer: Who issues the JWTs; None: tokens are asked about.
        audience: Whom the JWTs must be for; None: whomever.
        channels_claim: Claim with the channels that the token's account is linked to.
        problem: Why it cannot be asked at all; None: it can.
    """

    introspection_url: str | None = None
    client_id: str = ""
    client_secret: Sensitive | None = None
    issuer: str | None = None
    audience: str | None = None
    channels_claim: str = "twitch_channels"
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Whose a token is, as far as the gateway cares.

    Attributes:
        channels: Ids of the channels that the account is linked to.
        expires: When the token ends, in seconds since the epoch; None: nobody says.
    """

    channels: tuple[str, ...]
    expires: float | None = None


class InvalidToken(Exception):
    """The provider does not vouch for the token."""


class ProviderUnavailable(TransientError):
    """The provider cannot be asked at present: nobody knows whose the token is."""
