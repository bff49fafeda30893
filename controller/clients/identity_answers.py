"""What Twitch identity answers: parsed, or told as an error of the tree in `controller.errors`.

Bodies hold tokens: neither they nor what a parser says of them may travel in an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from controller.clients.http import json_of, message_of, shown
from controller.clients.retry_after import pause_of
from controller.errors import (
    ClientRejected,
    CodeRefused,
    GrantDoubted,
    GrantRevoked,
    OperatorError,
    RateLimited,
    RedirectRefused,
    TransientError,
)
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    import httpx

__all__ = [
    "DeviceLogin",
    "DeviceWait",
    "Tokens",
    "Validation",
    "is_twitch",
    "parse_device_login",
    "parse_device_wait",
    "parse_tokens",
    "parse_validation",
    "refusal",
    "refusal_of_code",
]

_LIFETIME = 3600.0
_LONGEST_LIFETIME = 366 * 86_400.0
_DEVICE_LIFETIME = 1800.0
_DEVICE_INTERVAL = 5.0
# As words alone, or as OAuth's code with a description after it.
_NO_REASON = re.compile(r"\W*invalid[\s_]*grant\W*|invalid_grant: .*", re.IGNORECASE | re.DOTALL)
_ABOUT_CLIENT = ("invalid client", "client secret", "client id", "client does not exist")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer of the token endpoint.

    Attributes:
        access: The access token.
        refresh: The refresh token; None where Twitch sent none: the old one goes on.
        expires_in: Seconds from now.
        scopes: None where Twitch left them out; empty where it says that there are none (null).
    """

    access: Sensitive
    refresh: Sensitive | None
    expires_in: float
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Answer of the validate endpoint.

    Attributes:
        client_id: Application that the token was given to.
        login: Of the user; empty for an app token.
        user_id: Of the user; empty for an app token.
        scopes: None where Twitch left them out; null is none.
        expires_in: Seconds from now; 0: not told, or never.
    """

    client_id: str
    login: str
    user_id: str
    scopes: tuple[str, ...] | None
    expires_in: float


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """Answer of the device endpoint.

    Attributes:
        device_code: What the tokens are asked for with.
        user_code: What the broadcaster types.
        verification_uri: Where.
        expires_in: Seconds from now.
        interval: Seconds between two polls, at least.
    """

    device_code: Sensitive
    user_code: str
    verification_uri: str
    expires_in: float
    interval: float


class DeviceWait(Enum):
    """Why there are no tokens for a device code (RFC 8628, section 3.5)."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"
    DENIED = "access_denied"


def refusal(response: httpx.Response, *sent: Sensitive | None) -> OperatorError:
    """The error that an answer other than 200 stands for; `sent` is never quoted in it."""
    status, message = response.status_code, message_of(response)
    told = f"Twitch answered {status}"
    if message:
        told += f": {shown(message, *sent)}"
    if status == 429:
        return RateLimited(told, retry_after=pause_of(response))
    if status >= 500 or not is_twitch(response):
        return TransientError(told, retry_after=pause_of(response))
    lower = message.lower()
    if "refresh token" in lower:
        return GrantRevoked(told)
    lower = lower.replace("_", " ")  # OAuth's codes, such as invalid_client
    # OAuth lets a server refuse an unknown client with 401: no consent would mend that.
    if status == 401 and not any(words in lower for words in _ABOUT_CLIENT):
        return GrantRevoked(told)
    if "client" in lower or status in (401, 403):
        return ClientRejected(told)
    if status == 400 and _NO_REASON.fullmatch(message):
        return GrantDoubted(told)
    # An unknown 4xx: shown, retried slowly; never taken for the end of a grant.
    return TransientError(told)


def refusal_of_code(
    response: httpx.Response, code: Sensitive, secret: Sensitive | None
) -> OperatorError:
    """The error that a refused authorization code stands for: what to mend differs."""
    error = refusal(response, code, secret)
    if isinstance(error, RateLimited) or response.status_code >= 500 or not is_twitch(response):
        return error
    text = message_of(response).lower()
    if "redirect" in text:
        return RedirectRefused(str(error))
    if "code" in text or isinstance(error, GrantRevoked):
        return CodeRefused(str(error))
    return error


def parse_device_login(response: httpx.Response) -> DeviceLogin:
    """Read the answer of the device endpoint.

    Raises:
        TransientError: It is not what the contract promises.
    """
    try:
        body = json_of(response)
        return DeviceLogin(
            device_code=Sensitive(_text(body["device_code"])),
            user_code=_text(body["user_code"]),
            verification_uri=_text(body["verification_uri"]),
            expires_in=_seconds(body.get("expires_in")) or _DEVICE_LIFETIME,
            interval=min(_seconds(body.get("interval")) or _DEVICE_INTERVAL, _DEVICE_LIFETIME),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        msg = "Twitch's device answer lacks what the contract promises"
        raise TransientError(msg) from None


def parse_device_wait(response: httpx.Response) -> DeviceWait | None:
    """Why there are no tokens for a device code; None: the answer says something else."""
    if response.status_code != 400 or not is_twitch(response):
        return None
    text = message_of(response).lower()
    for wait in DeviceWait:
        if wait.value in text:
            return wait
    # "invalid device code": used, or run out
    return DeviceWait.EXPIRED if "device code" in text or "device_code" in text else None


def is_twitch(response: httpx.Response) -> bool:
    """Twitch refuses in JSON: a page of HTML, or nothing, is a proxy's word and ends no grant."""
    try:
        return isinstance(json_of(response), dict)
    except ValueError:
        return False


def parse_tokens(response: httpx.Response) -> Tokens:
    """Read the answer of the token endpoint.

    Raises:
        TransientError: It is not what the contract promises.
    """
    try:
        body = json_of(response)
        refresh = body.get("refresh_token")
        return Tokens(
            access=Sensitive(_text(body["access_token"])),
            refresh=Sensitive(_text(refresh)) if refresh else None,
            expires_in=_lifetime(body.get("expires_in")),
            scopes=_scopes(body["scope"]) if "scope" in body else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        # The body holds tokens: neither it nor the cause may travel in the error.
        msg = "Twitch's token answer lacks what the contract promises"
        raise TransientError(msg) from None


def _lifetime(value: object) -> float:
    """Seconds; a token without a lifetime is looked at again within the hour."""
    return _seconds(value) or _LIFETIME


def _seconds(value: object) -> float:
    """Seconds; 0 for what nobody means by a lifetime."""
    number = isinstance(value, int | float) and 0 < value < _LONGEST_LIFETIME
    return float(value) if number else 0.0  # type: ignore[arg-type]


def parse_validation(response: httpx.Response) -> Validation:
    """Read the answer of the validate endpoint.

    Raises:
        TransientError: It is not what the contract promises.
    """
    try:
        body = json_of(response)
        return Validation(
            client_id=_text(body["client_id"]),
            login=_text(body.get("login") or ""),
            user_id=_text(body.get("user_id") or ""),
            scopes=_scopes(body["scopes"]) if "scopes" in body else None,
            expires_in=_seconds(body.get("expires_in")),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        msg = "Twitch's validate answer lacks what the contract promises"
        raise TransientError(msg) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = "not a text"
        raise TypeError(msg)
    return value


def _scopes(value: object) -> tuple[str, ...]:
    """What a list, a text or null tells; null is what Twitch says of a consent to nothing."""
    parts = value.split() if isinstance(value, str) else [] if value is None else value
    if not isinstance(parts, list):
        msg = "not a list"
        raise TypeError(msg)
    return tuple(sorted({_text(part) for part in parts}))
