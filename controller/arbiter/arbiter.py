"""The arbiter of a channel: which cue starts a commercial, and when.

All commercials of a channel pass through it. A state machine without I/O: facts and the present
time go in, rulings and starts come out. `take` answers a cue at once, or with a `Start` whose `run`
yields what it wants done; several starts may be on their way, and one at most calls. Whoever drives
them wakes those that wait whenever the arbiter was told something.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from controller.arbiter.ads_log import AdsLog
from controller.arbiter.breaks import LONGEST_BREAK, Break, Breaks, UnderWay
from controller.arbiter.judging import Case, too_late
from controller.arbiter.memory import COOLDOWN, MAX_RECENT, Memory
from controller.arbiter.starts import Start
from controller.arbiter.steps import BY_HAND, Readiness
from controller.events import Ruling, Verdict
from controller.rules.times import clock
from controller.term import Former

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from controller.arbiter.steps import Cue, CueRecord, Reply, Step
    from controller.resources.commercials import CommercialPolicy
    from controller.term import Term

__all__ = ["COOLDOWN", "MAX_RECENT", "Arbiter"]


class Arbiter:
    """Breaks, cooldown clock and memory of one channel.

    Args:
        policy: `spec.commercials`.
        term: Since when this process decides; another may have called for a cue from before.
        call_timeout: Seconds after which an unanswered call can no longer act.
        memory: What the status remembers; None: nothing.
        last_ad: When the last ad began, as the status remembers it.
        real: The channel's own arbiter, where this one rehearses (mode DryRun).

    Attributes:
        policy: `spec.commercials`.
        readiness: Why the channel takes no cues; None: it does.
        memory: What was called for, and what ran.
        ads: What Twitch tells of the ads that ran.
    """

    def __init__(
        self,
        policy: CommercialPolicy,
        term: Term,
        call_timeout: float,
        *,
        memory: Memory | None = None,
        last_ad: float | None = None,
        real: Arbiter | None = None,
    ) -> None:
        self._real = real
        self._policy = policy
        self.term = term
        self.call_timeout = call_timeout
        base = real.memory if real is not None else None
        self.memory: Memory = memory if memory is not None else Memory(base=base)
        self.breaks = Breaks()
        self.ads = AdsLog(self.memory, self.breaks, last_ad)
        self._readiness: Readiness | None = Readiness(
            Verdict.CHANNEL_NOT_READY, "the channel is not ready yet"
        )
        self._recall(self.memory.recent)

    @property
    def started(self) -> float:
        """When this process began to decide, if what others did before is not known for certain."""
        return -math.inf if self.term.former is Former.HANDED_OVER else self.term.since

    @property
    def settled_at(self) -> float:
        """When calls of a process before this one can no longer act."""
        return self.term.settled_at(self.call_timeout)

    @property
    def policy(self) -> CommercialPolicy:
        """`spec.commercials`; a rehearsal has that of the channel."""
        return self._policy if self._real is None else self._real.policy

    @policy.setter
    def policy(self, policy: CommercialPolicy) -> None:
        self._policy = policy

    @property
    def readiness(self) -> Readiness | None:
        """Why the channel takes no cues at present; None: it does."""
        return self._readiness if self._real is None else self._real.readiness

    @readiness.setter
    def readiness(self, readiness: Readiness | None) -> None:
        self._readiness = readiness

    def _recall(self, records: Iterable[CueRecord]) -> None:
        """The breaks that a former process called for are called for still."""
        for record in sorted(records, key=lambda record: record.started):
            if record.due is None or record.result is Verdict.FAILED:
                continue
            brk = self.breaks.open(record.due, record.due + (record.break_seconds or record.length))
            brk.recall(record)
            self.ads.recalled(record, brk)

    # Cues

    def take(self, cue: Cue, now: float) -> Ruling | Start:
        """Decide about a cue: a ruling, or the start that it leads to."""
        known = self.memory.known(cue.id)
        if known is not None and abs(cue.published - known.published) <= _REPEATS:
            brk = self.breaks.of_cue(cue.id)
            if brk is not None and brk.recalled:
                brk.heard_again(cue)
            return Ruling(Verdict.DUPLICATE, f"the cue was {_past(known)} before")
        due = cue.due(self.policy.delay)
        end = due + cue.length
        if now - due > _NEWS:
            return too_late(self._case(cue, Break(due, end)), now) or _long_past(due, now)
        if self._real is not None:
            really = self._real.breaks.at(due, end, self.policy.break_gap)
            if really is not None and really.settled:
                return _same_break(really)
        brk, repeated, since = self._break_of(cue, due, end)
        end = since + cue.length  # what comes again makes the break no longer
        new = brk is None
        if brk is None:
            brk = self.breaks.open(due, end)
        if cue.rule != BY_HAND or not brk.settled:  # who asks by hand announces no break on air
            brk.join(cue, end)
        self.ads.extended(brk)
        return self._new_start(cue, brk) if new else self._joined(cue, brk, repeated)

    def _case(self, cue: Cue, brk: Break) -> Case:
        return Case(cue, brk, self.policy, self.memory, self.readiness)

    def _break_of(
        self, cue: Cue, due: float, end: float
    ) -> tuple[Break | None, Ruling | None, float]:
        """The break that a cue announces, how it repeats a cue before it, and since when."""
        delay = self.policy.delay
        brk = self.breaks.of_cue(cue.id)
        if brk is not None and abs(due - brk.due) <= _REPEATS:
            first = next(other for other in brk.cues if other.id == cue.id)
            since = min(due, first.due(delay))
            return brk, Ruling(Verdict.DUPLICATE, "the cue came before"), since
        twin = self._twin(cue, due)
        if twin is not None:
            brk, other = twin
            apart = abs(due - other.due(delay))
            told = f"cue {other.id} announced the same {apart:.1f} s apart ({cue.same_as})"
            return brk, Ruling(Verdict.DUPLICATE, told), min(due, other.due(delay))
        brk = self.breaks.at(due, end, self.policy.break_gap)
        if brk is not None and cue.rule == BY_HAND and brk.start is None and not _ran(brk):
            return None, None, due  # nothing runs in it: who asks by hand asks anew
        return brk, None, due

    def _twin(self, cue: Cue, due: float) -> tuple[Break, Cue] | None:
        if cue.same_as is None:
            return None
        for brk in self.breaks:
            for other in brk.cues:
                apart = abs(due - other.due(self.policy.delay))
                if other.same_as == cue.same_as and apart <= cue.same_within:
                    return brk, other
        return None

    def _joined(self, cue: Cue, brk: Break, repeated: Ruling | None) -> Ruling | Start:
        """A cue of a break that others announced before."""
        start = brk.start
        if start is None or (start.dropped is not None and not start.calling):
            if brk.settled or brk.closed:
                return repeated or _same_break(brk)
            return self._new_start(cue, brk, repeated or _same_break(brk))
        if cue.id == start.cue.id and cue.rule == start.cue.rule:
            return Ruling(Verdict.DUPLICATE, "the cue is on its way already")
        if cue.priority < start.cue.priority:
            return Ruling(
                Verdict.OUTRANKED, f"by {_rule(start.cue)}, which has the higher priority"
            )
        if cue.priority == start.cue.priority or start.calling or start.looks_back:
            return repeated or _same_break(brk)
        start.dropped = Ruling(Verdict.OUTRANKED, f"by {_rule(cue)}, which has the higher priority")
        # Who ranks higher says how long the break is.
        brk.end = min(cue.due(self.policy.delay) + cue.length, brk.due + LONGEST_BREAK)
        return self._new_start(cue, brk)

    def _new_start(self, cue: Cue, brk: Break, otherwise: Ruling | None = None) -> Start:
        brk.start = start = Start(self, cue, brk)
        start.otherwise = otherwise
        return start

    def run(self, start: Start, now: float) -> Generator[Step, Reply, Ruling]:
        """Go through with a start, and keep what became of its break."""
        brk = start.brk
        try:
            ruling = yield from start.run(now)
        finally:
            start.calling = False
            current = brk.start is start
            if current:
                brk.start = None
        if current and (brk.ruling is None or ruling.verdict not in _NOTHING_NEW):
            brk.ruling, brk.by = ruling, start.cue
        if ruling.verdict is Verdict.FIRED:
            self.ads.fired(start)
            if start.cue.dry_run:
                return Ruling(Verdict.DRY_RUN, f"would have started a {ruling.detail}")
        elif start.otherwise is not None and ruling.verdict in _NOTHING_NEW:
            return Ruling(start.otherwise.verdict, f"{start.otherwise.detail}: {ruling.detail}")
        return ruling

    def cancel(self, due: float, now: float) -> bool:
        """An off cue: it closes the break, and drops a start that was not called for.

        Args:
            due: When it comes into effect, the channel's delay included.
            now: The present time.

        Returns:
            Whether there was a break to close.
        """
        brk = self.breaks.at(due, due, 0.0)
        if brk is None or brk.closed:
            return False
        brk.closed = True
        brk.end = max(brk.due, min(brk.end, due))
        self.ads.extended(brk)
        self._drop(brk, Ruling(Verdict.CANCELLED, f"an off cue came at {clock(now)}"))
        return True

    def withdraw(self, rule: str, why: Ruling) -> None:
        """A rule is gone or suspended: none of its starts is called for any more."""
        for brk in self.breaks:
            if brk.start is not None and brk.start.cue.rule == rule:
                self._drop(brk, why)

    @staticmethod
    def _drop(brk: Break, why: Ruling) -> None:
        # Where a call is under way, its answer counts all the same: only the next is not made.
        if brk.start is not None and brk.start.dropped is None:
            brk.start.dropped = why

    def goes_first(self, start: UnderWay, now: float) -> bool:
        """Whether no other start calls now, or is to be called for before it."""
        return not any(
            other is not start and (other.calling or _precedes(other, start, now))
            for other in self._starts()
        )

    def _starts(self) -> Iterator[UnderWay]:
        return (brk.start for brk in self.breaks if brk.start is not None)

    # Breaks that are over

    def ended(self, now: float, *, at_once: bool = False) -> list[Break]:
        """The breaks that are over, and whose outcome is known: each is told once.

        Args:
            now: The present time.
            at_once: The process ends: take what was called for, over or not.
        """
        if at_once:
            for brk in self.breaks:
                # What the next process may still call for, it hears of again.
                brk.closed = brk.closed or brk.settled or self._is_stale(brk, now)
            self.ads.give_up()
        self.ads.give_up(now)
        over = [
            brk
            for brk in self.breaks
            if not brk.reported
            and brk.start is None
            and not self.ads.awaits(brk)
            and (brk.closed or brk.end + self.policy.break_gap < now)
        ]
        for brk in over:
            brk.reported = True
        self.breaks.forget(now)
        return over

    def _is_stale(self, brk: Break, now: float) -> bool:
        delay = self.policy.delay
        return all(now > cue.due(delay) + cue.max_age for cue in brk.cues)


# PubNub repeats nothing that is older; what has the same id much later is another cue.
_REPEATS = 1800.0
# An older cue leaves no trace: a month of events may come at once.
_NEWS = 3600.0

_NOTHING_NEW = frozenset(
    {
        Verdict.EXPIRED,
        Verdict.COOLING_DOWN,
        Verdict.TOO_SHORT,
        Verdict.QUIET_HOURS,
        Verdict.BUDGET_SPENT,
        Verdict.CHANNEL_NOT_READY,
        Verdict.NOT_ELIGIBLE,
        Verdict.PAUSED,
        Verdict.SUSPENDED,
        Verdict.DUPLICATE,
        Verdict.SAME_BREAK,
    }
)
"""What a later cue of a break is told of as such: no call came of it."""

_PAST = {Verdict.FAILED: "refused", Verdict.UNKNOWN: "called, with unknown outcome,"}


def _past(record: CueRecord) -> str:
    return _PAST.get(record.result, "fired")


def _long_past(due: float, now: float) -> Ruling:
    return Ruling(Verdict.EXPIRED, f"{now - due:.0f} s old")


def _ran(brk: Break) -> bool:
    return brk.ruling is None or brk.ruling.verdict.started or brk.ruling.verdict is Verdict.UNKNOWN


def _rule(cue: Cue) -> str:
    return f"rule {cue.rule}" if cue.rule != BY_HAND else "a request by hand"


def _same_break(brk: Break) -> Ruling:
    told = f"of the break that began at {clock(brk.due)} with cue {brk.key}"
    outcome = brk.ruling.verdict.value if brk.ruling is not None else "on its way"
    return Ruling(Verdict.SAME_BREAK, f"{told} ({outcome})")


def _precedes(other: UnderWay, start: UnderWay, now: float) -> bool:
    """Whether of two that wait for the same moment the other is the one."""
    if other.dropped is not None or other.holds_until is None or other.holds_until > now:
        return False
    mine = (-start.cue.priority, start.brk.due)
    return (-other.cue.priority, other.brk.due) < mine
