"""The `when` of a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidExpression
from controller.rules.expressions import CelView, cel_view, compile_when, lazy_cel_view
from controller.rules.payloads import Refusal

EVENT: dict[str, Any] = {
    "msg_type": "scte35",
    "nothing": None,
    "data": {"event_id": 414, "duration_sec": 125.1, "whole": 2.0},
    "spots": [{"id": "Ad_1", "s": 30}, {"id": "Promo", "s": 15}],
    "huge": 10**400,
    "id": 2**53 + 1,
    "ids": [2**53, 2**53 + 1],
    "unsigned": 2**64 - 1,
    "nan": float("nan"),
    "bad": "a\ud800",
    "\udfff": 1,
    "é": "é",
    "on": True,
}


def _evaluate(text: str, event: dict[str, Any] = EVENT) -> bool | Refusal:
    return compile_when(text).evaluate(cel_view(event))


def _problem(text: str) -> str:
    with pytest.raises(InvalidExpression) as caught:
        compile_when(text)
    assert caught.value.field == "spec.when"
    return caught.value.problem


@pytest.mark.parametrize(
    "text",
    [
        "event.data.event_id == 414",
        "event.data.event_id == 414.0",
        "event.data.event_id in [1, 414]",
        "event.data.event_id + 1.0 == 415.0",
        "event.data.whole * 2.0 > 3.0",
        "event.data.duration_sec >= 10.0 && event.msg_type == 'scte35'",
        "event.absent || true",
        "has(event.data.event_id) && !has(event.data.absent)",
        "event.nothing == null",
        "event.on",
        "event.spots.exists(s, s.id.startsWith('Ad_'))",
        "event.spots.exists(s, s.id.matches(r'^Ad_\\d$'))",
        "event.spots.map(s, s.s) == [30, 15]",
        "event.spots.all(s, s.s < event.data.duration_sec)",
        "size(event.spots) == 2",
        "event.huge != 1.0 && event.huge != event.id && event.huge == event.huge",
        "event.id == 9007199254740993",
        "event.id in [9007199254740993]",
        "event.id > 9007199254740992 && event.id != event.ids[0]",
        "event.id != 9007199254740992 && event.id < 9007199254740994",
        "string(event.id) == '9007199254740993'",
        "double(event.id) / 1e15 > 9.0 && double(event.data.whole) == 2.0",
        "event.unsigned == 18446744073709551615u && event.unsigned > event.id",
        "event.ids.exists(id, id == 9007199254740993)",
        "event.nan != event.nan",
        "event.bad == 'a?'",
        "event['é'] == 'é'",
        "// why\n event.on",
        "timestamp('2021-01-29T09:26:33Z') < timestamp('2022-01-01T00:00:00Z')",
    ],
)
def test_an_expression_that_is_true_matches(text: str) -> None:
    assert _evaluate(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "event.data.event_id == 415",
        "event.data.event_id == '414'",
        "event.on == 1",
        "event.id == 9007199254740992",
        "event.id == event.ids[0]",
        "event.id in [9007199254740992, 9007199254740994]",
        "-event.id == -9007199254740992",
        "event.huge == 1e400",
        "event.spots.all(s, s.s > 20)",
        "event.nan > 0.0 || event.nan <= 0.0",
    ],
)
def test_an_expression_that_is_false_does_not(text: str) -> None:
    assert _evaluate(text) is False


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("event.data.absent == 1", 'when failed: no field "absent"'),
        ("event.msg_type", "when gave a value of type STRING, and must give true or false"),
        ("event.data", "when gave a value of type MAP"),
        ("event.nothing", "when gave a value of type NULL"),
        ("event.data.event_id + 1 == 415", "numbers of events are doubles: write 1.0, not 1"),
        ("event.msg_type > 1.0", "no operation for these types"),
        ("event.huge > 1.0", "event.huge has more than 64 bits: compare it by string(...)"),
        ("event.id + 1.0 > 1.0", "whole numbers beyond 2**53 are ints: make them doubles, by"),
        ("event.msg_type.length > 1", "when failed: "),
        ("event.spots[7].id == 'x'", "when failed: Index error"),
        ("1 / 0 == 1", "when failed: divide by zero"),
    ],
)
def test_an_expression_that_fails_does_not_match_and_says_why(text: str, reason: str) -> None:
    refused = _evaluate(text)
    assert isinstance(refused, Refusal)
    assert reason in refused.reason


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("event.a.", "1:9: no viable alternative"),
        ("event.on &&\n event.a..", "2:10: "),
        ("event.a = 3", "1:9: token recognition error"),
        ("", "1:1: mismatched input '<EOF>' expecting"),
        ("data == 1", "1:1: undeclared reference to 'data'; the one variable is event"),
        (
            "event.a * 2.0 > 3",
            "1:15: found no matching overload for '_>_' applied to '(double, int)'",
        ),
        ("event.a * 2.0 > 3", "numbers of events are doubles: write 1.0, not 1"),
        ("'a' + 1 == 'a1'", "1:5: found no matching overload"),
        ("event.id == 9007199254740993.0", "1:10: a number with a decimal point or an exponent is"),
        ("event.a || event.id < -9.007199254740993e15", "write the whole number without them"),
        ("event.id in [1.0, 9007199254740992.0]", "or compare double(...) with it"),
        ("1 + 1", "gives a value of type INT, and must give true or false"),
        ("'yes'", "gives a value of type STRING"),
        ("(" * 500 + "true" + ")" * 500, "nested deeper than 32 levels"),
        ("event" + ".a" * 200, "nested deeper than 32 levels"),
        ("true ||" * 200 + "true", "longer than 1024 characters"),
        ("event.s.matches('(')", "1:9: not a valid RE2 expression: missing ): ("),
        ("event.s.matches(event.p)", "1:9: write matches as text.matches"),
        ("event.l.all(x, x.matches(x))", "1:18: write matches as text.matches"),
        ("event.s.matches('a' + 'b')", "1:9: write matches as text.matches"),
        ("event.on &&\n !matches(event.s, event.p)", "2:3: write matches as text.matches"),
        ("event.s.matches('[^x]{1000}')", "1:9: too large"),
        (
            " || ".join(["event.s.matches('[^x]{99}')"] * 8),
            "too costly even for an event of 512 bytes",
        ),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_its_place(text: str, problem: str) -> None:
    assert problem in _problem(text)
    assert "\n" not in _problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "event.spots.all(s, s.s > 0.0) && event.spots.exists(s, s.s > 20.0)",
        "event.spots.exists(a, event.spots.all(b, a.s >= b.s))",
        "event.spots.filter(s, s.s > 20.0).map(s, s.id) == ['Ad_1']",
        "event.msg_type != 'b.all(y, y)' && event.spots.all(s, has(s.id))",
    ],
)
def test_an_expression_may_have_more_than_one_comprehension(text: str) -> None:
    assert _evaluate(text) is True


def test_an_event_is_converted_once_and_only_if_asked() -> None:
    view = lazy_cel_view(EVENT)
    assert view() is view()


def test_an_event_nested_too_deeply_is_told() -> None:
    event: dict[str, Any] = {}
    for _ in range(5000):
        event = {"a": event}
    assert _evaluate("true", event) == Refusal("the event is nested deeper than 32 levels")


def test_a_list_of_hundreds_of_spots_is_not_too_costly() -> None:
    event = {"spots": [{"id": f"Ad_{n}", "s": 1.5, "kind": "avfile"} for n in range(500)]}
    assert _evaluate("event.spots.exists(s, s.id == 'Ad_499' && s.s > 1.0)", event) is True
    assert _evaluate("event.spots.all(s, s.id.matches('^Ad_'))", event) is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abé"), inner),
    max_leaves=12,
)
EXPRESSIONS = [
    "event.a == event.b",
    "event.a > 1.0",
    "event.a.all(x, x == event.b)",
    "size(event.a) + size(event.b) > 2",
    "event.a.b.startsWith('a')",
    "event['é'] in event.a",
    "event",
]


@given(st.dictionaries(st.text("abé", max_size=1), JSON), st.sampled_from(EXPRESSIONS))
def test_any_event_is_answered(event: dict[str, Any], text: str) -> None:
    view = cel_view(event)
    assert isinstance(view, CelView)
    answer = compile_when(text).evaluate(view)
    assert isinstance(answer, bool | Refusal)
    if isinstance(answer, Refusal):
        answer.reason.encode()


WORDS = ["event", ".a", ".all(x,", ".matches(", "'x'", '"', "'", "//", "\n", "(", ")", "[", "]"]
MORE_WORDS = ["1", "+", "==", "&&", "!", "true", "x", "r'", "'''", "\\", ",", " ", "?", ":", "é"]


@given(st.lists(st.sampled_from(WORDS + MORE_WORDS), max_size=12).map("".join) | st.text())
def test_any_text_is_an_expression_or_is_refused(text: str) -> None:
    try:
        expression = compile_when(text)
    except InvalidExpression as error:
        assert error.field == "spec.when"  # noqa: PT017 - it may also compile
    else:
        assert isinstance(expression.evaluate(cel_view(EVENT)), bool | Refusal)
