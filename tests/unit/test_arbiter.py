"""The arbiter: from a cue to a ruling, on a clock of its own."""

from __future__ import annotations

import pytest

from controller.arbiter.arbiter import COOLDOWN, MAX_RECENT, Arbiter
from controller.arbiter.memory import Memory
from controller.arbiter.starts import Start
from controller.arbiter.steps import Call, CueRecord, Readiness, ReadLastAd, Wait
from controller.events import Answer, AnswerKind, Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from controller.term import Term
from tests.unit.arbiter_driver import (
    ACCEPTED,
    ANY_LENGTH,
    COOLING,
    NOW,
    STARTED,
    TIMEOUT,
    UNREADABLE,
    World,
    a_cue,
    record,
)

WAIT = CommercialPolicy(min_length=0, on_cooldown="Wait")
SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip")

# A cue on time


def test_an_accepted_call_is_fired_and_sets_the_clock() -> None:
    world = World(script=[ACCEPTED])
    outcome = world.hear(a_cue())
    assert outcome.ruling == Ruling(Verdict.FIRED, "commercial of 125 s")
    assert outcome.steps == [Call(125)]
    memory = world.arbiter.memory
    assert (memory.next_eligible, memory.retry_after) == (NOW + 480, 480)
    assert memory.last_message == ACCEPTED.message
    told = CueRecord(
        "break-1", NOW, NOW, 125, Verdict.FIRED, due=NOW, break_seconds=125, rule="rule"
    )
    assert memory.recent == (told,)
    assert memory.last_fired == told


def test_an_accepted_call_without_retry_after_cools_down_for_8_minutes() -> None:
    world = World(script=[Answer(AnswerKind.ACCEPTED, "", length=120)])
    assert world.hear(a_cue()).verdict is Verdict.FIRED
    assert world.arbiter.memory.next_eligible == NOW + COOLDOWN
    assert world.arbiter.memory.recent[0].accepted == 120


def test_a_channel_is_not_ready_until_somebody_says_so() -> None:
    arbiter = Arbiter(ANY_LENGTH, Term(STARTED), TIMEOUT)
    start = arbiter.take(a_cue(), NOW)
    assert isinstance(start, Start)
    with pytest.raises(StopIteration) as end:
        next(arbiter.run(start, NOW))
    assert end.value.value.verdict is Verdict.CHANNEL_NOT_READY


@pytest.mark.parametrize("verdict", [Verdict.SUSPENDED, Verdict.PAUSED, Verdict.NOT_ELIGIBLE])
def test_what_keeps_a_channel_is_told(verdict: Verdict) -> None:
    world = World()
    world.ready(Readiness(verdict, "so it is"))
    assert world.hear(a_cue()).ruling == Ruling(verdict, "so it is")


def test_a_refused_cue_may_fire_when_it_is_repeated_after_the_channel_became_ready() -> None:
    world = World()
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "no grant"))
    assert world.hear(a_cue()).verdict is Verdict.CHANNEL_NOT_READY
    world.ready(None)
    assert world.hear(a_cue()).verdict is Verdict.FIRED


def test_what_will_be_known_in_moments_is_waited_for_while_the_cue_is_young() -> None:
    world = World()
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "the token is being fetched", passing=True))
    outcome = world.hear(a_cue())
    assert outcome.verdict is Verdict.WAITING
    world.advance(5)
    world.ready(None)
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.FIRED, [120])


def test_what_stays_passing_for_too_long_is_expired() -> None:
    world = World()
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "the token is being fetched", passing=True))
    outcome = world.hear(a_cue())
    world.settle()
    assert outcome.verdict is Verdict.EXPIRED
    assert outcome.ended == pytest.approx(NOW + 30, abs=0.1)


# Cooldown


def test_a_known_cooldown_is_not_called() -> None:
    outcome = World(SKIP, next_eligible=NOW + 0.1).hear(a_cue())
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert outcome.detail.startswith("not before ")
    assert outcome.steps == []


