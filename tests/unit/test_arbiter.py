"""The arbiter: every way from a cue to a ruling, driven by hand on a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from controller.events import Answer, AnswerKind, Verdict
from controller.rules.arbiter import COOLDOWN, MAX_RECENT, Arbiter
from controller.rules.steps import (
    Call,
    Cue,
    CueRecord,
    Readiness,
    ReadLastAd,
    Refresh,
    Reply,
    Ruling,
    Step,
    Wait,
)

STARTED = 1_000_000.0
NOW = STARTED + 1000
TIMEOUT = 5.0
UNREADABLE = "unreadable"

ACCEPTED = Answer(AnswerKind.ACCEPTED, "Starting commercial break.", 480.0)
COOLING = Answer(AnswerKind.COOLDOWN, "recently ran a commercial")
LOST = Answer(AnswerKind.NO_ANSWER, "Twitch did not answer: ReadTimeout")
NOT_SENT = Answer(AnswerKind.NOT_SENT, "Twitch was not reached: ConnectError")
REFUSED = Answer(AnswerKind.REFUSED, "Twitch answered 400: length")
NOT_LIVE = Answer(AnswerKind.NOT_LIVE, "must be streaming live")
UNAUTHORIZED = Answer(AnswerKind.UNAUTHORIZED, "Twitch answered 401")
NO_SCOPE = Answer(AnswerKind.SCOPE_MISSING, "Missing scope")


def rate_limited(seconds: float | None) -> Answer:
    return Answer(AnswerKind.RATE_LIMITED, "Twitch answered 429", seconds)


@dataclass
class Script:
    """Replies to an arbiter's steps, in order; what is asked beyond that is a failure."""

    answers: list[Answer] = field(default_factory=list)
    last_ads: list[float | str | None] = field(default_factory=list)
    refreshes: list[bool] = field(default_factory=list)
    refresh_takes: float = 0.0
    now: float = NOW
    steps: list[Step] = field(default_factory=list)

    def run(self, arbiter: Arbiter, cue: Cue) -> Verdict:
        """The verdict; the whole script must have been used."""
        ruling = self.ruling(arbiter, cue)
        assert [self.answers, self.last_ads, self.refreshes] == [[], [], []]
        return ruling.verdict

    def ruling(self, arbiter: Arbiter, cue: Cue) -> Ruling:
        run = arbiter.run(cue, self.now)
        try:
            step = next(run)
            while True:
                self.steps.append(step)
                step = run.send(self._reply(step))
        except StopIteration as end:
            ruling = end.value
            assert isinstance(ruling, Ruling)
            return ruling

    def _reply(self, step: Step) -> Reply:
        if isinstance(step, Wait):
            self.now = max(self.now, step.until)
            return Reply(self.now)
        if isinstance(step, Refresh):
            self.now += self.refresh_takes
            return Reply(self.now, refreshed=self.refreshes.pop(0))
        if isinstance(step, ReadLastAd):
            last = self.last_ads.pop(0)
            if isinstance(last, str):
                return Reply(self.now)
            return Reply(self.now, last_ad_known=True, last_ad=last)
        answer = self.answers.pop(0)
        self.now += TIMEOUT if answer.kind is AnswerKind.NO_ANSWER else 0.0
        return Reply(self.now, answer=answer)

    @property
    def calls(self) -> list[int]:
        """Lengths that were asked for."""
        return [step.length for step in self.steps if isinstance(step, Call)]


def ready(
    started: float = STARTED,
    recent: tuple[CueRecord, ...] = (),
    next_eligible: float | None = None,
) -> Arbiter:
    arbiter = Arbiter(started, TIMEOUT, recent, next_eligible)
    arbiter.readiness = None
    return arbiter


def a_cue(
    name: str = "break-1",
    age: float = 0.0,
    length: int = 125,
    max_age: float = 30.0,
    dry_run: bool = False,
) -> Cue:
    return Cue(name, NOW - age, length, max_age, dry_run)


def a_record(name: str, result: Verdict = Verdict.FIRED, started: float = NOW - 600) -> CueRecord:
    return CueRecord(name, started, started, 60, result)


