"""CEL that gives a JSON object."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions.extension_message.objects import MAX_OBJECT, compile_object
from controller.errors import InvalidExpression
from controller.rules.expressions import MAX_WHEN, cel_view
from controller.rules.payloads import Refusal

WHERE = "spec.action.extensionMessage.data"
EVENT: dict[str, Any] = {
    "whole": 30,
    "part": 125.133,
    "text": "Zoë 😀",
    "list": [1, 2.5, None, {"deep": [True]}],
    "huge": ["x" * 100] * 60,
    "nan": math.nan,
    "bad key\n": {"\ud800": math.inf},
}
# CEL ends keys at a NUL.
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner),
    max_leaves=12,
)  # fmt: skip


def made(text: str, event: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    return compile_object(text, WHERE).evaluate(cel_view(EVENT if event is None else event))


def refusal(text: str, event: dict[str, Any] | None = None) -> str:
    found = made(text, event)
    assert isinstance(found, Refusal), found
    assert found.reason.isprintable()
    return found.reason


def test_an_object_takes_fields_of_the_event_as_they_were() -> None:
    found = made('{"s": event.whole, "f": event.part, "t": event.text, "l": event.list, "n": null}')
    assert found == {
        "s": 30, "f": 125.133, "t": "Zoë 😀", "l": [1, 2.5, None, {"deep": [True]}], "n": None,
    }  # fmt: skip
    assert isinstance(found["s"], int)


def test_whole_numbers_come_out_exact() -> None:
    numbers = [2**53 + 1, -(2**53) - 1, 17_000_000_000_000_001, 2**63 - 1, -(2**63), 2**64 - 1]
    event = {"n": numbers, "m": {"id": numbers[0]}, "huge": 2**64}
    assert made('{"n": event.n, "m": event.m, "id": event.n[0]}', event) == {
        "n": numbers, "m": {"id": numbers[0]}, "id": numbers[0],
    }  # fmt: skip
    assert made('{"id": string(event.huge)}', event) == {"id": "18446744073709551616"}
    assert "data.id is bytes, or a whole number of more than 64 bits" in refusal(
        '{"id": event.huge}', event
    )


def test_it_may_compute() -> None:
    text = '{"ms": event.whole * 1000.0, "l": event.list.map(x, {"v": x}), "k": {event.text: 1}}'
    found = made(text, {"whole": 1.5, "list": ["a"], "text": "t"})
    assert found == {"ms": 1500, "l": [{"v": "a"}], "k": {"t": 1}}


def test_the_order_of_keys_is_always_the_same() -> None:
    text = "{" + ", ".join(f'"k{n}": {n}' for n in (3, 1, 2, 9, 5)) + "}"
    assert json.dumps(made(text)) == '{"k1": 1, "k2": 2, "k3": 3, "k5": 5, "k9": 9}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("event.absent", 'data failed: no field "absent"'),
        ("event.whole", "gave a value of type DOUBLE, and must give an object"),
        ("event.list", "gave a value of type LIST<DYN>, and must give an object"),
        ('{"a": 1, "a": 2}', "data failed: duplicate key in map"),
        ("{1: 2}", "data has the key 1, and keys of JSON are strings"),
        ('{"a": {true: 2}}', "data.a has the key true"),
        ('{"at": timestamp("2020-01-01T00:00:00Z")}', "data.at is a time, which JSON cannot carry"),
        ('{"a": [duration("1s")]}', "data.a is a value of type timedelta"),
        ('{"a": b"x"}', "which JSON cannot carry"),
        ('{"a": type(1)}', "which JSON cannot carry"),
        ('{"a": event.nan}', "data.a is nan, which JSON cannot carry"),
        ('{"a": 1.0 / 0.0}', "data.a is inf, which JSON cannot carry"),
        ('{"a": event.huge}', f"more than {MAX_OBJECT} characters and values: send less"),
        ('{"a": event["bad key\\n"]}', "inf, which JSON cannot carry"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refusal(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "gives a value of type LIST<INT>, and must give an object"),
        ("1", "gives a value of type INT"),
        ('{"a": 1', "1:8: mismatched input"),
        ('{"a": secret}', "the one variable is event"),
        ('{"a": event.l.map(x, event.l.map(y, event.l.map(z, z)))}', "too costly even for"),
        ("{" + " " * MAX_WHEN + "}", f"longer than {MAX_WHEN} characters"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_event(text: str, told: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        compile_object(text, WHERE)
    assert caught.value.field == WHERE
    assert told in caught.value.problem


def test_a_large_event_is_not_taken_a_hundred_times_over() -> None:
    event = {"l": [{"a": float(n)} for n in range(2000)]}
    text = '{"a": [' + ", ".join(["event"] * 100) + "]}"
    assert "send less" in refusal(text, event)


def test_an_event_that_is_nested_too_deep_is_refused() -> None:
    event: dict[str, Any] = {}
    for _ in range(40):
        event = {"e": event}
    assert "nested deeper" in refusal("{}", event)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_any_event_comes_out_as_it_went_in(event: dict[str, Any]) -> None:
    found = made('{"event": event}', event)
    if isinstance(found, Refusal):
        assert "send less" in found.reason
    else:
        assert found == {"event": event}
