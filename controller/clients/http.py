"""The one HTTP client for Twitch, and what its failures mean."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from controller.settings import Settings

__all__ = ["new_http_client", "text_of"]

_MAX_TEXT = 300


def new_http_client(settings: Settings) -> httpx.AsyncClient:
    """Make the client that all calls to Twitch share.

    Redirects are not followed: Twitch's API makes none, and a token must not follow one.
    """
    version = importlib.metadata.version("twitch-operator")
    return httpx.AsyncClient(
        timeout=settings.call_timeout,
        limits=httpx.Limits(
            max_connections=1000, max_keepalive_connections=100, keepalive_expiry=60
        ),
        headers={"User-Agent": f"twitch-operator/{version}"},
        follow_redirects=False,
        trust_env=True,
    )


def text_of(response: httpx.Response) -> str:
    """The `message` of Twitch's error body, shortened; never the body itself."""
    try:
        body = response.json()
    except ValueError:
        return ""
    message = body.get("message") if isinstance(body, dict) else None
    return message[:_MAX_TEXT] if isinstance(message, str) else ""