# A cue on time


def test_an_accepted_call_is_fired_and_sets_the_clock() -> None:
    arbiter, script = ready(), Script([ACCEPTED])
    assert script.ruling(arbiter, a_cue()) == Ruling(Verdict.FIRED, "commercial of 125 s")
    assert script.steps == [Call(125)]
    assert arbiter.next_eligible == NOW + 480
    assert arbiter.retry_after == 480
    assert arbiter.last_message == ACCEPTED.message
    assert arbiter.recent == (CueRecord("break-1", NOW, NOW, 125, Verdict.FIRED),)
    assert arbiter.last_fired == arbiter.recent[0]


def test_an_accepted_call_without_retry_after_cools_down_for_8_minutes() -> None:
    arbiter = ready()
    assert Script([Answer(AnswerKind.ACCEPTED, "")]).run(arbiter, a_cue()) is Verdict.FIRED
    assert arbiter.next_eligible == NOW + COOLDOWN


def test_a_channel_is_not_ready_until_somebody_says_so() -> None:
    arbiter = Arbiter(STARTED, TIMEOUT)
    assert Script().run(arbiter, a_cue()) is Verdict.CHANNEL_NOT_READY
    arbiter.readiness = Readiness(Verdict.SUSPENDED, "spec.suspend is true")
    assert Script().ruling(arbiter, a_cue()) == Ruling(Verdict.SUSPENDED, "spec.suspend is true")


def test_a_refused_cue_may_fire_when_it_is_repeated_after_the_channel_became_ready() -> None:
    arbiter = Arbiter(STARTED, TIMEOUT)
    assert Script().run(arbiter, a_cue()) is Verdict.CHANNEL_NOT_READY
    arbiter.readiness = None
    assert Script([ACCEPTED]).run(arbiter, a_cue()) is Verdict.FIRED


# Cooldown


def test_a_known_cooldown_is_not_called() -> None:
    arbiter = ready(next_eligible=NOW + 0.1)
    ruling = Script().ruling(arbiter, a_cue())
    assert ruling.verdict is Verdict.COOLING_DOWN
    assert ruling.detail.startswith("not before ")


def test_a_cooldown_is_over_at_its_instant() -> None:
    assert Script([ACCEPTED]).run(ready(next_eligible=NOW), a_cue()) is Verdict.FIRED


@pytest.mark.parametrize(("told", "wait"), [(None, 480.0), (123.0, 123.0), (0.0, 0.0)])
def test_a_cooldown_that_was_not_known_sets_the_clock(told: float | None, wait: float) -> None:
    arbiter = ready()
    answer = Answer(AnswerKind.COOLDOWN, "recently ran a commercial", told)
    assert Script([answer]).run(arbiter, a_cue()) is Verdict.COOLING_DOWN
    assert (arbiter.next_eligible, arbiter.retry_after) == (NOW + wait, wait)
    assert arbiter.recent == ()


# Identity


def test_a_repeated_cue_is_a_duplicate() -> None:
    arbiter = ready()
    assert Script([ACCEPTED]).run(arbiter, a_cue()) is Verdict.FIRED
    arbiter.next_eligible = None
    assert Script().ruling(arbiter, a_cue()) == Ruling(
        Verdict.DUPLICATE, "the cue was fired before"
    )


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (Verdict.FIRED, "the cue was fired before"),
        (Verdict.UNKNOWN, "the cue was called, with unknown outcome, before"),
        (Verdict.FAILED, "the cue was refused before"),
    ],
)
def test_a_cue_that_the_status_lists_is_a_duplicate(result: Verdict, told: str) -> None:
    arbiter = ready(recent=(a_record("break-1", result),))
    assert Script().ruling(arbiter, a_cue()) == Ruling(Verdict.DUPLICATE, told)


