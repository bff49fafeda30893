"""How long a commercial is asked for."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

__all__ = ["MAX_LENGTH", "STANDARD", "asked_length", "standard_below"]

MAX_LENGTH = 180
"""Longest commercial that Twitch runs, in seconds."""

STANDARD = (30, 60, 90, 120, 150, 180)
"""The lengths that Twitch has always taken, in seconds."""

# So much longer than the break a standard commercial may be.
_MAY_EXCEED = 2


def asked_length(seconds: float, lengths: Literal["Exact", "Standard"]) -> int | None:
    """Return the length of the commercial to ask for.

    Args:
        seconds: Of the break, or of what is left of it.
        lengths: Exact: whole seconds, rounded half up, at most 180. Standard: the longest of
            `STANDARD` that is at most two seconds longer than the break.

    Returns:
        Whole seconds; None where there is no such length.
    """
    if lengths == "Standard":
        return max((one for one in STANDARD if one <= seconds + _MAY_EXCEED), default=None)
    # In decimal: floor(x + 0.5) would lift 0.49999999999999994 to 1.
    whole = int(Decimal(seconds).to_integral_value(ROUND_HALF_UP))
    return min(whole, MAX_LENGTH) if whole >= 1 else None


def standard_below(length: int) -> int | None:
    """Return the longest standard length that is shorter; None: there is none."""
    return max((one for one in STANDARD if one < length), default=None)
