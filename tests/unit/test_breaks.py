"""Breaks: whatever announces one, and however often, it leads to one commercial at most."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.actions.registry import compile_action
from controller.arbiter.breaks import Break
from controller.arbiter.steps import BY_HAND, Call, Cue, Readiness, Wait
from controller.events import Event, Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import compile_rule
from controller.triggers.policies.deciding import RulePolicy, decide
from tests.unit.arbiter_driver import (
    ANY_LENGTH,
    COOLING,
    DOWN,
    LOST,
    NOW,
    REFUSED,
    World,
    a_cue,
    hear_all,
    verdicts,
)

MESSAGES = Path(__file__).parents[2] / "examples" / "messages"
FIRED, SAME, DUPLICATE = Verdict.FIRED, Verdict.SAME_BREAK, Verdict.DUPLICATE
DELAYED = CommercialPolicy(min_length=0, delay=10)
SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip")


# What happens in a playout centre


def _cue_of(message: str, at: float, **spec: object) -> Cue:
    payload = json.loads((MESSAGES / message).read_text())
    whole: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": "feed_code", "equals": "MST3K"}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
        **spec,
    }
    parsed = TriggerRuleSpec.from_spec(whole)
    event = Event("mst3k", f"{at}", at, at, payload)
    rule, action = compile_rule(parsed), compile_action(parsed)
    cue = decide(rule, action, RulePolicy.of("splices", parsed), event, at).outcome
    assert isinstance(cue, Cue)
    return cue


@pytest.mark.parametrize("policy", [CommercialPolicy(), CommercialPolicy(delay=10)])
def test_both_messages_of_a_break_start_one_commercial(policy: CommercialPolicy) -> None:
    world = World(policy)
    splice, asset = _cue_of("scte35.json", NOW), _cue_of("video.json", NOW + 4.5)
    first, second = hear_all(world, [splice, asset])
    assert (first.verdict, first.calls) == (FIRED, [125 if policy.delay == 0 else 130])
    assert second.verdict is SAME
    assert "1611912393388_176998" in second.detail
    assert len(world.twitch.ran) == 1
    (brk,) = world.arbiter.breaks
    assert (brk.due, brk.end) == (NOW + policy.delay, NOW + policy.delay + 4.5 + 125.133)


def test_main_and_backup_headend_start_one_commercial() -> None:
    main = a_cue("main-1", at=NOW)
    outcomes = hear_all(World(), [main, replace(main, id="backup-1", published=NOW + 0.4)])
    assert verdicts(outcomes) == [FIRED, SAME]


def test_main_and_backup_headend_with_a_second_identity_are_duplicates() -> None:
    main = a_cue("main-1", length=20, same_as="event_id=414", same_within=60)
    backup = replace(main, id="backup-1", published=NOW + 45)
    much_later = replace(main, id="main-2", published=NOW + 481)
    outcomes = hear_all(World(), [main, backup, much_later])
    assert verdicts(outcomes) == [FIRED, DUPLICATE, FIRED]
    assert "cue main-1 announced the same 45.0 s apart (event_id=414)" in outcomes[1].detail


def test_a_late_backup_announces_the_break_of_the_main_headend_and_no_longer_one() -> None:
    world = World()
    main = a_cue("main-1", length=60, same_as="event_id=414", same_within=60)
    hear_all(world, [main, replace(main, id="backup-1", published=NOW + 45)])
    (brk,) = world.arbiter.breaks
    assert brk.seconds == 60


def test_another_second_identity_is_another_break() -> None:
    main = a_cue("main-1", length=20, same_as="event_id=414")
    other = replace(main, id="main-2", published=NOW + 481, same_as="event_id=415")
    assert verdicts(hear_all(World(), [main, other])) == [FIRED, FIRED]


def test_a_pod_of_four_spots_starts_one_commercial() -> None:
    world = World()
    pod = [a_cue(f"spot-{n}", at=NOW + 30 * n, length=30) for n in range(4)]
    outcomes = hear_all(world, pod)
    assert verdicts(outcomes) == [FIRED, SAME, SAME, SAME]
    assert len(world.twitch.ran) == 1
    (brk,) = world.arbiter.breaks
    assert brk.seconds == 120
    # The status tells how long the break was that the commercial was for.
    assert world.arbiter.memory.recent[0].break_seconds == 120


def test_a_cue_that_is_repeated_each_second_starts_one_commercial() -> None:
    world = World()
    outcomes = hear_all(world, [a_cue("same", at=NOW + n, length=60) for n in range(60)])
    assert verdicts(outcomes) == [FIRED] + [DUPLICATE] * 59
    assert len(world.twitch.ran) == 1


@pytest.mark.parametrize("policy", [ANY_LENGTH, SKIP])
def test_a_cue_that_is_repeated_each_second_under_new_names_starts_one(
    policy: CommercialPolicy,
) -> None:
    world = World(policy)
    outcomes = hear_all(world, [a_cue(f"new-{n}", at=NOW + n, length=60) for n in range(60)])
    assert verdicts(outcomes) == [FIRED] + [SAME] * 59
    assert len(world.twitch.ran) == 1


def test_a_cue_that_is_repeated_for_ever_starts_one_each_eight_minutes() -> None:
    world = World()
    hear_all(world, [a_cue(f"new-{n}", at=NOW + n, length=60) for n in range(1500)])
    assert [ran.time - NOW for ran in world.twitch.ran] == [0, 491, 982, 1473]
    assert all(len(brk.cues) <= 100 for brk in world.arbiter.breaks)


def test_a_repeated_cue_waits_but_once() -> None:
    world = World(next_eligible=NOW + 20)
    outcomes = hear_all(world, [a_cue("same", at=NOW + n, length=60) for n in range(30)])
    assert verdicts(outcomes) == [FIRED] + [DUPLICATE] * 29
    # The repeats do not make the break longer.
    assert outcomes[0].calls == [40]


def test_a_repeat_that_tells_another_length_is_heeded() -> None:
    world = World(next_eligible=NOW + 20)
    outcomes = hear_all(world, [a_cue("same", at=NOW + n, length=60 + 30 * n) for n in range(2)])
    assert outcomes[0].calls == [70]


# A break that was not called for is judged anew


def test_a_bumper_does_not_burn_the_cooldown_of_the_spot_behind_it() -> None:
    world = World(CommercialPolicy())
    bumper, spot = a_cue("bumper", length=5), a_cue("spot", at=NOW + 5, length=60)
    first, second = hear_all(world, [bumper, spot])
    assert first.ruling == Ruling(Verdict.TOO_SHORT, "the break is 5 s long, minLength is 30s")
    assert (second.verdict, second.calls) == (FIRED, [60])


def test_a_bumper_that_is_delayed_makes_room_for_the_spot_behind_it() -> None:
    world = World(CommercialPolicy(delay=10))
    bumper, spot = a_cue("bumper", length=5), a_cue("spot", at=NOW + 5, length=60)
    first, second = hear_all(world, [bumper, spot])
    assert (first.verdict, first.calls) == (FIRED, [65])
    assert second.verdict is SAME


def test_a_break_that_was_skipped_is_judged_anew_with_each_sign_of_it() -> None:
    world = World(SKIP, next_eligible=NOW + 20)
    pod = [a_cue(f"spot-{n}", at=NOW + 15 * n, length=15) for n in range(4)]
    outcomes = hear_all(world, pod)
    assert verdicts(outcomes) == [Verdict.COOLING_DOWN, SAME, FIRED, SAME]
    assert "not before" in outcomes[1].detail
    assert outcomes[2].calls == [15]


@pytest.mark.parametrize("script", [[REFUSED], [LOST, LOST]])
def test_a_break_that_was_called_for_is_not_judged_anew(script: list[Any]) -> None:
    world = World(script=script)
    world.twitch.readable = False
    outcomes = hear_all(world, [a_cue("a"), a_cue("b", at=NOW + 30, length=60)])
    assert outcomes[1].verdict is SAME
    assert world.twitch.ran == []


def test_a_break_for_which_twitch_was_down_is_judged_anew() -> None:
    world = World(script=[DOWN] * 9)
    outcomes = hear_all(world, [a_cue("a"), a_cue("b", at=NOW + 60, length=60)])
    assert verdicts(outcomes) == [Verdict.FAILED, FIRED]


# The edges of a break


@pytest.mark.parametrize(
    ("after", "verdict"), [(60.0, SAME), (70.0, SAME), (70.1, Verdict.COOLING_DOWN)]
)
def test_what_is_close_to_the_end_of_a_break_belongs_to_it(after: float, verdict: Verdict) -> None:
    cues = [a_cue("a", length=60), a_cue("b", at=NOW + after, length=60)]
    assert verdicts(hear_all(World(SKIP), cues)) == [FIRED, verdict]


def test_without_a_gap_the_next_break_begins_right_after_the_end() -> None:
    world = World(CommercialPolicy(min_length=0, on_cooldown="Skip", break_gap=0))
    cues = [a_cue("a", length=60), a_cue("b", at=NOW + 60.1, length=60)]
    assert verdicts(hear_all(world, cues)) == [FIRED, Verdict.COOLING_DOWN]


def test_a_sign_that_comes_late_and_out_of_order_belongs_to_the_break_it_overlaps() -> None:
    world = World()
    cues = [a_cue("b", length=60), replace(a_cue("a", length=60), begins=NOW - 4)]
    assert verdicts(hear_all(world, cues)) == [FIRED, SAME]


def test_nothing_extends_a_break_beyond_eight_minutes() -> None:
    world = World(SKIP)
    pod = [a_cue(f"spot-{n}", at=NOW + 60 * n, length=60) for n in range(8)]
    # Within the gap it still belongs to the break; behind it the next begins.
    pod += [a_cue("edge", at=NOW + 490, length=60), a_cue("next", at=NOW + 490.1, length=60)]
    outcomes = hear_all(world, pod)
    assert verdicts(outcomes) == [FIRED] + [SAME] * 8 + [FIRED]
    assert next(iter(world.arbiter.breaks)).seconds == 480
    assert World().hear(a_cue(length=3600)).calls == [180]


# Delay


def test_a_delayed_start_comes_at_its_time_and_asks_for_all() -> None:
    world = World(DELAYED)
    outcome = world.hear(a_cue())
    assert outcome.verdict is Verdict.WAITING
    assert "10s after the cue" in outcome.told[0].detail
    world.settle()
    assert outcome.did == [Wait(NOW + 10), Call(125)]
    assert (world.twitch.ran[0].time, outcome.verdict) == (NOW + 10, FIRED)


def test_max_age_counts_from_the_due_time() -> None:
    assert World(DELAYED).hear(a_cue(age=40)).verdict is FIRED
    assert World(DELAYED).hear(a_cue(age=40.1)).verdict is Verdict.EXPIRED


def test_a_time_of_its_own_makes_a_cue_due_earlier() -> None:
    world = World(DELAYED)
    outcome = world.hear(replace(a_cue(), begins=NOW - 5))
    world.settle()
    assert outcome.did == [Wait(NOW + 5), Call(125)]


# Off cues


def test_an_off_cue_cancels_what_is_not_called_for_yet() -> None:
    world = World(DELAYED)
    outcome = world.hear(a_cue())
    world.advance(3)
    assert world.off()
    assert outcome.verdict is Verdict.CANCELLED
    world.settle()
    assert outcome.calls == []
    # The next break is another.
    assert world.hear(a_cue("next", at=world.now)).verdict is Verdict.WAITING


def test_an_off_cue_that_meets_no_break_is_nothing() -> None:
    world = World()
    assert not world.off()
    world.hear(a_cue(length=30))
    world.advance(31)
    assert not world.off()


def test_an_off_cue_counts_once() -> None:
    world = World(DELAYED)
    world.hear(a_cue())
    assert world.off(NOW + 1)
    assert not world.off(NOW + 1)


def test_an_off_cue_after_the_call_closes_the_break() -> None:
    world = World(SKIP)
    first = world.hear(a_cue())
    world.advance(60)
    assert world.off()
    world.settle()
    (brk,) = world.arbiter.breaks
    assert (first.verdict, brk.seconds) == (FIRED, 60)
    assert world.arbiter.memory.recent[0].break_seconds == 60
    # What follows is another break, without any gap; what repeats the first is the first.
    assert world.hear(a_cue(at=world.now)).verdict is DUPLICATE
    assert world.hear(a_cue("next", at=world.now)).verdict is Verdict.COOLING_DOWN


def test_a_repeat_of_what_was_cancelled_starts_nothing() -> None:
    world = World(DELAYED)
    world.hear(a_cue())
    world.off(NOW + 1)
    again = world.hear(a_cue(at=NOW + 1))
    assert (again.verdict, again.steps) == (DUPLICATE, [])


def test_an_off_cue_cancels_what_waits_for_the_cooldown() -> None:
    world = World(next_eligible=NOW + 20)
    outcome = world.hear(a_cue())
    world.advance(10)
    assert world.off()
    assert (outcome.verdict, outcome.calls) == (Verdict.CANCELLED, [])


def test_an_off_cue_that_is_delayed_shortens_what_is_called_for_later() -> None:
    world = World(DELAYED, next_eligible=NOW + 20)
    outcome = world.hear(a_cue())
    world.advance(12)
    assert world.off()  # on air 12 s after the break began
    assert outcome.verdict is Verdict.CANCELLED


# Who goes first


def test_of_two_rules_that_one_event_matches_the_higher_priority_decides() -> None:
    world = World(DELAYED)
    low = a_cue(rule="low", length=30)
    high = a_cue(rule="high", length=60, priority=5)
    outcomes = hear_all(world, [low, high])
    assert verdicts(outcomes) == [Verdict.OUTRANKED, FIRED]
    assert "rule high" in outcomes[0].detail
    assert outcomes[1].calls == [60]
    assert world.arbiter.memory.recent[0].rule == "high"


def test_of_two_rules_in_the_order_of_priority_the_second_is_outranked() -> None:
    world = World(DELAYED)
    high, low = a_cue(rule="high", priority=5), a_cue(rule="low")
    assert verdicts(hear_all(world, [high, low])) == [FIRED, Verdict.OUTRANKED]


def test_of_two_equal_rules_the_first_has_it() -> None:
    assert verdicts(hear_all(World(DELAYED), [a_cue(rule="a"), a_cue(rule="b")])) == [
        FIRED,
        DUPLICATE,
    ]
    cues = [a_cue("x", rule="a"), a_cue("y", rule="b")]
    assert verdicts(hear_all(World(DELAYED), cues)) == [FIRED, SAME]


def test_a_start_that_is_called_for_is_not_taken_over() -> None:
    world = World()
    world.twitch.latency = 3.0
    cues = [a_cue("low"), a_cue("high", at=NOW + 1, priority=9)]
    assert verdicts(hear_all(world, cues)) == [FIRED, SAME]
    world = World()
    assert verdicts(hear_all(world, cues)) == [FIRED, SAME]


def test_who_takes_over_says_how_long_the_break_is() -> None:
    world = World(next_eligible=NOW + 10)
    cues = [a_cue("low", length=180), a_cue("high", at=NOW + 1, length=60, priority=1)]
    outcomes = hear_all(world, cues)
    assert verdicts(outcomes) == [Verdict.OUTRANKED, FIRED]
    assert outcomes[1].calls == [51]


def test_a_break_is_taken_over_again_and_again() -> None:
    world = World(DELAYED)
    cues = [a_cue(f"cue-{n}", at=NOW + n, priority=n) for n in range(5)]
    outcomes = hear_all(world, cues)
    assert verdicts(outcomes) == [Verdict.OUTRANKED] * 4 + [FIRED]
    assert len(world.twitch.ran) == 1


def test_what_a_rule_asked_for_is_dropped_with_the_rule() -> None:
    world = World(DELAYED)
    mine, why = world.hear(a_cue(rule="mine")), Ruling(Verdict.SUSPENDED, "the rule is suspended")
    world.withdraw("other", why)
    assert mine.verdict is Verdict.WAITING
    world.withdraw("mine", why)
    world.withdraw("mine", Ruling(Verdict.FAILED, "twice"))
    assert mine.ruling == why
    # Another rule may have the break.
    other = world.hear(a_cue("other", at=NOW + 1, rule="other"))
    world.settle()
    assert other.verdict is FIRED


# By hand


def by_hand(name: str, at: float = NOW, length: float = 60.0) -> Cue:
    return a_cue(name, at=at, length=length, rule=BY_HAND, priority=10_000)


def test_who_asks_by_hand_gets_it_though_the_break_was_refused_before() -> None:
    world = World(CommercialPolicy())
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "no grant"))
    assert world.hear(a_cue(length=100)).verdict is Verdict.CHANNEL_NOT_READY
    world.advance(50)
    world.ready(None)
    asked = world.hear(by_hand("fire/1", at=world.now))
    assert (asked.verdict, asked.calls) == (FIRED, [60])


def test_who_asks_by_hand_gets_it_though_twitch_refused_the_break() -> None:
    world = World(script=[REFUSED])
    assert world.hear(a_cue()).verdict is Verdict.FAILED
    assert world.hear(a_cue("again")).verdict is SAME
    assert world.hear(by_hand("fire/1")).verdict is FIRED


def test_who_asks_by_hand_after_the_commercial_of_the_break_does_not_get_another() -> None:
    world = World()
    assert world.hear(a_cue()).verdict is FIRED
    assert world.hear(by_hand("fire/1")).verdict is SAME
    assert world.hear(by_hand("fire/1")).verdict in (SAME, DUPLICATE)
    (brk,) = world.arbiter.breaks
    assert brk.seconds == 125


def test_who_asks_by_hand_goes_before_what_waits() -> None:
    world = World(DELAYED)
    waits = world.hear(a_cue())
    asked = world.hear(by_hand("fire/1"))
    world.settle()
    assert (waits.verdict, asked.verdict) == (Verdict.OUTRANKED, FIRED)
    assert "a request by hand" in waits.detail


# The end of a break


def test_a_break_that_is_over_is_told_once() -> None:
    world = World()
    world.hear(a_cue(length=60))
    world.arbiter.ads.give_up()
    world.advance(70)
    assert world.arbiter.ended(world.now) == []
    world.advance(0.1)
    (brk,) = world.arbiter.ended(world.now)
    assert (brk.key, brk.asked, brk.called) == ("break-1", 60, NOW)
    assert brk.ruling == Ruling(FIRED, "commercial of 60 s")
    assert world.arbiter.ended(world.now) == []


def test_a_break_is_told_once_its_commercial_is_confirmed_or_is_not() -> None:
    world = World(confirms=True)
    world.hear(a_cue(length=5))
    world.advance(16)
    (brk,) = world.arbiter.ended(world.now)
    assert (brk.confirmed, brk.ruling and brk.ruling.verdict) == (NOW, Verdict.CONFIRMED)


def test_a_break_whose_start_is_under_way_is_not_over() -> None:
    world = World(script=[LOST])
    world.hear(a_cue(length=3))
    world.advance(0.5)
    world.off()
    assert world.arbiter.ended(world.now + 100) == []


def test_breaks_are_forgotten() -> None:
    world = World(SKIP, script=[COOLING])
    for n in range(100):
        world.hear(a_cue(f"cue-{n}", at=world.now, length=10))
        world.advance(60)
        world.arbiter.ended(world.now)
    assert len(list(world.arbiter.breaks)) <= 12
    world.advance(2000)
    world.arbiter.ended(world.now)
    assert not world.arbiter.breaks


def test_a_break_ends_where_it_began_at_the_earliest() -> None:
    brk = Break(NOW, NOW + 10, closed=True)
    brk.join(a_cue(), NOW + 100)
    assert brk.end == NOW + 10
    assert brk.overlaps(NOW, NOW + 1, 10)
    assert not brk.overlaps(NOW + 10, NOW + 20, 10)
