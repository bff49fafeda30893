"""Many rules, few candidates."""

from __future__ import annotations

import time
from random import Random  # noqa: TC003 - hypothesis reads the annotation
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.resources.matcher import Matcher
from controller.rules.compiled import CompiledRule
from controller.rules.expressions import lazy_cel_view
from controller.rules.index import RuleIndex
from controller.rules.matchers import compile_test


def _rule(*matchers: dict[str, Any]) -> CompiledRule:
    tests = (
        compile_test(Matcher.model_validate(matcher, by_name=False, by_alias=True), "spec.match[0]")
        for matcher in matchers
    )
    return CompiledRule(tuple(tests), None, None, None)


def _equals(field: str, value: object) -> dict[str, Any]:
    return {"field": field, "equals": value}


def _keys(index: RuleIndex[str], topic: str, event: dict[str, Any]) -> list[str]:
    return [key for key, _ in index.candidates(topic, event)]


def test_an_event_meets_only_the_rules_of_its_topic_and_value() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("video", ["main", "backup"], _rule(_equals("kind", "video")))
    index.add("scte", ["main"], _rule(_equals("kind", "scte35")))
    index.add("either", ["main"], _rule({"field": "kind", "in": ["video", "scte35"]}))
    index.add("any", ["main"], _rule({"field": "kind", "glob": "*"}))
    index.add("other", ["main"], _rule(_equals("kind", "x") | {"not": True}))
    assert _keys(index, "main", {"kind": "video"}) == ["any", "either", "other", "video"]
    assert _keys(index, "main", {"kind": "x"}) == ["any", "other"]
    assert _keys(index, "main", {}) == ["any", "other"]
    assert _keys(index, "backup", {"kind": "video"}) == ["video"]
    assert _keys(index, "elsewhere", {"kind": "video"}) == []


def test_values_of_different_types_are_different_values() -> None:
    index: RuleIndex[str] = RuleIndex()
    for key, value in {"number": 1, "text": "1", "boolean": True}.items():
        index.add(key, ["t"], _rule(_equals("f", value)))
    assert _keys(index, "t", {"f": 1.0}) == ["number"]
    assert _keys(index, "t", {"f": "1"}) == ["text"]
    assert _keys(index, "t", {"f": True}) == ["boolean"]
    assert _keys(index, "t", {"f": [1]}) == []


@pytest.mark.parametrize(
    "matcher",
    [{"prefix": "Ad_7_"}, {"glob": "Ad_7_*"}, {"regex": "^Ad_7_[a-z]"}],
)
def test_a_rule_is_filed_by_the_beginning_of_a_text(matcher: dict[str, Any]) -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("seven", ["t"], _rule({"field": "id"} | matcher))
    assert _keys(index, "t", {"id": "Ad_7_x"}) == ["seven"]
    for other in ("Ad_77", "Ad_", "xAd_7_x", 7, None, ["Ad_7_x"]):
        assert _keys(index, "t", {"id": other}) == []


@pytest.mark.parametrize("matcher", [{"suffix": ".ts"}, {"glob": "*.ts"}, {"glob": "*?.ts"}])
def test_a_rule_is_filed_by_the_end_of_a_text(matcher: dict[str, Any]) -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("segments", ["t"], _rule({"field": "id"} | matcher))
    assert _keys(index, "t", {"id": "1.ts"}) == ["segments"]
    assert _keys(index, "t", {"id": "1.ts "}) == []
    index.remove("segments")
    assert index._topics == {}


def test_brackets_of_a_glob_are_part_of_what_a_rule_is_filed_by() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("promo", ["t"], _rule({"field": "id", "glob": "Promo [HD] *[1].ts"}))
    assert _keys(index, "t", {"id": "Promo [HD] 7[1].ts"}) == ["promo"]
    assert _keys(index, "t", {"id": "Promo H 71.ts"}) == []


def test_what_a_text_must_not_begin_with_files_no_rule() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("other", ["t"], _rule({"field": "id", "prefix": "Ad_", "not": True}))
    assert _keys(index, "t", {"id": "x"}) == ["other"]


def test_a_rule_added_again_replaces_the_first() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("a", ["t", "u"], _rule(_equals("f", 1)))
    index.add("a", ["u"], _rule(_equals("f", 2)))
    assert len(index) == 1
    assert _keys(index, "t", {"f": 1}) == _keys(index, "u", {"f": 1}) == []
    assert _keys(index, "u", {"f": 2}) == ["a"]


def test_a_removed_rule_leaves_nothing_behind() -> None:
    index: RuleIndex[str] = RuleIndex()
    index.add("a", ["t"], _rule(_equals("f", 1), _equals("g", 2)))
    index.add("b", ["t"], _rule({"field": "f", "in": [1, 2]}))
    index.add("c", ["t"], _rule({"field": "f", "exists": True}))
    for key in ("a", "b", "never there"):
        index.remove(key)
        assert key not in index
    assert index._topics["t"]._by_look == {}
    assert _keys(index, "t", {"f": 1}) == ["c"]
    index.remove("c")
    assert len(index) == 0
    assert index._topics == {}


