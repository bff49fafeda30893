"""Whole rules against whole events."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidExpression
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import CompiledRule, MatchResult, compile_rule
from controller.rules.expressions import lazy_cel_view
from controller.rules.matchers import MAX_PROGRAM, compile_regex
from controller.rules.payloads import Refusal

VIDEO: dict[str, Any] = {
    "msg_type": "video",
    "common": {
        "timestamp": 1611912397.595,
        "meta": '{"kind": "ad"}',
        "unique_id": "1611912397739_177005",
    },
    "action": "started",
    "data": {
        "asset_id": "Ad_MST3KSOL_WBRB_2minCountdown",
        "duration_sec": 125.133,
        "rescue_reason": "na",
    },
}
MATCH: list[dict[str, Any]] = [
    {"field": "msg_type", "equals": "video"},
    {"field": "action", "equals": "started"},
    {"field": "data.asset_id", "glob": "Ad_*"},
    {"field": "data.rescue_reason", "equals": "na"},
]
WHEN = "event.data.duration_sec >= 10.0"


def _compile(
    match: list[dict[str, Any]] = MATCH,
    when: str | None = WHEN,
    **spec: Any,  # noqa: ANN401 - as in a resource
) -> CompiledRule:
    return compile_rule(
        TriggerRuleSpec.from_spec(
            {
                "channelRef": {"name": "mst3k"},
                "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
                "match": match,
                "action": {"commercial": {"lengthField": "data.duration_sec"}},
                **({"when": when} if when else {}),
                **spec,
            }
        )
    )


def _match(rule: CompiledRule, event: dict[str, Any]) -> MatchResult:
    return rule.match(event, lazy_cel_view(event))


def _video(**data: object) -> dict[str, Any]:
    event = copy.deepcopy(VIDEO)
    event["data"] |= data
    return event


def test_a_playout_event_matches_the_rule_written_for_it() -> None:
    rule = _compile()
    result = _match(rule, VIDEO)
    assert result.matched
    assert rule.explain(VIDEO, result) == "the event matches"
    assert rule.event_id(VIDEO, "1") == "1611912397739_177005"
    assert rule.event_time(VIDEO, 7.0) == 7.0


@pytest.mark.parametrize(
    ("event", "failed", "text"),
    [
        (VIDEO | {"msg_type": "scte35"}, 0, 'match[0]: msg_type is "scte35", and must be "video"'),
        (VIDEO | {"action": 7, "data": {}}, 1, 'match[1]: action is 7, and must be "started"'),
        (_video(asset_id="Film_1"), 2, 'match[2]: data.asset_id is "Film_1", and must match the'),
        (_video(rescue_reason="x"), 3, 'match[3]: data.rescue_reason is "x", and must be "na"'),
        (_video(duration_sec=5), None, "when is false"),
        (_video(duration_sec="5"), None, "when failed: no operation for these types"),
        ({}, 0, 'match[0]: msg_type is absent, and must be "video"'),
    ],
)
def test_the_first_test_that_fails_is_told(
    event: dict[str, Any], failed: int | None, text: str
) -> None:
    rule = _compile()
    result = _match(rule, event)
    assert not result.matched
    assert result.failed == failed
    assert rule.explain(event, result).startswith(text)
    assert (result.error is not None) == ("when failed" in text)


def test_the_event_is_not_converted_for_cel_unless_when_is_reached() -> None:
    def never() -> Refusal:
        pytest.fail("converted")

    assert _compile().match({}, never).failed == 0
    assert _compile(when=None).match(VIDEO, never).matched


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"match": [*MATCH, {"field": "a.", "exists": True}]}, "spec.match[4].field"),
        ({"match": [*MATCH[:2], {"field": "a", "regex": "("}]}, "spec.match[2].regex"),
        ({"when": "event."}, "spec.when"),
        ({"idField": "a[0]"}, "spec.idField"),
        ({"timeField": ".a"}, "spec.timeField"),
    ],
)
def test_what_cannot_be_compiled_names_its_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        _compile(**spec)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_regexes_that_are_small_enough_each_are_refused_where_they_are_too_large_together() -> None:
    regex = "a{400}"
    size = compile_regex(regex, "here").programsize
    fitting = [{"field": "f", "regex": regex}] * (MAX_PROGRAM // size)
    _compile(fitting, when=None)
    with pytest.raises(InvalidExpression, match="too large together") as caught:
        _compile([*fitting, fitting[0]], when=None)
    assert caught.value.field == "spec.match"


def test_the_fields_of_identity_and_time_are_those_of_the_spec() -> None:
    rule = _compile(
        idField="data.asset_id",
        timeField="common.timestamp",
    )
    assert rule.event_id(VIDEO, "1") == "Ad_MST3KSOL_WBRB_2minCountdown"
    assert rule.event_time(VIDEO, 7.0) == 1611912397.595
    assert _compile(idField="").event_id(VIDEO, "1") == "1"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["Ad_1", '{"a": {"b": "Ad_"}}', "1e999", "9" * 30, "[[[", '{"a": NaN}'])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab0é"), inner),
    max_leaves=15,
)
FIELDS = st.lists(st.sampled_from("ab0é"), min_size=1, max_size=4).map(".".join)
TESTS = st.sampled_from(
    [
        *({"equals": "Ad_1"}, {"equals": 0}, {"equals": True}, {"in": ["Ad_1", 1, False]}),
        *({"glob": "*Ad*"}, {"regex": "^."}, {"prefix": "A"}, {"suffix": "_"}),
        *({"exists": True}, {"exists": False}, {"gt": 0}, {"gte": 0}, {"lt": 1e18}, {"lte": 0}),
    ]
)
MATCHERS = st.builds(
    lambda field, test, no: {"field": field, "not": no} | test, FIELDS, TESTS, st.booleans()
)
EVENTS = st.dictionaries(st.sampled_from("ab0é"), JSON)


@given(EVENTS, st.lists(MATCHERS, min_size=1, max_size=4), FIELDS)
def test_nothing_in_an_event_raises(
    event: dict[str, Any], match: list[dict[str, Any]], field: str
) -> None:
    rule = _compile(match, "event.a == event.b", idField=field, timeField=field)
    result = _match(rule, event)
    rule.explain(event, result).encode()
    assert len(rule.event_id(event, "1")) <= 256
    assert isinstance(rule.event_time(event, 1.0), float | Refusal)


@given(EVENTS, MATCHERS)
def test_not_is_always_the_opposite(event: dict[str, Any], matcher: dict[str, Any]) -> None:
    opposite = matcher | {"not": not matcher["not"]}
    assert (
        _match(_compile([matcher], None), event).matched
        is not _match(_compile([opposite], None), event).matched
    )
