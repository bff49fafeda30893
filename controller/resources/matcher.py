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
    *("equals", "in_", "glob", "regex", "prefix", "suffix", "exists"),
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
    """A test of one field of the event: field, and exactly one of the others but not."""

    exactly_one_of: ClassVar = _OPERATORS

    field: FieldPath
    """Path of the field, such as action or data.asset_id. A path may go on into JSON that is kept
    as text, such as common.meta.kind. An absent field passes no test but exists: false, and any
    test with not: true."""

    equals: ScalarNotList | None = None
    """The field is this text, number or boolean, of the same type: 1 is not "1". For a list of
    them use in."""

    in_: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=64)] | None = None
    """The field equals one of these texts, numbers or booleans; 1 to 64 of them."""

    glob: Annotated[str, Field(max_length=256)] | None = None
    """The field is a text of this form: * stands for any characters, ? for one, and all else for
    itself, [ and ] too. Capitals count. Classes of characters, and a literal * or ?, need a
    regex."""

    regex: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The field is a text in which this regular expression (RE2) finds something; ^ and $ tie it
    to the beginning and the end."""

    prefix: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The field is a text that begins with this."""

    suffix: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """The field is a text that ends with this."""

    exists: Flag | None = None
    """true: the event has the field. false: it has not."""

    gt: Number | None = None
    """The field, a number or the text of one, is greater than this."""

    gte: Number | None = None
    """The field, a number or the text of one, is greater than this or equal."""

    lt: Number | None = None
    """The field, a number or the text of one, is less than this."""

    lte: Number | None = None
    """The field, a number or the text of one, is less than this or equal."""

    not_: Flag = False
    """Turns the test around: it holds where it would not."""

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
