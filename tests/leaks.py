"""A Twitch that quotes what it was sent, and a search for that in whatever was told."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from controller.sandbox.twitch import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["answering", "leaks", "quoting"]


def spellings(credentials: Iterable[str]) -> set[str]:
    """How a credential may stand in a text: as it is, in a URL, in a Secret, or cut off."""
    found = set()
    for each in credentials:
        encoded = base64.b64encode(each.encode()).decode().rstrip("=")[:-1]
        whole = {each, quote(each, safe=""), quote_plus(each), encoded}
        found |= whole | {text[:12] for text in whole} | {text[-12:] for text in whole}
    return found


def leaks(credentials: Iterable[str], texts: dict[str, str]) -> list[str]:
    """Where a credential stands, with what is around it."""
    wanted, found = spellings(credentials), []
    for name, text in texts.items():
        for each in wanted:
            at = text.find(each)
            if at >= 0:
                found.append(f"{name}: …{text[max(0, at - 200) : at + 60]!r}…")
    return found


def answering(status: int, body: object) -> Fault:
    """An answer in place of Twitch's own."""
    return Fault(status=status, body=body)


def quoting(status: int, told: str, *sent: str) -> Fault:
    """A refusal that repeats what was sent."""
    return answering(status, {"status": status, "message": f"{told} {' '.join(sent)}"})
