"""Messages that are events, and values told to people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.payloads import MAX_BYTES, MAX_DEPTH, Refusal, parse_payload, shown


def _nested(levels: int) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for _ in range(levels - 1):
        event = {"a": event}
    return event


def _of_size(size: int) -> dict[str, str]:
    return {"a": "é" * ((size - 8) // 2)}


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"a": [1, None, "é"]},
        _nested(MAX_DEPTH),
        _of_size(MAX_BYTES),
    ],
)
def test_an_object_is_an_event_as_object_and_as_text(message: dict[str, Any]) -> None:
    assert parse_payload(message) is message
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    assert parse_payload(text) == message
    assert parse_payload(text.encode()) == message


def test_a_lone_surrogate_makes_no_event_unusable() -> None:
    message = {"\ud800": ["\udfff"]}
    assert parse_payload(message) is message
    assert parse_payload(json.dumps(message)) == message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not JSON"),
        ('{"a": 1', "not JSON"),
        ('{"a": NaN}', "not JSON: NaN is not JSON"),
        ('{"a": -Infinity}', "not JSON: -Infinity is not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON"),
        ("[1]", "not a JSON object but a list of 1"),
        ("null", "not a JSON object but null"),
        ([1, 2], "not a JSON object but a list of 2"),
        ("7", "not a JSON object but 7"),
        (object(), "not a JSON object but a value of type object"),
        ({"a": object()}, "not JSON"),
        ({"a": {1, 2}}, "not JSON"),
        (_nested(MAX_DEPTH + 1), "nested deeper than 32 levels"),
        (json.dumps(_nested(MAX_DEPTH + 1)), "nested deeper than 32 levels"),
        ("[" * 16_000 + "]" * 16_000, "not JSON: nested too deeply"),
        (_of_size(MAX_BYTES + 2), "32770 bytes of JSON, and an event has at most 32768"),
        ("x" * (MAX_BYTES + 1), "32769 bytes of JSON, and an event has at most 32768"),
    ],
)
def test_any_other_message_is_refused_with_the_reason(message: object, reason: str) -> None:
    refused = parse_payload(message)
    assert isinstance(refused, Refusal)
    assert reason in refused.reason


def _depth(value: Any) -> int:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


_NARROW = st.recursive(
    st.text('[]{}\\"a', max_size=4),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=2)
        | st.dictionaries(st.text('[]{}\\"a', max_size=2), inner, min_size=1, max_size=2)
    ),
    max_leaves=8,
)


@given(_NARROW, st.integers(MAX_DEPTH - 6, MAX_DEPTH + 1), st.booleans())
def test_depth_is_counted_exactly_whatever_texts_hold(
    inner: Any,  # noqa: ANN401 - JSON
    levels: int,
    lists: bool,
) -> None:
    event: dict[str, Any] = {"a": inner}
    for _ in range(levels - 1):
        event = {"a": [event]} if lists and _depth(event) % 2 else {"a": event, "[{": "]"}
    fits = _depth(event) <= MAX_DEPTH
    assert isinstance(parse_payload(event), Refusal) is not fits
    assert isinstance(parse_payload(json.dumps(event)), Refusal) is not fits


def test_of_a_repeated_key_the_last_value_counts() -> None:
    assert parse_payload('{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (125.5, "125.5"),
        (float("nan"), "NaN"),
        (10**400, "a number of more than 19 digits"),
        pytest.param(-(10**5000), "a number of more than 19 digits", id="5000 digits"),
        ("né", '"né"'),
        ("a\nb", '"a\\nb"'),
        ("\ud800", '"\\ud800"'),
        ("x" * 100, '"' + "x" * 57 + '…"'),
        ([1, [2]], "a list of 2"),
        ({"secret": 1}, "an object"),
    ],
)
def test_a_value_is_shown_on_one_short_line(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.text() | st.binary())
def test_any_text_is_an_event_or_is_refused(message: str | bytes) -> None:
    assert isinstance(parse_payload(message), dict | Refusal)


@given(st.text(st.characters()) | st.integers() | st.floats())
def test_what_is_shown_can_be_written_anywhere(value: object) -> None:
    text = shown(value)
    assert len(text) <= 61
    assert "\n" not in text
    text.encode()
