"""The arbiter of a channel: whether a cue becomes a commercial, and what an answer means.

A state machine without I/O. `Arbiter.run` is a generator: it yields what it wants done (`Wait`,
`ReadLastAd`, `Call`, `Refresh`), is sent a `Reply` with the facts and the present time, and returns
the `Ruling`. One run at a time a channel; whoever drives it keeps the order.

What it guarantees: a cue starts at most one commercial, also over restarts and lost answers; a cue
older than its maxAge starts nothing; a late start asks only for what is left of the break.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from controller.durations import format_duration
from controller.events import Answer, AnswerKind, Verdict
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

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = ["COOLDOWN", "MAX_RECENT", "Arbiter"]

COOLDOWN = 480.0
"""Seconds between two commercials where Twitch does not say: once every 8 minutes."""

MAX_RECENT = 20
"""So many cues are kept in the status: the memory over restarts."""

_MAX_KNOWN = 1000
# Twitch's clock may be off from the feed's by as much.
_AD_SKEW = 2.0
# What was announced this shortly after the start may have been announced before it.
_START_SKEW = 0.5
# Less than this is the transport's own latency, not a late start.
_ON_TIME = 2.0


class Arbiter:
    """Cooldown clock and memory of one channel.

    Args:
        started: When this process began; a cue published before may have been called by another.
        call_timeout: Seconds after which an unanswered call can no longer act.
        recent: What the status remembers, in any order.
        next_eligible: When Twitch allows the next commercial, as the status remembers it.
    """

    def __init__(
        self,
        started: float,
        call_timeout: float,
        recent: Iterable[CueRecord] = (),
        next_eligible: float | None = None,
    ) -> None:
        self._started = started
        self._call_timeout = call_timeout
        self._known: OrderedDict[str, CueRecord] = OrderedDict()
        self._rehearsed: OrderedDict[str, None] = OrderedDict()
        for record in sorted(recent, key=lambda r: r.started):
            self._known[record.cue_id] = record
        self.next_eligible = next_eligible
        self.retry_after: float | None = None
        self.last_message: str | None = None
        self.readiness: Readiness | None = Readiness(
            Verdict.CHANNEL_NOT_READY, "the channel is not ready yet"
        )

    @property
    def recent(self) -> tuple[CueRecord, ...]:
        """The cues that were called for, newest first, at most `MAX_RECENT`."""
        return tuple(reversed(self._known.values()))[:MAX_RECENT]

    @property
    def last_fired(self) -> CueRecord | None:
        """The newest cue that started a commercial."""
        fired = (r for r in reversed(self._known.values()) if r.result is Verdict.FIRED)
        return next(fired, None)

    def run(self, cue: Cue, now: float) -> Generator[Step, Reply, Ruling]:
        """Decide about one cue; see the module for the protocol."""
        refusal = self._refusal(cue, now)
        if refusal is not None:
            return refusal
        if cue.dry_run:
            return self._rehearse(cue, now)
        if cue.published >= self._started + _START_SKEW:
            return (yield from self._call(cue, now, doubtful=False))
        # Announced before this process began: another may have called for it a moment ago.
        yield Wait(self._started + self._call_timeout)
        found, reply = yield from self._look_back(cue, cue.published, cue.length)
        if found is not None:
            return found
        doubtful = _still_open(reply)
        return (yield from self._call(cue, reply.now, cue.published, doubtful=doubtful))

    def _call(
        self, cue: Cue, now: float, since: float | None = None, *, doubtful: bool
    ) -> Generator[Step, Reply, Ruling]:
        """Call, and once more where that is safe and makes sense.

        Args:
            cue: The cue.
            now: The present time.
            since: An ad from then on is this cue's own; None: from the first call on.
            doubtful: A cooldown answer means that an earlier call ran.
        """
        unsure: Answer | None = None  # a call was lost, and nobody can say whether it ran
        since = now if since is None else since
        for last_try in (False, True):
            refusal = self._refusal(cue, now)
            if refusal is not None:
                return refusal
            called = now
            length, reply, too_late = yield from self._ask(cue, now)
            answer, now = reply.answer, reply.now
            if answer is None or answer.kind not in _MAY_PASS:
                settled = too_late or self._settled(cue, answer, now, length, doubtful=doubtful)
                return self._or_unknown(settled, cue, unsure, called, length)
            if answer.kind is AnswerKind.NO_ANSWER:
                doubtful, unsure = True, answer
            pause = max(answer.retry_after or 0.0, self._call_timeout)
            enough = last_try or now + pause > cue.due + cue.max_age
            failed = Ruling(Verdict.FAILED, answer.message)
            if enough and not doubtful:
                return failed
            reply = yield Wait(now + (self._call_timeout if enough else pause))
            if doubtful:
                found, reply = yield from self._look_back(cue, since, length)
                if found is not None:
                    return found
                doubtful = _still_open(reply)
                unsure = None if reply.last_ad_known else unsure
            now = reply.now
            if enough or self._refusal(cue, now) is not None:
                return self._or_unknown(failed, cue, unsure, called, length)
        msg = "the last try returns"
        raise AssertionError(msg)

    def _ask(
        self, cue: Cue, now: float
    ) -> Generator[Step, Reply, tuple[int, Reply, Ruling | None]]:
        """Call; where the token was refused, once more with a new one, if it is not too late."""
        length = _what_is_left(cue, now)
        reply = yield Call(length)
        if reply.answer is not None and reply.answer.kind is AnswerKind.UNAUTHORIZED:
            renewed = yield Refresh()
            if renewed.refreshed:
                too_late = _too_late(cue, renewed.now)
                if too_late is not None:
                    return length, reply, too_late
                length = _what_is_left(cue, renewed.now)
                reply = yield Call(length)
        return length, reply, None

    def _look_back(
        self, cue: Cue, since: float, length: int
    ) -> Generator[Step, Reply, tuple[Ruling | None, Reply]]:
        """Whether the last ad that Twitch knows is this cue's own."""
        reply = yield ReadLastAd()
        if not reply.last_ad_known or reply.last_ad is None:
            return None, reply
        if reply.last_ad < since - _AD_SKEW:
            return None, reply
        wait = max(0.0, reply.last_ad + COOLDOWN - reply.now)
        record = _fired_record(cue, reply.last_ad, length)
        self._fired(record, reply.now, wait, self.last_message)
        detail = f"commercial of {length} s: Twitch's last_ad_at shows that it ran"
        return Ruling(Verdict.FIRED, detail), reply

    def _or_unknown(
        self, ruling: Ruling, cue: Cue, lost: Answer | None, called: float, length: int
    ) -> Ruling:
        """The ruling, unless a call was lost that may have run all the same."""
        if lost is None or ruling.verdict is Verdict.FIRED:
            return ruling
        self._remember(CueRecord(cue.id, cue.published, called, length, Verdict.UNKNOWN))
        detail = f"{lost.message}; whether the commercial ran is not known"
        return Ruling(Verdict.UNKNOWN, detail)

    def _refusal(self, cue: Cue, now: float) -> Ruling | None:
        """Why this cue starts nothing, or None."""
        known = self._known.get(cue.id)
        if known is not None:
            return Ruling(Verdict.DUPLICATE, f"the cue was {_past(known)} before")
        if cue.dry_run and cue.id in self._rehearsed:
            return Ruling(Verdict.DUPLICATE, "the cue was decided before")
        too_late = _too_late(cue, now)
        if too_late is not None:
            return too_late
        if self.readiness is not None:
            return Ruling(self.readiness.verdict, self.readiness.detail)
        if self.next_eligible is not None and now < self.next_eligible:
            return Ruling(Verdict.COOLING_DOWN, f"not before {_clock(self.next_eligible)}")
        return None

    def _rehearse(self, cue: Cue, now: float) -> Ruling:
        self._rehearsed[cue.id] = None
        while len(self._rehearsed) > _MAX_KNOWN:
            self._rehearsed.popitem(last=False)
        length = _what_is_left(cue, now)
        return Ruling(Verdict.DRY_RUN, f"would have started a commercial of {length} s")

    def _settled(
        self, cue: Cue, answer: Answer | None, now: float, length: int, *, doubtful: bool
    ) -> Ruling:
        """What a plain answer means."""
        if answer is None:
            msg = "a Call is replied to with an Answer"
            raise TypeError(msg)
        if answer.kind is AnswerKind.ACCEPTED:
            wait = COOLDOWN if answer.retry_after is None else answer.retry_after
            self._fired(_fired_record(cue, now, length), now, wait, answer.message)
            return Ruling(Verdict.FIRED, f"commercial of {length} s")
        if answer.kind is AnswerKind.COOLDOWN:
            return self._cooling(cue, answer, now, length, doubtful=doubtful)
        self.last_message = answer.message
        if answer.kind is AnswerKind.NOT_LIVE:
            return Ruling(Verdict.NOT_LIVE, answer.message)
        if answer.kind is AnswerKind.REFUSED:
            # A refusal that is not understood is not tried again, not even for a repeated cue.
            self._remember(CueRecord(cue.id, cue.published, now, length, Verdict.FAILED))
        return Ruling(Verdict.FAILED, answer.message)

    def _cooling(
        self, cue: Cue, answer: Answer, now: float, length: int, *, doubtful: bool
    ) -> Ruling:
        wait = COOLDOWN if answer.retry_after is None else answer.retry_after
        if doubtful:
            # The channel was eligible, so what it cools down from is the call without an answer.
            self._fired(_fired_record(cue, now, length), now, wait, answer.message)
            detail = f"commercial of {length} s: Twitch cools down from a call that had no answer"
            return Ruling(Verdict.FIRED, detail)
        self.next_eligible, self.retry_after = now + wait, wait
        self.last_message = answer.message
        return Ruling(Verdict.COOLING_DOWN, answer.message)

    def _fired(self, record: CueRecord, now: float, wait: float, message: str | None) -> None:
        self._remember(record)
        self.next_eligible = now + wait
        self.retry_after = wait
        self.last_message = message

    def _remember(self, record: CueRecord) -> None:
        self._known[record.cue_id] = record
        while len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)


