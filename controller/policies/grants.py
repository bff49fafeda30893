"""What a channel's grant needs next: a pure function of what is known about it.

The order of the checks is the order of the user's steps: the application, the token Secret's owner,
the consent, the token itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.sensitive import Sensitive

__all__ = [
    "COMMERCIAL_SCOPE",
    "READ_ADS_SCOPE",
    "Blocked",
    "Facts",
    "Grant",
    "Idle",
    "Import",
    "Plan",
    "Refresh",
    "Store",
    "Validate",
    "plan",
    "refresh_time",
]

COMMERCIAL_SCOPE = "channel:edit:commercial"
READ_ADS_SCOPE = "channel:read:ads"

_REFRESH_SHARE = 0.25
_REFRESH_JITTER = 0.1
_REFRESH_AT_LEAST = 30.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens of a channel, as its token Secret keeps them.

    Attributes:
        access: Access token.
        refresh: Refresh token; a public client's works once.
        expires_at: When the access token ends.
        lifetime: Seconds it was given for; 0 where that is not known.
        scopes: What the broadcaster consented to.
        input_sha256: Fingerprint of the refresh token that was imported.
    """

    access: Sensitive
    refresh: Sensitive
    expires_at: float
    lifetime: float
    scopes: tuple[str, ...]
    input_sha256: str

    def expired(self, now: float) -> bool:
        """Whether the access token's time is over."""
        return now >= self.expires_at

    def without_access(self) -> Grant:
        """The same grant, its access token known to be refused."""
        return replace(self, expires_at=0.0)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a grant.

    Attributes:
        blocked: Why the application's Secret or the token Secret cannot be used; None: they can.
        input_problem: Why the input Secret gives no refresh token; None: it does.
        input_token: The refresh token to import; None where there is a problem.
        refused_inputs: Fingerprints of inputs that Twitch called dead.
        grant: The tokens in hand; None: none yet.
        revoked: Twitch's words when it called the grant dead; None: it did not.
        unsaved: The grant is newer than its Secret.
        validated_at: When this process last validated the access token; None: not yet.
        jitter: 0..1, steady for the channel.
    """

    blocked: Blocked | None
    input_problem: Blocked | None
    input_token: Sensitive | None
    refused_inputs: frozenset[str]
    grant: Grant | None
    revoked: str | None
    unsaved: bool
    validated_at: float | None
    jitter: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing can be done until somebody else acts.

    Attributes:
        reason: CamelCase, for the condition.
        message: Names the field and the remedy.
        human: A human must change something that exists (else: waiting for what may come).
    """

    reason: str
    message: str
    human: bool


@dataclass(frozen=True, slots=True)
class Import:
    """Exchange the refresh token that the user gave."""

    token: Sensitive


@dataclass(frozen=True, slots=True)
class Refresh:
    """Exchange the stored refresh token."""


@dataclass(frozen=True, slots=True)
class Store:
    """Write the grant to its Secret."""


@dataclass(frozen=True, slots=True)
class Validate:
    """Ask Twitch whose token it is."""


@dataclass(frozen=True, slots=True)
class Idle:
    """All is well; look again at this instant."""

    until: float


Plan = Blocked | Import | Refresh | Store | Validate | Idle


def plan(facts: Facts, now: float, validate_interval: float) -> Plan:
    """The next step for a grant.

    Args:
        facts: What is known.
        now: The present time.
        validate_interval: Seconds between two validations.
    """
    if facts.blocked is not None:
        return facts.blocked
    if facts.unsaved:
        return Store()
    grant, token = facts.grant, facts.input_token
    fresh_input = token is not None and token.sha256() not in facts.refused_inputs
    if (
        token is not None
        and fresh_input
        and (grant is None or token.sha256() != grant.input_sha256)
    ):
        return Import(token)
    if grant is None and facts.input_problem is not None:
        return facts.input_problem
    if grant is None or facts.revoked is not None:
        told = facts.revoked or "Twitch refused the refresh token"
        return Blocked("AuthorizationRevoked", f"{told}. {_CONSENT_ANEW}", human=True)
    if now >= refresh_time(grant, facts.jitter):
        return Refresh()
    if facts.validated_at is None or now >= facts.validated_at + validate_interval:
        return Validate()
    return Idle(min(refresh_time(grant, facts.jitter), facts.validated_at + validate_interval))


_CONSENT_ANEW = (
    "The broadcaster must consent anew (a changed password or a disconnected app ends every grant):"
    " put the new refresh token into the Secret of spec.authorization.refreshToken"
)


def refresh_time(grant: Grant, jitter: float) -> float:
    """When to refresh: with a quarter of the lifetime left, spread by the channel's jitter.

    A failed refresh is tried again many times before the old token ends.
    """
    share = _REFRESH_SHARE + _REFRESH_JITTER * jitter
    # A token that lives shortly must not be refreshed as soon as it is there.
    least = min(_REFRESH_AT_LEAST, grant.lifetime / 2) if grant.lifetime else _REFRESH_AT_LEAST
    return grant.expires_at - max(grant.lifetime * share, least)
