"""OAuth2 providers, as a resource names them, and what comes of asking one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret, TransientError
from controller.policies.gateway_checks import CLIENT_ID, CLIENT_SECRET, provider_problem
from controller.sensitive import Sensitive  # noqa: TC001 - part of a public dataclass

if TYPE_CHECKING:
    from collections.abc import Collection

    from controller.clients.kube import Secret
    from controller.resources.extensionapp import OAuth

__all__ = ["InvalidToken", "Login", "Principal", "Provider", "ProviderUnavailable", "provider_of"]


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
class Login:
    """What the Secret of a provider held, and for whom it was read.

    Attributes:
        url: Where it may be sent: the introspection URL that was declared then.
        name: Of the Secret.
        secret: None: there was none.
    """

    url: str | None
    name: str
    secret: Secret | None


def provider_of(
    oauth: OAuth,
    login: Login | None,
    trouble: str,
    allowed_hosts: Collection[str],
    namespace: str,
) -> Provider:
    """The provider that a spec declares.

    Args:
        oauth: As declared now.
        login: Read last, perhaps for another declaration: then it is not used.
        trouble: Why the Secret cannot be read; "": it was not tried yet.
        allowed_hosts: The setting ALLOWED_FETCH_HOSTS.
        namespace: Of the ExtensionApp.
    """
    provider = Provider(
        introspection_url=oauth.introspection_url,
        issuer=oauth.issuer,
        audience=oauth.audience,
        channels_claim=oauth.channels_claim,
    )
    name = oauth.secret_ref.name if oauth.secret_ref is not None else None
    if name is not None and (
        login is None or (login.url, login.name) != (oauth.introspection_url, name)
    ):
        reason = f"cannot be read: {trouble}" if trouble else "was not read yet"
        return replace(provider, problem=f"spec.gateway.oauth.secretRef: Secret {name} {reason}")
    secret = login.secret if name is not None and login is not None else None
    data = secret.data if secret is not None else None
    annotations = secret.annotations if secret is not None else {}
    blocked = provider_problem(oauth, data, annotations, allowed_hosts, namespace)
    if blocked is not None:
        return replace(provider, problem=blocked.message)
    if name is None or secret is None:
        return provider
    try:
        return replace(
            provider,
            client_id=text_of_key(secret, name, CLIENT_ID).reveal(),
            client_secret=text_of_key(secret, name, CLIENT_SECRET),
        )
    except InvalidSecret as error:
        return replace(provider, problem=str(error))


@dataclass(frozen=True, slots=True)
class Principal:
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