def test_the_status_keeps_the_newest_cues_and_the_arbiter_many_more() -> None:
    old = tuple(a_record(f"old-{n}", started=NOW - 600 - n) for n in range(MAX_RECENT))
    arbiter = ready(recent=old)
    assert arbiter.recent == old
    for n in range(30):
        assert Script([ACCEPTED]).run(arbiter, a_cue(f"new-{n}")) is Verdict.FIRED
        arbiter.next_eligible = None
    assert [record.cue_id for record in arbiter.recent] == [f"new-{n}" for n in range(29, 9, -1)]
    assert Script().run(arbiter, a_cue("old-19")) is Verdict.DUPLICATE


def test_the_memory_is_bounded() -> None:
    arbiter = ready()
    for n in range(1100):
        arbiter.next_eligible = None
        assert Script([ACCEPTED]).run(arbiter, a_cue(f"cue-{n}")) is Verdict.FIRED
    assert len(arbiter._known) == 1000


def test_the_last_fired_cue_is_not_one_that_failed() -> None:
    fired, failed = a_record("a", started=1.0), a_record("b", Verdict.FAILED, started=2.0)
    assert ready(recent=(failed, fired)).last_fired == fired
    assert ready(recent=(failed,)).last_fired is None


# Age


def test_a_cue_is_taken_at_the_border_of_its_max_age_and_expired_beyond() -> None:
    assert Script([ACCEPTED]).run(ready(), a_cue(age=30.0)) is Verdict.FIRED
    assert Script().ruling(ready(), a_cue(age=30.5)) == Ruling(
        Verdict.EXPIRED, "30 s old, maxAge is 30s"
    )


@pytest.mark.parametrize(
    ("age", "asked"), [(0.0, 60), (1.9, 60), (2.0, 58), (2.6, 57), (30.0, 30), (59.4, 1)]
)
def test_a_late_start_asks_for_what_is_left_of_the_break(age: float, asked: int) -> None:
    script = Script([ACCEPTED])
    assert script.run(ready(), a_cue(age=age, length=60, max_age=60)) is Verdict.FIRED
    assert script.calls == [asked]


def test_a_cue_whose_break_is_over_is_expired() -> None:
    ruling = Script().ruling(ready(), a_cue(age=20, length=20))
    assert ruling == Ruling(Verdict.EXPIRED, "20 s old, the break of 20 s is over")


def test_a_cue_from_a_clock_that_is_ahead_is_on_time() -> None:
    script = Script([ACCEPTED])
    assert script.run(ready(), a_cue(age=-0.4)) is Verdict.FIRED
    assert script.calls == [125]


# Cues from before the start


def test_a_cue_from_before_the_start_waits_for_a_call_that_may_be_under_way() -> None:
    script = Script([ACCEPTED], [None], now=NOW)
    assert script.run(ready(started=NOW - 1), a_cue(age=3)) is Verdict.FIRED
    assert script.steps == [Wait(NOW + 4), ReadLastAd(), Call(118)]


def test_a_cue_announced_in_the_instant_of_the_start_counts_as_from_before() -> None:
    script = Script([ACCEPTED], [None])
    assert script.run(ready(started=NOW - 0.4), a_cue(age=0)) is Verdict.FIRED
    assert script.steps[0] == Wait(NOW - 0.4 + TIMEOUT)
    script = Script([ACCEPTED])
    assert script.run(ready(started=NOW - 0.6), a_cue(age=0)) is Verdict.FIRED
    assert script.steps == [Call(125)]


@pytest.mark.parametrize("before", [2.0, 0.0, -4.0])
def test_a_replayed_cue_is_fired_if_an_ad_began_since_it_was_announced(before: float) -> None:
    arbiter, script = ready(started=NOW - 1), Script([], [NOW - 3 - before])
    ruling = script.ruling(arbiter, a_cue(age=3))
    assert ruling.verdict is Verdict.FIRED
    assert "last_ad_at" in ruling.detail
    assert script.calls == []
    assert arbiter.next_eligible == NOW - 3 - before + 480
    assert arbiter.recent == (CueRecord("break-1", NOW - 3, NOW - 3 - before, 125, Verdict.FIRED),)


