from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions.commercial.spec import CommercialAction
from controller.resources.common import InvalidSpec
from controller.resources.matcher import Matcher
from controller.resources.triggerrule import (
    RECENT_DECISIONS,
    ChannelSelector,
    Counts,
    Dedupe,
    EventLabel,
    NearestMiss,
    RecentDecision,
    TriggerRuleSpec,
    TriggerRuleStatus,
)

ONE_CHANNEL = "spec: must have exactly one of: channelRef, channelSelector"
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


def selecting(**selector: object) -> dict[str, Any]:
    return spec(channelRef=None, channelSelector=selector)


def labelled(key: str, value: str = "a") -> dict[str, Any]:
    return selecting(matchLabels={key: value})


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
    assert (read.cancel_on, read.dedupe, read.expect_every, read.priority) == ((), None, None, 0)
    assert read.channel_ref is not None
    assert (read.channel_ref.name, read.channel_selector) == ("mst3k", None)


def test_a_field_that_is_null_counts_as_left_out() -> None:
    test = {"field": "a", "equals": 1, "exists": None, "gt": None, "not": None}
    nulls = {"suspend": None, "priority": None, "cancelOn": None, "channelSelector": None}
    read = TriggerRuleSpec.from_spec(spec(match=[test], **nulls))
    assert read == TriggerRuleSpec.from_spec(spec(match=[{"field": "a", "equals": 1}]))
    with pytest.raises(InvalidSpec, match="unknown"):
        TriggerRuleSpec.from_spec(spec(unknown=None))


def test_a_selector_takes_the_place_of_a_name() -> None:
    given = {
        "matchLabels": {"example.com/region": "north", "tier": ""},
        "matchEvent": [{"label": "feed-code", "field": "feed_code"}],
    }

    read = TriggerRuleSpec.from_spec(selecting(**given))

    assert read.channel_ref is None
    assert read.channel_selector == ChannelSelector(
        match_labels={"example.com/region": "north", "tier": ""},
        match_event=(EventLabel(label="feed-code", field="feed_code"),),
    )


def test_what_ends_a_break_and_what_makes_two_cues_one_is_read() -> None:
    read = TriggerRuleSpec.from_spec(
        spec(
            cancelOn=[{"field": "action", "equals": "Stop"}],
            dedupe={"key": ["feed_code", "data.event_id"]},
            expectEvery="2h",
            priority=-1000,
        )
    )

    assert [matcher.operand for matcher in read.cancel_on] == ["Stop"]
    assert read.dedupe == Dedupe(key=("feed_code", "data.event_id"), window=60.0)
    assert (read.expect_every, read.priority) == (7200.0, -1000)


def test_lengths_are_seconds() -> None:
    fixed = TriggerRuleSpec.from_spec(commercial(length="2m"))
    fallback = TriggerRuleSpec.from_spec(commercial(lengthField="a", defaultLength="1m30s"))

    assert isinstance(fixed.action.spec, CommercialAction)
    assert isinstance(fallback.action.spec, CommercialAction)
    assert fixed.action.spec.length == 120
    assert fallback.action.spec.default_length == 90


