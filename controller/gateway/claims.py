"""What the claims about a token tell: until when it counts, and for which channels."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from controller.gateway.providers import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["account_of", "expiry_of"]

_MOST_CHANNELS = 1000
_LONGEST_ID = 64
_SEPARATORS = re.compile(r"[\s,]+")


def account_of(claims: Mapping[str, Any], name: str, expires: float | None) -> Principal:
    """Whose a token is.

    Args:
        claims: About the token.
        name: Of the claim with the channels: a list of ids, or a text with spaces or commas
            between them. Anything else means: none.
        expires: When the token ends; None: nobody says.
    """
    value = claims.get(name)
    if isinstance(value, str):
        found = [part for part in _SEPARATORS.split(value) if part]
    elif isinstance(value, list):
        found = [text for entry in value if (text := _id(entry)) is not None]
    else:
        found = []
    # Nothing that could not be told back: an id that no header can hold is nobody's.
    short = [text for text in found if len(text) <= _LONGEST_ID and text.isprintable()]
    return Principal(tuple(dict.fromkeys(short[:_MOST_CHANNELS])), expires)


def _id(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_LONGEST_ID else None
    return value.strip() or None if isinstance(value, str) else None


def expiry_of(claims: Mapping[str, Any]) -> float | None:
    """The claim exp in seconds since the epoch; None: there is none that can be read."""
    value = claims.get("exp")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
