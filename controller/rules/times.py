"""Instants: the one that an event speaks of, and how they are told."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from controller.resources.fields import parse_instant
from controller.rules.fieldpath import MISSING
from controller.rules.payloads import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["clock", "event_time"]

# Seconds reach this in the year 5138; milliseconds passed it in 1973.
_MILLISECONDS_FROM = 1e11
_LATEST = 1e14

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")


def clock(instant: float) -> str:
    """Write an instant for a sentence, in UTC."""
    return datetime.fromtimestamp(instant, UTC).strftime("%H:%M:%SZ")


def event_time(
    path: FieldPath | None, payload: Mapping[str, Any], published: float
) -> float | Refusal:
    """Return when the event happened.

    Args:
        path: The rule's timeField; None if it is empty.
        payload: The event.
        published: When the feed took the event in; counts where the rule has no timeField.

    Returns:
        Seconds since the epoch; or why the field does not tell. A field that is absent is refused
        as well: without the time nobody knows whether the cue is still young enough.
    """
    if path is None:
        return published
    value = path.get(payload)
    if value is MISSING or value is None:
        return Refusal(f"the event lacks {path}, the rule's timeField")
    seconds = _seconds(value)
    if seconds is None:
        return Refusal(
            f"{path} is {shown(value)}, and timeField needs seconds or milliseconds since 1970, or"
            " RFC 3339 such as 2021-01-29T09:26:33Z"
        )
    return seconds


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 < value < _LATEST:  # nor NaN
        return None
    return value / 1000 if value > _MILLISECONDS_FROM else float(value)


def _from_text(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return _seconds(float(text))
    try:
        seconds = parse_instant(text)
    except ValueError:
        return None
    return seconds if seconds > 0 else None
