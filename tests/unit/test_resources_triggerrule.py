from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.resources.common import InvalidSpec
from controller.resources.matcher import Matcher
from controller.resources.triggerrule import (
    RECENT_DECISIONS,
    Counts,
    RecentDecision,
    TriggerRuleSpec,
    TriggerRuleStatus,
)

SCALARS = st.booleans() | st.integers() | st.text()
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)


def spec(**changes: object) -> dict[str, Any]:
    return {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": ["mst3k.playout"]}},
        "match": [{"field": "msg_type", "equals": "video"}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
        **changes,
    }


def commercial(**changes: object) -> dict[str, Any]:
    return spec(action={"commercial": changes})


def matching(**matcher: object) -> dict[str, Any]:
    return spec(match=[{"field": "action", **matcher}])


def test_a_spec_has_its_defaults() -> None:
    read = TriggerRuleSpec.from_spec(spec())

    assert read.id_field == "common.unique_id"
    assert read.time_field == ""
    assert read.max_age == 30.0
    assert read.mode == "Enforce"
    assert not read.suspend
    assert not read.match[0].not_


def test_lengths_are_seconds() -> None:
    fixed = TriggerRuleSpec.from_spec(commercial(length="2m"))
    fallback = TriggerRuleSpec.from_spec(commercial(lengthField="a", defaultLength="1m30s"))

    assert fixed.action.commercial.length == 120
    assert fallback.action.commercial.default_length == 90


@pytest.mark.parametrize(
    ("test", "operator", "operand"),
    [
        ({"equals": False}, "equals", False),
        ({"equals": 0}, "equals", 0),
        ({"in": ["a", 1, True]}, "in", ("a", 1, True)),
        ({"exists": False}, "exists", False),
        ({"glob": ""}, "glob", ""),
        ({"gte": 10}, "gte", 10.0),
    ],
)
def test_a_matcher_tells_its_one_test(test: dict[str, Any], operator: str, operand: object) -> None:
    matcher = Matcher.from_spec({"field": "action", **test})

    assert (matcher.operator, matcher.operand) == (operator, operand)
    assert type(matcher.operand) is type(operand)


@given(
    st.sampled_from(["equals", "in", "prefix", "gt", "exists"]).flatmap(
        lambda operator: st.tuples(
            st.just(operator),
            {
                "equals": SCALARS,
                "in": st.lists(SCALARS, min_size=1, max_size=64).map(tuple),
                "prefix": st.text(min_size=1, max_size=256),
                "gt": NUMBERS,
                "exists": st.booleans(),
            }[operator],
        )
    )
)
def test_any_operand_is_read_as_it_is_written(case: tuple[str, Any]) -> None:
    operator, operand = case

    matcher = Matcher.from_spec({"field": "action", operator: operand})

    assert (matcher.operator, matcher.operand) == (operator, operand)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (spec(match=[]), "spec: must have match or when"),
        (matching(), "spec.match[0]: must have exactly one of: equals, in, glob"),
        (matching(equals="a", gt=1), "spec.match[0]: must have exactly one of"),
        (matching(equals=["a"]), "spec.match[0].equals: must be a text, a number"),
        (matching(**{"in": ["a", None]}), "spec.match[0].in[1]: must be a text, a number"),
        (matching(gt="10"), "spec.match[0].gt: Input should be a valid number"),
        (matching(gt=True), "spec.match[0].gt: Input should be a valid number"),
        (matching(contains="a"), "spec.match[0].contains: this version of the operator"),
        (spec(maxAge="6m"), "spec.maxAge: must be a duration from 1s to 5m"),
        (spec(feed={}), "spec.feed.pubnub: Field required"),
        (spec(action={}), "spec.action.commercial: Field required"),
        (commercial(), "spec.action.commercial: must have exactly one of: lengthField, length"),
        (commercial(lengthField="a", length="60s"), "must have exactly one of"),
        (commercial(length="60s", defaultLength="60s"), "defaultLength is for events without"),
        (commercial(length="181s"), "spec.action.commercial.length: must be a duration of whole"),
    ],
)
def test_a_spec_that_does_not_parse_names_the_field(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        TriggerRuleSpec.from_spec(wrong)

    assert message in str(refusal.value)


@pytest.mark.parametrize("topic", ["a,b", "a:b", "a*", "a/b", "a\\b", "a b", "a\tb", "", "x" * 93])
def test_what_cannot_be_a_channel_of_pubnub_is_no_topic(topic: str) -> None:
    feed = {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": [topic]}}

    with pytest.raises(InvalidSpec, match=r"spec\.feed\.pubnub\.topics\[0\]"):
        TriggerRuleSpec.from_spec(spec(feed=feed))


def test_a_status_is_written_in_the_words_of_the_resource() -> None:
    status = TriggerRuleStatus(
        counts=Counts(matched=40, fired=17, skipped=23),
        recent_decisions=(
            RecentDecision(
                event_id="1611912397739_177005",
                time=1611912397.8,
                verdict="Fired",
                detail="commercial of 125 s",
                latency_milliseconds=3.7,
            ),
        ),
    )

    assert status.to_status() == {
        "conditions": [],
        "counts": {"matched": 40, "fired": 17, "skipped": 23, "failed": 0},
        "recentDecisions": [
            {
                "eventId": "1611912397739_177005",
                "time": "2021-01-29T09:26:37.800Z",
                "verdict": "Fired",
                "detail": "commercial of 125 s",
                "latencyMilliseconds": 3.7,
            }
        ],
    }
    assert TriggerRuleStatus.from_status(status.to_status()) == status


def test_a_decision_keeps_within_the_limits_of_the_crd() -> None:
    decision = RecentDecision(event_id="1", time=0, verdict="Failed", detail="x" * 5000)
    status = TriggerRuleStatus(recent_decisions=(decision,) * (RECENT_DECISIONS + 1))

    written = status.to_status()["recentDecisions"]

    assert len(written) == RECENT_DECISIONS
    assert len(written[0]["detail"]) == 1024


@given(
    st.dictionaries(
        st.sampled_from(["conditions", "counts", "recentDecisions", "lastEventTime", "other"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_no_status_is_too_strange_to_be_read(raw: dict[str, Any]) -> None:
    assert isinstance(TriggerRuleStatus.from_status(raw), TriggerRuleStatus)