def test_a_replayed_cue_is_called_if_the_last_ad_is_older() -> None:
    script = Script([ACCEPTED], [NOW - 3 - 2.1])
    assert script.run(ready(started=NOW - 1), a_cue(age=3)) is Verdict.FIRED
    assert script.calls == [118]


def test_a_replayed_cue_is_called_if_the_last_ad_cannot_be_read() -> None:
    script = Script([ACCEPTED], [UNREADABLE])
    assert script.run(ready(started=NOW - 1), a_cue(age=3)) is Verdict.FIRED
    assert script.calls == [118]


@pytest.mark.parametrize("last_ad", [UNREADABLE, None, NOW - 700])
def test_a_cooldown_answer_to_a_replayed_cue_means_that_its_first_call_ran(
    last_ad: float | str | None,
) -> None:
    arbiter, script = ready(started=NOW - 1), Script([COOLING], [last_ad])
    ruling = script.ruling(arbiter, a_cue(age=3))
    assert ruling.verdict is Verdict.FIRED
    assert "Twitch cools down from a call that had no answer" in ruling.detail
    assert arbiter.next_eligible == NOW + 4 + 480
    assert Script().run(arbiter, a_cue(age=3)) is Verdict.DUPLICATE


def test_a_cooldown_answer_means_nothing_where_an_older_ad_explains_it() -> None:
    script = Script([COOLING], [NOW - 100])
    assert script.run(ready(started=NOW - 1), a_cue(age=3)) is Verdict.COOLING_DOWN


def test_a_replayed_cue_may_expire_while_it_waits() -> None:
    script = Script([], [UNREADABLE])
    assert script.run(ready(started=NOW - 1), a_cue(age=3, max_age=5)) is Verdict.EXPIRED


def test_an_old_cue_is_expired_without_a_wait() -> None:
    script = Script()
    assert script.run(ready(started=NOW - 1), a_cue(age=31)) is Verdict.EXPIRED
    assert script.steps == []


# Answers that never came


def test_a_lost_answer_is_settled_by_the_last_ad() -> None:
    arbiter, script = ready(), Script([LOST], [NOW + 0.3])
    ruling = script.ruling(arbiter, a_cue())
    assert ruling.verdict is Verdict.FIRED
    assert "last_ad_at" in ruling.detail
    assert script.steps == [Call(125), Wait(NOW + 10), ReadLastAd()]
    assert arbiter.next_eligible == NOW + 0.3 + 480


@pytest.mark.parametrize("last_ad", [None, NOW - 700, UNREADABLE])
def test_a_lost_call_is_repeated_once_with_what_is_left(last_ad: float | str | None) -> None:
    script = Script([LOST, ACCEPTED], [last_ad])
    assert script.run(ready(), a_cue()) is Verdict.FIRED
    assert script.calls == [125, 115]


@pytest.mark.parametrize("last_ad", [None, NOW - 700, UNREADABLE])
def test_a_cooldown_answer_to_the_repeat_means_that_the_lost_call_ran(
    last_ad: float | str | None,
) -> None:
    arbiter = ready()
    ruling = Script([LOST, COOLING], [last_ad]).ruling(arbiter, a_cue())
    assert ruling.verdict is Verdict.FIRED
    assert "had no answer" in ruling.detail
    assert arbiter.last_fired is not None


def test_two_lost_calls_are_unknown_where_the_ads_cannot_be_read() -> None:
    arbiter, script = ready(), Script([LOST, LOST], [UNREADABLE, UNREADABLE])
    ruling = script.ruling(arbiter, a_cue())
    assert ruling.verdict is Verdict.UNKNOWN
    assert "whether the commercial ran is not known" in ruling.detail
    assert arbiter.recent[0].result is Verdict.UNKNOWN
    assert Script(now=script.now).run(arbiter, a_cue()) is Verdict.DUPLICATE
    again = ready(started=NOW + 11, recent=arbiter.recent)
    assert Script(now=script.now).run(again, a_cue()) is Verdict.DUPLICATE


def test_two_lost_calls_are_failed_where_the_ads_show_that_none_ran() -> None:
    assert Script([LOST, LOST], [None, None]).run(ready(), a_cue()) is Verdict.FAILED


