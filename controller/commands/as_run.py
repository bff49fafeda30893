"""`twitch-operator asrun`: what ran on a channel in a broadcast day, for traffic to reconcile."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

from controller.arbiter.as_run import COLUMNS
from controller.commands.files import open_text
from controller.commands.show.text import aligned, to_json
from controller.commands.terminal import say
from controller.displayable import displayable
from controller.plurals import counted
from controller.resources.common import parse_instant
from controller.resources.triggerrule import AS_RUN_FIELDS
from controller.rules.payloads import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from zoneinfo import ZoneInfo

__all__ = ["Options", "as_run", "broadcast_day", "read_entries", "select"]

_INSTANTS = ("due", "called", "confirmed")
_LENGTHS = (
    *("break_seconds", "asked_seconds", "accepted_seconds"),
    *("uncovered_seconds", "overrun_seconds"),
)
# Between them stands what is taken from the events.
_FIRST = (
    "channel", "namespace", "broadcaster_id", "kind", "due", "called", "confirmed",
    *_LENGTHS, "verdict", "reason", "rule", "feed",
)  # fmt: skip
_LAST = ("cue_ids", "due_utc", "key")
_LONGEST = 86_400  # seconds
_SHOWN = ("due", "channel", "verdict", *_LENGTHS, "cue_ids", "reason")
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        files: With lines of the as-run log; `-` for the standard input.
        channel: Name of the TwitchChannel, or namespace/name; None: all.
        day: The broadcast day; None: all days.
        zone: Time zone of the day, and of the instants that are shown.
        day_start: When a broadcast day begins, by the clock of that zone.
        output: csv, json or table.
    """

    files: Sequence[str]
    channel: str | None
    day: date | None
    zone: ZoneInfo
    day_start: time
    output: Literal["csv", "json", "table"]


def as_run(options: Options) -> None:
    """Print what ran.

    Raises:
        OperatorError: A file cannot be read; the message names it.
    """
    lines = (entry for file in options.files for _, entry in read_entries(file))
    entries = select(lines, options)
    show = {"csv": _as_csv, "json": _as_json, "table": _as_table}[options.output]
    _put(show(entries, options.zone))
    print(_totals(entries), file=sys.stderr)  # noqa: T201 - beside what a program reads


def _put(text: str) -> None:
    """Print for people on a terminal; for programs as it is."""
    if sys.stdout.isatty():
        say(text)
        return
    # What no encoding knows, such as half a surrogate pair, becomes a question mark.
    sys.stdout.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")


def broadcast_day(day: date, zone: ZoneInfo, start: time) -> tuple[float, float]:
    """Return when a broadcast day begins and ends, in seconds since the epoch.

    It has 23 or 25 hours where a clock change falls into it.
    """
    begin = datetime.combine(day, start, zone)
    end = datetime.combine(day + timedelta(days=1), start, zone)
    return begin.timestamp(), end.timestamp()


def select(entries: Iterable[Mapping[str, Any]], options: Options) -> list[Mapping[str, Any]]:
    """Return the entries that are wished for, oldest first; of several with one key the last."""
    span = None
    if options.day is not None:
        span = broadcast_day(options.day, options.zone, options.day_start)
    chosen: dict[str, tuple[float, Mapping[str, Any]]] = {}
    for entry in entries:
        at = _when(entry)
        if at is None or not _is_of(entry, options.channel):
            continue
        if span is None or span[0] <= at < span[1]:
            key = str(entry["key"])
            known = chosen.get(key)
            # Of several lines, the one in which it is known whether the commercial ran.
            if known is None or _completeness(entry) >= _completeness(known[1]):
                chosen[key] = at, entry
    return [entry for _, entry in sorted(chosen.values(), key=lambda pair: pair[0])]


def _completeness(entry: Mapping[str, Any]) -> int:
    return sum(entry.get(name) is not None for name in ("confirmed", "called", *_of_events(entry)))


def _when(entry: Mapping[str, Any]) -> float | None:
    """When the break, or the ad, began."""
    for name in _INSTANTS:
        value = entry.get(name)
        if isinstance(value, str):
            try:
                return parse_instant(value)
            except ValueError:
                continue
    return None


def _is_of(entry: Mapping[str, Any], channel: str | None) -> bool:
    name, full = entry.get("channel"), f"{entry.get('namespace')}/{entry.get('channel')}"
    return channel is None or channel in (name, full)


