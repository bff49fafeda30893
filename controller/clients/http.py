"""The one HTTP client for Twitch, and what its failures mean."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    import ssl

    from controller.settings import Settings

__all__ = ["json_of", "new_http_client", "text_of"]

_MAX_TEXT = 300


def new_http_client(settings: Settings) -> httpx.AsyncClient:
    """Make the client that all calls to Twitch share.

    Redirects are not followed: Twitch's API makes none, and a token must not follow one.
    """
    version = importlib.metadata.version("twitch-operator")
    return httpx.AsyncClient(
        # A call that could not connect is known not to have run: it must not end as one that may.
        timeout=httpx.Timeout(settings.call_timeout, connect=0.8 * settings.call_timeout),
        verify=_tls_context(),
        limits=httpx.Limits(
            # The pool looks at each idle connection before each call: few are quicker.
            max_connections=1000,
            max_keepalive_connections=20,
            keepalive_expiry=60,
        ),
        headers={"User-Agent": f"twitch-operator/{version}"},
        follow_redirects=False,
        trust_env=True,
    )


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def json_of(response: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """The body as JSON.

    Raises:
        ValueError: It is none, or nested too deeply to be parsed.
    """
    try:
        return response.json()
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None


def text_of(response: httpx.Response) -> str:
    """The `message` of Twitch's error body, shortened; never the body itself."""
    try:
        body = json_of(response)
    except ValueError:
        return ""
    message = body.get("message") if isinstance(body, dict) else None
    return message[:_MAX_TEXT] if isinstance(message, str) else ""