def test_an_ad_of_the_first_of_two_lost_calls_is_seen_after_the_second() -> None:
    arbiter, script = ready(), Script([LOST, LOST], [UNREADABLE, NOW + 0.2])
    assert script.run(arbiter, a_cue()) is Verdict.FIRED
    assert arbiter.recent[0].started == NOW + 0.2


def test_an_ad_of_an_earlier_process_is_seen_after_a_lost_call() -> None:
    arbiter, script = ready(started=NOW - 1), Script([LOST], [UNREADABLE, NOW - 2.5])
    assert script.run(arbiter, a_cue(age=3)) is Verdict.FIRED


@pytest.mark.parametrize("second", [NOT_SENT, rate_limited(None)])
def test_a_lost_call_stays_unknown_if_the_repeat_does_not_reach_twitch(second: Answer) -> None:
    arbiter, script = ready(), Script([LOST, second], [UNREADABLE, UNREADABLE])
    assert script.run(arbiter, a_cue()) is Verdict.UNKNOWN
    assert Script(now=script.now).run(arbiter, a_cue()) is Verdict.DUPLICATE


@pytest.mark.parametrize("second", [NOT_LIVE, REFUSED, NO_SCOPE])
def test_a_lost_call_stays_unknown_if_the_repeat_is_refused(second: Answer) -> None:
    arbiter, script = ready(), Script([LOST, second], [UNREADABLE])
    assert script.run(arbiter, a_cue()) is Verdict.UNKNOWN
    assert Script(now=script.now).run(arbiter, a_cue()) is Verdict.DUPLICATE


def test_a_lost_call_that_did_not_run_leaves_the_verdict_to_the_repeat() -> None:
    assert Script([LOST, NOT_LIVE], [None]).run(ready(), a_cue()) is Verdict.NOT_LIVE


def test_a_lost_call_near_the_end_of_a_cue_is_looked_at_and_not_repeated() -> None:
    arbiter, script = ready(), Script([LOST], [UNREADABLE])
    assert script.run(arbiter, a_cue(max_age=9)) is Verdict.UNKNOWN
    assert script.steps == [Call(125), Wait(NOW + 10), ReadLastAd()]
    script = Script([LOST], [NOW])
    assert script.run(ready(), a_cue(max_age=9)) is Verdict.FIRED


# Calls that never left


def test_a_call_that_did_not_leave_is_repeated_once() -> None:
    script = Script([NOT_SENT, ACCEPTED])
    assert script.run(ready(), a_cue()) is Verdict.FIRED
    assert script.steps == [Call(125), Wait(NOW + TIMEOUT), Call(120)]


def test_a_cooldown_after_a_call_that_did_not_leave_is_only_that() -> None:
    assert Script([NOT_SENT, COOLING]).run(ready(), a_cue()) is Verdict.COOLING_DOWN


def test_two_calls_that_did_not_leave_are_failed_and_a_repeated_cue_is_tried() -> None:
    arbiter = ready()
    assert Script([NOT_SENT, NOT_SENT]).run(arbiter, a_cue()) is Verdict.FAILED
    assert Script([ACCEPTED], now=NOW + 6).run(arbiter, a_cue()) is Verdict.FIRED


# Tokens


def test_a_refused_token_is_renewed_once_and_the_call_repeated_once() -> None:
    script = Script([UNAUTHORIZED, ACCEPTED], refreshes=[True])
    assert script.run(ready(), a_cue()) is Verdict.FIRED
    assert script.steps == [Call(125), Refresh(), Call(125)]


def test_a_token_that_is_refused_again_is_failed() -> None:
    script = Script([UNAUTHORIZED, UNAUTHORIZED], refreshes=[True])
    assert script.run(ready(), a_cue()) is Verdict.FAILED


def test_without_a_new_token_there_is_no_second_call() -> None:
    script = Script([UNAUTHORIZED], refreshes=[False])
    assert script.run(ready(), a_cue()) is Verdict.FAILED
    assert script.calls == [125]