@pytest.mark.parametrize(
    ("test", "operator", "operand"),
    [
        ({"equals": False}, "equals", False),
        ({"equals": 0}, "equals", 0),
        ({"in": ["a", 1, True]}, "in", ("a", 1, True)),
        ({"exists": False}, "exists", False),
        ({"glob": ""}, "glob", ""),
        ({"gte": 10}, "gte", 10),
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
        (matching(), "spec.match[0]: must have exactly one of: equals, in, contains, glob"),
        (matching(equals="a", gt=1), "spec.match[0]: must have exactly one of"),
        (
            matching(equal="a"),
            "spec.match[0].equal: there is no such field; did you mean equals?",
        ),
        (matching(Regex="a"), "spec.match[0].Regex: there is no such field; did you mean regex?"),
        (spec(chanelRef={"name": "a"}), "spec.chanelRef: there is no such field; did you mean"),
        (
            commercial(lenght="30s"),
            "commercial.lenght: there is no such field; did you mean length",
        ),
        (
            matching(xyzzy="a"),
            "spec.match[0].xyzzy: this version of the operator has no such field",
        ),
        (
            matching(equals=["a"]),
            "spec.match[0].equals: must be one string, number, true or false: use in for a",
        ),
        (matching(**{"in": ["a", None]}), "spec.match[0].in[1]: must be a string, a number"),
        (matching(gt="10"), "spec.match[0].gt: must be a number, such as 10"),
        (matching(gt=True), "spec.match[0].gt: must be a number, such as 10"),
        (matching(includes="a"), "spec.match[0].includes: this version of the operator"),
        (spec(maxAge="6m"), "spec.maxAge: must be a duration from 1s to 5m"),
        (spec(feed={}), "spec.feed: must have exactly one of: pubnub, hls"),
        (spec(action={}), "spec.action: must have exactly one of: commercial, extensionMessage"),
        (commercial(), "spec.action.commercial: must have exactly one of: lengthField, length"),
        (commercial(lengthField="a", length="60s"), "must have exactly one of"),
        (commercial(length="60s", defaultLength="60s"), "defaultLength is for events without"),
        (commercial(length="181s"), "spec.action.commercial.length: must be a duration of whole"),
        (spec(channelRef=None), ONE_CHANNEL),
        (spec(channelSelector={"matchLabels": {"a": "b"}}), ONE_CHANNEL),
        (selecting(), "spec.channelSelector: must have matchLabels or matchEvent"),
        (selecting(matchLabels={}, matchEvent=[]), "spec.channelSelector: must have matchLabels"),
        (selecting(matchExpressions=[]), "spec.channelSelector.matchExpressions: this version"),
        (labelled("feed code"), "spec.channelSelector.matchLabels: each key must be the name of"),
        (labelled("Example.com/a"), "spec.channelSelector.matchLabels: each key must be"),
        (labelled("a" * 64), "spec.channelSelector.matchLabels: each key must be"),
        (labelled(f"{'a' * 254}/a"), "spec.channelSelector.matchLabels: each key must be"),
        (labelled("a", "-"), "spec.channelSelector.matchLabels.a: must be the value of a label"),
        (labelled("a", "b" * 64), "spec.channelSelector.matchLabels.a: string should have at most"),
        (
            selecting(matchEvent=[{"label": "feed code", "field": "feed_code"}]),
            "spec.channelSelector.matchEvent[0].label: must be the name of a label",
        ),
        (selecting(matchEvent=[{"label": "a"}]), "matchEvent[0].field: is required"),
        (spec(cancelOn=[{"field": "a"}]), "spec.cancelOn[0]: must have exactly one of"),
        (spec(dedupe={"key": []}), "spec.dedupe.key: list should have at least 1 item"),
        (spec(dedupe={"key": [""]}), "spec.dedupe.key[0]: string should have at least 1 char"),
        (spec(dedupe={"key": ["a"], "window": "11m"}), "spec.dedupe.window: must be a duration"),
        (spec(expectEvery="59s"), "1m to 168h, such as 1m30s or 2h"),
        (spec(asRun={"Spot": "a"}), "spec.asRun: each key must be the name of a column"),
        (spec(asRun={"verdict": "a"}), "asRun names a field that each line has by itself"),
        (spec(asRun={f"c{n}": "a" for n in range(17)}), "spec.asRun: object should have at"),
        (spec(priority=1001), "spec.priority: must be less than or equal to 1000"),
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


def test_the_nearest_miss_and_the_channel_that_was_picked_are_shown() -> None:
    miss = NearestMiss(
        event_id="1611912397739_177005",
        time=1611912397.8,
        topic="mst3k.playout",
        passed=2,
        tests=3,
        detail="action equals Play: it is Stop",
    )
    decision = RecentDecision(
        event_id="1", time=0, verdict="Fired", detail="of 60 s", channel="mst3k"
    )
    status = TriggerRuleStatus(recent_decisions=(decision,), nearest_miss=miss)

    written = status.to_status()

    assert written["recentDecisions"][0]["channel"] == "mst3k"
    assert written["nearestMiss"] == {
        "eventId": "1611912397739_177005",
        "time": "2021-01-29T09:26:37.800Z",
        "topic": "mst3k.playout",
        "passed": 2,
        "tests": 3,
        "detail": "action equals Play: it is Stop",
    }
    assert TriggerRuleStatus.from_status(written) == status


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
