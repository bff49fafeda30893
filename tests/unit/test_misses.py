"""The event that came nearest to matching a rule that never does."""

from __future__ import annotations

from typing import Any

from controller.events import Event
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import CompiledRule, compile_rule
from controller.rules.misses import nearest_miss

NOW = 1_700_000_000.0


def a_rule(**spec: Any) -> CompiledRule:  # noqa: ANN401 - as in a resource
    return compile_rule(
        TriggerRuleSpec.from_spec(
            {
                "channelRef": {"name": "mst3k"},
                "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
                "match": [
                    {"field": "msg_type", "equals": "video"},
                    {"field": "action", "equals": "started"},
                    {"field": "data.asset_id", "glob": "Ad_*"},
                ],
                "action": {"commercial": {"length": "60s"}},
                **spec,
            }
        )
    )


def an_event(at: float, **payload: object) -> Event:
    return Event("mst3k", f"id-{at:.0f}", NOW + at, 0.0, payload)


AD = {"asset_id": "Ad_1"}
FILM = {"asset_id": "Film_1"}


def test_the_event_of_which_the_most_tests_held_is_the_nearest() -> None:
    events = [
        an_event(1, msg_type="video", action="started", data=FILM),
        an_event(2, msg_type="video", action="ended", data=FILM),
        an_event(3, msg_type="scte35"),
    ]
    miss = nearest_miss(a_rule(), events)
    assert miss is not None
    assert (miss.event_id, miss.time, miss.topic) == ("id-1", NOW + 1, "mst3k")
    assert (miss.passed, miss.tests) == (2, 3)
    assert miss.detail.startswith("match[2]: ")
    assert "Film_1" in miss.detail


def test_tests_behind_the_first_that_failed_count_too() -> None:
    late = an_event(1, msg_type="scte35", action="started", data=AD)
    early = an_event(2, msg_type="video", action="ended", data=FILM)
    for events in ([late, early], [early, late]):
        miss = nearest_miss(a_rule(), events)
        assert miss is not None
        assert (miss.event_id, miss.passed) == ("id-1", 2)
        assert miss.detail.startswith("match[0]: ")


def test_of_equals_the_newest_is_told() -> None:
    events = [an_event(at, msg_type="video", action="started", data=FILM) for at in (1, 5, 3)]
    miss = nearest_miss(a_rule(), events)
    assert miss is not None
    assert miss.event_id == "id-5"


def test_an_event_of_which_nothing_held_is_a_miss_all_the_same() -> None:
    miss = nearest_miss(a_rule(), [an_event(1)])
    assert miss is not None
    assert (miss.passed, miss.tests) == (0, 3)


def test_what_matches_is_no_miss() -> None:
    assert nearest_miss(a_rule(), []) is None
    hit = an_event(1, msg_type="video", action="started", data=AD)
    assert nearest_miss(a_rule(), [hit]) is None
    miss = nearest_miss(a_rule(), [hit, an_event(0, msg_type="other")])
    assert miss is not None
    assert miss.event_id == "id-0"


def test_an_expression_that_is_false_is_the_last_test() -> None:
    rule = a_rule(when="event.data.duration_sec >= 10.0")
    short = {"asset_id": "Ad_1", "duration_sec": 5.0}
    miss = nearest_miss(rule, [an_event(1, msg_type="video", action="started", data=short)])
    assert miss is not None
    assert (miss.passed, miss.tests, miss.detail) == (3, 4, "when is false")


def test_an_expression_that_fails_says_why() -> None:
    rule = a_rule(when="event.data.duration_sec >= 10.0")
    miss = nearest_miss(rule, [an_event(1, msg_type="video", action="started", data=AD)])
    assert miss is not None
    assert (miss.passed, miss.tests) == (3, 4)
    assert "duration_sec" in miss.detail


def test_a_miss_goes_by_the_rules_own_identity() -> None:
    event = an_event(1, common={"unique_id": "161_17"})
    miss = nearest_miss(a_rule(), [event])
    assert miss is not None
    assert miss.event_id == "161_17"
