"""Numbers with the word for what they count."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, what: str, verb: str = "") -> str:
    """Write `1 message` or `2 messages`; with a verb, `1 message was` or `2 messages were`.

    Args:
        number: How many.
        what: They are, in the singular.
        verb: In the plural: `were`, `are` or `have`.
    """
    if number == 1:
        return f"1 {what} {_SINGULAR[verb]}".rstrip()
    return f"{number} {what}s {verb}".rstrip()


_SINGULAR = {"": "", "are": "is", "have": "has", "were": "was"}
