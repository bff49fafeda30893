"""What the resources share: their base models, references and conditions.

A spec is parsed strictly, and its faults name the field. A status is parsed leniently, because
another version may have written it, and is written within the limits of the CRD.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from controller.errors import PermanentError
from controller.pydantic_messages import problem_of
from controller.resources.fields import (
    FROM_RESOURCE,
    RULES,
    Clip,
    Matching,
    Rule,
    WholeInstant,
    parse_instant,
    rfc3339,
)

__all__ = [
    "Condition",
    "InvalidSpec",
    "ObjectName",
    "ObjectStatus",
    "SecretKeyReference",
    "SecretReference",
    "SpecModel",
    "StatusModel",
    "find_condition",
    "parse_instant",
    "rfc3339",
]


class InvalidSpec(PermanentError):
    """A spec that does not parse: the CRD and the operator are of different versions."""


def _alias(name: str) -> str:
    return to_camel(name.removesuffix("_"))  # `in_` and `not_` are words of Python


_NONE_GIVEN: set[str] = set()


class _Lean(BaseModel):
    """A model that does not remember which of its fields were given.

    Nobody asks, and those sets took a quarter of the memory of ten thousand resources.
    """

    def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401, ARG002 - pydantic's own
        object.__setattr__(self, "__pydantic_fields_set__", _NONE_GIVEN)


class SpecModel(_Lean):
    """A part of a spec.

    Attributes:
        exactly_one_of: Names of fields of which each object has exactly one.
        rules: Further rules that the API server checks.
    """

    model_config = ConfigDict(
        alias_generator=_alias,
        validate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    exactly_one_of: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Parse a spec as the API server holds it.

        Raises:
            InvalidSpec: It does not fit; the message names each field.
        """
        try:
            return cls.model_validate(spec, context=FROM_RESOURCE, by_name=False, by_alias=True)
        except ValidationError as error:
            raise InvalidSpec(_explain(error, cls)) from None

    @classmethod
    def checks(cls) -> tuple[Rule, ...]:
        """Return all `rules`, also those that are known only once kinds have registered."""
        return cls.rules

    @classmethod
    def aliases(cls, *names: str) -> list[str]:
        """Return the names of fields as the resource writes them."""
        return [cls.model_fields[name].alias or name for name in names]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        json_schema = handler.resolve_ref_schema(handler(schema))
        rules = list(cls.checks())
        if cls.exactly_one_of:
            names = cls.aliases(*cls.exactly_one_of)
            rules.insert(0, _exactly_one(names))
            # The rule's message says more than "Required value".
            required = [name for name in json_schema.get("required", ()) if name not in names]
            json_schema["required"] = required
        if rules:
            json_schema[RULES] = [rule.to_schema() for rule in rules]
        return json_schema

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: object) -> object:
        """Leave out what is null, as the API server does; an unknown field stays one."""
        if not isinstance(given, dict) or None not in given.values():
            return given
        known = {*cls.model_fields, *cls.aliases(*cls.model_fields)}
        return {name: part for name, part in given.items() if part is not None or name not in known}

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        given = [name for name in self.exactly_one_of if getattr(self, name) is not None]
        if self.exactly_one_of and len(given) != 1:
            raise ValueError(_exactly_one(self.aliases(*self.exactly_one_of)).message)
        return self


