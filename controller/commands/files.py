"""Files that users give: one way to open text, and one reader of the JSON in it."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import sys
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.errors import OperatorError
from controller.rules.payloads import NotJson, Refusal, strict_json_at

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

__all__ = ["Found", "json_values", "open_text", "read_text"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# What `surrogateescape` makes of bytes that are not text; no file holds these otherwise.
_NO_TEXT = re.compile("[\udc80-\udcff]")
_SOMETHING = re.compile(r"[^ \t\n\r]")
_BLANK = re.compile(r"[ \t\n\r]*")
_ENDS = re.compile(r"[ \t\r]*(?=[\n{\[]|\Z)")
# Lines that go on with what an earlier line began: indented ones, and closing brackets.
_REST = re.compile(r"(?:[ \t\r}\]][^\n]*(?:\n|\Z)|\n)*")


class Found(NamedTuple):
    """A value of a file.

    Attributes:
        line: Where it begins, from 1.
        value: JSON; or why it is none.
    """

    line: int
    value: Any | Refusal


@contextmanager
def open_text(file: str, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
    """Open a file for reading; lines end with a line feed, and with no other character.

    UTF-8 is read, and UTF-16 if a byte order mark says so; the mark is no part of the text.

    Args:
        file: Its name; `-` is the standard input, and `.gz` at the end is unpacked.
        errors: What to do about bytes that are not text, as `bytes.decode` names it.

    Raises:
        OperatorError: It cannot be read; here, or while it is read.
    """
    try:
        raw: Any = sys.stdin.buffer if file == "-" else _opened(file)
        is_utf_16 = raw.peek(2).startswith(_UTF_16)
        text = io.TextIOWrapper(raw, "utf-16" if is_utf_16 else "utf-8-sig", errors)
        try:
            yield text
        finally:
            text.detach() if file == "-" else text.close()
    except UnicodeError:
        msg = f"{file}: it is not text in UTF-8"
        raise OperatorError(msg) from None
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{file}: {getattr(error, 'strerror', None) or error}"
        raise OperatorError(msg) from None


def _opened(file: str) -> io.BufferedIOBase:
    return gzip.open(file) if file.endswith(".gz") else Path(file).open("rb")


def read_text(file: str, *, lenient: bool = False) -> str:
    """Read a whole file; see `open_text`.

    Args:
        file: Its name.
        lenient: Bytes that are not text are kept: `json_values` refuses the values they stand in.
    """
    with open_text(file, "surrogateescape" if lenient else "strict") as text:
        return text.read()


def json_values(text: str) -> Iterator[Found]:
    """Find the values of a text: JSON of any layout, one after the other, or elements of lists.

    So one document, JSON lines, and what was pretty-printed are read alike. What is not JSON is
    told by the line at which it begins, and the next line that may begin a value goes on.
    """
    at, line, counted = 0, 1, 0
    while begin := _SOMETHING.search(text, at):
        start = begin.start()
        line, counted = line + text.count("\n", counted, start), start
        values = _elements(text, start) if text[start] == "[" else _document(text, start)
        while True:
            try:
                place, value = next(values)
            except StopIteration as end:
                at = end.value
                break
            except ValueError as error:
                at = text.find("\n", start) + 1 or len(text)
                where = _place(text, error.at, line, counted) if isinstance(error, NotJson) else ""
                no_text = _no_text(text, start, at)
                yield Found(line, no_text or Refusal(f"not JSON: {error}{where}"))
                if text[start] in "{[":
                    at = _REST.match(text, at).end()  # type: ignore[union-attr]
                break
            line, counted = line + text.count("\n", counted, place), place
            yield Found(line, value)


def _place(text: str, at: int, line: int, counted: int) -> str:
    """Tell a place, by one before it whose line is known."""
    column = at - text.rfind("\n", 0, at)
    return f" at line {line + text.count(chr(10), counted, at)}, column {column}"


def _document(text: str, start: int) -> Generator[tuple[int, Any], None, int]:
    value, end = strict_json_at(text, start)
    _require_end(text, end)
    yield start, _no_text(text, start, end) or value
    return end


def _elements(text: str, start: int) -> Generator[tuple[int, Any], None, int]:
    at = _skip(text, start + 1)
    more = text[at : at + 1] != "]"
    while more:
        value, end = strict_json_at(text, at)
        yield at, _no_text(text, at, end) or value
        at = _skip(text, end)
        more = text[at : at + 1] == ","
        at = _skip(text, at + 1) if more else at
    if text[at : at + 1] != "]":
        msg = "a list goes on with a comma or ends with ]"
        raise NotJson(msg, at)
    _require_end(text, at + 1)
    return at + 1


def _no_text(text: str, start: int, end: int) -> Refusal | None:
    """Tell the first byte of a part that is not text; None: all is text."""
    found = _NO_TEXT.search(text, start, end)
    if found is None:
        return None
    byte, place = ord(found[0]) - 0xDC00, found.start() - start + 1
    return Refusal(f"not text in UTF-8: byte 0x{byte:02x} at character {place} of it")


def _require_end(text: str, end: int) -> None:
    if not _ENDS.match(text, end):
        msg = "something follows its end"
        raise NotJson(msg, end)


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]
