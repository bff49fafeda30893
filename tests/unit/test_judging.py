"""Whether a start is called for now, later, or not at all: the order of reasons, and the limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.arbiter.breaks import Break
from controller.arbiter.budget import Ad
from controller.arbiter.judging import Case, judge, too_late, too_old_at, wanted_seconds
from controller.arbiter.memory import Memory
from controller.arbiter.steps import Readiness, Wait
from controller.events import Ruling, Verdict
from controller.resources.commercials import CommercialPolicy, QuietHours
from controller.rules.times import clock
from tests.unit.arbiter_driver import NOW, World, a_cue, record

NOT_READY = Readiness(Verdict.CHANNEL_NOT_READY, "no grant")
# Twenty minutes after ten in the evening, UTC.
QUIET = QuietHours(from_="22:00", to="23:00", time_zone="UTC")


def a_case(
    length: float = 125.0,
    max_age: float = 30.0,
    readiness: Readiness | None = None,
    memory: Memory | None = None,
    most: int | None = None,
    in_doubt: bool = False,
    **policy: Any,  # noqa: ANN401 - its fields
) -> Case:
    cue = a_cue(length=length, max_age=max_age)
    whole = CommercialPolicy(**policy)
    due = cue.due(whole.delay)
    return Case(
        cue, Break(due, due + length, [cue]), whole, memory or Memory(), readiness, most, in_doubt
    )


def verdict(case: Case, now: float = NOW) -> Verdict | int:
    judged = judge(case, now)
    if isinstance(judged, Wait):
        return Verdict.WAITING
    return judged.verdict if isinstance(judged, Ruling) else judged


# The order of reasons


def test_the_reasons_come_in_their_order() -> None:
    everything: dict[str, Any] = {
        "max_age": 1.0,
        "readiness": NOT_READY,
        "length": 20.0,
        "quiet_hours": (QUIET,),
        "max_per_hour": 1,
        "on_cooldown": "Skip",
    }
    memory = Memory([record("a", started=NOW)], next_eligible=NOW + 400)
    order = []
    while everything:
        order.append(verdict(a_case(memory=memory, **everything), NOW + 5))
        everything.pop(next(iter(everything)))
    order.append(verdict(a_case(memory=memory), NOW + 5))
    assert order == [
        Verdict.EXPIRED,
        Verdict.CHANNEL_NOT_READY,
        Verdict.TOO_SHORT,
        Verdict.QUIET_HOURS,
        Verdict.BUDGET_SPENT,
        Verdict.COOLING_DOWN,
        Verdict.COOLING_DOWN,  # for longer than the cue is young
    ]
    assert verdict(a_case(), NOW + 5) == 120


def test_before_it_is_due_nothing_else_counts() -> None:
    case = a_case(delay=10, readiness=NOT_READY, quiet_hours=(QUIET,))
    judged = judge(case, NOW)
    assert isinstance(judged, Wait)
    assert judged.until == NOW + 10


def test_what_passes_is_waited_for_while_the_cue_is_young() -> None:
    passing = Readiness(Verdict.CHANNEL_NOT_READY, "in a moment", passing=True)
    judged = judge(a_case(readiness=passing), NOW)
    assert judged == Wait(NOW + 30.01, Ruling(Verdict.WAITING, "in a moment"))


# Lengths


@pytest.mark.parametrize(
    ("policy", "length", "late", "asked"),
    [
        ({}, 125.1, 0.0, 125),
        ({}, 125.5, 0.0, 126),
        ({}, 29.4, 0.0, Verdict.TOO_SHORT),
        ({}, 29.5, 0.0, 30),
        ({}, 60.0, 1.99, 60),
        ({}, 60.0, 2.0, 58),
        ({}, 60.0, 30.0, 30),
        ({"max_age": 60.0}, 60.0, 30.6, Verdict.TOO_SHORT),
        ({}, 400.0, 0.0, 180),
        ({"max_age": 300.0}, 400.0, 250.0, 150),
        ({"lateness": "Keep"}, 60.0, 29.0, 60),
        ({"lateness": "Keep", "max_age": 60.0}, 60.0, 59.4, 60),
        ({"lateness": "Keep", "max_age": 60.0}, 60.0, 59.6, Verdict.EXPIRED),
        ({"lengths": "Standard"}, 125.1, 0.0, 120),
        ({"lengths": "Standard"}, 118.0, 0.0, 120),
        ({"lengths": "Standard"}, 117.9, 0.0, 90),
        ({"lengths": "Standard"}, 125.1, 8.0, 90),
        ({"lengths": "Standard"}, 3000.0, 0.0, 180),
        ({"lengths": "Standard", "min_length": 0}, 27.9, 0.0, Verdict.TOO_SHORT),
        ({"lengths": "Standard", "min_length": 45}, 50.0, 0.0, Verdict.TOO_SHORT),
        ({"min_length": 180}, 180.0, 0.0, 180),
        ({"min_length": 180}, 180.0, 2.0, Verdict.TOO_SHORT),
        ({"min_length": 0}, 5.0, 0.0, 5),
        ({"most": 120}, 125.0, 0.0, 120),
        ({"most": 90}, 92.0, 3.0, 90),
        ({"most": 90}, 92.0, 5.0, 60),
    ],
)
def test_so_much_is_asked_for(
    policy: dict[str, Any], length: float, late: float, asked: int | Verdict
) -> None:
    assert verdict(a_case(length, **policy), NOW + late) == asked


@pytest.mark.parametrize(
    ("policy", "length", "late", "told"),
    [
        ({}, 5.0, 0.0, "the break is 5 s long, minLength is 30s"),
        ({}, 12.34, 0.0, "the break is 12.3 s long, minLength is 30s"),
        ({}, 40.0, 15.0, "25 s are left of the break of 40 s, minLength is 30s"),
        ({"lengths": "Standard", "min_length": 0}, 20.0, 0.0,
         "the break is 20 s long, and no standard length is that short"),
    ],
)  # fmt: skip
def test_why_a_break_is_too_short_is_told(
    policy: dict[str, Any], length: float, late: float, told: str
) -> None:
    assert judge(a_case(length, **policy), NOW + late) == Ruling(Verdict.TOO_SHORT, told)


# Age


def test_a_cue_is_too_old_beyond_its_max_age_or_behind_its_break() -> None:
    case = a_case(length=40)
    assert too_late(case, NOW + 30) is None
    assert too_late(case, NOW + 30.1) is not None
    assert too_late(a_case(length=20), NOW + 19.5) is None
    assert too_late(a_case(length=20), NOW + 19.6) is not None
    assert too_late(a_case(delay=10), NOW + 40) is None
    assert too_late(case, too_old_at(case)) is not None


# Quiet hours


@pytest.mark.parametrize(
    ("from_", "to", "verdict_"),
    [
        ("22:00", "22:31", Verdict.QUIET_HOURS),
        ("22:00", "22:30", 125),
        ("22:31", "23:00", 125),
        ("22:30", "06:00", Verdict.QUIET_HOURS),
    ],
)
def test_in_quiet_hours_nothing_starts(from_: str, to: str, verdict_: Verdict | int) -> None:
    assert clock(NOW) == "22:30:00Z"
    hours = QuietHours(from_=from_, to=to, time_zone="UTC")
    assert verdict(a_case(quiet_hours=(hours,))) == verdict_


def test_the_end_of_the_quiet_hours_is_told() -> None:
    judged = judge(a_case(quiet_hours=(QUIET,)), NOW)
    assert judged == Ruling(Verdict.QUIET_HOURS, "quietHours until 23:00:00Z")


def test_a_break_that_begins_in_quiet_hours_may_start_when_they_are_over() -> None:
    world = World(CommercialPolicy(quiet_hours=(QUIET,)), now=NOW + 29 * 60 + 50)
    first = world.hear(a_cue("a", at=world.now, length=60))
    world.advance(15)
    second = world.hear(a_cue("b", at=world.now, length=60))
    assert (first.verdict, second.verdict) == (Verdict.QUIET_HOURS, Verdict.FIRED)
    assert second.calls == [60]


# Budgets


def a_memory(*ads: tuple[float, int, bool]) -> Memory:
    """Ads as seconds ago, length, and whether they were ours."""
    ours = [record(f"cue-{ago}", started=NOW - ago, length=n) for ago, n, own in ads if own]
    memory = Memory(ours)
    for ago, length, own in ads:
        if not own:
            memory.saw_foreign(Ad(NOW - ago, length, ours=False))
    return memory


HOUR_FULL = a_memory((3599, 120, True), (1800, 90, False))


@pytest.mark.parametrize(
    ("policy", "now", "expected"),
    [
        ({"max_per_hour": 3}, NOW, 125),
        ({"max_per_hour": 2}, NOW, Verdict.BUDGET_SPENT),
        ({"max_per_hour": 2}, NOW + 1, 125),
        ({"max_seconds_per_hour": 335}, NOW, 125),
        ({"max_seconds_per_hour": 334}, NOW, Verdict.BUDGET_SPENT),
        ({"max_seconds_per_hour": 215}, NOW + 1, 125),
        ({"max_per_hour": 3, "max_seconds_per_hour": 300}, NOW, Verdict.BUDGET_SPENT),
    ],
)
def test_ads_of_the_last_hour_count_whoever_started_them(
    policy: dict[str, Any], now: float, expected: int | Verdict
) -> None:
    assert verdict(a_case(memory=HOUR_FULL, **policy), now) == expected


def test_what_failed_does_not_count_and_what_is_unknown_does() -> None:
    failed = Memory([record("a", Verdict.FAILED, started=NOW - 1000)])
    unknown = Memory([record("a", Verdict.UNKNOWN, started=NOW - 1000)])
    assert verdict(a_case(memory=failed, max_per_hour=1)) == 125
    assert verdict(a_case(memory=unknown, max_per_hour=1)) is Verdict.BUDGET_SPENT


def test_the_budget_counts_what_twitch_accepted() -> None:
    memory = a_memory((1000, 180, True))
    memory.change("cue-1000", accepted=90)
    assert verdict(a_case(60, memory=memory, max_seconds_per_hour=150)) == 60


def test_a_rehearsal_counts_what_really_ran_and_what_it_pretended() -> None:
    pretended = Memory([record("mine", started=NOW - 500)], base=a_memory((1000, 30, True)))
    assert len(pretended.ads(NOW)) == 2
    assert verdict(a_case(memory=pretended, max_per_hour=2)) is Verdict.BUDGET_SPENT


def test_a_budget_holds_over_a_restart_with_what_the_status_remembers() -> None:
    world = World(CommercialPolicy(max_per_hour=2))
    assert world.hear(a_cue("a")).verdict is Verdict.FIRED
    world.advance(600)
    world.foreign()
    world.look()
    world.crash(600)
    world.advance(10)
    world.look()
    assert world.hear(a_cue("b", at=world.now)).verdict is Verdict.BUDGET_SPENT


# Cooldown


@pytest.mark.parametrize(
    ("policy", "left", "expected"),
    [
        ({}, 0.0, 125),
        ({}, -1.0, 125),
        ({}, 0.001, Verdict.WAITING),
        ({}, 30.0, Verdict.WAITING),
        ({}, 30.1, Verdict.COOLING_DOWN),
        ({"max_age": 300.0}, 95.5, Verdict.WAITING),
        ({"max_age": 300.0}, 95.6, Verdict.COOLING_DOWN),  # too little is left by then
        ({"on_cooldown": "Skip"}, 0.001, Verdict.COOLING_DOWN),
        ({"on_cooldown": "Skip"}, 0.0, 125),
        ({"in_doubt": True}, 400.0, 125),
    ],
)
def test_a_cooldown_is_waited_for_where_that_can_help(
    policy: dict[str, Any], left: float, expected: int | Verdict
) -> None:
    memory = Memory(next_eligible=NOW + left)
    assert verdict(a_case(memory=memory, **policy)) == expected


@given(eligible=st.floats(NOW, NOW + 20), length=st.floats(60, 180))
def test_who_waited_for_the_cooldown_does_not_wait_again(eligible: float, length: float) -> None:
    case = a_case(length, memory=Memory(next_eligible=eligible))
    judged = judge(case, NOW)
    if isinstance(judged, Wait):
        assert eligible <= judged.until <= eligible + 0.002
        assert isinstance(judge(case, judged.until), int)


@given(
    length=st.floats(0.5, 3600),
    late=st.floats(0, 400),
    lateness=st.sampled_from(["Shorten", "Keep"]),
    lengths=st.sampled_from(["Exact", "Standard"]),
    least=st.floats(0, 180),
    most=st.none() | st.sampled_from([30, 60, 150]),
)
def test_whatever_is_asked_for_fits(
    length: float,
    late: float,
    lateness: Any,  # noqa: ANN401 - a literal
    lengths: Any,  # noqa: ANN401 - a literal
    least: float,
    most: int | None,
) -> None:
    case = a_case(length, 300.0, lateness=lateness, lengths=lengths, min_length=least, most=most)
    judged = judge(case, NOW + late)
    if isinstance(judged, int):
        assert least <= judged <= min(180, most or 180)
        assert judged <= wanted_seconds(case, NOW + late) + 2
        assert late <= 300
