"""Where Twitch sends the browser after the consent, and what it brings along. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qs, urlsplit

from controller.errors import OperatorError
from controller.sensitive import Sensitive

__all__ = [
    "DEFAULT_REDIRECT_URI",
    "Answer",
    "Denied",
    "Granted",
    "Redirect",
    "Stray",
    "page_for",
    "parse_redirect",
    "read_answer",
]

DEFAULT_REDIRECT_URI = "http://localhost:3000/auth/twitch/callback"

_MAX_TOLD = 300
_LOOPBACK = {
    "localhost": ("127.0.0.1", "::1"),  # a browser may try either first
    "127.0.0.1": ("127.0.0.1",),
    "::1": ("::1",),
}


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect URI, taken apart.

    Attributes:
        uri: As it was registered, letter by letter.
        addresses: The loopback addresses to listen on; none where this machine cannot listen.
        port: Where the browser connects to.
        path: What it asks for there.
    """

    uri: str
    addresses: tuple[str, ...]
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The broadcaster consented."""

    code: Sensitive


@dataclass(frozen=True, slots=True)
class Denied:
    """Twitch sent the browser back without a consent.

    Attributes:
        told: Its words.
    """

    told: str


@dataclass(frozen=True, slots=True)
class Stray:
    """Not the answer that is waited for: that may still come.

    Attributes:
        why: For the user.
    """

    why: str


Answer = Granted | Denied | Stray


def parse_redirect(uri: str) -> Redirect:
    """Take a redirect URI apart.

    Raises:
        OperatorError: It is no address that a browser could be sent to.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or parts.fragment:
        msg = (
            f"{uri!r} is not a redirect URI: give it as the application registered it, such as"
            f" {DEFAULT_REDIRECT_URI}"
        )
        raise OperatorError(msg)
    # A certificate for loopback nobody has: where TLS is asked for, somebody else serves it.
    addresses = _LOOPBACK.get(host, ()) if parts.scheme == "http" else ()
    usual = 80 if parts.scheme == "http" else 443
    return Redirect(uri, addresses, usual if port is None else port, parts.path or "/")


def read_answer(query: str, state: str) -> Answer:
    """Read what the browser brought.

    Args:
        query: Of the address that it was sent to.
        state: That of the request: whoever does not know it did not see the consent page.
    """
    # Bytes that are not text arrive as halves of characters, which nothing can write.
    fields = parse_qs(query.encode(errors="replace").decode())
    if any(len(values) > 1 for values in fields.values()):
        return Stray("an answer that says something twice came, and was not taken")
    told = {name: values[0] for name, values in fields.items()}
    # In constant time, so that nobody finds the state letter by letter.
    if not hmac.compare_digest(told.get("state", "").encode(), state.encode()):
        return Stray(
            "an answer whose state is not that of this consent came, and was not taken: use the"
            " address shown last, in one browser"
        )
    if "error" in told:
        words = told.get("error_description", "")
        return Denied((f"{told['error']}: {words}" if words else told["error"])[:_MAX_TOLD])
    code = told.get("code", "")
    if not code or not code.isascii() or not code.isprintable():
        return Stray("an answer without a code came, and was not taken")
    return Granted(Sensitive(code))


def page_for(answer: Answer) -> tuple[int, str]:
    """What the browser shows: status and HTML."""
    match answer:
        case Granted():
            return 200, _page("Consent received", "You can close this page; the terminal goes on.")
        case Denied(told):
            return 200, _page("Twitch gave no consent", told)
        case Stray(why):
            return 400, _page("Not taken", f"{why[0].upper()}{why[1:]}.")


def _page(title: str, text: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title><h1>{escape(title)}</h1><p>{escape(text)}</p></html>\n"
    )
