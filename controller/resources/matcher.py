"""Matcher: a test of one field of an event, as rules write it."""

import math
from typing import Annotated, ClassVar

from pydantic import (
    Field,
    PlainValidator,
    WithJsonSchema,
)

from controller.resources.common import SpecModel
from controller.resources.fields import Flag, Scalar, ScalarNotList

__all__ = ["FieldPath", "Matcher"]

_OPERATORS = (
    *("equals", "in_", "contains", "glob", "regex", "prefix", "suffix", "exists"),
    *("gt", "gte", "lt", "lte"),
)

FieldPath = Annotated[str, Field(min_length=1, max_length=256)]
"""Path into an event, such as `data.duration_sec`; whether it parses is told by a condition."""


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    msg = "must be a number, such as 10 or 2.5, without quotes"
    raise ValueError(msg)


# Whole numbers stay whole: beyond 2**53 a double tells none apart from the next.
Number = Annotated[float, PlainValidator(_number), WithJsonSchema({"type": "number"})]


class Matcher(SpecModel):
    """A test of one field of the event: field, exactly one operator, and optionally not."""

    exactly_one_of: ClassVar = _OPERATORS

    field: FieldPath
    """Path of the field, such as action or data.asset_id. A path may continue inside a string that
    holds JSON, such as common.meta.kind. If the field is absent, only exists: false and tests with
    not: true pass."""

    equals: ScalarNotList | None = None
    """The field equals this string, number or boolean, of the same type: 1 is not "1". Use in for a
    list."""

    in_: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=64)] | None = None
    """The field equals one of these strings, numbers or booleans; 1 to 64 values."""

    contains: ScalarNotList | None = None
    """The field is a list with this string, number or boolean in it, such as moderator in
    user.roles."""

    glob: Annotated[str, Field(max_length=256)] | None = None
    """The field is a string that matches this pattern, case-sensitively: * is any number of
    characters, ? is one, and all others, including [ and ], are literal. Use regex for character
    classes and a literal * or ?."""

    regex: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The field is a string in which this regular expression (RE2) finds a match. Anchor it with ^
    and $."""

    prefix: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The field is a string that starts with this value."""

    suffix: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The field is a string that ends with this value."""

    exists: Flag | None = None
    """true: the event has the field. false: it does not."""

    gt: Number | None = None
    """The field is a number, or a string that holds a number, greater than this value."""

    gte: Number | None = None
    """The field is a number, or a string that holds a number, greater than or equal to this
    value."""

    lt: Number | None = None
    """The field is a number, or a string that holds a number, less than this value."""

    lte: Number | None = None
    """The field is a number, or a string that holds a number, less than or equal to this value."""

    not_: Flag = False
    """Inverts the test."""

    @property
    def operator(self) -> str:
        """Name of the one test, as the resource writes it, such as `equals` or `in`."""
        given = next(name for name in _OPERATORS if getattr(self, name) is not None)
        return given.removesuffix("_")

    @property
    def operand(self) -> bool | float | str | tuple[bool | float | str, ...]:
        """What the field is compared with."""
        given = (getattr(self, name) for name in _OPERATORS)
        operand: bool | float | str | tuple[bool | float | str, ...] = next(
            value for value in given if value is not None
        )
        return operand
