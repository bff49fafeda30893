"""Objects whose one key picks a registered kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import pytest
from pydantic import Field

from controller.resources.common import InvalidSpec, SpecModel
from controller.resources.one_of import Chosen, OneOf, Registry
from controller.resources.schema import crd_manifests, structural_schema
from controller.resources.triggerrule import FEED

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPES = OneOf("Shape")


class Circle(SpecModel):
    """Round."""

    radius: Annotated[int, Field(ge=1)]
    """Half of its width."""


class Square(SpecModel):
    """With corners."""

    side: Annotated[int, Field(ge=1)] = 1
    """Length of a side."""


class Drawing(SpecModel):
    """What is drawn."""

    shape: Annotated[Chosen, SHAPES]
    """The one shape."""


class _Kind:
    def __init__(self, name: str, spec_model: type[SpecModel]) -> None:
        self.name, self.spec_model = name, spec_model
        self.description = f"A {name}."


CIRCLE, SQUARE = _Kind("roundThing", Circle), _Kind("square", Square)


@pytest.fixture(autouse=True)
def shapes() -> Iterator[Registry[_Kind]]:
    registry: Registry[_Kind] = Registry(SHAPES)
    registry.add(CIRCLE)
    registry.add(SQUARE)
    yield registry
    for kind in list(registry):
        registry.remove(kind.name)


def test_the_one_key_picks_a_kind(shapes: Registry[_Kind]) -> None:
    drawing = Drawing.from_spec({"shape": {"roundThing": {"radius": 2}}})

    assert drawing.shape == Chosen("roundThing", Circle(radius=2))
    assert shapes.of(drawing.shape) is CIRCLE
    assert Drawing(shape=drawing.shape) == drawing


def test_what_a_kind_registers_is_in_the_schema() -> None:
    shape = structural_schema(Drawing, "Drawing.spec")["properties"]["shape"]

    assert shape["description"] == "The one shape."
    assert list(shape["properties"]) == ["roundThing", "square"]
    assert shape["properties"]["square"]["description"] == "A square."
    assert shape["x-kubernetes-validations"] == [
        {
            "rule": "[has(dyn(self).roundThing), has(dyn(self).square)].exists_one(given, given)",
            "message": "must have exactly one of: roundThing, square",
        }
    ]


def test_a_kind_that_is_removed_is_not_accepted(shapes: Registry[_Kind]) -> None:
    shapes.remove("square")

    with pytest.raises(InvalidSpec, match=r"spec\.shape\.square: this version .* no such field"):
        Drawing.from_spec({"shape": {"square": {}}})
    assert "square" not in str(structural_schema(Drawing, "Drawing.spec"))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({}, "spec.shape: must have exactly one of: roundThing, square"),
        (
            {"square": {}, "roundThing": {"radius": 1}},
            "spec.shape: must have exactly one of: roundThing, square",
        ),
        ({"square": {"side": 0}}, "spec.shape.square.side: must be greater than"),
        ({"sqare": {}}, "spec.shape.sqare: there is no such field; did you mean square?"),
        (
            {"roundThing": {"radius": 1, "radiu": 1}},
            "spec.shape.roundThing.radiu: there is no such field; did you mean radius?",
        ),
        ("square", "spec.shape: must be an object"),
    ],
)
def test_a_refusal_names_the_field(shape: object, told: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        Drawing.from_spec({"shape": shape})
    assert str(raised.value).startswith(told)


def test_a_feed_that_registers_is_in_the_crd() -> None:
    FEED.add("circle", Circle, "Goes round.")
    try:
        assert (
            "must have exactly one of: pubnub, hls, circle" in crd_manifests()["triggerrules.yaml"]
        )
    finally:
        FEED.remove("circle")
    assert "circle" not in crd_manifests()["triggerrules.yaml"]
