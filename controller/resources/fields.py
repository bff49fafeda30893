"""The types of the resources' fields: each says what Python gets and what the API server checks.

They are annotations, such as `Annotated[float, Duration("1s", "5m")]`. One declaration holds twice:
in Python, and in the CRD, where rules are CEL with a message that names the remedy.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from controller.displayable import displayable
from controller.durations import DURATION_PATTERN, format_duration, parse_duration

__all__ = [
    "FROM_RESOURCE",
    "RULES",
    "WHOLE",
    "Clip",
    "Duration",
    "Flag",
    "Instant",
    "KeysMatching",
    "Matching",
    "Rule",
    "Scalar",
    "ScalarNotList",
    "WholeInstant",
    "Within",
    "parse_instant",
    "rfc3339",
]

RULES = "x-kubernetes-validations"
FROM_RESOURCE: Final = object()
"""Context in which a value is read as the resource has it: durations are texts."""

_DAY = 86_400.0
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9:]{5})")


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the CRD.

    Attributes:
        expression: True for what is accepted; `self` is the value that carries the rule.
        message: What the user reads when it is refused: the field and the remedy.
        field: Path below `self` that the refusal points to, such as `.token.secretName`.
    """

    expression: str
    message: str
    field: str | None = None

    def to_schema(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        at = {"fieldPath": self.field} if self.field else {}
        return {"rule": self.expression, "message": self.message} | at


@dataclass(frozen=True)
class Matching:
    """Annotation of a str: it matches a regular expression, of Python and of RE2 alike.

    A schema `pattern` would answer with the expression; this answers with a message.
    """

    pattern: str
    message: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rule = Rule(f"self.matches(r'{self.pattern}')", self.message)
        return handler(schema) | {RULES: [rule.to_schema()]}

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(self.message)
        return value


@dataclass(frozen=True)
class KeysMatching:
    """Annotation of a map: each key matches a regular expression, of Python and of RE2 alike.

    A schema says nothing about keys; the pattern bounds their length too.
    """

    pattern: str
    message: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rule = Rule(f"self.all(key, key.matches(r'{self.pattern}'))", self.message)
        return handler(schema) | {RULES: [rule.to_schema()]}

    def _check(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if not all(re.fullmatch(self.pattern, key) for key in value):
            raise ValueError(self.message)
        return value


@dataclass(frozen=True)
class Within:
    """Annotation of an int: it lies within bounds.

    Bounds of the schema would be all that the user is told; this tells the remedy too.
    """

    least: int
    most: int
    remedy: str

    @property
    def message(self) -> str:
        """What is accepted, for the user."""
        return f"must be from {self.least} to {self.most}; {self.remedy}"

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rule = Rule(f"self >= {self.least} && self <= {self.most}", self.message)
        return handler(schema) | {RULES: [rule.to_schema()]}

    def _check(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ValueError(self.message)
        return value


@dataclass(frozen=True)
class Duration:
    """Annotation of a float: seconds in Python, Go syntax (`1m30s`) in the resource.

    Attributes:
        least: The shortest that is accepted, in Go syntax.
        most: The longest.
        whole: Take numbers without a fraction in h, m and s only.
    """

    least: str
    most: str
    whole: bool = False

    @property
    def pattern(self) -> str:
        """Regular expression that the text matches."""
        return r"^([0-9]+(h|m|s))+$" if self.whole else DURATION_PATTERN

    @property
    def message(self) -> str:
        """What is accepted, for the user."""
        unit = "a duration of whole seconds" if self.whole else "a duration"
        within = [
            text
            for text in ("30s", "1m30s", "2h")
            if parse_duration(self.least) <= parse_duration(text) <= parse_duration(self.most)
        ]
        examples = " or ".join(within[:2])
        days = "; days are written in hours" if parse_duration(self.most) > _DAY else ""
        return f"must be {unit} from {self.least} to {self.most}, such as {examples}{days}"

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_before_validator_function(
            self._seconds,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(format_duration),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del schema, handler  # the resource holds text, whatever Python holds
        rule = (
            f"self.matches(r'{self.pattern}')"
            f" && duration(self) >= duration('{self.least}')"
            f" && duration(self) <= duration('{self.most}')"
        )
        return {"type": "string", "maxLength": 16, RULES: [Rule(rule, self.message).to_schema()]}

    def _seconds(self, value: object, info: ValidationInfo) -> float:
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            value = parse_duration(value)
        elif info.context is FROM_RESOURCE:
            raise ValueError(self.message)  # the API server takes no number for a text
        if isinstance(value, int | float) and not isinstance(value, bool):
            least, most = parse_duration(self.least), parse_duration(self.most)
            if least <= value <= most and not (self.whole and value % 1):
                return float(value)
        raise ValueError(self.message)


@dataclass(frozen=True)
class Clip:
    """Annotation of a str or a tuple of a status: what exceeds the limit is cut off.

    The API server refuses a status as a whole if one text in it is too long. Lists lose their tail,
    so they hold the newest first. A text is made displayable first, since it may quote others.
    """

    limit: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._cut, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        json_schema = handler(schema)
        limit = "maxItems" if json_schema["type"] == "array" else "maxLength"
        return json_schema | {limit: self.limit}

    def _cut(self, value: object) -> object:
        if isinstance(value, str):
            text = displayable(value)
            return text if len(text) <= self.limit else text[: self.limit - 1] + "…"
        if isinstance(value, list | tuple):
            return value[: self.limit]
        return value


def rfc3339(seconds: float) -> str:
    """Write an instant in UTC: `2021-01-29T09:26:33Z`, with milliseconds where there are any.

    Args:
        seconds: Since the epoch.
    """
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    fraction = f".{milliseconds:03}" if milliseconds else ""
    return datetime.fromtimestamp(whole, UTC).isoformat()[:-6] + fraction + "Z"


def parse_instant(text: str) -> float:
    """Read an RFC 3339 instant.

    Returns:
        Seconds since the epoch.

    Raises:
        ValueError: The text is not an instant; the message says what one looks like.
    """
    if _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text.upper()).timestamp()
        except ValueError:
            pass
    msg = f"{text!r} is not an instant: write it as RFC 3339, such as 2021-01-29T09:26:33Z"
    raise ValueError(msg)


def _instant(value: object) -> object:
    return parse_instant(value) if isinstance(value, str) else value


def _whole(seconds: float) -> str:
    return rfc3339(math.ceil(seconds))


def _scalar(value: object) -> bool | float | str:
    if isinstance(value, bool | int | float | str):
        return value
    msg = "must be a string, a number, true or false"
    raise ValueError(msg)


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    msg = "must be true or false, without quotes"
    raise ValueError(msg)


def _whole_number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the API server takes 5.0 for 5, too
    msg = "must be a whole number, without quotes"
    raise ValueError(msg)


Flag = Annotated[bool, BeforeValidator(_flag)]
"""true or false, and no text that looks like it: the API server takes none."""

WHOLE = BeforeValidator(_whole_number)
"""Last annotation of an int: a whole number, and no text that looks like one."""

_Epoch = Annotated[
    float, BeforeValidator(_instant), Field(ge=0, lt=253402300799)
]  # to the year 9999
_INSTANT_SCHEMA = {"type": "string", "format": "date-time", "maxLength": 35}

Instant = Annotated[
    _Epoch,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(_INSTANT_SCHEMA),
]
"""Seconds since the epoch in Python; RFC 3339 with milliseconds in the resource."""

WholeInstant = Annotated[
    _Epoch,
    PlainSerializer(_whole, return_type=str),
    WithJsonSchema(_INSTANT_SCHEMA),
]
"""The same in whole seconds, rounded up: who waits until then has waited long enough."""

_SCALAR_SCHEMA = {
    "x-kubernetes-preserve-unknown-fields": True,
    "maxLength": 1024,
    "minProperties": 1,
    "maxProperties": 0,
}

# A structural schema has no word for "any scalar". A value without a type is let through as it is,
# and bounds that no list and no object can satisfy leave the scalars.
Scalar = Annotated[
    bool | int | float | str,
    PlainValidator(_scalar),
    WithJsonSchema(_SCALAR_SCHEMA | {"minItems": 1, "maxItems": 0}),
]
"""A text, a number or a boolean, of the type in which it was written."""


_USE_IN = "must be one string, number, true or false: use in for a list of them"


def _no_list(value: object) -> bool | float | str:
    if isinstance(value, list | tuple):
        raise ValueError(_USE_IN)
    return _scalar(value)


# The API server refuses lists by their size, in words that help nobody. No rule can be written for
# a value without a type; but the values that an element may have are told, so they say what to do.
ScalarNotList = Annotated[
    bool | int | float | str,
    PlainValidator(_no_list),
    WithJsonSchema(
        _SCALAR_SCHEMA
        | {
            "minItems": 1,
            "maxItems": 64,
            "items": {
                "x-kubernetes-preserve-unknown-fields": True,
                "enum": ["(none: use in for a list)"],
            },
        }
    ),
]
"""A scalar in a place where people write lists."""