class StatusModel(_Lean):
    """A part of a status; instants are seconds since the epoch.

    Attributes:
        quiet: Fields of a whole status, or parts of fields (`field.part`), that are written only
            along with others.
    """

    quiet: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(
        alias_generator=_alias,
        validate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Self:
        """Parse a status of any version: what cannot be read counts as absent."""
        readable: Any = deepcopy(dict(status))
        while True:
            try:
                return cls.model_validate(readable, by_name=False, by_alias=True)
            except ValidationError as error:
                # One at a time: what is dropped may take further faults with it.
                _drop(readable, error.errors(include_url=False, include_input=False)[0]["loc"])

    def to_status(self) -> dict[str, Any]:
        """Return what is written to the API server: without what is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def with_changes(self, **changes: Any) -> Self:  # noqa: ANN401 - as the fields are
        """Return a copy with some fields changed, clipped and checked as in the constructor."""
        return type(self)(**{**dict(self), **changes})


ObjectName = Annotated[
    str,
    Field(max_length=253),
    Matching(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "must be the name of an object: lowercase letters, digits, '-' and '.', with a letter or"
        " digit at both ends",
    ),
]


class SecretReference(SpecModel):
    """A Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret, in the namespace of this object."""


class SecretKeyReference(SpecModel):
    """A key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret, in the namespace of this object."""

    key: Annotated[
        str,
        Field(max_length=253),
        Matching(
            r"^[-._a-zA-Z0-9]+$",
            "must be a key of a Secret: letters, digits, '-', '_' and '.'",
        ),
    ]
    """Key within the Secret's data."""


class Condition(StatusModel):
    """One aspect of the object's state."""

    type: Annotated[str, Clip(64)]
    """Aspect that this condition describes, such as Ready, Reconciling, Stalled or Suspended."""

    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """Value of metadata.generation that the condition was computed for."""

    last_transition_time: WholeInstant
    """When the status of this condition last changed."""

    reason: Annotated[str, Clip(128)]
    """One CamelCase word for programs, such as Succeeded or SecretNotFound."""

    message: Annotated[str, Clip(4096)] = ""
    """What is wrong and how to fix it, for people."""


class ObjectStatus(StatusModel):
    """Fields that the status of each kind has."""

    observed_generation: Annotated[int, Field(ge=-1)] | None = None
    """Value of metadata.generation that this status was computed for; -1: the operator has not seen
    the object yet."""

    last_handled_reconcile_at: Annotated[str, Clip(1024)] | None = None
    """Last value of the annotation twitch-operator.dev/requestedAt that the operator handled."""

    conditions: Annotated[
        tuple[Condition, ...],
        Clip(16),
        Field(
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }
        ),
    ] = ()
    """State of the object. Ready sums up the others. Reconciling is True while the operator retries
    and may recover without help. Stalled is True if a human must act."""


def _exactly_one(names: list[str]) -> Rule:
    # dyn() looks at the value itself: CEL's type of an object lacks the fields of any type.
    # `in` is a word of CEL; the API server calls the field by another name.
    escaped = ["__in__" if name == "in" else name for name in names]
    given = ", ".join(f"has(dyn(self).{name})" for name in escaped)
    message = f"must have exactly one of: {', '.join(names)}"
    return Rule(f"[{given}].exists_one(given, given)", message)


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        path = "spec" + "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]
        )
        if fault["type"] == "extra_forbidden":
            problem = _unknown_field(fault["loc"], model)
        else:
            problem = problem_of(fault)
        lines.append(f"{path}: {problem}")
    return "; ".join(lines)


def _unknown_field(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    *parents, name = location
    models = {model}
    for part in parents:
        if isinstance(part, str):
            fields = [field for each in models for field in each.model_fields.values()]
            models = {
                found for field in fields if field.alias == part for found in _models_of(field)
            }
    names = [field.alias or "" for each in models for field in each.model_fields.values()]
    if similar := get_close_matches(str(name), names, n=1, cutoff=0.75):
        return f"there is no such field; did you mean {similar[0]}?"
    return (
        "this version of the operator has no such field: correct it, or update the operator with"
        " its CRDs"
    )


def _models_of(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """The models within a field; those of `OneOf` are known at run time only."""
    yield from _models_in(field.annotation)
    for each in field.metadata:
        if isinstance(model := getattr(each, "model", None), type):
            yield model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models within an annotation, such as `tuple[Matcher, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _drop(value: Any, location: tuple[str | int, ...]) -> None:  # noqa: ANN401 - any JSON
    """Remove what a fault points at; where that is absent, what should have held it."""
    *parents, last = location
    holders = [value]
    for part in parents:
        holders.append(holders[-1][part])
    if isinstance(holders[-1], dict) and last not in holders[-1]:
        _drop(value, tuple(parents))
    else:
        del holders[-1][last]


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, if there is one."""
    return next((each for each in conditions if each.type == kind), None)
