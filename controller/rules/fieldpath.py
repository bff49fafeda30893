r"""Paths into an event: `data.duration_sec`, `spots.0.id`, `common.meta.kind`.

- Dots separate segments. A segment is a key of an object; a whole number is also the index of an
  element of a list, from 0.
- A backslash takes the next character literally, so a key with a dot is written `asset\.id`.
  Blanks, quotes and the marks ``[ ] { } ( ) * , \ `` need one too.
- A path goes on into JSON that is kept as text: where segments remain and the value is a text of
  at most 32 KiB, it is parsed. If that fails, there is no such field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from controller.errors import InvalidExpression
from controller.rules.payloads import MAX_BYTES, strict_json

__all__ = ["MISSING", "FieldPath", "FieldPathError", "Missing", "compile_path"]

_MAX_LENGTH = 256
_MAX_SEGMENTS = 16
_SHARED = 1024  # paths, of which ten thousand rules name the same few
_RESERVED = frozenset(" \"'`[]{}()*,")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class Missing(Enum):
    """The type of `MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""What `FieldPath.get` returns where the event has no such field; null is None."""


class FieldPathError(ValueError):
    """A path that cannot be read.

    Args:
        problem: What is wrong, and the remedy.
        column: The place in the path, from 1.
    """

    def __init__(self, problem: str, column: int) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A parsed path; equal paths are equal, however they were written.

    Attributes:
        segments: Each key, with the index that it is in a list (None: it is none).
    """

    segments: tuple[tuple[str, int | None], ...]

    @classmethod
    @lru_cache(_SHARED)
    def parse(cls, text: str) -> FieldPath:
        """Read a path; rules that name the same field share one.

        Raises:
            FieldPathError: It is malformed, longer than 256 characters or than 16 segments.
        """
        if len(text) > _MAX_LENGTH:
            msg = f"the path has more than {_MAX_LENGTH} characters"
            raise FieldPathError(msg, _MAX_LENGTH + 1)
        segments: list[tuple[str, int | None]] = []
        for key, column in _split(text):
            if not key:
                msg = "a name is missing here: write names with one dot between them"
                raise FieldPathError(msg, column)
            if len(segments) == _MAX_SEGMENTS:
                msg = f"the path has more than {_MAX_SEGMENTS} names"
                raise FieldPathError(msg, column)
            segments.append((key, int(key) if _INDEX.fullmatch(key) else None))
        return cls(tuple(segments))

    def get(self, payload: Mapping[str, Any]) -> Any | Missing:  # noqa: ANN401 - any JSON
        """Return the value in the event, None where it is null, `MISSING` where there is none."""
        value: Any = payload
        for key, index in self.segments:
            if isinstance(value, str):
                value = _parse_text(value)
            # dict first: to ask for a Mapping is slow, and only the event itself may be another.
            if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101
                value = value.get(key, MISSING)
            elif isinstance(value, list) and index is not None and index < len(value):
                value = value[index]
            else:
                return MISSING
        return value

    def __str__(self) -> str:
        return ".".join(_quote(key) for key, _ in self.segments)


def _split(text: str) -> list[tuple[str, int]]:
    """Split into keys, each with the column (from 1) at which it begins."""
    keys: list[tuple[str, int]] = []
    key, begin, literal = "", 1, False
    for column, char in enumerate(text, 1):
        if not char.isprintable():
            msg = "a character that cannot be printed: remove it"
            raise FieldPathError(msg, column)
        if literal or (char not in _RESERVED and char not in ".\\"):
            key, literal = key + char, False
        elif char == "\\":
            literal = True
        elif char == ".":
            keys.append((key, begin))
            key, begin = "", column + 1
        else:
            raise FieldPathError(_reserved(char), column)
    if literal:
        msg = "nothing follows the backslash: write \\\\ for a backslash itself"
        raise FieldPathError(msg, len(text))
    return [*keys, (key, begin)]


def _reserved(char: str) -> str:
    if char in "[]":
        return f"unexpected {char}: write an element of a list as a name, such as spots.0.id"
    return f"unexpected {char!r}: write \\{char} if it is part of a name"


def _quote(key: str) -> str:
    return "".join("\\" + char if char in _RESERVED or char in ".\\" else char for char in key)


# Many rules look into the same text of one event; what is parsed is only ever read.
@lru_cache(maxsize=16)
def _parse_text(text: str) -> Any:  # noqa: ANN401 - any JSON
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return MISSING
    try:
        value = strict_json(text)
    except ValueError:
        return MISSING
    # One level of text is entered, not JSON in a text in a text: `"\"x\""` has no fields.
    return value if isinstance(value, dict | list) else MISSING


def compile_path(text: str, where: str) -> FieldPath:
    """Parse a path that a resource has.

    Args:
        text: The path.
        where: The field that holds it.

    Raises:
        InvalidExpression: It cannot be read.
    """
    try:
        return FieldPath.parse(text)
    except FieldPathError as error:
        raise InvalidExpression(where, str(error)) from None