def test_a_cooldown_is_over_at_its_instant() -> None:
    assert World(SKIP, next_eligible=NOW).hear(a_cue()).verdict is Verdict.FIRED


def test_a_cue_waits_for_the_end_of_the_cooldown_while_it_is_young() -> None:
    world = World(WAIT, next_eligible=NOW + 20)
    outcome = world.hear(a_cue())
    assert outcome.verdict is Verdict.WAITING
    assert "cooling down until" in outcome.told[0].detail
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.FIRED, [105])


@pytest.mark.parametrize(("left", "length"), [(30.5, 125), (20.0, 20), (25.0, 20)])
def test_a_cooldown_beyond_the_life_of_the_cue_or_its_break_is_not_waited_for(
    left: float, length: float
) -> None:
    outcome = World(WAIT, next_eligible=NOW + left).hear(a_cue(length=length))
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert outcome.steps == []


@pytest.mark.parametrize(("told", "wait"), [(123.0, 123.0), (0.0, 1.0)])
def test_a_cooldown_that_was_not_known_sets_the_clock(told: float, wait: float) -> None:
    world = World(SKIP, script=[Answer(AnswerKind.COOLDOWN, "recently ran a commercial", told)])
    outcome = world.hear(a_cue())
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert "recently ran a commercial" in outcome.detail
    memory = world.arbiter.memory
    assert (memory.next_eligible, memory.retry_after) == (NOW + wait, wait)
    assert memory.recent == ()


@pytest.mark.parametrize(
    ("last_ad", "left"),
    [
        (NOW - 100, 380.0),
        (NOW - 480, 1.0),  # it is told in whole seconds
        (NOW - 482, 480.0),
        (NOW - 700, 480.0),
        (None, 480.0),
        (UNREADABLE, 480.0),
    ],
)
def test_a_cooldown_of_unknown_length_is_counted_from_the_last_ad(
    last_ad: float | str | None, left: float
) -> None:
    world = World(SKIP, script=[COOLING], last_ads=[last_ad])
    assert world.hear(a_cue()).verdict is Verdict.COOLING_DOWN
    assert world.arbiter.memory.next_eligible == NOW + left


# Identity


def test_a_repeated_cue_is_a_duplicate() -> None:
    world = World()
    assert world.hear(a_cue()).verdict is Verdict.FIRED
    world.advance(500)
    again = world.hear(a_cue())
    assert again.ruling == Ruling(Verdict.DUPLICATE, "the cue was fired before")


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Verdict.FIRED, "the cue was fired before"),
        (Verdict.CONFIRMED, "the cue was fired before"),
        (Verdict.UNCONFIRMED, "the cue was fired before"),
        (Verdict.UNKNOWN, "the cue was called, with unknown outcome, before"),
        (Verdict.FAILED, "the cue was refused before"),
    ],
)
def test_a_cue_that_the_status_lists_is_a_duplicate(result: Verdict, told: str) -> None:
    world = World(recent=[record("break-1", result)])
    assert world.hear(a_cue()).ruling == Ruling(Verdict.DUPLICATE, told)


def test_the_status_keeps_the_newest_cues_and_the_arbiter_many_more() -> None:
    old = tuple(record(f"old-{n}", started=NOW - 600 - n) for n in range(MAX_RECENT))
    world = World(recent=old)
    assert world.arbiter.memory.recent == old
    for n in range(30):
        assert world.hear(a_cue(f"new-{n}", at=world.now)).verdict is Verdict.FIRED
        world.advance(480)
    told = [record.cue_id for record in world.arbiter.memory.recent]
    assert told == [f"new-{n}" for n in range(29, 9, -1)]
    assert world.arbiter.memory.known("old-19") is not None


def test_an_identity_that_comes_again_on_another_day_is_another_cue() -> None:
    world = World()
    assert world.hear(a_cue("414")).verdict is Verdict.FIRED
    world.advance(1700)
    assert world.hear(a_cue("414", at=world.now)).verdict is Verdict.DUPLICATE
    world.advance(86_400)
    assert world.hear(a_cue("414", at=world.now)).verdict is Verdict.FIRED