def test_a_rule_may_be_filed_by_other_tests_than_its_own() -> None:
    index: RuleIndex[str] = RuleIndex()
    ends = _rule(_equals("action", "ended")).tests
    index.add("a", ["t"], _rule(_equals("action", "started")), ends)
    assert _keys(index, "t", {"action": "started"}) == []
    assert _keys(index, "t", {"action": "ended"}) == ["a"]
    index.add("a", ["t"], _rule(_equals("action", "started")), ())
    assert _keys(index, "t", {}) == ["a"]


MATCHERS = st.builds(
    lambda field, test, no: {"field": field, "not": no} | test,
    st.sampled_from(["a", "b", "a.b", "c"]),
    st.sampled_from(
        [
            *({"equals": "x"}, {"equals": 1}, {"equals": True}, {"in": ["x", 1]}),
            *({"in": [2, False, "y"]}, {"prefix": "x"}, {"exists": False}, {"gt": 0}),
            *({"prefix": "y"}, {"prefix": "xy"}, {"suffix": "y"}, {"suffix": "xy"}),
            *({"glob": "x*"}, {"glob": "*[*]y"}, {"glob": "x[]y"}, {"glob": "x"}, {"glob": "?y"}),
            *({"regex": "^xy?"}, {"regex": "^x|y"}, {"regex": "^xx{0}"}, {"regex": "(?i)^X"}),
        ]
    ),
    st.booleans(),
)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        "x",
        "y",
        "xy",
        "yxy",
        "*y",
        "x[]y",
        "",
        '{"b": 1}',
        1,
        1.0,
        2,
        True,
        False,
        None,
        [],
        {"b": "x"},
    ]
)
EVENTS = st.dictionaries(st.sampled_from("abc"), VALUES)
RULES = st.dictionaries(
    st.sampled_from("klmnop"),
    st.tuples(
        st.lists(MATCHERS, max_size=3),
        st.sets(st.sampled_from(["t", "u"]), min_size=1),
    ),
)


@given(RULES, st.lists(st.sampled_from("klmnop"), max_size=3), EVENTS, st.randoms())
def test_all_rules_that_match_are_candidates_in_whatever_order_they_came(
    rules: dict[str, Any], removed: list[str], event: dict[str, Any], random: Random
) -> None:
    compiled = {key: _rule(*matchers) for key, (matchers, _) in rules.items()}
    index: RuleIndex[str] = RuleIndex()
    order = list(rules)
    random.shuffle(order)
    for key in order:
        index.add(key, rules[key][1], compiled[key])
    for key in removed:
        index.remove(key)
    view = lazy_cel_view(event)
    candidates = _keys(index, "t", event)
    assert candidates == sorted(set(candidates))
    assert [key for key in candidates if compiled[key].match(event, view).matched] == [
        key
        for key in sorted(rules)
        if key not in removed and "t" in rules[key][1] and compiled[key].match(event, view).matched
    ]


@pytest.fixture(scope="module")
def crowd() -> RuleIndex[str]:
    """10,000 rules on 10 topics; those of a topic differ in the feed code alone."""
    index: RuleIndex[str] = RuleIndex()
    common = [_equals("msg_type", "video"), _equals("action", "started")]
    for number in range(10_000):
        rule = _rule(*common, _equals("feed_code", f"F{number}"))
        index.add(f"{number:05}", [f"t{number % 10}"], rule)
    return index


def test_of_a_thousand_rules_on_a_topic_an_event_meets_a_few(crowd: RuleIndex[str]) -> None:
    event = {"msg_type": "video", "action": "started", "feed_code": "F5000"}
    assert "05000" in _keys(crowd, "t0", event)
    assert len(_keys(crowd, "t0", event)) <= 3


@pytest.mark.parametrize("matcher", ["prefix", "glob", "suffix"])
def test_a_thousand_beginnings_or_ends_are_told_apart(matcher: str) -> None:
    index: RuleIndex[str] = RuleIndex()
    texts = {"prefix": "Ad_{}_", "glob": "Ad_{}_*", "suffix": "_{}.ts"}
    for number in range(1000):
        test = {"field": "id", matcher: texts[matcher].format(number)}
        index.add(f"{number:03}", ["t"], _rule(_equals("kind", "video"), test))
    event = {"kind": "video", "id": "Ad_500_500.ts"}
    assert "500" in _keys(index, "t", event)
    assert len(_keys(index, "t", event)) <= 3


def test_an_event_is_decided_in_well_below_a_millisecond(crowd: RuleIndex[str]) -> None:
    event = {"msg_type": "video", "action": "started", "feed_code": "F5000"}
    view = lazy_cel_view(event)
    began = time.process_time()
    for _ in range(500):
        found = [
            key for key, rule in crowd.candidates("t0", event) if rule.match(event, view).matched
        ]
    assert (time.process_time() - began) / 500 < 0.0005
    assert found == ["05000"]


def test_a_thousand_rules_that_nothing_tells_apart_are_all_met_in_order() -> None:
    index: RuleIndex[str] = RuleIndex()
    rule = _rule({"field": "f", "exists": True})
    for number in reversed(range(1000)):
        index.add(f"{number:04}", ["t"], rule)
    assert _keys(index, "t", {"f": "y"}) == [f"{number:04}" for number in range(1000)]
