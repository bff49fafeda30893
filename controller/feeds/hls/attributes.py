"""Tags of a playlist, and the attribute lists in them (RFC 8216, section 4.2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["attributes_of", "instant_of", "number_of", "split_tag"]

# Some packagers print a space after the number sign or the colon.
_TAG: Final = re.compile(r"#\s*(EXT[A-Z0-9-]*)\s*(?::\s*(.*))?$", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*("[^"]*"|[^,]*)\s*(?:,|$)')
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d*)?|-?\.\d+")
_MAX_ATTRIBUTES: Final = 100
_LONGEST_NUMBER: Final = 32  # characters
_LAST_INSTANT: Final = 32_503_680_000.0  # the year 3000
_ZONE_WITHOUT_COLON: Final = re.compile(r"([+-]\d{2})(\d{2})$")


def split_tag(line: str) -> tuple[str, str] | None:
    """A line's tag and what follows the colon; None: the line is not a tag."""
    found = _TAG.match(line)
    return (found[1], (found[2] or "").strip()) if found is not None else None


def attributes_of(text: str) -> Mapping[str, str]:
    """An attribute list: names in upper case → values without quotes; the first of a name counts.

    What is not an attribute ends the list.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text) and len(found) < _MAX_ATTRIBUTES:
        attribute = _ATTRIBUTE.match(text, at)
        if attribute is None:
            break
        found.setdefault(attribute[1].upper(), attribute[2].strip().strip('"'))
        at = attribute.end()
    return found


def number_of(text: str | None) -> float | None:
    """A decimal number, with or without quotes; None: it is not one."""
    if text is None or len(text) > _LONGEST_NUMBER:
        return None
    stripped = text.strip().strip('"').strip()
    return float(stripped) if _NUMBER.fullmatch(stripped) else None


def instant_of(text: str | None) -> float | None:
    """An ISO 8601 instant in seconds since the epoch; without a zone it is UTC. None: not one."""
    if not text:
        return None
    stripped = _ZONE_WITHOUT_COLON.sub(r"\1:\2", text.strip().strip('"'))
    try:
        instant = datetime.fromisoformat(stripped)
    except ValueError:
        return None
    seconds = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    return seconds if 0 < seconds < _LAST_INSTANT else None