def test_a_missing_scope_is_not_cured_by_a_refresh() -> None:
    script = Script([NO_SCOPE])
    assert script.run(ready(), a_cue()) is Verdict.FAILED
    assert script.steps == [Call(125)]


def test_after_a_slow_refresh_only_what_is_left_is_asked_for() -> None:
    script = Script([UNAUTHORIZED, ACCEPTED], refreshes=[True], refresh_takes=15)
    assert script.run(ready(), a_cue()) is Verdict.FIRED
    assert script.calls == [125, 110]


def test_a_cue_that_grows_too_old_during_a_refresh_is_expired() -> None:
    script = Script([UNAUTHORIZED], refreshes=[True], refresh_takes=15)
    assert script.run(ready(), a_cue(age=20)) is Verdict.EXPIRED
    assert script.calls == [105]


# Refusals


def test_a_refusal_that_is_not_understood_is_not_tried_again_for_a_repeated_cue() -> None:
    arbiter = ready()
    assert Script([REFUSED]).ruling(arbiter, a_cue()) == Ruling(Verdict.FAILED, REFUSED.message)
    assert Script().run(arbiter, a_cue()) is Verdict.DUPLICATE
    assert arbiter.next_eligible is None


def test_a_channel_off_air_is_not_live_and_a_repeated_cue_is_tried() -> None:
    arbiter = ready()
    assert Script([NOT_LIVE]).run(arbiter, a_cue()) is Verdict.NOT_LIVE
    assert arbiter.last_message == NOT_LIVE.message
    assert Script([ACCEPTED]).run(arbiter, a_cue()) is Verdict.FIRED


# Rate limits


def test_a_rate_limit_is_waited_for_while_the_cue_lives() -> None:
    script = Script([rate_limited(12), ACCEPTED])
    assert script.run(ready(), a_cue()) is Verdict.FIRED
    assert script.steps == [Call(125), Wait(NOW + 12), Call(113)]


@pytest.mark.parametrize("seconds", [31.0, 1e9, float("inf")])
def test_a_rate_limit_beyond_the_life_of_the_cue_is_failed_at_once(seconds: float) -> None:
    script = Script([rate_limited(seconds)])
    assert script.run(ready(), a_cue()) is Verdict.FAILED
    assert script.steps == [Call(125)]


def test_a_second_rate_limit_is_the_end() -> None:
    script = Script([rate_limited(1), rate_limited(1)])
    assert script.run(ready(), a_cue()) is Verdict.FAILED


# Dry run


def test_a_dry_run_tells_what_it_would_do_and_does_nothing() -> None:
    arbiter, script = ready(), Script()
    assert script.ruling(arbiter, a_cue(age=10, dry_run=True)) == Ruling(
        Verdict.DRY_RUN, "would have started a commercial of 115 s"
    )
    assert script.steps == []
    assert (arbiter.recent, arbiter.next_eligible) == ((), None)
    assert Script().run(arbiter, a_cue(dry_run=True)) is Verdict.DUPLICATE


def test_a_dry_run_from_before_the_start_waits_for_nothing() -> None:
    script = Script()
    assert script.run(ready(started=NOW - 1), a_cue(age=3, dry_run=True)) is Verdict.DRY_RUN
    assert script.steps == []


def test_a_dry_run_does_not_keep_the_same_cue_from_firing_for_another_rule() -> None:
    arbiter = ready()
    assert Script().run(arbiter, a_cue(dry_run=True)) is Verdict.DRY_RUN
    assert Script([ACCEPTED]).run(arbiter, a_cue()) is Verdict.FIRED


def test_a_dry_run_meets_the_same_refusals() -> None:
    arbiter = ready(next_eligible=NOW + 1)
    assert Script().run(arbiter, a_cue(dry_run=True)) is Verdict.COOLING_DOWN
    assert Script().run(ready(), a_cue(age=31, dry_run=True)) is Verdict.EXPIRED
    arbiter.readiness = Readiness(Verdict.NOT_ELIGIBLE, "neither affiliate nor partner")
    assert Script().run(arbiter, a_cue(dry_run=True)) is Verdict.NOT_ELIGIBLE
