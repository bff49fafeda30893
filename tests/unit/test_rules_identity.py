"""The identity of an event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.fieldpath import FieldPath
from controller.rules.identity import event_id

ID = FieldPath.parse("common.unique_id")


def _id(value: object) -> str:
    return event_id(ID, {"common": {"unique_id": value}}, "16119123971234567")


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        ("1611912397739_177005", "1611912397739_177005"),
        (" padded ", " padded "),
        (414, "414"),
        (414.0, "414"),
        (1611912393.124, "1611912393.124"),
        (0, "0"),
        ("x" * 256, "x" * 256),
    ],
)
def test_a_text_or_a_number_is_the_identity(value: object, identity: str) -> None:
    assert _id(value) == identity


@pytest.mark.parametrize(
    "value", ["", "  ", None, True, [], ["a"], {}, float("nan"), float("inf"), float("-inf")]
)
def test_without_a_usable_value_the_feeds_own_id_counts(value: object) -> None:
    assert _id(value) == "16119123971234567"


def test_without_the_field_the_feeds_own_id_counts() -> None:
    assert event_id(ID, {}, "5") == "5"
    assert event_id(None, {"common": {"unique_id": "x"}}, "5") == "5"


def test_long_identities_that_differ_at_their_end_stay_distinct() -> None:
    first, second = _id("x" * 1000 + "1"), _id("x" * 1000 + "2")
    assert first != second
    assert len(first) == len(second) == 256


@given(st.lists(st.text(st.characters()) | st.integers(), min_size=2, max_size=2))
def test_distinct_values_have_distinct_printable_identities(values: list[object]) -> None:
    first, second = map(_id, values)
    assert first.isprintable()
    assert len(first) <= 256
    if not any(str(value).strip() == "" for value in values):
        assert (first == second) == (str(values[0]) == str(values[1]))


@pytest.mark.parametrize(
    "value", [10**400, pytest.param(-(10**5000), id="5000 digits"), 1e308, 5e-324]
)
def test_numbers_of_any_size_are_identities(value: float) -> None:
    assert _id(value) == _id(value)
    assert _id(value) != "16119123971234567"
    assert len(_id(value)) <= 256