def test_the_memory_is_bounded() -> None:
    memory = Memory()
    for n in range(500):
        memory.remember(record(f"cue-{n}"))
    assert memory.known("cue-299") is None
    assert memory.known("cue-300") is not None


def test_the_last_fired_cue_is_not_one_that_failed() -> None:
    fired, failed = record("a", started=1.0), record("b", Verdict.FAILED, started=2.0)
    assert Memory((failed, fired)).last_fired == fired
    assert Memory((failed,)).last_fired is None


def test_an_hour_old_cue_leaves_no_trace() -> None:
    world = World()
    for n in range(100):
        outcome = world.hear(a_cue(f"cue-{n}", age=4000 + n, max_age=300))
        assert outcome.verdict is Verdict.EXPIRED
    assert not world.arbiter.breaks


# Age


def test_a_cue_is_taken_at_the_border_of_its_max_age_and_expired_beyond() -> None:
    assert World().hear(a_cue(age=30.0)).verdict is Verdict.FIRED
    outcome = World().hear(a_cue(age=30.5))
    assert outcome.ruling == Ruling(Verdict.EXPIRED, "30 s old, maxAge is 30s")


@pytest.mark.parametrize(
    ("age", "asked"), [(0.0, 60), (1.9, 60), (2.0, 58), (2.6, 57), (30.0, 30), (59.4, 1)]
)
def test_a_late_start_asks_for_what_is_left_of_the_break(age: float, asked: int) -> None:
    outcome = World().hear(a_cue(age=age, length=60, max_age=60))
    assert (outcome.verdict, outcome.calls) == (Verdict.FIRED, [asked])


def test_a_late_start_asks_for_all_where_the_user_wants_that() -> None:
    keep = CommercialPolicy(min_length=0, lateness="Keep")
    assert World(keep).hear(a_cue(age=30, length=60)).calls == [60]
    assert World(keep).hear(a_cue(age=30, length=20)).verdict is Verdict.EXPIRED


def test_of_a_long_break_what_is_left_of_the_real_one_counts() -> None:
    for age, asked in ((0, 180), (25, 180), (250, 50)):
        outcome = World().hear(a_cue(age=age, length=300, max_age=300))
        assert outcome.calls == [asked]


def test_a_cue_whose_break_is_over_is_expired() -> None:
    outcome = World().hear(a_cue(age=20, length=20))
    assert outcome.ruling == Ruling(Verdict.EXPIRED, "20 s old, the break of 20 s is over")


def test_a_cue_from_a_clock_that_is_ahead_waits_for_its_moment() -> None:
    world = World()
    outcome = world.hear(a_cue(age=-0.4))
    world.settle()
    assert (outcome.verdict, outcome.calls, outcome.ended) == (Verdict.FIRED, [125], NOW + 0.4)


# Cues from before the start


def test_a_cue_from_before_the_start_waits_for_a_call_that_may_be_under_way() -> None:
    world = World(started=NOW - 1, last_ads=[None])
    outcome = world.hear(a_cue(age=3))
    assert outcome.verdict == Verdict.WAITING
    world.settle()
    assert outcome.ruling is not None
    assert outcome.ruling.verdict is Verdict.FIRED
    assert outcome.did == [Wait(NOW + 4), ReadLastAd(), Call(118)]


def test_who_cannot_ask_yet_what_ran_waits_with_a_replayed_cue() -> None:
    world = World(started=NOW - 1, last_ads=[NOW - 2])
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "the grant is being fetched", passing=True))
    outcome = world.hear(a_cue(age=3))
    world.advance(10)
    assert outcome.verdict is Verdict.WAITING
    assert ReadLastAd() not in outcome.did
    world.ready(None)
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.FIRED, [])


