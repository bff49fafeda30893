"""The start of a break: from the first look to Twitch's final word.

A generator: it yields what it wants done (`Wait`, `ReadLastAd`, `CheckLive`, `Call`, `Refresh`), is
sent a `Reply` with the facts and the present time, and returns the `Ruling`.

What it guarantees: a break starts at most one commercial, also over restarts and lost answers.
Twitch refuses a second start for eight minutes, longer than any maxAge: so a call may be repeated
where the outcome of the first is open, and a cooldown answer then tells that the first one ran.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from controller.arbiter.breaks import UnderWay
from controller.arbiter.judging import Case, judge, too_late, too_old_at
from controller.arbiter.lengths import standard_below
from controller.arbiter.memory import COOLDOWN
from controller.arbiter.steps import (
    Call,
    CheckLive,
    Cue,
    CueRecord,
    ReadLastAd,
    Refresh,
    Reply,
    Wait,
)
from controller.backoff import backoff
from controller.events import Answer, AnswerKind, Ruling, Verdict
from controller.rules.times import clock

if TYPE_CHECKING:
    from collections.abc import Generator

    from controller.arbiter.breaks import Break
    from controller.arbiter.memory import Memory
    from controller.arbiter.steps import Readiness, Step
    from controller.resources.commercials import CommercialPolicy

__all__ = ["Desk", "Start"]

_AD_SKEW = 2.0
"""Seconds by which Twitch's clock may be off from the feed's."""

# What was announced this shortly after the start may have been announced before it.
_START_SKEW = 0.5
_OWN_AD = 5.0  # an ad this near to another cue's call is that cue's
_MOST_PAUSE = 5.0
_LONGEST_COOLDOWN = 3600.0  # seconds; an answer that says more must not close a channel for days


class Desk(Protocol):
    """What a start knows of its channel."""

    policy: CommercialPolicy
    memory: Memory
    readiness: Readiness | None
    call_timeout: float

    @property
    def started(self) -> float:
        """When this process began to decide, if what others did before is not known for certain."""
        ...

    @property
    def settled_at(self) -> float:
        """When calls of a process before this one can no longer act."""
        ...

    def goes_first(self, start: UnderWay, now: float) -> bool:
        """Whether no other start of the channel calls now, or is to be called for before it."""
        ...


class Start(UnderWay):
    """One cue's way to a commercial, for its break.

    Args:
        desk: The channel.
        cue: The cue.
        brk: Its break.
    """

    def __init__(self, desk: Desk, cue: Cue, brk: Break) -> None:
        super().__init__(cue, brk)
        self._desk = desk
        self._failures = 0
        self._repeats = 0
        self._renewed = False
        self._most: int | None = None
        self._asked = 0
        self._called = 0.0
        self._in_doubt = False
        self._doubted = 0.0
        self._lost: Answer | None = None

    def run(self, now: float) -> Generator[Step, Reply, Ruling]:
        """Go through with it; see the module for the protocol."""
        if self._may_be_anothers():
            early = too_late(self._case(), now)
            if early is not None:
                return early
            self.looks_back = True
            found, now = yield from self._after_a_restart()
            self.looks_back = False
            if found is not None:
                return found
        while True:
            judged = self._judge(now)
            if isinstance(judged, Ruling):
                return self._unless_lost(judged)
            if isinstance(judged, Wait):
                now = (yield judged).now
                continue
            reply = yield from self._call(judged, now)
            now = reply.now
            if reply.answer is None:
                msg = "a Call is replied to with an Answer"
                raise TypeError(msg)
            ruling, now = yield from self._after(reply.answer, now)
            if ruling is not None:
                return ruling

    def _may_be_anothers(self) -> bool:
        """Whether a process before this one may have called for it."""
        desk = self._desk
        announced = self.cue.published < desk.started + _START_SKEW
        was_due = self.brk.due < desk.settled_at
        return announced and was_due and not self.cue.dry_run

    def _judge(self, now: float) -> int | Wait | Ruling:
        self.holds_until = None
        if self.dropped is not None:
            return self.dropped
        judged = judge(self._case(), now)
        if isinstance(judged, Wait) and now >= self.brk.due:
            self.holds_until = judged.until
        if isinstance(judged, int) and not self._desk.goes_first(self, now):
            return Wait(too_old_at(self._case()))
        return judged

    def _case(self) -> Case:
        desk = self._desk
        return Case(
            self.cue,
            self.brk,
            desk.policy,
            desk.memory,
            desk.readiness,
            most=self._most,
            in_doubt=self._in_doubt,
        )

    def _after_a_restart(self) -> Generator[Step, Reply, tuple[Ruling | None, float]]:
        """Announced before this process began: another may have called for it a moment ago."""
        until = self._desk.settled_at
        self.first_call = max(self.cue.published, self.brk.due)
        told = Ruling(Verdict.WAITING, "announced before the operator started: has it run already?")
        reply = yield Wait(until, told)
        while reply.now < until:
            reply = yield Wait(until)
        # Who cannot ask yet what ran would call for it as soon as he can.
        last = too_old_at(self._case())
        while self._is_getting_ready() and reply.now < last and self.dropped is None:
            reply = yield Wait(last)
        found, reply = yield from self._look_back()
        if found is None:
            eligible = self._desk.memory.next_eligible
            was_eligible = eligible is None or eligible <= reply.now
            self._in_doubt, self._doubted = was_eligible and _still_open(reply), reply.now
            if not self._in_doubt:
                self.first_call = None
        return found, reply.now

    def _is_getting_ready(self) -> bool:
        readiness = self._desk.readiness
        return readiness is not None and readiness.passing

    def _call(self, length: int, now: float) -> Generator[Step, Reply, Reply]:
        self.calling = True
        self._asked, self._called = length, now
        self.brk.asked = length
        if self.first_call is None:
            self.first_call = now
        if self.brk.called is None:
            self.brk.called = now
        return (yield Call(length))

    def _after(
        self, answer: Answer, now: float
    ) -> Generator[Step, Reply, tuple[Ruling | None, float]]:
        """What an answer means; without a ruling it is judged anew."""
        if answer.kind is AnswerKind.ACCEPTED:
            return self._fired(self._called, answer, now, self._commercial(answer)), now
        if answer.kind is AnswerKind.COOLDOWN:
            return (yield from self._cooling(answer, now))
        self._desk.memory.last_message = answer.message
        if answer.kind is AnswerKind.UNAUTHORIZED and not self._renewed:
            self._renewed = True
            reply = yield Refresh()
            if reply.refreshed:
                return None, reply.now
        if answer.kind is AnswerKind.LENGTH_REFUSED and self._most is None:
            self._most = standard_below(self._asked)
            if self._most is not None:
                return None, now
        if answer.kind in _MAY_PASS:
            return (yield from self._may_pass(answer, now))
        if answer.kind in _FINAL:
            return (yield from self._not_understood(answer))
        return self._refused(answer, now), now

    def _commercial(self, answer: Answer) -> str:
        length = answer.length or self._asked
        told = f"commercial of {length} s"
        return told if length == self._asked else f"{told} ({self._asked} s were asked for)"

    def _may_pass(
        self, answer: Answer, now: float
    ) -> Generator[Step, Reply, tuple[Ruling | None, float]]:
        """Pause, find out whether the call ran, and let it be judged anew."""
        self._failures += 1
        if answer.kind in _MAY_HAVE_RUN and not self._in_doubt:
            self._in_doubt, self._doubted = True, self._called
        if answer.kind in _OUTCOME_OPEN:
            self._lost = answer
        self.calling = self._in_doubt
        pause = self._pause(answer)
        last = self.cue.due(self._desk.policy.delay) + self.cue.max_age
        enough = now + pause > last
        if enough and not self._in_doubt:
            return self._failed(answer, now), now
        # Where it is the last look, it is taken as soon as the call can no longer act.
        reply = yield from self._wait(now + (self._desk.call_timeout if enough else pause))
        if self._in_doubt:
            found, reply = yield from self._look_back()
            if found is not None:
                return found, reply.now
        if enough or self._too_often(answer):
            return self._unless_lost(self._failed(answer, reply.now)), reply.now
        return None, reply.now

    def _too_often(self, answer: Answer) -> bool:
        """A call without any answer is repeated once where nobody can tell whether it ran."""
        if answer.kind is AnswerKind.NO_ANSWER and self._lost is not None:
            self._repeats += 1
        return self._repeats > 1

    def _pause(self, answer: Answer) -> float:
        if answer.kind is AnswerKind.NO_ANSWER:
            return self._desk.call_timeout
        growing = backoff(self._failures, 0.5, first=0.5, most=_MOST_PAUSE)
        return max(answer.retry_after or 0.0, growing)

    def _wait(self, until: float) -> Generator[Step, Reply, Reply]:
        told = Ruling(Verdict.WAITING, f"Twitch is asked again at {clock(until)}")
        reply = yield Wait(until, told)
        while reply.now < until and (self._in_doubt or self.dropped is None):
            reply = yield Wait(until)
        return reply

    def _look_back(self) -> Generator[Step, Reply, tuple[Ruling | None, Reply]]:
        """Whether the last ad that Twitch knows is this cue's own."""
        reply = yield ReadLastAd()
        if not reply.last_ad_known:
            return None, reply
        since = (self.first_call or reply.now) - _AD_SKEW
        ad = reply.last_ad
        if ad is None or ad < since or self._is_anothers(ad):
            self._lost = None
            self._in_doubt = self._in_doubt and _still_open(reply)
            return None, reply
        length = self._asked or round(self.brk.seconds)
        detail = f"commercial of {length} s: Twitch's last_ad_at shows that it ran"
        wait = max(0.0, ad + COOLDOWN - reply.now)
        told = Answer(AnswerKind.ACCEPTED, self._desk.memory.last_message or "", wait)
        self._asked = length
        return self._fired(ad, told, reply.now, detail), reply

    def _not_understood(
        self, answer: Answer
    ) -> Generator[Step, Reply, tuple[Ruling | None, float]]:
        """Wordings change: before a refusal counts as final, Twitch's facts are looked at.

        An earlier call that was lost may have run; the channel may cool down, or be off air.
        """
        if self._in_doubt:
            found, reply = yield from self._look_back()
            if found is not None:
                return found, reply.now
        else:
            reply = yield ReadLastAd()
        if reply.last_ad is not None and reply.last_ad + COOLDOWN > reply.now:
            left = reply.last_ad + COOLDOWN - reply.now
            told = f"{answer.message}; an ad began at {clock(reply.last_ad)} by Twitch's last_ad_at"
            self._cool(min(left, COOLDOWN), told, reply.now)
            return None, reply.now
        unknown = ""
        if not reply.last_ad_known:
            why = f": {reply.unreadable}" if reply.unreadable else ""
            unknown = f"; whether the channel cools down is not known{why}"
        reply = yield CheckLive()
        kind, told = answer.kind, answer.message + unknown
        if reply.live is False:
            kind, told = AnswerKind.NOT_LIVE, f"{answer.message}; the channel has no live stream"
        return self._refused(replace(answer, kind=kind, message=told), reply.now), reply.now

    def _is_anothers(self, ad: float) -> bool:
        record = self._desk.memory.near(ad, _OWN_AD, _OWN_AD)
        return record is not None and record.cue_id != self.cue.id

    def _cooling(
        self, answer: Answer, now: float
    ) -> Generator[Step, Reply, tuple[Ruling | None, float]]:
        """Twitch cools down: from the call whose outcome is open, or from another's ad."""
        since = self.first_call or now
        if self._in_doubt and not self._is_explained(since):
            detail = f"commercial of {self._asked} s: Twitch cools down from the earlier call"
            return self._fired(since, answer, now, detail), now
        wait = answer.retry_after
        if wait is None:
            wait = COOLDOWN
            reply = yield ReadLastAd()
            now = reply.now
            if reply.last_ad_known and reply.last_ad is not None:
                left = reply.last_ad + COOLDOWN - now
                # In whole seconds: what ended a moment ago by it may not have ended yet.
                wait = left if -_AD_SKEW < left < COOLDOWN else COOLDOWN
        self._cool(wait, answer.message, now)
        return None, now

    def _cool(self, wait: float, message: str, now: float) -> None:
        """Twitch cools down from something else than this break's call: set the clock."""
        self._in_doubt = False
        wait = min(max(wait, 1.0), _LONGEST_COOLDOWN)
        self.calling = False  # not before the clock is set: the next in line goes by it
        self._desk.memory.cool(now + wait, wait, message)
        # Nothing ran: a later cue of the break may find the channel eligible.
        self.brk.called = None
        self.first_call = None

    def _is_explained(self, since: float) -> bool:
        """Whether the channel may cool down from something else than the call in doubt."""
        memory = self._desk.memory
        return memory.unknown_before(since) or (memory.next_eligible or 0.0) > self._doubted

    def _fired(self, at: float, answer: Answer, now: float, detail: str) -> Ruling:
        wait = COOLDOWN if answer.retry_after is None else answer.retry_after
        wait = min(wait, _LONGEST_COOLDOWN)
        record = self._record(at, Verdict.FIRED, answer.length)
        self._desk.memory.fired(record, now + wait, wait, answer.message)
        self.brk.called = self.brk.called or at
        self.brk.asked, self.brk.accepted = self._asked, answer.length or self._asked
        self.brk.settled = True
        return Ruling(Verdict.FIRED, detail)

    def _failed(self, answer: Answer, now: float) -> Ruling:
        message = answer.message
        until = now + answer.retry_after if answer.retry_after is not None else math.inf
        if answer.kind is AnswerKind.RATE_LIMITED and math.isfinite(until):
            message += f" (until {clock(until)})"
        return Ruling(Verdict.FAILED, message)

    def _refused(self, answer: Answer, now: float) -> Ruling:
        verdict = _REFUSALS.get(answer.kind, Verdict.FAILED)
        # What heals, such as a grant or a stream that is off air, may do so while the break lasts.
        self.brk.settled = answer.kind in _FINAL
        if self.brk.settled:
            # A refusal that is not understood is not tried again, not even for a repeated cue.
            self._desk.memory.remember(self._record(now, Verdict.FAILED))
        return self._unless_lost(Ruling(verdict, answer.message))

    def _unless_lost(self, ruling: Ruling) -> Ruling:
        """The ruling, unless a call was lost that may have run all the same."""
        if self._lost is None or ruling.verdict is Verdict.UNKNOWN:
            return ruling
        self.brk.settled = True
        at = self.first_call or self._called
        self._desk.memory.remember(self._record(at, Verdict.UNKNOWN))
        detail = f"{self._lost.message}; whether the commercial ran is not known"
        return Ruling(Verdict.UNKNOWN, detail)

    def _record(self, at: float, result: Verdict, accepted: int | None = None) -> CueRecord:
        return CueRecord(
            self.cue.id,
            self.cue.published,
            at,
            self._asked,
            result,
            due=self.brk.due,
            break_seconds=self.brk.seconds,
            accepted=accepted,
            rule=self.cue.rule,
        )


_MAY_PASS = frozenset(
    {
        AnswerKind.NOT_SENT,
        AnswerKind.NO_ANSWER,
        AnswerKind.ERROR,
        AnswerKind.UNAVAILABLE,
        AnswerKind.RATE_LIMITED,
    }
)
_MAY_HAVE_RUN = frozenset({AnswerKind.NO_ANSWER, AnswerKind.ERROR, AnswerKind.UNAVAILABLE})
_OUTCOME_OPEN = frozenset({AnswerKind.NO_ANSWER, AnswerKind.ERROR})
_FINAL = frozenset({AnswerKind.REFUSED, AnswerKind.LENGTH_REFUSED})
_REFUSALS = {
    AnswerKind.NOT_LIVE: Verdict.NOT_LIVE,
    AnswerKind.NOT_ELIGIBLE: Verdict.NOT_ELIGIBLE,
}


def _still_open(reply: Reply) -> bool:
    """Whether a cooldown answer would still mean that the earlier call ran.

    Not when an older ad is known that the channel cools down from.
    """
    older = reply.last_ad if reply.last_ad_known else None
    return older is None or older + COOLDOWN <= reply.now
