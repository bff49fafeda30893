"""A CEL expression as a tree, read from what the library serializes.

The library hands out no syntax tree, but the checked expression as a protocol buffer
(`cel.expr.CheckedExpr`), in which macros are expanded: what will be evaluated, not what was typed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cel_expr_python import cel  # type: ignore[import-untyped]

__all__ = ["Node", "tree_of"]

Kind = Literal["constant", "name", "select", "call", "list", "map", "loop"]


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression.

    Attributes:
        kind: What it is.
        at: Where it stands: characters of the text before its mark, such as the `(` of a call.
        name: Of a variable, a field, a function (such as `_+_`), or the variable of a loop.
        parts: Operands. Of a method the first is its target; of a map keys and values take turns;
            of a loop: the range, the first result, the condition, the step, and the result.
        text: UTF-8 of a constant that is a text, or the bytes of one; None: it is not text.
        result: Of a loop: the variable that holds the result so far.
        double: Value of a constant that is a double; of any other, 0.
    """

    kind: Kind
    at: int
    name: str = ""
    parts: tuple[Node, ...] = ()
    text: bytes | None = None
    result: str = ""
    double: float = 0.0

    def all(self) -> Iterator[Node]:
        """Give the part itself and all within it."""
        waiting = [self]
        while waiting:
            yield (node := waiting.pop())
            waiting.extend(node.parts)


def tree_of(compiled: cel.Expression) -> Node:
    """Return the root of a compiled expression."""
    packed = _fields(compiled.serialize())  # google.protobuf.Any
    checked = _fields(_bytes(packed, 2))
    source = _fields(_bytes(checked, 5))
    entries = (_fields(entry) for entry in source.get(4, ()) if isinstance(entry, bytes))
    places = {_integer(entry, 1): _integer(entry, 2) for entry in entries}
    return _Reader(places).node(_bytes(checked, 4))


_DOUBLE = struct.Struct("<d")

_Fields = dict[int, list[int | bytes]]


class _Reader:
    """Reads `cel.expr.Expr`; its field numbers are those of the CEL specification."""

    def __init__(self, places: Mapping[int, int]) -> None:
        self._places = places

    def node(self, message: bytes) -> Node:
        fields = _fields(message)
        at = self._places.get(_integer(fields, 2), 0)
        for number, read in (
            (3, _constant),
            (4, _name),
            (5, self._select),
            (6, self._call),
            (7, self._list),
            (8, self._map),
            (9, self._loop),
        ):
            if number in fields:
                return read(_fields(_bytes(fields, number)), at)
        return Node("constant", at)

    def _select(self, fields: _Fields, at: int) -> Node:
        return Node("select", at, _text(fields, 2), self._nodes(fields, 1))

    def _call(self, fields: _Fields, at: int) -> Node:
        name = _text(fields, 2)
        return Node("call", at, name, self._nodes(fields, 1) + self._nodes(fields, 3))

    def _list(self, fields: _Fields, at: int) -> Node:
        return Node("list", at, parts=self._nodes(fields, 1))

    def _map(self, fields: _Fields, at: int) -> Node:
        entries = (_fields(entry) for entry in fields.get(2, ()) if isinstance(entry, bytes))
        parts = (part for entry in entries for part in self._nodes(entry, 3, 4))
        return Node("map", at, parts=tuple(parts))

    def _loop(self, fields: _Fields, at: int) -> Node:
        parts = self._nodes(fields, 2, 4, 5, 6, 7)
        return Node("loop", at, _text(fields, 1), parts, result=_text(fields, 3))

    def _nodes(self, fields: _Fields, *numbers: int) -> tuple[Node, ...]:
        found = (value for number in numbers for value in fields.get(number, ()))
        return tuple(self.node(value) for value in found if isinstance(value, bytes))


def _constant(fields: _Fields, at: int) -> Node:
    text = next((fields[number][0] for number in (6, 7) if number in fields), None)
    double = _DOUBLE.unpack(_bytes(fields, 5))[0] if 5 in fields else 0.0
    return Node("constant", at, text=text if isinstance(text, bytes) else None, double=double)


def _name(fields: _Fields, at: int) -> Node:
    return Node("name", at, _text(fields, 1))


def _integer(fields: _Fields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def _bytes(fields: _Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def _text(fields: _Fields, number: int) -> str:
    return _bytes(fields, number).decode()


def _fields(message: bytes) -> _Fields:
    """Split a message of the protocol buffers' wire format into its fields."""
    fields: _Fields = {}
    for number, value in _pairs(message):
        fields.setdefault(number, []).append(value)
    return fields


def _pairs(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value
                continue
            case 1:
                end = at + 8
            case 5:
                end = at + 4
            case _:
                size, at = _varint(message, at)
                end = at + size
        yield key >> 3, message[at:end]
        at = end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
