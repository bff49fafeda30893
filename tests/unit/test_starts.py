"""What each answer of Twitch leads to: how often it is asked, after which waits; the verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from controller.arbiter.steps import Call, CheckLive, Readiness, ReadLastAd, Refresh, Wait
from controller.events import Answer, AnswerKind, Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from tests.unit.arbiter_driver import (
    ACCEPTED,
    COOLING,
    DOWN,
    ERROR,
    LENGTH,
    LOST,
    NO_SCOPE,
    NOT_ELIGIBLE,
    NOT_LIVE,
    NOT_SENT,
    NOT_YOURS,
    NOW,
    REFUSED,
    STARTED,
    STRANGE,
    UNAUTHORIZED,
    UNREADABLE,
    Fate,
    Outcome,
    World,
    a_cue,
    rate_limited,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

BLIND = [UNREADABLE] * 100
SEES_NONE = [None] * 100


def run(
    script: list[Answer],
    last_ads: Sequence[float | str | None] = SEES_NONE,
    *,
    max_age: float = 30.0,
    length: float = 125.0,
    policy: CommercialPolicy | None = None,
    refreshes: tuple[bool, ...] = (),
    refresh_takes: float = 0.0,
) -> tuple[World, Outcome]:
    """Drive one cue to its ruling; what Twitch is asked beyond the script is a failure."""
    world = World(policy or CommercialPolicy(min_length=0), script=script, last_ads=list(last_ads))
    world.twitch.refreshes = list(refreshes)
    world.twitch.refresh_takes = refresh_takes
    outcome = world.hear(a_cue(max_age=max_age, length=length))
    world.settle()
    assert len(outcome.calls) <= len(script)
    return world, outcome


@dataclass(frozen=True)
class Case:
    script: list[Answer]
    verdict: Verdict
    calls: list[int]
    waits: tuple[float, ...] = ()  # seconds after the cue
    last_ads: list[str] | list[None] | None = None
    again: Verdict = Verdict.SAME_BREAK  # what another cue of the break is told


DUPLICATE, FIRED, FAILED = Verdict.DUPLICATE, Verdict.FIRED, Verdict.FAILED
COOLS_123 = Answer(AnswerKind.COOLDOWN, "recently ran", 20.0)
OUTAGE = (0.5, 1.5, 3.5, 7.5, 12.5, 17.5, 22.5, 27.5)  # pauses of 0.5, 1, 2, 4, 5, 5, 5, 5 s
LEFT = [125, 125, 125, 122, 118, 113, 108, 103, 98]  # of the break, half up

CASES = {
    "accepted": Case([ACCEPTED], FIRED, [125]),
    "cooldown that ends in time": Case([COOLS_123, ACCEPTED], FIRED, [125, 105], (20.0,)),
    "not live": Case([NOT_LIVE], Verdict.NOT_LIVE, [125], again=FIRED),
    "no affiliate": Case([NOT_ELIGIBLE], Verdict.NOT_ELIGIBLE, [125], again=FIRED),
    "length refused once": Case([LENGTH, ACCEPTED], FIRED, [125, 120]),
    "length refused twice": Case([LENGTH, LENGTH], FAILED, [125, 120]),
    "missing scope": Case([NO_SCOPE], FAILED, [125], again=FIRED),
    "refused, unknown why": Case([REFUSED], FAILED, [125]),
    "refused, unknown why, and no schedule": Case([REFUSED], FAILED, [125], (), BLIND),
    "another user's token": Case([NOT_YOURS], FAILED, [125], again=FIRED),
    "cooldown that ends in time, of length 0": Case(
        [replace(COOLS_123, message="Twitch answered 200, and started nothing"), ACCEPTED], FIRED,
        [125, 105], (20.0,)),
    "rate limited": Case([rate_limited(12), ACCEPTED], FIRED, [125, 113], (12.0,)),
    "rate limited, again and again": Case(
        [rate_limited(12), rate_limited(12), ACCEPTED], FIRED, [125, 113, 101], (12.0, 24.0)
    ),
    "rate limited, nobody knows how long": Case(
        [rate_limited(None), ACCEPTED], FIRED, [125, 125], (0.5,)
    ),
    "unavailable for a moment": Case([DOWN, ACCEPTED], FIRED, [125, 125], (0.5,)),
    "unavailable, then it cools down": Case([DOWN, COOLING], FIRED, [125, 125], (0.5,)),
    "error for a moment": Case([ERROR, ACCEPTED], FIRED, [125, 125], (0.5,)),
    "error, then it cools down": Case([ERROR, COOLING], FIRED, [125, 125], (0.5,)),
    "not sent for a moment": Case([NOT_SENT, NOT_SENT, ACCEPTED], FIRED, [125, 125, 125],
                                  (0.5, 1.5)),
    "timeout, and no ad is seen": Case([LOST, ACCEPTED], FIRED, [125, 115], (10.0,)),
    "timeout, no ad is seen, and it cools down": Case([LOST, COOLING], FIRED, [125, 115], (10.0,)),
    "timeout, unreadable, accepted": Case([LOST, ACCEPTED], FIRED, [125, 115], (10.0,), BLIND),
    "timeout, unreadable, and it cools down": Case(
        [LOST, COOLING], FIRED, [125, 115], (10.0,), BLIND),
    "two timeouts, unreadable": Case(
        [LOST, LOST], Verdict.UNKNOWN, [125, 115], (10.0, 20.0), BLIND),
    "timeout, unreadable, off air": Case(
        [LOST, NOT_LIVE], Verdict.UNKNOWN, [125, 115], (10.0,), BLIND),
    "timeout, unreadable, refused": Case(
        [LOST, REFUSED], Verdict.UNKNOWN, [125, 115], (10.0,), BLIND),
    "timeout, unreadable, no scope": Case(
        [LOST, NO_SCOPE], Verdict.UNKNOWN, [125, 115], (10.0,), BLIND),
    "timeout that did not run, off air": Case(
        [LOST, NOT_LIVE], Verdict.NOT_LIVE, [125, 115], (10.0,), again=FIRED),
    "timeouts until it is too old, and no ad is seen": Case(
        [LOST] * 4, FAILED, [125, 115, 105, 95], (10.0, 20.0, 30.0, 40.0), again=FIRED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_answer_leads_to_its_calls_waits_and_verdict(case: Case) -> None:
    world, outcome = run(case.script, case.last_ads or SEES_NONE)
    assert (outcome.verdict, outcome.calls) == (case.verdict, case.calls), outcome
    waits = tuple(step.until - NOW for step in outcome.did if isinstance(step, Wait))
    assert waits == pytest.approx(case.waits)
    assert world.twitch.script == []
    # What ran, may have run or would be refused again is not called for again, whoever announces
    # it; what may have healed is.
    other = world.hear(a_cue("another", at=world.now, length=60))
    world.settle()
    assert other.verdict is case.again


@pytest.mark.parametrize("answer", [DOWN, NOT_SENT])
def test_an_outage_is_met_with_growing_pauses_until_the_cue_is_too_old(answer: Answer) -> None:
    world, outcome = run([answer] * 9)
    assert outcome.ruling is not None
    assert (outcome.verdict, outcome.calls) == (FAILED, LEFT)
    assert outcome.detail == answer.message
    waits = [step.until - NOW for step in outcome.did if isinstance(step, Wait)]
    assert waits[:8] == pytest.approx(OUTAGE)
    # Nothing ran: a later sign of the break is judged anew.
    other = world.hear(a_cue("another", at=world.now, length=60))
    assert other.verdict is FIRED


def test_errors_until_the_cue_is_too_old_are_unknown_only_where_nobody_can_tell() -> None:
    _, blind = run([ERROR] * 9, BLIND)
    assert (blind.verdict, len(blind.calls)) == (Verdict.UNKNOWN, 9)
    _, sees = run([ERROR] * 9, SEES_NONE)
    assert (sees.verdict, len(sees.calls)) == (FAILED, 9)


# Calls whose outcome is open


def test_a_lost_answer_is_settled_by_the_last_ad() -> None:
    world, outcome = run([LOST], [NOW + 0.3])
    assert outcome.verdict is FIRED
    assert "last_ad_at" in outcome.detail
    assert outcome.did == [Call(125), Wait(NOW + 10), ReadLastAd()]
    assert world.arbiter.memory.next_eligible == NOW + 0.3 + 480


@pytest.mark.parametrize("ad", [NOW - 2.1, NOW - 700])
def test_an_older_ad_does_not_settle_a_lost_answer(ad: float) -> None:
    _, outcome = run([LOST, ACCEPTED], [ad])
    assert outcome.calls == [125, 115]


def test_a_cooldown_after_a_lost_call_is_anothers_where_an_older_ad_explains_it() -> None:
    skip = CommercialPolicy(min_length=0, on_cooldown="Skip")
    _, outcome = run([LOST, COOLING], [NOW - 60, NOW - 60], policy=skip)
    assert outcome.verdict is Verdict.COOLING_DOWN


def test_an_ad_of_the_first_of_two_lost_calls_is_seen_after_the_second() -> None:
    world, outcome = run([LOST, LOST], [UNREADABLE, NOW + 0.2])
    assert outcome.verdict is FIRED
    assert world.arbiter.memory.recent[0].started == NOW + 0.2


def test_an_ad_of_an_earlier_process_is_seen_after_a_lost_call() -> None:
    world = World(started=NOW - 1, script=[LOST], last_ads=[UNREADABLE, NOW - 2.5])
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert outcome.verdict is FIRED


def test_what_is_unknown_is_a_duplicate_over_a_restart() -> None:
    world, outcome = run([LOST, LOST], BLIND)
    assert outcome.verdict is Verdict.UNKNOWN
    assert "whether the commercial ran is not known" in outcome.detail
    (again,) = world.crash(1.0)
    assert again.verdict is DUPLICATE
    assert world.hear(a_cue()).verdict is DUPLICATE


@pytest.mark.parametrize("second", [NOT_SENT, rate_limited(None), DOWN])
def test_a_lost_call_stays_unknown_if_no_repeat_reaches_twitch(second: Answer) -> None:
    world, outcome = run([LOST, *[second] * 20], BLIND)
    assert outcome.verdict is Verdict.UNKNOWN
    assert world.hear(a_cue()).verdict is DUPLICATE


def test_a_lost_call_near_the_end_of_a_cue_is_looked_at_and_not_repeated() -> None:
    _world, outcome = run([LOST], BLIND, max_age=9)
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.did == [Call(125), Wait(NOW + 10), ReadLastAd()]
    _, outcome = run([LOST], [NOW], max_age=9)
    assert outcome.verdict is FIRED
    _, outcome = run([LOST], [None], max_age=9)
    assert outcome.verdict is FAILED


def test_a_cooldown_after_a_call_that_did_not_leave_is_only_that() -> None:
    skip = CommercialPolicy(min_length=0, on_cooldown="Skip")
    _, outcome = run([NOT_SENT, COOLING], policy=skip)
    assert outcome.verdict is Verdict.COOLING_DOWN


def test_an_off_cue_ends_the_repeats_of_a_call_whose_outcome_is_open() -> None:
    world = World(script=[LOST], last_ads=[UNREADABLE])
    outcome = world.hear(a_cue())
    world.advance(1)
    assert world.off()
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.UNKNOWN, [125])


# Tokens


def test_a_refused_token_is_renewed_once_and_the_call_repeated_once() -> None:
    _, outcome = run([UNAUTHORIZED, ACCEPTED], refreshes=(True,))
    assert outcome.verdict is FIRED
    assert outcome.steps == [Call(125), Refresh(), Call(125)]


def test_a_token_that_is_refused_again_is_failed() -> None:
    _, outcome = run([UNAUTHORIZED, UNAUTHORIZED], refreshes=(True,))
    assert (outcome.verdict, outcome.calls) == (FAILED, [125, 125])


def test_without_a_new_token_there_is_no_second_call() -> None:
    _, outcome = run([UNAUTHORIZED], refreshes=(False,))
    assert (outcome.verdict, outcome.calls) == (FAILED, [125])


def test_a_missing_scope_is_not_cured_by_a_refresh() -> None:
    _, outcome = run([NO_SCOPE])
    assert outcome.steps == [Call(125)]


def test_after_a_slow_refresh_only_what_is_left_is_asked_for() -> None:
    _, outcome = run([UNAUTHORIZED, ACCEPTED], refreshes=(True,), refresh_takes=15)
    assert (outcome.verdict, outcome.calls) == (FIRED, [125, 110])


def test_a_cue_that_grows_too_old_during_a_refresh_is_expired() -> None:
    _, outcome = run([UNAUTHORIZED], refreshes=(True,), refresh_takes=15, max_age=10)
    assert (outcome.verdict, outcome.calls) == (Verdict.EXPIRED, [125])


@pytest.mark.parametrize("what", ["withdrawn", "paused", "cancelled"])
def test_who_changes_his_mind_during_a_refresh_is_heeded_before_the_next_call(what: str) -> None:
    world = World(script=[UNAUTHORIZED])
    world.twitch.refresh_takes = 3.0
    outcome = world.hear(a_cue())
    world.advance(1)
    if what == "withdrawn":
        world.withdraw("rule", Ruling(Verdict.SUSPENDED, "spec.suspend of the rule is true"))
    elif what == "paused":
        world.ready(Readiness(Verdict.PAUSED, "somebody paused it"))
    else:
        world.off()
    other = world.hear(a_cue("another", at=world.now))
    world.settle()
    assert outcome.calls == [125]
    assert outcome.verdict in (Verdict.SUSPENDED, Verdict.PAUSED, Verdict.CANCELLED)
    assert len(other.calls) <= 1


def test_a_call_under_way_keeps_the_break_though_its_rule_is_gone() -> None:
    world = World(script=[DOWN])
    world.twitch.latency = 2.0
    gone = world.hear(a_cue(rule="gone"))
    world.advance(1)
    world.withdraw("gone", Ruling(Verdict.SUSPENDED, "the rule is gone"))
    other = world.hear(a_cue("other", at=world.now, rule="other"))
    assert other.verdict is Verdict.SAME_BREAK
    world.settle()
    assert (gone.verdict, gone.calls) == (Verdict.SUSPENDED, [125])


# Lengths


@pytest.mark.parametrize(
    ("length", "asked"), [(92.0, [92, 90]), (91.0, [91, 90]), (31.0, [31, 30]), (300.0, [180, 150])]
)
def test_a_refused_length_is_followed_by_the_standard_one_below(
    length: float, asked: list[int]
) -> None:
    _, outcome = run([LENGTH, ACCEPTED], length=length)
    assert (outcome.verdict, outcome.calls) == (FIRED, asked)


def test_a_refused_length_of_the_shortest_is_failed() -> None:
    _, outcome = run([LENGTH], length=30)
    assert (outcome.verdict, outcome.calls) == (FAILED, [30])


def test_the_standard_length_is_asked_for_though_the_refusal_took_its_time() -> None:
    world = World(script=[LENGTH, ACCEPTED])
    world.twitch.latency = 3.0
    outcome = world.hear(a_cue(length=92))
    world.settle()
    assert (outcome.verdict, outcome.calls) == (FIRED, [92, 90])


# Refusals


def test_a_refusal_that_is_not_understood_is_shown_and_not_tried_again() -> None:
    world, outcome = run([REFUSED])
    assert outcome.ruling == Ruling(FAILED, REFUSED.message)
    assert world.hear(a_cue()).ruling == Ruling(DUPLICATE, "the cue was refused before")
    assert world.arbiter.memory.next_eligible is None
    assert world.arbiter.memory.recent[0].result is FAILED


def test_what_was_refused_is_remembered_over_a_restart() -> None:
    world, _ = run([REFUSED])
    (again,) = world.crash(1.0)
    assert (again.verdict, again.calls) == (DUPLICATE, [])


@pytest.mark.parametrize("seconds", [31.0, 1e9, float("inf")])
def test_a_rate_limit_beyond_the_life_of_the_cue_is_failed_at_once(seconds: float) -> None:
    _, outcome = run([rate_limited(seconds)])
    assert (outcome.verdict, outcome.steps) == (FAILED, [Call(125)])


def test_a_cooldown_that_never_ends_is_not_asked_for_without_end() -> None:
    at_once = Answer(AnswerKind.COOLDOWN, "recently ran", 0.0)
    _, outcome = run([at_once] * 40)
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert len(outcome.calls) <= 31


def test_nothing_is_dropped_that_is_called_for() -> None:
    world = World()
    world.twitch.latency = 2.0
    outcome = world.hear(a_cue())
    world.advance(1)
    world.withdraw("rule", Ruling(Verdict.SUSPENDED, ""))
    assert world.off()
    world.settle()
    assert outcome.verdict is FIRED


def test_of_two_breaks_one_at_most_calls_and_the_other_is_not_forgotten() -> None:
    world = World(script=[LOST], last_ads=[UNREADABLE])
    first = world.hear(a_cue("first", length=5))
    world.advance(3)
    world.policy = world.arbiter.policy = CommercialPolicy(min_length=0, break_gap=0)
    world.advance(3)
    second = world.hear(a_cue("second", at=NOW + 6, length=60))
    assert second.calls == []
    world.settle()
    assert first.verdict is Verdict.UNKNOWN
    assert second.verdict is FIRED


def test_who_waits_for_anothers_call_has_an_end_though_nobody_wakes_it() -> None:
    world = World(CommercialPolicy(min_length=0, break_gap=0), script=[LOST], last_ads=[UNREADABLE])
    world.hear(a_cue("first", length=4))
    world.advance(4.5)
    second = world.hear(a_cue("second", at=world.now, length=60, max_age=30))
    (step,) = second.did
    assert isinstance(step, Wait)
    assert step.until == pytest.approx(world.now + 30, abs=0.1)


def test_the_start_of_the_process_does_not_count_for_cues_after_it() -> None:
    outcome = World(started=STARTED).hear(a_cue())
    assert outcome.steps == [Call(125)]


def test_a_cooldown_that_an_earlier_break_may_have_caused_tells_nothing_of_the_next() -> None:
    world = World(CommercialPolicy(min_length=0, on_cooldown="Skip"))
    world.twitch.readable = False
    world.twitch.script = [Fate.ACTED, LOST, DOWN]
    first = world.hear(a_cue("a", length=20))
    world.advance(60)
    second = world.hear(a_cue("b", at=world.now, length=60))
    world.settle()
    assert first.verdict is Verdict.UNKNOWN
    assert (second.verdict, second.calls) == (Verdict.COOLING_DOWN, [60, 60])
    world.advance(120)
    world.twitch.script = [LOST]
    world.arbiter.memory.cool(world.now, 0, None)
    third = world.hear(a_cue("c", at=world.now, length=60))
    world.settle()
    assert (third.verdict, len(third.calls)) == (Verdict.UNKNOWN, 2)


# What is not understood, the ad schedule decides


@pytest.mark.parametrize("refusal", [STRANGE, LENGTH], ids=["strange", "length, of 30 s"])
def test_a_refusal_that_a_running_cooldown_explains_is_that_cooldown(refusal: Answer) -> None:
    skip = CommercialPolicy(min_length=0, on_cooldown="Skip", max_per_hour=1)
    world, outcome = run([refusal], [NOW - 100], length=30, policy=skip)
    assert (outcome.verdict, outcome.calls) == (Verdict.COOLING_DOWN, [30])
    assert refusal.message in outcome.detail
    assert "last_ad_at" in outcome.detail
    memory = world.arbiter.memory
    assert memory.next_eligible == NOW + 380
    assert (memory.recent, memory.ads(world.now)) == ((), [])
    # Once it is over, the channel is called for again: nothing was counted.
    world.advance(400)
    assert world.hear(a_cue("another", at=world.now)).verdict is FIRED


def test_a_strange_cooldown_that_ends_in_time_is_waited_for() -> None:
    world, outcome = run([STRANGE, ACCEPTED], [NOW - 470])
    assert (outcome.verdict, outcome.calls) == (FIRED, [125, 115])
    assert world.twitch.ours[0].time == NOW + 10


@pytest.mark.parametrize("ad", [None, NOW - 480, NOW - 3600])
def test_a_refusal_that_no_ad_explains_is_not_live_where_nothing_streams(
    ad: float | None,
) -> None:
    world = World(script=[STRANGE], last_ads=[ad])
    world.twitch.live = False
    outcome = world.hear(a_cue())
    assert outcome.verdict is Verdict.NOT_LIVE
    assert STRANGE.message in outcome.detail
    assert outcome.steps == [Call(125), ReadLastAd(), CheckLive()]
    world.twitch.live = True
    assert world.hear(a_cue("another", at=world.now)).verdict is FIRED


@pytest.mark.parametrize("live", [True, None])
def test_a_refusal_that_nothing_explains_is_failed_in_twitchs_own_words(live: bool | None) -> None:
    world = World(script=[STRANGE], last_ads=[NOW - 500])
    world.twitch.live = live
    assert world.hear(a_cue()).ruling == Ruling(FAILED, STRANGE.message)


def test_a_refusal_says_what_could_not_be_known() -> None:
    _, outcome = run([STRANGE], BLIND)
    assert outcome.verdict is FAILED
    assert outcome.detail.startswith(STRANGE.message)
    assert outcome.detail.endswith("whether the channel cools down is not known: no scope")


def test_a_strange_refusal_after_a_lost_call_that_ran_is_fired() -> None:
    world, outcome = run([LOST, STRANGE], [UNREADABLE, NOW + 0.4])
    assert outcome.verdict is FIRED
    assert "last_ad_at" in outcome.detail
    assert world.arbiter.memory.recent[0].started == NOW + 0.4


@pytest.mark.parametrize("dialect", ["plain", "mock", "strange"])
@pytest.mark.parametrize("fate", [Fate.ACTED, Fate.ACTED_LATE, Fate.FAILED_LATE])
def test_after_a_lost_answer_each_wording_of_the_cooldown_says_the_same(
    fate: Fate, dialect: str
) -> None:
    for last_ads in ([], [UNREADABLE]):
        world = World(script=[fate], last_ads=last_ads)
        world.twitch.dialect = dialect
        outcome = world.hear(a_cue())
        world.settle()
        assert outcome.verdict is FIRED, (last_ads, outcome)
        assert len(world.twitch.ours) == 1
        # And it cools down from that one.
        (started,) = (record.started for record in world.arbiter.memory.recent)
        assert world.arbiter.memory.next_eligible == pytest.approx(started + 480, abs=11)


def test_a_cooldown_of_length_0_counts_nothing_and_its_time_is_believed() -> None:
    answer = Answer(AnswerKind.COOLDOWN, "Please try again later", 432.0)
    skip = CommercialPolicy(min_length=0, on_cooldown="Skip", max_per_hour=1)
    world, outcome = run([answer], policy=skip)
    assert (outcome.verdict, outcome.steps) == (Verdict.COOLING_DOWN, [Call(125)])
    memory = world.arbiter.memory
    assert (memory.next_eligible, memory.retry_after) == (NOW + 432, 432.0)
    assert (memory.recent, memory.last_fired, memory.ads(world.now)) == ((), None, [])
    assert not world.arbiter.ads.waits
    (brk,) = world.arbiter.breaks
    assert (brk.called, brk.accepted, brk.settled) == (None, None, False)


@pytest.mark.parametrize("kind", [AnswerKind.COOLDOWN, AnswerKind.ACCEPTED])
def test_no_answer_closes_a_channel_for_longer_than_an_hour(kind: AnswerKind) -> None:
    world, _ = run([Answer(kind, "", 86_400.0)])
    assert world.arbiter.memory.next_eligible == NOW + 3600


def test_what_is_accepted_is_what_counts() -> None:
    shorter = Answer(AnswerKind.ACCEPTED, "", 480.0, length=90)
    world, outcome = run([shorter])
    assert outcome.ruling == Ruling(FIRED, "commercial of 90 s (125 s were asked for)")
    (record,) = world.arbiter.memory.recent
    assert (record.length, record.accepted) == (125, 90)
    assert [ad.length for ad in world.arbiter.memory.ads(world.now)] == [90]
