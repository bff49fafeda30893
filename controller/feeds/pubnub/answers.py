"""Answers of PubNub, split item by item: what cannot be read of one spoils no other.

An answer of 4 MiB takes far longer to parse than the event loop may stand still. So it is read as
an iterator: each step is the work of one message, and whoever reads it gives others a turn between
two steps. Python's parser does the work; only what it does not take is stepped over here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["ITEM", "MAX_ANSWER", "UNREADABLE", "split"]

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer: 100 messages of 32 KiB, with what PubNub writes around each."""

ITEM = "[]"
"""Stands in a path for an item of a list."""

UNREADABLE = Refusal("nested too deeply, or a number with more than 4300 digits")
"""Stands where an item is that Python's parser does not take."""

_WHITE = r"[ \t\r\n]*+"
_BEGIN = re.compile(rf"{_WHITE}([\[{{])?{_WHITE}([\]}}])?")
_KEY = re.compile(rf'{_WHITE}("(?:[^"\\]++|\\.)*+"){_WHITE}:{_WHITE}', re.DOTALL)
_NEXT = re.compile(rf"{_WHITE}(?:([\]}}])|,{_WHITE})")
_NESTING = re.compile(
    r'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+(?:(?P<open>[\[{]++)|(?P<close>[\]}]++))', re.DOTALL
)
_parse = json.JSONDecoder().raw_decode


def split(text: str, levels: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Read an answer, whose outermost value is an object.

    Args:
        text: JSON.
        levels: How many levels of objects are entered. Lists in them are given item by item, other
            values as a whole.

    Yields:
        The path of keys to a value (to an item: the list's, and `ITEM`), and the value: parsed, or
        `UNREADABLE`.

    Raises:
        ValueError: The text around the items is not JSON.
    """
    at = yield from _members(text, 0, (), levels)
    if text[at:].strip(" \t\r\n"):
        msg = f"there is more after the end, at character {at}"
        raise ValueError(msg)


def _members(
    text: str, at: int, path: tuple[str, ...], levels: int
) -> Generator[tuple[tuple[str, ...], Any], None, int]:
    """Read the object or list at a place; return where it ends."""
    begin = _match(_BEGIN, text, at)
    if begin[1] is None or (begin[1] == "[" and not path):
        msg = f"no object at character {at}"
        raise ValueError(msg)
    is_object, at = begin[1] == "{", begin.end()
    ended = begin[2] is not None
    while not ended:
        inner = (*path, ITEM)
        if is_object:
            key = _match(_KEY, text, at)
            at, inner = key.end(), (*path, str(json.loads(key[1], strict=False)))
        opens = text[at : at + 1]
        if is_object and (opens == "[" or (opens == "{" and len(inner) < levels)):
            at = yield from _members(text, at, inner, levels)
        else:
            value, at = _value(text, at)
            yield inner, value
        following = _match(_NEXT, text, at)
        ended, at = following[1] is not None, following.end()
    return at


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _parse(text, at)
    except (RecursionError, ValueError):
        end = _end(text, at)
        if end <= at:
            msg = f"no JSON at character {at}"
            raise ValueError(msg) from None
        return UNREADABLE, end


def _end(text: str, at: int) -> int:
    """Find where an object or a list ends, whatever its depth."""
    depth = 0
    while True:
        found = _match(_NESTING, text, at)
        at = found.end()
        if found["open"] is not None:
            depth += len(found["open"])
        else:
            depth -= len(found["close"])
            if depth <= 0:
                return at + depth


def _match(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    found = pattern.match(text, at)
    if found is None:
        msg = f"no JSON at character {at}"
        raise ValueError(msg)
    return found
