"""The error tree.

    OperatorError
     ├── TransientError        may pass by itself; `retry_after` says when to try again
     │    ├── NotLeading       another replica leads, or may by now
     │    ├── RateLimited      the service named the moment itself
     │    └── GrantDoubted     a grant is refused without a reason: it may be dead
     └── PermanentError        a human must change something
          ├── InvalidExpression   a field path, regex or CEL expression that cannot be compiled
          ├── InvalidSecret       a Secret that lacks a key, or holds bytes that are not text
          ├── GrantRevoked        the broadcaster's consent is gone
          │    └── CodeRefused    an authorization code that was used or has run out
          └── ClientRejected      the application's id or secret is refused
               └── RedirectRefused  the redirect URI is not one that it registered

    SettingsError             a setting in the environment, which ends the start

Messages are for the user who reads `kubectl get`: they name the field and the remedy, and never
carry a credential.
"""

from __future__ import annotations

__all__ = [
    "ClientRejected",
    "CodeRefused",
    "GrantDoubted",
    "GrantRevoked",
    "InvalidExpression",
    "InvalidSecret",
    "NotLeading",
    "OperatorError",
    "PermanentError",
    "RateLimited",
    "RedirectRefused",
    "SettingsError",
    "TransientError",
]


class OperatorError(Exception):
    """Anything the operator can name and tell."""


class TransientError(OperatorError):
    """Something that may pass by itself.

    Args:
        message: What happened, for the user.
        retry_after: Seconds until the next try makes sense; None where nobody said.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotLeading(TransientError):
    """A changing call was not made: this replica may not, or no longer, lead."""


class RateLimited(TransientError):
    """The service asks to wait until `retry_after` seconds have passed."""


class GrantDoubted(TransientError):
    """A grant, or a code, is refused without a reason: who refuses it again and again means it."""


class PermanentError(OperatorError):
    """Something that stays wrong until a human changes it."""


class InvalidExpression(PermanentError):
    """An expression in a spec that cannot be compiled.

    Args:
        field: Path of the field in the resource, such as `spec.match[2].regex`.
        message: What is wrong, with the place in the expression.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.problem = message


class InvalidSecret(PermanentError):
    """A Secret that exists and cannot be used as it is."""


class GrantRevoked(PermanentError):
    """The broadcaster's consent is gone: only a new consent cures it."""


class CodeRefused(GrantRevoked):
    """An authorization code that was used, has run out, or is another application's."""


class ClientRejected(PermanentError):
    """Twitch refuses the application itself: its id or its secret."""


class RedirectRefused(ClientRejected):
    """The redirect URI is not that of the consent, or the application did not register it."""


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable and the remedy."""