def read_entries(file: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Read the lines of the as-run log, each with its number; others are passed over.

    Raises:
        OperatorError: The file cannot be read.
    """
    with open_text(file, errors="replace") as text:
        for number, line in enumerate(text, start=1):
            entry = _entry(line)
            if entry is not None:
                yield number, entry
            elif _looks_torn(line):
                told = "a line of the as-run log that cannot be read (cut short?); passed over"
                print(f"{displayable(file)}:{number}: {told}", file=sys.stderr)  # noqa: T201


def _entry(line: str) -> Mapping[str, Any] | None:
    """Read a line: bare, behind a log's own words, or wrapped by a log collector."""
    begin = line.find("{")
    if begin < 0:
        return None
    try:
        entry = strict_json(line[begin:])
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    wrapped = next((entry[name] for name in _WRAPPERS if isinstance(entry.get(name), str)), None)
    if wrapped is not None:
        return _entry(wrapped)
    is_one = (
        isinstance(entry.get("key"), str)
        and entry.get("kind") in _KINDS
        and _when(entry) is not None
    )
    return entry if is_one else None


def _looks_torn(line: str) -> bool:
    return '{"key":"' in line and '"kind":"' in line


_KINDS = ("break", "manual", "foreign")
_WRAPPERS = ("log", "message", "MESSAGE")


# What is shown


def _as_json(entries: Sequence[Mapping[str, Any]], _zone: ZoneInfo) -> str:
    return to_json(list(entries))


def _as_csv(entries: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    # An ad that was not ours has no event, and columns of no rule.
    told = [name for each in entries if each.get("kind") == "break" for name in _of_events(each)]
    columns = (*_FIRST, *dict.fromkeys(told or COLUMNS), *_LAST)
    writer.writerow(columns)
    for entry in entries:
        row = _row(entry, columns, zone)
        writer.writerow([_harmless(row[name]) for name in columns])
    return out.getvalue().rstrip("\n")


def _as_table(entries: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> str:
    rows = [list(_row(entry, _SHOWN, zone).values()) for entry in entries]
    header = [name.removesuffix("_seconds").replace("_", "-").upper() for name in _SHOWN]
    return aligned(header, rows)


def _of_events(entry: Mapping[str, Any]) -> list[str]:
    """The columns of a line that are taken from the event."""
    return [name for name in entry if name not in AS_RUN_FIELDS]


def _row(entry: Mapping[str, Any], columns: Iterable[str], zone: ZoneInfo) -> dict[str, str]:
    row = {}
    for name in columns:
        text = _text(entry.get(name))
        row[name] = _local(text, zone) if name in _INSTANTS else text
        if name == "due_utc":
            row[name] = _text(entry.get("due") or entry.get("confirmed"))
    return row


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return " ".join(value)
    return json.dumps(value, ensure_ascii=False)


def _local(text: str, zone: ZoneInfo) -> str:
    if not text:
        return ""
    try:
        local = datetime.fromtimestamp(parse_instant(text), zone)
    except (ValueError, OverflowError, OSError):
        return text
    return local.isoformat(timespec="milliseconds")


def _harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe stands before it."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _seconds(value: object) -> float:
    """A length that can be added up; 0 where it is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= _LONGEST else 0.0  # type: ignore[arg-type,operator]


def _totals(entries: Sequence[Mapping[str, Any]]) -> str:
    breaks = [entry for entry in entries if entry.get("kind") == "break"]
    ran = [entry for entry in breaks if _seconds(entry.get("accepted_seconds"))]
    asked, uncovered, overrun = (
        sum(_seconds(entry.get(name)) for entry in breaks)
        for name in ("accepted_seconds", "uncovered_seconds", "overrun_seconds")
    )
    by_hand = sum(entry.get("kind") == "manual" for entry in entries)
    others = len(entries) - len(breaks) - by_hand
    told = [
        f"{counted(len(breaks), 'break')}, {len(ran)} with a commercial, of {asked:.0f} s in all",
        f"{uncovered:.0f} s uncovered",
        f"{overrun:.0f} s overrun",
        f"{counted(by_hand, 'request')} by hand",
        f"{counted(others, 'ad')} not ours",
    ]
    return "; ".join(told)