def test_a_replayed_cue_waits_for_a_grant_no_longer_than_it_is_young() -> None:
    world = World(started=NOW - 1, last_ads=[UNREADABLE])
    world.ready(Readiness(Verdict.CHANNEL_NOT_READY, "the grant is being fetched", passing=True))
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.EXPIRED, [])


def test_a_cue_announced_in_the_instant_of_the_start_counts_as_from_before() -> None:
    outcome = World(started=NOW - 0.4).hear(a_cue())
    assert outcome.did == [Wait(NOW - 0.4 + TIMEOUT)]
    outcome = World(started=NOW - 0.6).hear(a_cue())
    assert outcome.did == [Call(125)]


@pytest.mark.parametrize("before", [2.0, 0.0, -4.0])
def test_a_replayed_cue_is_fired_if_an_ad_began_since_it_was_announced(before: float) -> None:
    ad = NOW - 3 - before
    world = World(started=NOW - 1, last_ads=[ad])
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert outcome.verdict is Verdict.FIRED
    assert "last_ad_at" in outcome.detail
    assert outcome.calls == []
    assert world.arbiter.memory.next_eligible == ad + 480
    (told,) = world.arbiter.memory.recent
    assert (told.cue_id, told.started, told.length) == ("break-1", ad, 125)


@pytest.mark.parametrize("last_ad", [NOW - 3 - 2.1, UNREADABLE])
def test_a_replayed_cue_is_called_if_no_newer_ad_is_known(last_ad: float | str) -> None:
    world = World(started=NOW - 1, last_ads=[last_ad])
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.FIRED, [118])


@pytest.mark.parametrize("last_ad", [UNREADABLE, None, NOW - 700])
def test_a_cooldown_answer_to_a_replayed_cue_means_that_its_first_call_ran(
    last_ad: float | str | None,
) -> None:
    world = World(started=NOW - 1, script=[COOLING], last_ads=[last_ad])
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert outcome.verdict is Verdict.FIRED
    assert "Twitch cools down from the earlier call" in outcome.detail
    assert world.arbiter.memory.next_eligible == NOW + 4 + 480
    assert world.hear(a_cue(age=3)).verdict is Verdict.DUPLICATE


def test_a_cooldown_answer_means_nothing_where_an_older_ad_explains_it() -> None:
    world = World(SKIP, started=NOW - 1, script=[COOLING], last_ads=[NOW - 100, NOW - 100])
    outcome = world.hear(a_cue(age=3))
    world.settle()
    assert outcome.verdict is Verdict.COOLING_DOWN
    assert world.arbiter.memory.next_eligible == NOW - 100 + 480


def test_a_replayed_cue_may_expire_while_it_waits() -> None:
    world = World(started=NOW - 1, last_ads=[UNREADABLE])
    outcome = world.hear(a_cue(age=3, max_age=5))
    world.settle()
    assert (outcome.verdict, outcome.calls) == (Verdict.EXPIRED, [])


def test_an_old_cue_is_expired_without_a_wait() -> None:
    outcome = World(started=NOW - 1).hear(a_cue(age=31))
    assert (outcome.verdict, outcome.steps) == (Verdict.EXPIRED, [])


def test_who_ranks_higher_waits_until_it_is_known_what_a_former_process_called_for() -> None:
    world = World(started=NOW - 1, last_ads=[NOW - 2.9])
    first = world.hear(a_cue("one", age=3))
    second = world.hear(a_cue("two", priority=5))
    world.settle()
    assert (first.verdict, second.verdict) == (Verdict.FIRED, Verdict.SAME_BREAK)
    assert first.calls == second.calls == []


def test_what_is_rehearsed_beside_a_real_commercial_counts_once() -> None:
    real = Memory((record("a", started=NOW),))
    rehearsal = Memory(base=real)
    rehearsal.remember(record("a", started=NOW + 0.1))
    assert len(rehearsal.ads(NOW + 10)) == 1
    rehearsal.remember(record("b", started=NOW + 600))
    assert len(rehearsal.ads(NOW + 610)) == 2
