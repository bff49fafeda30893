"""The `data` of a message: CEL over `event` that gives a JSON object.

What comes out is taken piece by piece, and no further than a message may be large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from controller.errors import InvalidExpression
from controller.rules.costs import cost_of
from controller.rules.expressions import compile_cel, evaluate_cel
from controller.rules.payloads import EXACT, Refusal, shown

if TYPE_CHECKING:
    from controller.rules.costs import Cost
    from controller.rules.expressions import CelView

__all__ = ["MAX_OBJECT", "ObjectExpression", "compile_object"]

MAX_OBJECT = 5120
"""Values and characters of an object that an expression gives: no message carries more."""


@dataclass(frozen=True, slots=True)
class ObjectExpression:
    """A compiled expression that gives a JSON object."""

    text: str
    _compiled: cel.Expression
    _cost: Cost
    _name: str

    def evaluate(self, view: CelView | Refusal) -> dict[str, Any] | Refusal:
        """Give the object for an event, or why there is none.

        Whole numbers come out as such, as they were in the event.
        """
        name = self._name
        answer = evaluate_cel(self._compiled, self._cost, view, name)
        if isinstance(answer, Refusal):
            return answer
        kind, value = answer
        if not isinstance(value, dict):
            return Refusal(f"{name} gave a value of type {kind.name()}, and must give an object")
        try:
            return _Result().convert(value, name)
        except _NotJson as error:
            return Refusal(str(error))


@lru_cache(maxsize=256)
def compile_object(text: str, where: str) -> ObjectExpression:
    """Compile an expression that gives a JSON object.

    Args:
        text: CEL.
        where: The field that holds it; its last part is what messages call it.

    Raises:
        InvalidExpression: As `compile_when`.
    """
    compiled = compile_cel(text, where)
    kind = compiled.return_type()
    if kind != cel.Type.DYN and not kind.name().startswith("MAP<"):
        msg = f"gives a value of type {kind.name()}, and must give an object"
        raise InvalidExpression(where, f'{msg} such as {{"seconds": event.data.duration_sec}}')
    return ObjectExpression(
        text, compiled, cost_of(compiled, text, where), where.rpartition(".")[2]
    )


class _NotJson(Exception):
    """A value that a message cannot carry."""


class _Result:
    """Takes an object from CEL, which hands out one level at a time."""

    def __init__(self) -> None:
        self._size = 0

    def convert(self, value: dict[Any, Any], path: str) -> dict[str, Any]:
        self._count(len(value))
        found = {}
        # In an order of its own, since CEL's changes from time to time.
        for key, child in sorted(value.items(), key=lambda item: str(item[0])):
            if not isinstance(key, str):
                msg = f"{_place(path)} has the key {shown(key)}, and keys of JSON are strings"
                raise _NotJson(msg)
            self._count(len(key))
            found[key] = self._value(child.value(), f"{path}.{key}")
        return found

    def _value(self, value: object, path: str) -> object:
        match value:
            case None | bool() | int():
                return value
            case float():
                return _number(value, path)
            case str():
                self._count(len(value))
                return value
            case dict():
                return self.convert(value, path)
            case list():
                self._count(len(value))
                return [self._value(child.value(), path) for child in value]
        kind = "a time" if hasattr(value, "year") else f"a value of type {type(value).__name__}"
        if isinstance(value, bytearray):
            kind = "bytes, or a whole number of more than 64 bits"
        msg = f"{_place(path)} is {kind}, which JSON cannot carry: convert it with string(...)"
        raise _NotJson(msg)

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > MAX_OBJECT:
            msg = f"data has more than {MAX_OBJECT} characters and values: send less"
            raise _NotJson(msg)


def _number(value: float, path: str) -> float:
    if not math.isfinite(value):
        msg = f"{_place(path)} is {value}, which JSON cannot carry"
        raise _NotJson(msg)
    return int(value) if value.is_integer() and abs(value) < EXACT else value


def _place(path: str) -> str:
    """For people: keys of events may be anything."""
    return "".join(char for char in path if char.isprintable())[:100]
