"""Twitch identity: tokens are fetched, refreshed, validated and revoked here, and nowhere else.

Contract: https://dev.twitch.tv/docs/authentication/
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx

from controller.clients.identity_answers import (
    DeviceLogin,
    DeviceWait,
    Tokens,
    Validation,
    is_twitch,
    parse_device_login,
    parse_device_wait,
    parse_tokens,
    parse_validation,
    refusal,
    refusal_of_code,
)
from controller.clients.network_errors import in_words
from controller.errors import ClientRejected, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.sensitive import Sensitive
    from controller.settings import Settings

__all__ = [
    "Application",
    "DeviceLogin",
    "DeviceWait",
    "Identity",
    "Tokens",
    "Validation",
    "authorize_url",
]

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class Application:
    """A registered application; `secret` is None for a public client."""

    client_id: str
    secret: Sensitive | None


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
            GrantDoubted: It is refused without a reason.
            ClientRejected: The client id or secret is refused.
            TransientError: Anything that may pass.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
        response = await self._post("/token", form | _client(app))
        if response.status_code == 200:
            return parse_tokens(response)
        raise refusal(response, refresh_token, app.secret)

    async def exchange_code(self, app: Application, code: Sensitive, redirect_uri: str) -> Tokens:
        """Exchange an authorization code, which is good once and for a few minutes.

        Raises:
            CodeRefused: It was used, has run out, or is not a code of this application.
            GrantDoubted: It is refused without a reason.
            RedirectRefused: The redirect URI is not the one of the consent.
            ClientRejected: The client id or secret is refused.
            TransientError: Anything that may pass.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code.reveal(),
            "redirect_uri": redirect_uri,
        }
        response = await self._post("/token", form | _client(app))
        if response.status_code == 200:
            return parse_tokens(response)
        raise refusal_of_code(response, code, app.secret)

    async def start_device(self, app: Application, scopes: Iterable[str]) -> DeviceLogin:
        """Ask for a code that a broadcaster can type in.

        Raises:
            ClientRejected: The client id is refused.
            TransientError: Anything that may pass.
        """
        form = {"client_id": app.client_id, "scopes": " ".join(scopes)}
        response = await self._post("/device", form)
        if response.status_code == 200:
            return parse_device_login(response)
        raise refusal(response, app.secret)

    async def poll_device(
        self, app: Application, device_code: Sensitive, scopes: Iterable[str]
    ) -> Tokens | DeviceWait:
        """Ask whether the broadcaster has consented.

        Raises:
            ClientRejected: The client id is refused.
            TransientError: Anything that may pass.
        """
        form = {
            "grant_type": _DEVICE_GRANT,
            "device_code": device_code.reveal(),
            "scopes": " ".join(scopes),
            "client_id": app.client_id,
        }
        response = await self._post("/token", form)
        if response.status_code == 200:
            return parse_tokens(response)
        wait = parse_device_wait(response)
        if wait is None:
            raise refusal(response, device_code, app.secret)
        return wait

    async def validate(self, access: Sensitive) -> Validation | None:
        """Ask whose token this is; None: it is not valid (any more)."""
        response = await self._send(
            "GET", "/validate", headers={"Authorization": f"OAuth {access.reveal()}"}
        )
        if response.status_code == 401:
            return None
        if response.status_code != 200:
            raise refusal(response, access)
        return parse_validation(response)

    async def revoke(self, app: Application, token: Sensitive) -> bool:
        """End a token.

        Returns:
            False: Twitch knows no such living token, so that there is nothing to end.

        Raises:
            ClientRejected: The client id is refused.
            TransientError: Anything that may pass.
        """
        form = {"client_id": app.client_id, "token": token.reveal()}
        response = await self._post("/revoke", form)
        if response.status_code == 200:
            return True
        error = refusal(response, token, app.secret)
        if not is_twitch(response):
            raise error
        if response.status_code == 404:
            raise ClientRejected(str(error))
        if response.status_code in (400, 401) and not isinstance(error, ClientRejected):
            return False
        raise error

    async def _post(self, path: str, form: dict[str, str]) -> httpx.Response:
        return await self._send("POST", path, data=form)

    async def _send(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._http.request(
                        method, self._base + path, timeout=self._timeout, **request
                    )
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
                msg = f"Twitch's OAuth did not answer {path}: {in_words(error)}"
                raise TransientError(msg) from None


def authorize_url(
    identity_url: str,
    client_id: str,
    redirect_uri: str,
    scopes: Iterable[str],
    state: str,
    *,
    force_verify: bool = False,
) -> str:
    """Address of Twitch's consent page.

    Args:
        identity_url: Base of Twitch's OAuth.
        client_id: Of the application.
        redirect_uri: Where the browser is sent afterwards, as registered.
        scopes: What is asked for.
        state: Comes back with the browser, so that nobody else's answer is taken.
        force_verify: Ask though the same consent was given before.
    """
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
    } | ({"force_verify": "true"} if force_verify else {})
    return f"{identity_url}/authorize?{urlencode(query)}"


def _client(app: Application) -> dict[str, str]:
    secret = {"client_secret": app.secret.reveal()} if app.secret is not None else {}
    return {"client_id": app.client_id} | secret
