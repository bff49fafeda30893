from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from controller.resources.common import SpecModel
from controller.resources.fields import RULES, Clip, Duration, KeysMatching, Rule
from controller.resources.schema import UnsupportedSchema, crd_manifests, structural_schema

Name = Annotated[str, Field(max_length=8)]


class Described(BaseModel):
    """A model."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Inner(Described):
    """What lies inside."""

    name: Name
    """Its name."""


def property_of(model: type[BaseModel], name: str = "field") -> dict[str, Any]:
    found: dict[str, Any] = structural_schema(model, "Test")["properties"][name]
    return found


def test_a_reference_is_replaced_by_what_it_stands_for_with_the_words_of_the_field() -> None:
    class Model(Described):
        """A model."""

        field: Inner
        """The field's own
        words."""

        silent: Inner

    assert property_of(Model) == {
        "description": "The field's own words.",
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"description": "Its name.", "type": "string", "maxLength": 8}},
    }
    assert property_of(Model, "silent")["description"] == "What lies inside."


def test_an_optional_field_is_one_that_is_not_required() -> None:
    class Model(Described):
        """A model."""

        field: Inner | None = None
        """May be absent."""

    schema = structural_schema(Model, "Test")

    assert "required" not in schema
    assert "default" not in schema["properties"]["field"]
    assert "anyOf" not in schema["properties"]["field"]


def test_constants_and_exclusive_bounds_are_written_as_openapi_writes_them() -> None:
    class Model(Described):
        """A model."""

        field: Literal["only"]
        """A constant."""

        number: Annotated[float, Field(gt=0, lt=5)]
        """Between bounds."""

    assert property_of(Model)["enum"] == ["only"]
    assert property_of(Model, "number") == {
        "description": "Between bounds.",
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 5,
        "exclusiveMaximum": True,
    }


def test_defaults_are_written_as_the_resource_writes_them() -> None:
    class Part(SpecModel):
        """A part."""

        some_name: Name | None = None
        """Its name."""

        policy: Literal["Retain", "Delete"] = "Retain"
        """Its policy."""

        names: Annotated[tuple[Name, ...], Clip(3)] = ()
        """Its names."""

    class Model(Described):
        """A model."""

        field: Annotated[float, Duration("1s", "5m")] = 90.0
        """A duration."""

        part: Part = Part()
        """A part."""

        empty: Annotated[tuple[Name, ...], Clip(3)] = ()
        """A list."""

        on: bool = True
        """Whether."""

        told: bool = False
        """Whether; by default not."""

    assert property_of(Model)["default"] == "1m30s"
    # kubectl explain shows descriptions alone.
    assert property_of(Model)["description"] == "A duration. Defaults to 1m30s."
    assert property_of(Model, "on")["description"] == "Whether. Defaults to true."
    assert property_of(Model, "told")["description"] == "Whether; by default not."
    assert property_of(Model, "empty")["description"] == "A list."
    assert property_of(Model, "part")["default"] == {"policy": "Retain"}
    assert "default" not in property_of(Model, "empty")


def test_a_map_tells_its_values_and_a_rule_its_keys() -> None:
    class Model(Described):
        """A model."""

        field: Annotated[
            dict[str, Name], Field(max_length=3), KeysMatching("^[a-z]+$", "each key is a word")
        ] = Field(default_factory=dict)
        """By name."""

    assert property_of(Model) == {
        "description": "By name.",
        "type": "object",
        "maxProperties": 3,
        RULES: [
            {"rule": "self.all(key, key.matches(r'^[a-z]+$'))", "message": "each key is a word"}
        ],
        "additionalProperties": {"type": "string", "maxLength": 8},
    }


def test_a_list_can_be_a_set() -> None:
    class Model(Described):
        """A model."""

        field: (
            Annotated[
                tuple[Name, ...],
                Field(max_length=3, json_schema_extra={"x-kubernetes-list-type": "set"}),
            ]
            | None
        ) = None
        """Without repeats, or absent."""

    assert property_of(Model) == {
        "description": "Without repeats, or absent.",
        "type": "array",
        "maxItems": 3,
        "items": {"type": "string", "maxLength": 8},
        "x-kubernetes-list-type": "set",
    }


def test_of_fields_that_exclude_each_other_none_is_required() -> None:
    class Empty(SpecModel):
        """It has no field, and is written as {}."""

    class Model(SpecModel):
        """A model."""

        exactly_one_of = ("named", "empty")

        named: Name | None = None
        """One way."""

        empty: Empty | None = None
        """Another."""

    schema = structural_schema(Model, "Test")

    assert "required" not in schema
    assert schema["properties"]["empty"]["type"] == "object"
    assert "required" not in schema["properties"]["empty"]
    assert [rule["message"] for rule in schema[RULES]] == ["must have exactly one of: named, empty"]


def test_rules_of_a_model_become_rules_of_the_schema() -> None:
    class Model(SpecModel):
        """A model."""

        exactly_one_of = ("first_way", "in_")
        rules = (Rule("true", "never", ".firstWay"),)

        first_way: Name | None = None
        """One way."""

        in_: Name
        """Another way, whose name is a word of Python and of CEL."""

    schema = structural_schema(Model, "Test")

    assert "required" not in schema
    assert schema[RULES] == [
        {
            "rule": "[has(dyn(self).firstWay), has(dyn(self).__in__)].exists_one(given, given)",
            "message": "must have exactly one of: firstWay, in",
        },
        {"rule": "true", "message": "never", "fieldPath": ".firstWay"},
    ]


class Unbounded(Described):
    field: str
    """Without a bound."""


class UnboundedList(Described):
    field: list[Name]
    """Without a bound."""


class UnboundedItems(Described):
    field: Annotated[list[str], Field(max_length=3)]
    """Its items have no bound."""


class Undescribed(Described):
    field: bool


class Union(Described):
    field: bool | float
    """Of two types."""


class UnboundedMap(Described):
    field: dict[str, Name]
    """A map without a bound."""


class UnboundedValues(Described):
    field: Annotated[dict[str, str], Field(max_length=3)]
    """A map whose values have no bound."""


class Keys(Described):
    field: Annotated[dict[Name, Name], Field(max_length=3)]
    """A map whose keys have a bound, which a structural schema cannot say."""


class Anything(Described):
    field: Any
    """Anything."""


class Pattern(Described):
    field: Annotated[str, Field(max_length=8, pattern="^a$")]
    """With a pattern, which would be all that the user is told."""


class Pair(Described):
    field: tuple[bool, float]
    """Two things."""


class Tree(Described):
    field: Tree | None = None
    """Holds itself."""


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Unbounded, "Test.field needs a maxLength"),
        (UnboundedList, "Test.field needs maxItems"),
        (UnboundedItems, r"Test.field\[\] needs a maxLength"),
        (Undescribed, "Test.field needs a description"),
        (Union, "Test.field: a union of types is not structural"),
        (UnboundedMap, "Test.field needs maxProperties"),
        (UnboundedValues, r"Test.field\[\] needs a maxLength"),
        (Keys, "Test.field: the converter does not know 'propertyNames'"),
        (Anything, "Test.field needs a type"),
        (Pattern, "Test.field: the converter does not know 'pattern'"),
        (Pair, "Test.field: the converter does not know 'prefixItems'"),
        (Tree, "Test.field: Tree holds itself"),
    ],
)
def test_what_a_crd_cannot_say_is_refused_with_its_place(
    model: type[BaseModel], message: str
) -> None:
    with pytest.raises(UnsupportedSchema, match=message):
        structural_schema(model, "Test")


def test_each_kind_has_a_manifest_without_anchors() -> None:
    manifests = crd_manifests()

    assert list(manifests) == [
        "twitchchannels.yaml",
        "triggerrules.yaml",
        "extensionapps.yaml",
    ]
    for text in manifests.values():
        assert text.startswith("# Generated from controller/resources by: twitch-operator crds\n")
        assert "&id" not in text
        assert yaml.safe_load(text)["kind"] == "CustomResourceDefinition"


def test_columns_that_may_lie_ahead_are_no_dates() -> None:
    for text in crd_manifests().values():
        (version,) = yaml.safe_load(text)["spec"]["versions"]
        dates = {
            column["name"]
            for column in version["additionalPrinterColumns"]
            if column["type"] == "date"
        }
        assert dates <= {"LAST-RUN", "CONFIRMED", "LAST-CUE", "ROTATED", "AGE"}
