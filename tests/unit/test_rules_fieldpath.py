"""Paths into an event."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.fieldpath import MISSING, FieldPath, FieldPathError

EVENT: dict[str, Any] = {
    "action": "started",
    "nothing": None,
    "asset.id": "dotted",
    "a b": 'a "blank"',
    "7": "a key that is a number",
    "data": {"duration_sec": 125.1, "": "no name"},
    "spots": [{"id": "first"}, {"id": "second"}],
    "common": {"meta": '{"kind": "promo", "tags": ["x", "y"], "deeper": "{\\"end\\": 1}"}'},
    "broken": '{"kind": ',
    "nan": '{"kind": NaN}',
    "quoted": '"{}"',
    "large": json.dumps({"kind": "x" * 40_000}),
    "deep": '{"kind":' * 20_000 + "1" + "}" * 20_000,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("action", "started"),
        ("data.duration_sec", 125.1),
        (r"asset\.id", "dotted"),
        (r"a\ b", 'a "blank"'),
        ("7", "a key that is a number"),
        ("spots.1.id", "second"),
        ("nothing", None),
        ("common.meta.kind", "promo"),
        ("common.meta.tags.1", "y"),
        ("common.meta.deeper.end", 1),
    ],
)
def test_a_path_leads_to_its_value(path: str, value: object) -> None:
    assert FieldPath.parse(path).get(EVENT) == value


@pytest.mark.parametrize(
    "path",
    [
        "absent",
        "action.length",
        "nothing.more",
        "data.duration_sec.more",
        "spots.2",
        "spots.01",
        "spots.-1",
        "spots.id",
        "spots.999999999999",
        "broken.kind",
        "nan.kind",
        "quoted.kind",
        "large.kind",
        "deep.kind",
    ],
)
def test_a_path_that_leads_nowhere_is_missing(path: str) -> None:
    assert FieldPath.parse(path).get(EVENT) is MISSING


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("", 1),
        (".", 1),
        (".a", 1),
        ("a.", 3),
        ("a..b", 3),
        ("spots[0]", 6),
        ("a b", 2),
        ('a."b"', 3),
        ("a.*", 3),
        ("a\n", 2),
        ("a\\", 2),
        ("\ud800", 1),
        ("a" * 257, 257),
        ("a." * 16 + "a", 33),
    ],
)
def test_a_malformed_path_is_refused_with_its_place(path: str, column: int) -> None:
    with pytest.raises(FieldPathError, match=f"^column {column}: ") as caught:
        FieldPath.parse(path)
    assert caught.value.column == column


def test_a_subscript_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(FieldPathError, match=r"such as spots\.0\.id"):
        FieldPath.parse("spots[0].id")


def test_the_longest_path_is_taken() -> None:
    assert len(FieldPath.parse("a." * 15 + "a").segments) == 16
    assert FieldPath.parse("a" * 256).segments == (("a" * 256, None),)


@given(st.text(max_size=300))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        path = FieldPath.parse(text)
    except FieldPathError as error:
        assert 1 <= error.column <= len(text) + 1  # noqa: PT017 - it may also compile
    else:
        path.get(EVENT)
        assert FieldPath.parse(str(path)) == path


@given(
    st.lists(st.text("ab.\\ []*é1", min_size=1, max_size=5), min_size=1, max_size=8),
    st.integers(),
)
def test_any_key_can_be_written_and_is_found(keys: list[str], value: int) -> None:
    event: Any = value
    for key in reversed(keys):
        event = {key: event}
    path = ".".join("".join("\\" + char for char in key) for key in keys)
    assert FieldPath.parse(path).get(event) == value
    assert FieldPath.parse(str(FieldPath.parse(path))).get(event) == value


def test_rules_that_name_the_same_field_share_its_path() -> None:
    assert FieldPath.parse("data.id") is FieldPath.parse("data.id")
