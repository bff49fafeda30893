"""A feed's message → the JSON object that rules look at; and JSON values told to people.

Everything else in this package takes any JSON that Python can hold: NaN, infinities, integers of
any length and lone surrogates get in by ways that no parser guards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = [
    "EXACT",
    "MAX_BYTES",
    "MAX_DEPTH",
    "NotJson",
    "Refusal",
    "parse_payload",
    "shown",
    "strict_json",
    "strict_json_at",
]

MAX_BYTES = 32 * 1024
"""Largest event, as JSON in UTF-8."""

MAX_DEPTH = 32
"""Deepest nesting of an event; the event itself is level 1."""

EXACT = 2**53
"""From here on, a double tells no whole number apart from the next."""

_WINDOW = 4096  # characters that are parsed at first
_LONGEST_WORD = 16  # characters of -Infinity, of 1.0e+ and of an escape
_SHOWN = 60  # characters of a value that a message shows
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something cannot be used, as a sentence for the reader of a status.

    Attributes:
        reason: The sentence.
        lasting: An expression is to blame, and not the event: it is likely to fail for others too.
    """

    reason: str
    lasting: bool = False


class NotJson(ValueError):
    """What is not JSON.

    Attributes:
        at: The place in the text where that shows.
    """

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(problem)
        self.at = at


_TOO_DEEP = Refusal(f"nested deeper than {MAX_DEPTH} levels")


def parse_payload(message: object) -> Mapping[str, Any] | Refusal:
    """Take a message for an event.

    Args:
        message: JSON as text or bytes, or what a client library made of it. Of the values of a
            repeated key the last one counts.

    Returns:
        The JSON object as it came, or why it is none that rules look at.
    """
    if isinstance(message, str | bytes):
        size = len(
            message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message
        )
        if size > MAX_BYTES:
            return _too_large(size)
        try:
            message = strict_json(message)
        except ValueError as error:
            return Refusal(f"not JSON: {error}")
    else:
        size = 0
    if not isinstance(message, Mapping):
        return Refusal(f"not a JSON object but {shown(message)}")
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return _TOO_DEEP
    except (TypeError, ValueError) as error:
        return Refusal(f"not JSON: {error}")
    written = text.encode("utf-8", "surrogatepass")
    if not size and len(written) > MAX_BYTES:
        return _too_large(len(written))
    return _TOO_DEEP if _is_too_deep(written) else message


def strict_json(text: str | bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON, without Python's extensions to it.

    Raises:
        ValueError: It is not JSON, nested too deeply to be parsed, or holds NaN or Infinity.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        msg = "nested too deeply"
        raise ValueError(msg) from None


def strict_json_at(text: str, at: int) -> tuple[Any, int]:
    """Parse the JSON that begins at a place of a text.

    However long the text is, no more of it is looked at than the value is long.

    Returns:
        Its value, and the place behind it.

    Raises:
        NotJson: The text goes on with something else.
        ValueError: As `strict_json`.
    """
    size = _WINDOW
    while True:
        window = text[at : at + size]
        sure = len(window) if len(window) < size else size - _LONGEST_WORD
        try:
            value, end = _STRICT.raw_decode(window)
            if end <= sure:
                return value, at + end
        except json.JSONDecodeError as error:
            torn = error.pos > sure or (len(window) == size and error.msg.startswith("Untermin"))
            if not torn:
                raise NotJson(error.msg.removesuffix(" at"), at + error.pos) from None
        except RecursionError:
            msg = "nested too deeply"
            raise ValueError(msg) from None
        size *= 8


def shown(value: object) -> str:
    """Write any JSON value for people: on one line, short, and encodable."""
    match value:
        case list() | tuple():
            return f"a list of {len(value)}"
        case Mapping():
            return "an object"
        case int() if value.bit_length() > 64:
            return "a number of more than 19 digits"
        case str():
            text = json.dumps(value[: _SHOWN + 1], ensure_ascii=not value.isprintable())
            return text if len(text) <= _SHOWN else text[: _SHOWN - 2] + '…"'
        case None | bool() | int() | float():
            return json.dumps(value)
        case _:
            return f"a value of type {type(value).__name__}"


def _is_too_deep(text: bytes) -> bool:
    """Whether JSON is nested too deeply: without a walk in Python, for which some events are large.

    Each round takes the innermost level away.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    left = _STRING.sub(b"", text).translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        left = left.replace(b"[]", b"")
        if not left:
            return False
    return True


def _too_large(size: int) -> Refusal:
    return Refusal(f"{size} bytes of JSON, and an event has at most {MAX_BYTES}")


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


_STRICT = json.JSONDecoder(parse_constant=_refuse_constant)
