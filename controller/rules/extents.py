"""How large a value of CEL may be: what its price is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["NOTHING", "Extent", "Known", "Size", "joined", "size_of_text", "sum_of_sizes"]

_NODE = 200.0  # nanoseconds to compare one value with another
_BYTE = 0.1  # the same, of a text


@dataclass(frozen=True, slots=True)
class Extent:
    """Upper bounds of a value.

    Attributes:
        text: UTF-8 bytes of the value as a text.
        length: Elements of the value as a list or an object.
        weight: Nanoseconds to compare all of it with another value.
        element: Of its elements; None: they may be as large as itself.
        known: The value itself, where it is part of an event.
    """

    text: float = 0
    length: float = 0
    weight: float = _NODE
    element: Extent | None = None
    known: Known | None = field(default=None, compare=False)

    @classmethod
    def of_text(cls, size: float) -> Extent:
        """Return the extent of a text of this many bytes."""
        return cls(text=size, weight=_NODE + _BYTE * size, element=NOTHING)

    @classmethod
    def within(cls, text: float, length: float) -> Extent:
        """Return what covers any part of an event with so much text, and so many values."""
        return cls(text, length, _NODE * length + _BYTE * text)

    @property
    def inner(self) -> Extent:
        """What covers each of the elements, and each key."""
        return self if self.element is None else self.element

    def field(self, name: str) -> Extent:
        """Return the extent of a field of an object."""
        return self.inner if self.known is None else self.known.field(name)

    def times(self, count: float) -> Extent:
        """Return the extent of a list of so many lists like this, one after the other."""
        return Extent(0, self.length * count, _NODE + self.weight * count, self.inner)

    def __add__(self, other: Extent) -> Extent:
        """Return the extent of the sum of two texts or lists."""
        return Extent(
            self.text + other.text,
            self.length + other.length,
            self.weight + other.weight,
            joined((self.inner, other.inner)),
        )


NOTHING: Final = Extent()
"""A number, a boolean, or another value of no size."""


def joined(extents: Iterable[Extent]) -> Extent:
    """Return what covers each of these."""
    return reduce(_join, extents, NOTHING)


def _join(one: Extent, other: Extent) -> Extent:
    if one == other:
        # They look alike from outside, and may not within.
        return one if one.known is other.known else replace(one, known=None)
    if other is NOTHING:
        return one
    if one is NOTHING:
        return other
    deeper = None
    if one.element is not None and other.element is not None:
        deeper = _join(one.element, other.element)
    elif one.element is not None or other.element is not None:
        # One is as large within as without: what covers both is so, too.
        deep, flat = (one, other) if one.element is None else (other, one)
        deeper = _join(deep, flat.inner)
    return Extent(
        max(one.text, other.text),
        max(one.length, other.length),
        max(one.weight, other.weight),
        deeper,
    )


class Size(NamedTuple):
    """The size of a value, measured.

    Attributes:
        text: Bytes of the longest text in it.
        length: The most elements of a list or object in it.
        weight: As of an extent.
        heaviest: The most weight of one of its elements.
    """

    text: int
    length: int
    weight: float
    heaviest: float


class Known(NamedTuple):
    """A value of an event.

    Attributes:
        value: The list or object.
        sizes: Of it, and of those in it, by identity.
    """

    value: Any
    sizes: Mapping[int, Size]

    def extent(self) -> Extent:
        """Return its extent."""
        size = self.sizes[id(self.value)]
        within = Extent(size.text, size.length, size.heaviest)
        return Extent(0, len(self.value), size.weight, within, self)

    def field(self, name: str) -> Extent:
        """Return the extent of a field of it, if it is an object."""
        if not isinstance(self.value, dict) or name not in self.value:
            return NOTHING
        value = self.value[name]
        if isinstance(value, str | bytes):
            return Extent.of_text(_bytes(value))
        return Known(value, self.sizes).extent() if id(value) in self.sizes else NOTHING


def size_of_text(text: str) -> Size:
    """Return the size of a text."""
    size = _bytes(text)
    return Size(size, 0, _NODE + _BYTE * size, 0.0)


def sum_of_sizes(length: int, plain: int, sizes: Collection[Size]) -> Size:
    """Return the size of a list or an object.

    Args:
        length: Its elements.
        plain: How many of them have no size.
        sizes: Of the others, and of the keys.
    """
    return Size(
        max((size.text for size in sizes), default=0),
        max(length, max((size.length for size in sizes), default=0)),
        _NODE * (1 + plain) + sum(size.weight for size in sizes),
        max(_NODE, max((size.weight for size in sizes), default=0.0)),
    )


def _bytes(text: str | bytes) -> int:
    if isinstance(text, bytes) or text.isascii():
        return len(text)
    return len(text.encode())
