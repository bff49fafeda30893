"""Objects with exactly one key, which picks a kind: `spec.feed` and `spec.action`.

The kinds register from above, so that a new one needs no change here. The CRD, its rule, the texts
of `kubectl explain` and the parser follow from what is registered at the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import Field, create_model
from pydantic_core import core_schema

from controller.resources.common import SpecModel
from controller.resources.fields import FROM_RESOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic_core import CoreSchema

__all__ = ["Chosen", "OneOf", "Registry", "SpecKind"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The value of such an object.

    Attributes:
        kind: Its one key, which is the name of the kind.
        spec: What stands there.
    """

    kind: str
    spec: SpecModel


class _Choice(NamedTuple):
    model: type[SpecModel]
    description: str


class OneOf:
    """Annotation of a `Chosen`: `Annotated[Chosen, OneOf("Feed")]`.

    Args:
        name: What people call it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._choices: dict[str, _Choice] = {}
        self._model: type[SpecModel] | None = None

    def add(self, name: str, model: type[SpecModel], description: str) -> None:
        """Let objects have a key.

        Args:
            name: The key, as the resource writes it.
            model: Of its value.
            description: For `kubectl explain`.
        """
        self._choices[name] = _Choice(model, description)
        self._model = None

    def remove(self, name: str) -> None:
        """Let objects have a key no more."""
        del self._choices[name]
        self._model = None

    @property
    def models(self) -> list[type[SpecModel]]:
        """The models of all keys."""
        return [choice.model for choice in self._choices.values()]

    @property
    def model(self) -> type[SpecModel]:
        """A model with a field for each key."""
        if self._model is None:
            fields: Any = {
                name: (choice.model | None, Field(None, description=choice.description))
                for name, choice in self._choices.items()
            }
            self._model = create_model(self._name, __base__=SpecModel, **fields)
            self._model.exactly_one_of = tuple(self._choices)
        return self._model

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        del source, handler
        return core_schema.with_info_plain_validator_function(self._parse)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del schema
        # Within another one: the handler passes over the outermost schema's own additions.
        return handler(core_schema.definitions_schema(self.model.__pydantic_core_schema__, []))

    def _parse(self, value: object, info: ValidationInfo) -> Chosen:
        if isinstance(value, Chosen):
            value = {value.kind: value.spec}
        by_name = info.context is not FROM_RESOURCE
        parsed = self.model.model_validate(
            value, context=info.context, by_alias=True, by_name=by_name
        )
        return next(Chosen(name, spec) for name, spec in parsed if spec is not None)


class SpecKind(Protocol):
    """What a registry must know of a kind."""

    @property
    def name(self) -> str:
        """The key, as the resource writes it."""
        ...

    @property
    def spec_model(self) -> type[SpecModel]:
        """Model of the key's value."""
        ...

    @property
    def description(self) -> str:
        """For `kubectl explain`."""
        ...


K = TypeVar("K", bound=SpecKind)


class Registry(Generic[K]):
    """The kinds that such an object may pick, by name.

    Args:
        field: Takes the names of those that are registered.
    """

    def __init__(self, field: OneOf) -> None:
        self._field = field
        self._kinds: dict[str, K] = {}

    def add(self, kind: K) -> None:
        """Register a kind."""
        self._field.add(kind.name, kind.spec_model, kind.description)
        self._kinds[kind.name] = kind

    def remove(self, name: str) -> None:
        """Take a kind out."""
        self._field.remove(name)
        del self._kinds[name]

    def of(self, chosen: Chosen) -> K:
        """Return the kind that an object picks."""
        return self._kinds[chosen.kind]

    def __iter__(self) -> Iterator[K]:
        return iter(self._kinds.values())
