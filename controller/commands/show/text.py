"""Tables and instants for people, JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from controller.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["aligned", "clock", "distance", "moment", "seconds", "span", "to_json"]

_GAP = "   "


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Lay out a table, its columns as wide as they need be; the last may be of any width.

    Args:
        header: Names of the columns; none: the table has no heading.
        rows: Each with a text for each column.
        indent: What each line begins with.
    """
    lines = [tuple(header)] if header else []
    lines += [tuple(" ".join(cell.split()) for cell in row) for row in rows]
    if not lines:
        return ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join((indent + _GAP.join(map(str.ljust, line, widths))).rstrip() for line in lines)


def moment(instant: float | None) -> str:
    """Write an instant with its day, in UTC: `2026-11-23 03:44:52Z`; "": there is none."""
    return "" if instant is None else f"{_at(instant):%Y-%m-%d %H:%M:%SZ}"


def clock(instant: float | None) -> str:
    """Write the time of day, in UTC: `03:44:52Z`; "": there is none."""
    return "" if instant is None else f"{_at(instant):%H:%M:%SZ}"


def span(begin: float, end: float | None) -> str:
    """Write from when to when, in UTC: `2026-11-23 03:44:52 - 03:46:57Z`.

    Args:
        begin: An instant.
        end: The instant at which it is over; None: not known.
    """
    return moment(begin) if end is None else f"{_at(begin):%Y-%m-%d %H:%M:%S} - {clock(end)}"


def seconds(length: float | None) -> str:
    """Write a length: `125 s`, `125.1 s`; "": there is none."""
    return "" if length is None else f"{length:.1f}".removesuffix(".0") + " s"


def distance(instant: float, now: float) -> str:
    """Write how far off an instant is: `in 7m40s`, `12s ago`."""
    length = format_duration(abs(instant - now))
    return f"in {length}" if instant > now else f"{length} ago"


def to_json(value: object) -> str:
    """Write for programs; nothing in it can steer a terminal."""
    return json.dumps(value, indent=2)


def _at(instant: float) -> datetime:
    return datetime.fromtimestamp(round(instant), UTC)
