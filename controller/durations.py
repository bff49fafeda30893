"""Durations in Go syntax (`90s`, `1h30m`, `250ms`), as Kubernetes writes them."""

from __future__ import annotations

import math
import re

__all__ = ["DURATION_PATTERN", "format_duration", "parse_duration"]

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_WHOLE = re.compile(DURATION_PATTERN)
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Read a duration.

    Args:
        text: Numbers with the units ms, s, m, h, such as `1m30s`.

    Returns:
        Seconds.

    Raises:
        ValueError: The text is not a duration; the message says what one looks like.
    """
    if not _WHOLE.fullmatch(text):
        msg = f"{text!r} is not a duration: write numbers with units, such as 90s, 1m30s or 250ms"
        raise ValueError(msg)
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Write whole seconds the way Go does, without zero parts: `90` → `1m30s`, `0` → `0s`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")
    return text + (f"{secs}s" if secs or not text else "")
