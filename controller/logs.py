"""Log lines: as text or JSON, and never with a credential or a control character in them.

Types that hold credentials print as `***`. What this adds is a net below: libraries log URLs and
headers of their own accord, and those carry keys and tokens.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from controller.displayable import displayable, displayable_lines

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["fields", "quieten", "redact", "redact_also", "set_up_logging"]

_NAMES = (
    "(?:access|refresh)[_-]token|client[_-]secret|(?:auth|cipher|stream|subscribe)[_-]key|device_code"
    "|auth|code|signature|token"
)
_PATTERNS = [
    # In queries and forms: name=value
    (re.compile(rf"(?i)(?<![\w-])({_NAMES})=[^&\s\"']+"), r"\1=***"),
    # In JSON and in the repr of dicts: "name": "value"
    (
        re.compile(rf"(?is)([\"'](?:{_NAMES})[\"']\s*:\s*b?)([\"'])(?:\\.|(?!\2)[^\\])*\2"),
        r"\1\2***\2",
    ),
    # In headers
    (re.compile(r"(?i)\b(bearer|oauth)\s+(?!error\b)[\w.~+/=-]{8,}"), r"\1 ***"),
]
_LEAST = {
    # These write whole requests at DEBUG, bodies included.
    **dict.fromkeys(("hpack", "httpcore", "asyncio", "aiohttp", "urllib3"), logging.INFO),
    # kopf tells about each event of the watch, httpx about each call.
    **dict.fromkeys(("kopf", "httpx"), logging.WARNING),
}


def redact(text: str) -> str:
    """Replace what looks like a credential by `***`."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_also(pattern: str, replacement: str) -> None:
    """Replace what matches a regular expression, too: a credential of some service."""
    _PATTERNS.append((re.compile(pattern), replacement))


def quieten(logger: str, least: int) -> None:
    """Let a library's logger tell nothing below a level, whatever level is set up."""
    _LEAST[logger] = least


def fields(**told: str | float | None) -> dict[str, dict[str, str | float]]:
    """What a log call hands over as `extra`, so that JSON lines have it as fields.

    Args:
        told: Such as rule, channel, cue_id, verdict, reason; None: it has none. Namespace, kind
            and name of a resource need not be told: they are found in the arguments of the message.
    """
    return {"fields": {name: value for name, value in told.items() if value is not None}}


def _fields_of(record: logging.LogRecord) -> dict[str, str | float]:
    found: dict[str, str | float] = {}
    for argument in record.args if isinstance(record.args, tuple) else ():
        names = getattr(argument, "_fields", ())
        if {"namespace", "kind", "name"} <= set(names):
            found = {name: str(getattr(argument, name)) for name in ("namespace", "kind", "name")}
            break
    return found | getattr(record, "fields", {})


class _Displayable(logging.Formatter):
    """A message is one line; a traceback is indented, so that no line of it looks like one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        return displayable(super().formatMessage(record))

    def formatException(  # noqa: N802 - logging calls it so
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {displayable(line)}" for line in lines)


class _Text(_Displayable):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(_Displayable):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": displayable(redact(record.getMessage())),
            **{
                name: redact(value) if isinstance(value, str) else value
                for name, value in _fields_of(record).items()
            },
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        shown = {
            name: displayable_lines(value) if isinstance(value, str) else value
            for name, value in line.items()
        }
        return json.dumps(shown, ensure_ascii=False)


def _is_news(record: logging.LogRecord) -> bool:
    """The watch has a thread of its own by design: kopf need not warn of it."""
    return "OS signals are ignored" not in record.getMessage()


def set_up_logging(level: str, form: Literal["text", "json"]) -> None:
    """Send all log lines to standard error.

    Args:
        level: Least level that is shown.
        form: Of each line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in _LEAST.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))
    logging.getLogger("kopf._core.reactor.running").addFilter(_is_news)
