"""The one HTTP client for Twitch, and what its failures mean."""

from __future__ import annotations

import importlib.metadata
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import httpx

from controller.clients.transport import Sending, Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from controller.sensitive import Sensitive
    from controller.settings import Settings
    from controller.term import Term

__all__ = [
    "Exchange",
    "HttpClient",
    "json_of",
    "message_of",
    "new_http_client",
    "shown",
    "text_of",
    "tls_context",
]

_MAX_TEXT = 300
_LIMITS = httpx.Limits(max_connections=1000, keepalive_expiry=60)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call to Twitch that has ended.

    Attributes:
        method: Of HTTP.
        path: Of the URL.
        code: Status of the answer; `unsent`: nothing left; `unanswered`: something may have.
        seconds: How long it took.
        ended: When it ended, in seconds since the epoch.
        date: The answer's header Date, if it has one.
    """

    method: str
    path: str
    code: str
    seconds: float
    ended: float
    date: str | None = None


class HttpClient(httpx.AsyncClient):
    """Makes calls, and tells of each.

    Attributes:
        on_exchange: Called with each call that has ended, also where it was given up.
    """

    on_exchange: Callable[[Exchange], None] | None = None

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Make one call."""
        sending = request.extensions.setdefault("sending", Sending())
        begun = time.perf_counter()
        response: httpx.Response | None = None
        try:
            response = await super().send(request, **options)
            return response
        finally:
            if self.on_exchange is not None:
                self.on_exchange(_exchange(request, response, sending, begun))


def new_http_client(settings: Settings, term: Term | None = None) -> HttpClient:
    """Make the client that all calls to Twitch share.

    Redirects are not followed: Twitch's API makes none, and a token must not follow one.

    Args:
        settings: How patient to be.
        term: Whether this process may make changing calls; None: always.
    """
    version = importlib.metadata.version("twitch-operator")
    return HttpClient(
        # A call that could not connect is known not to have run: it must not end as one that may.
        timeout=httpx.Timeout(settings.call_timeout, connect=0.8 * settings.call_timeout),
        transport=Transport(tls_context(), _LIMITS, term),
        headers={"User-Agent": f"twitch-operator/{version}"},
        follow_redirects=False,
    )


def _exchange(
    request: httpx.Request, response: httpx.Response | None, sending: Sending, begun: float
) -> Exchange:
    seconds, ended = time.perf_counter() - begun, time.time()
    method, path = request.method, request.url.path
    if response is None:
        code = "unanswered" if sending.begun else "unsent"
        return Exchange(method, path, code, seconds, ended)
    date = response.headers.get("Date")
    return Exchange(method, path, str(response.status_code), seconds, ended, date)


@cache
def tls_context() -> ssl.SSLContext:
    """What TLS is checked by: SSL_CERT_FILE or SSL_CERT_DIR, else certifi; made once, slowly."""
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


def text_of(response: httpx.Response, *sent: Sensitive | None) -> str:
    """The `message` of Twitch's error body, shortened; never the body, nor what was `sent`."""
    return shown(message_of(response), *sent)


def message_of(response: httpx.Response) -> str:
    """The whole words of Twitch's error body, for nobody's eyes: they may quote what was sent.

    Its `message`, else OAuth's own `error_description` and `error` (RFC 6749, section 5.2).
    """
    try:
        body = json_of(response)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    message = body.get("message")
    if isinstance(message, str) and message:
        return message
    words = (body.get("error"), body.get("error_description"))
    return ": ".join(word for word in words if isinstance(word, str) and word)


def shown(text: str, *sent: Sensitive | None) -> str:
    """A text of Twitch's for other eyes: shortened, with `***` for each credential that was sent.

    A credential is found as it is, and as it stands in a URL or a form.
    """
    spellings: set[str] = set()
    for value in (credential.reveal() for credential in sent if credential):
        spellings |= {value, quote(value), quote(value, safe=""), quote_plus(value)}
    for spelling in sorted(spellings, key=len, reverse=True):  # one may be a part of another
        text = text.replace(spelling, "***")
    return text[:_MAX_TEXT]  # cut last: the credentials must be whole to be found
