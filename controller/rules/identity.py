"""What makes an event the same one again: the text at a rule's idField."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["MAX_ID_LENGTH", "bounded", "event_id", "field_text"]

MAX_ID_LENGTH = 256
"""Characters of the longest identity."""


def event_id(path: FieldPath | None, payload: Mapping[str, Any], feed_id: str) -> str:
    """Return the identity of an event, in at most 256 printable characters.

    Texts count as they are, numbers as JSON writes them (414.0 is 414). What is too long or cannot
    be printed keeps its beginning and ends in a hash of the whole, so that distinct identities stay
    distinct.

    Args:
        path: The rule's idField; None if it is empty.
        payload: The event.
        feed_id: The feed's own identity of the event; counts where the field is absent, blank, or
            neither a text nor a number.
    """
    text = field_text(path, payload) if path else None
    return bounded(text or feed_id)


def field_text(path: FieldPath, payload: Mapping[str, Any]) -> str | None:
    """Return a field as text: texts as they are, numbers as JSON writes them.

    Returns:
        None where the field is absent, blank, or neither a text nor a number.
    """
    value = path.get(payload)
    text = value if isinstance(value, str) else _number(value)
    return text if text.strip() else None


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _finite(value):
        return ""
    if isinstance(value, float) and not value.is_integer():
        return repr(value)
    whole = int(value)
    # Python refuses to write integers of thousands of digits in decimal.
    return str(whole) if whole.bit_length() <= 1024 else hex(whole)


def _finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def bounded(text: str) -> str:
    """Return a text that tells itself from others, in at most 256 printable characters."""
    if len(text) <= MAX_ID_LENGTH and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    begin = "".join(char for char in text[: MAX_ID_LENGTH - 1 - len(digest)] if char.isprintable())
    return f"{begin}~{digest}"
