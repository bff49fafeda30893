"""Twitch identity: tokens are refreshed and validated here, and nowhere else.

Contract: https://dev.twitch.tv/docs/authentication/
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from controller.clients.http import json_of, text_of
from controller.errors import (
    ClientRejected,
    GrantRevoked,
    OperatorError,
    RateLimited,
    TransientError,
)
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from controller.settings import Settings

__all__ = ["Application", "Identity", "Tokens", "Validation"]

_LIFETIME = 3600.0
_LONGEST_LIFETIME = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Application:
    """A registered application; `secret` is None for a public client."""

    client_id: str
    secret: Sensitive | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answer of the token endpoint.

    Attributes:
        access: The access token.
        refresh: The refresh token; None where Twitch sent none: the old one goes on.
        expires_in: Seconds from now.
        scopes: None where Twitch left them out.
    """

    access: Sensitive
    refresh: Sensitive | None
    expires_in: float
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Validation:
    """Answer of the validate endpoint; `expires_in` in seconds from now."""

    client_id: str
    login: str
    user_id: str
    scopes: tuple[str, ...]
    expires_in: float


class Identity:
    """Calls to Twitch's OAuth; at most `identity_concurrency` at once, whoever asks."""

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._base = settings.identity_url
        self._timeout = settings.identity_timeout
        self._slots = asyncio.Semaphore(settings.identity_concurrency)

    async def refresh(self, app: Application, refresh_token: Sensitive) -> Tokens:
        """Exchange a refresh token; a one-time token is used up by this.

        Raises:
            GrantRevoked: The grant is dead, or the token is no (longer a) refresh token.
            ClientRejected: The client id or secret is refused.
            TransientError: Anything that may pass.
        """
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.reveal(),
            "client_id": app.client_id,
        }
        if app.secret is not None:
            form["client_secret"] = app.secret.reveal()
        response = await self._send("POST", "/token", data=form)
        if response.status_code == 200:
            return _tokens(response)
        raise _refusal(response, refresh_token, app.secret)

    async def validate(self, access: Sensitive) -> Validation | None:
        """Ask whose token this is; None: it is not valid (any more)."""
        response = await self._send(
            "GET", "/validate", headers={"Authorization": f"OAuth {access.reveal()}"}
        )
        if response.status_code == 401:
            return None
        if response.status_code != 200:
            raise _refusal(response, access)
        return _validation(response)

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._http.request(
                        method, self._base + path, timeout=self._timeout, **request
                    )
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
                msg = f"Twitch's OAuth did not answer {path}: {type(error).__name__}"
                raise TransientError(msg) from None


def _refusal(response: httpx.Response, *sent: Sensitive | None) -> OperatorError:
    status, text = response.status_code, text_of(response)
    told = f"Twitch answered {status}: {text}" if text else f"Twitch answered {status}"
    for credential in sent:
        if credential is not None:
            told = told.replace(credential.reveal(), "***")  # an answer may quote what was sent
    if status == 429:
        return RateLimited(told, retry_after=_retry_after(response))
    if status >= 500 or not _is_twitch(response):
        return TransientError(told)
    if "refresh token" in text.lower() or status == 401:
        return GrantRevoked(told)
    if "client" in text.lower() or status == 403:
        return ClientRejected(told)
    # An unknown 4xx: shown, retried slowly; never taken for the end of a grant.
    return TransientError(told)


def _is_twitch(response: httpx.Response) -> bool:
    """Twitch refuses in JSON: a page of HTML, or nothing, is a proxy's word and ends no grant."""
    try:
        return isinstance(json_of(response), dict)
    except ValueError:
        return False


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _tokens(response: httpx.Response) -> Tokens:
    try:
        body = json_of(response)
        refresh, scope = body.get("refresh_token"), body.get("scope")
        return Tokens(
            access=Sensitive(_text(body["access_token"])),
            refresh=Sensitive(_text(refresh)) if refresh else None,
            expires_in=_lifetime(body.get("expires_in")),
            scopes=_scopes(scope) if scope is not None else None,
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


def _validation(response: httpx.Response) -> Validation:
    try:
        body = json_of(response)
        return Validation(
            client_id=_text(body["client_id"]),
            login=_text(body.get("login") or ""),
            user_id=_text(body.get("user_id") or ""),
            scopes=_scopes(body.get("scopes") or []),
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
    parts = value.split() if isinstance(value, str) else value
    if not isinstance(parts, list):
        msg = "not a list"
        raise TypeError(msg)
    return tuple(sorted({_text(part) for part in parts}))
