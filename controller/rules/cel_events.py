"""An event as CEL takes it, measured on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.rules.extents import Known, Size, size_of_text, sum_of_sizes
from controller.rules.payloads import EXACT, MAX_DEPTH, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.rules.extents import Extent

__all__ = ["CelEvent", "cel_event"]


_PLAIN = size_of_text("")


@dataclass(frozen=True, slots=True)
class CelEvent:
    """An event of values that CEL knows: every number exact, every character encodable.

    Attributes:
        value: The event.
        extent: How large it is.
        beyond: Path of a whole number of more than 64 bits; None: it has none.
    """

    value: dict[str, Any]
    extent: Extent
    beyond: str | None


def cel_event(payload: Mapping[str, Any]) -> CelEvent:
    """Convert an event.

    Raises:
        RecursionError: It is nested too deeply.
    """
    conversion = _Conversion()
    value, _ = conversion.record(payload, 1)
    beyond = _beyond(payload, "event") if conversion.beyond else None
    return CelEvent(value, Known(value, conversion.sizes).extent(), beyond)


class _Conversion:
    """Converts values.

    Attributes:
        sizes: Of the lists and objects that it made, by identity.
        beyond: Whether there was a whole number of more than 64 bits.
    """

    def __init__(self) -> None:
        self.sizes: dict[int, Size] = {}
        self.beyond = False

    def record(self, value: Mapping[Any, Any], depth: int) -> tuple[dict[str, Any], Size]:
        keys, key_sizes = self._all(map(str, value), depth)
        values, sizes = self._all(value.values(), depth)
        made = dict(zip(keys, values, strict=True))
        size = sum_of_sizes(len(values), len(values) - len(sizes), key_sizes + sizes)
        self.sizes[id(made)] = size
        return made, size

    def _list(self, value: Iterable[Any], depth: int) -> tuple[list[Any], Size]:
        made, sizes = self._all(value, depth)
        size = sum_of_sizes(len(made), len(made) - len(sizes), sizes)
        self.sizes[id(made)] = size
        return made, size

    def _all(self, values: Iterable[Any], depth: int) -> tuple[list[Any], list[Size]]:
        """Convert elements, and return the sizes of all but the plain ones."""
        if depth > MAX_DEPTH:
            raise RecursionError
        made: list[Any] = []
        sizes = []
        for value in values:
            kind = type(value)
            if kind is float or kind is bool or value is None:
                made.append(value)
            elif kind is int and -EXACT < value < EXACT:
                made.append(float(value))
            else:
                one, size = self._large(value, depth)
                made.append(one)
                sizes.append(size)
        return made, sizes

    def _large(self, value: object, depth: int) -> tuple[Any, Size]:
        match value:
            case str():
                text = _encodable(value)
                return text, size_of_text(text)
            case float():
                return value, _PLAIN
            case int() if -(2**63) <= value < 2**64:
                return value, _PLAIN
            case int():
                self.beyond = True
                digits = _digits(value)
                return digits.encode(), size_of_text(digits)
            case dict():
                return self.record(value, depth + 1)
            case list() | tuple():
                return self._list(value, depth + 1)
            case _ if hasattr(value, "items"):
                return self.record(dict(value.items()), depth + 1)
            case _:
                text = shown(value)
                return text, size_of_text(text)


def _digits(value: int) -> str:
    # Python refuses to write integers of thousands of digits in decimal.
    return str(value) if value.bit_length() <= 1 << 12 else hex(value)


def _beyond(value: object, path: str) -> str | None:
    """Return the path of a whole number of more than 64 bits."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else path
    if isinstance(value, list | tuple):
        children = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    elif hasattr(value, "items"):
        children = [(f"{path}.{key}", child) for key, child in value.items()]
    else:
        return None
    return next((found for at, child in children if (found := _beyond(child, at))), None)


def _encodable(text: str) -> str:
    # CEL fails on a lone surrogate, anywhere in the event.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
