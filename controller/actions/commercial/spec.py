"""The spec of the action commercial."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from controller.resources.common import SpecModel
from controller.resources.fields import Duration, Rule
from controller.resources.matcher import FieldPath

__all__ = ["CommercialAction", "CommercialLength"]


CommercialLength = Annotated[float, Duration("1s", "180s", whole=True)]


class CommercialAction(SpecModel):
    """Run a commercial on the channel."""

    exactly_one_of: ClassVar = ("length_field", "length")
    rules: ClassVar = (
        Rule(
            "!has(self.defaultLength) || has(self.lengthField)",
            "defaultLength is for events without the field of lengthField: remove it, or give"
            " lengthField",
            ".defaultLength",
        ),
        Rule(
            "!has(self.lengthPattern) || has(self.lengthField)",
            "lengthPattern is for the string in the field of lengthField: remove it, or give"
            " lengthField",
            ".lengthPattern",
        ),
    )

    length_field: FieldPath | None = None
    """Path of the event's field with the length of the break in seconds, such as data.duration_sec.
    The operator requests at most 180 s, according to spec.commercials of the channel."""

    length_pattern: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Regular expression (RE2) with one group, which takes the number of seconds from a string in
    the field of lengthField, such as ^!ad ([0-9]+)."""

    length: CommercialLength | None = None
    """Length of each commercial, in whole seconds from 1s to 180s, such as 120s."""

    default_length: CommercialLength | None = None
    """Length if the event lacks the field of lengthField, in whole seconds from 1s to 180s. Without
    it, such an event is Failed."""

    @model_validator(mode="after")
    def _has_a_field(self) -> Self:
        if self.default_length is not None and self.length_field is None:
            raise ValueError(self.rules[0].message)
        if self.length_pattern is not None and self.length_field is None:
            raise ValueError(self.rules[1].message)
        return self