_MAY_PASS = frozenset({AnswerKind.NOT_SENT, AnswerKind.NO_ANSWER, AnswerKind.RATE_LIMITED})
_PAST = {Verdict.FIRED: "fired", Verdict.UNKNOWN: "called, with unknown outcome,"}


def _still_open(reply: Reply) -> bool:
    """Whether a cooldown answer would still mean that the earlier call ran.

    Not when an older ad is known that the channel cools down from.
    """
    older = reply.last_ad if reply.last_ad_known else None
    return older is None or older + COOLDOWN <= reply.now


def _too_late(cue: Cue, now: float) -> Ruling | None:
    age = max(0.0, now - cue.due)
    if age > cue.max_age:
        limit = format_duration(cue.max_age)
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, maxAge is {limit}")
    if _what_is_left(cue, now) < 1:
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, the break of {cue.length} s is over")
    return None


def _what_is_left(cue: Cue, now: float) -> int:
    late = now - cue.due
    if late < _ON_TIME:
        return cue.length
    return math.floor(cue.length - late + 0.5)


def _fired_record(cue: Cue, started: float, length: int) -> CueRecord:
    return CueRecord(cue.id, cue.published, started, length, Verdict.FIRED)


def _past(record: CueRecord) -> str:
    return _PAST.get(record.result, "refused")


def _clock(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%H:%M:%SZ")
