"""What keeps a channel from its grant, in the words that its user reads: reason and remedy."""

from __future__ import annotations

from dataclasses import dataclass

from controller.resources.common import rfc3339

__all__ = [
    "Blocked",
    "client_rejected",
    "code_refused",
    "consent_anew",
    "foreign_secret",
    "left",
    "missing_secret",
    "owner_refused",
    "pending",
    "redirect_refused",
    "revoked",
    "secret_refused",
    "strangers",
    "token_refused",
    "type_code",
]


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


def missing_secret(field: str, name: str, namespace: str, keys: str, command: str = "") -> Blocked:
    """A Secret that is not there yet; `command` makes it, where one does."""
    some = f"create it with the {'keys' if ' and ' in keys else 'key'} {keys}"
    remedy = f"run {command}, or {some}" if command else some
    message = f"{field}: Secret {name} does not exist in namespace {namespace}; {remedy}"
    return Blocked("SecretNotFound", message, human=False)


def foreign_secret(field: str, name: str) -> Blocked:
    """A Secret under a name of ours that the operator did not make."""
    message = (
        f"{field}: Secret {name} exists and was not made by the operator for this channel; it is"
        " not touched: delete it, or set another name in a new TwitchChannel"
    )
    return Blocked("Conflict", message, human=True)


def secret_refused(told: object) -> Blocked:
    """The API server refuses to read or to write a Secret, for a reason that does not pass."""
    message = (
        f"{told}. Change what refuses it: the operator's rights, an admission policy, a quota, or"
        " immutable: true on the Secret. The operator retries every minute"
    )
    return Blocked("SecretRefused", message, human=True)


def owner_refused(field: str, name: str, told: object) -> Blocked:
    """A Secret is stored, but its owner could not be changed."""
    message = (
        f"{field}: Secret {name} is stored, but keeps its former owner: {told}. Give the operator"
        " the verb delete on this Secret, or change its ownerReferences yourself"
    )
    return Blocked("OwnerRefused", message, human=True)


def client_rejected(told: str, name: str) -> Blocked:
    """Twitch refuses the application."""
    message = f"{told}. Correct client-id and client-secret in Secret {name} (spec.app.secretRef)"
    return Blocked("ClientRejected", message, human=True)


def redirect_refused(told: str) -> Blocked:
    """Twitch refuses the redirect URI: the code itself may be good."""
    message = (
        f"{told}. Set spec.authorization.authorizationCode.redirectUri to the redirect URI that the"
        " consent was asked for with, as registered for the application (dev.twitch.tv/console)"
    )
    return Blocked("ClientRejected", message, human=True)


def code_refused(told: str, remedy: str) -> Blocked:
    """Twitch takes an authorization code only once, and only for some minutes."""
    message = (
        f"{told}. The code was used before, has run out (it lives for minutes), or is another"
        f" application's: {remedy}"
    )
    return Blocked("AuthorizationRevoked", message, human=True)


def token_refused(told: str, remedy: str) -> Blocked:
    """Twitch does not take the refresh token that the user gave."""
    message = (
        f"{told}. {_ENDS_GRANTS}: {remedy}, or put a new refresh token into the Secret of"
        " spec.authorization.refreshToken"
    )
    return Blocked("AuthorizationRevoked", message, human=True)


def strangers(login: str, wanted: str) -> Blocked:
    """The new consent is of another broadcaster than the one who is wanted, and was."""
    message = f"it is of {login}, and spec.login is {wanted}: sign in as {wanted} and consent again"
    if login == wanted:
        message = (
            f"it is of another user, who has the login {login} by now: correct spec.login to the"
            " broadcaster's new login, sign in as that one and consent again"
        )
    return Blocked("LoginMismatch", message, human=True)


def revoked(told: str, remedy: str) -> Blocked:
    """The grant is dead."""
    return Blocked("AuthorizationRevoked", f"{told}. {_ENDS_GRANTS}: {remedy}", human=True)


def left(remedy: str) -> Blocked:
    """The grant was revoked because somebody wished it."""
    message = f"the grant was revoked, as twitch-operator.dev/revokeRequestedAt asked; {remedy}"
    return Blocked("AuthorizationRevoked", message, human=True)


def pending(remedy: str) -> Blocked:
    """The broadcaster has a code to type."""
    return Blocked("AuthorizationPending", f"{remedy}; then a new code is shown", human=False)


def consent_anew(command: str) -> str:
    """What to do where the broadcaster's consent is missing."""
    return f"let the broadcaster consent again: {command}"


def type_code(verification_uri: str, user_code: str, expires_at: float) -> str:
    """What to do where a device code is shown."""
    until = rfc3339(round(expires_at))
    return f"let the broadcaster open {verification_uri} and type {user_code} until {until}"


_ENDS_GRANTS = "A changed password or a disconnected app ends every grant"
