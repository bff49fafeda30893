"""Arbiters on a clock of their own, before a Twitch that is scripted or modelled.

Several starts run side by side in the order of time, as the operator drives them: those that wait
are woken whenever something changed. The process may crash and start again, with what was written.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING

from controller.arbiter.ads_log import CONFIRM_AT
from controller.arbiter.arbiter import COOLDOWN, Arbiter
from controller.arbiter.memory import Memory
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
from controller.events import AdSchedule, Answer, AnswerKind, Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from controller.term import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from controller.arbiter.ads_log import AdsNews
    from controller.arbiter.steps import Readiness, Step

STARTED = 1_700_000_000.0
NOW = STARTED + 1000
TIMEOUT = 5.0
UNREADABLE = "unreadable"
MOST_STEPS = 1500

ACCEPTED = Answer(AnswerKind.ACCEPTED, "Starting commercial break.", 480.0)
COOLING = Answer(AnswerKind.COOLDOWN, "recently ran a commercial")
STRANGE = Answer(AnswerKind.REFUSED, "Twitch answered 403: not so fast, friend")
NOT_YOURS = Answer(AnswerKind.OTHER_USER, "broadcaster_id and user_id do not match.")
LOST = Answer(AnswerKind.NO_ANSWER, "Twitch did not answer: no answer in time")
NOT_SENT = Answer(AnswerKind.NOT_SENT, "Twitch was not reached: connection refused")
REFUSED = Answer(AnswerKind.REFUSED, "Twitch answered 400: what is that")
LENGTH = Answer(AnswerKind.LENGTH_REFUSED, "Twitch answered 400: length")
NOT_LIVE = Answer(AnswerKind.NOT_LIVE, "must be streaming live")
NOT_ELIGIBLE = Answer(AnswerKind.NOT_ELIGIBLE, "must be a partner or an affiliate")
UNAUTHORIZED = Answer(AnswerKind.UNAUTHORIZED, "Twitch answered 401")
NO_SCOPE = Answer(AnswerKind.SCOPE_MISSING, "Missing scope")
DOWN = Answer(AnswerKind.UNAVAILABLE, "Twitch answered 503")
ERROR = Answer(AnswerKind.ERROR, "Twitch answered 500")

ANY_LENGTH = CommercialPolicy(min_length=0)


class Fate(Enum):
    """What becomes of a call, where that is more than its answer."""

    LOST = "it never arrives, and nobody knows"
    ACTED = "it acts at once, and the answer is lost"
    ACTED_LATE = "it acts at the last moment, and the answer is lost"
    FAILED_LATE = "it acts, and answers with an error"


def rate_limited(seconds: float | None) -> Answer:
    return Answer(AnswerKind.RATE_LIMITED, "Twitch answered 429", seconds)


def a_cue(
    name: str = "break-1",
    age: float = 0.0,
    length: float = 125.0,
    max_age: float = 30.0,
    *,
    at: float = NOW,
    rule: str = "rule",
    priority: int = 0,
    dry_run: bool = False,
    same_as: str | None = None,
    same_within: float = 60.0,
) -> Cue:
    """A cue that was published so many seconds before an instant."""
    return Cue(
        name,
        at - age,
        length,
        max_age,
        dry_run,
        rule=rule,
        priority=priority,
        same_as=same_as,
        same_within=same_within,
    )


@dataclass(frozen=True, slots=True)
class Off:
    """An off cue."""

    published: float


@dataclass(frozen=True, slots=True)
class Ran:
    """A commercial that ran."""

    time: float
    length: int
    asked_at: float | None
    cue: Cue | None

    @property
    def ours(self) -> bool:
        return self.cue is not None


@dataclass(eq=False)
class Twitch:
    """Starts a commercial only if 8 minutes have passed since the last.

    Attributes:
        script: What comes of the next calls; those beyond are answered.
        last_ads: What the next reads of last_ad_at tell; those beyond tell what ran.
        readable: Whether last_ad_at can be read, where there is no script.
        refreshes: Whether the next refreshes bring a token; those beyond do.
        latency: Seconds that each answer takes.
        dialect: How it says that the channel cools down: "plain", in words that are known; "mock",
            a 200 of length 0 with the rest of the cooldown; "strange", in words nobody has seen.
        live: Whether a stream runs; None: it does not tell.
    """

    script: list[Answer | Fate] = field(default_factory=list)
    last_ads: list[float | str | None] = field(default_factory=list)
    readable: bool = True
    refreshes: list[bool] = field(default_factory=list)
    refresh_takes: float = 0.0
    latency: float = 0.0
    dialect: str = "plain"
    live: bool | None = True
    ran: list[Ran] = field(default_factory=list)

    def act(self, time: float, length: int, asked_at: float, cue: Cue) -> bool:
        """Start a commercial, unless the channel cools down."""
        if self.ran and time < self.ran[-1].time + COOLDOWN:
            return False
        self.ran.append(Ran(time, length, asked_at, cue))
        return True

    def foreign(self, time: float, length: int = 30) -> None:
        """Somebody else starts one."""
        self.ran.append(Ran(time, length, None, None))

    def cooling(self, time: float) -> Answer:
        """What it says within the cooldown."""
        if self.dialect == "mock":
            left = math.ceil(self.ran[-1].time + COOLDOWN - time)
            return Answer(AnswerKind.COOLDOWN, "Please try again later", left)
        return STRANGE if self.dialect == "strange" else COOLING

    @property
    def ours(self) -> list[Ran]:
        return [ran for ran in self.ran if ran.ours]

    @property
    def last_ad(self) -> float | None:
        """In whole seconds, as Twitch tells it."""
        return float(math.floor(self.ran[-1].time)) if self.ran else None


@dataclass(eq=False)
class Outcome:
    """What became of a cue that was delivered."""

    cue: Cue
    ruling: Ruling | None = None
    ended: float | None = None
    told: list[Ruling] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The last word, so far."""
        if self.ruling is not None:
            return self.ruling.verdict
        return self.told[-1].verdict if self.told else Verdict.WAITING

    @property
    def detail(self) -> str:
        return self.ruling.detail if self.ruling is not None else ""

    @property
    def calls(self) -> list[int]:
        """Lengths that were asked for."""
        return [step.length for step in self.steps if isinstance(step, Call)]

    @property
    def did(self) -> list[Step]:
        """The steps, without what was told and without what woke it in between."""
        bare = [Wait(step.until) if isinstance(step, Wait) else step for step in self.steps]
        return [step for n, step in enumerate(bare) if n == 0 or step != bare[n - 1]]


@dataclass(eq=False)
class _Run:
    run: Generator[Step, Reply, Ruling]
    arbiter: Arbiter
    outcome: Outcome
    until: float = math.inf
    busy: bool = False


class World:
    """One channel over several lives of the process.

    Args:
        policy: `spec.commercials`.
        started: When the first process began.
        now: The present time.
        recent: What the status remembers, as the next two.
        script: See `Twitch`.
        lag: Seconds until the status is written; None: it is only by `write`.
        confirms: Look at the ads after each commercial, as the operator does.
    """

    def __init__(
        self,
        policy: CommercialPolicy = ANY_LENGTH,
        *,
        started: float = STARTED,
        now: float = NOW,
        recent: Iterable[CueRecord] = (),
        next_eligible: float | None = None,
        last_ad: float | None = None,
        script: Iterable[Answer | Fate] = (),
        last_ads: Iterable[float | str | None] = (),
        lag: float | None = 0.0,
        confirms: bool = False,
    ) -> None:
        self.policy = policy
        self.now = now
        self.twitch = Twitch(list(script), list(last_ads))
        self.lag, self.confirms = lag, confirms
        self.written: tuple[tuple[CueRecord, ...], float | None, float | None]
        self.written = (tuple(recent), next_eligible, last_ad)
        self.outcomes: list[Outcome] = []
        self.news: list[AdsNews] = []
        self.feed: list[Cue | Off] = []
        self._runs: list[_Run] = []
        self._order = count()
        # What happens whatever becomes of the process, and what dies with it.
        self._later: list[tuple[float, int, int, Callable[[], None]]] = []
        self._life = 0
        self._born = 0  # outcomes before this life
        self.refused = 0
        self._start(started)

    def _start(self, started: float) -> None:
        recent, next_eligible, last_ad = self.written
        self.arbiter = Arbiter(
            self.policy,
            Term(started),
            TIMEOUT,
            memory=Memory(recent, next_eligible),
            last_ad=last_ad,
        )
        self.arbiter.readiness = None
        self.rehearsal = Arbiter(self.policy, Term(started), TIMEOUT, real=self.arbiter)

    @property
    def living(self) -> list[Outcome]:
        """Of the cues that the present process took."""
        return self.outcomes[self._born :]

    # What happens on the feed, and to the channel

    def hear(self, cue: Cue) -> Outcome:
        """A cue arrives, now."""
        self.feed.append(cue)
        return self._take(cue)

    def off(self, published: float | None = None) -> bool:
        """An off cue arrives, now."""
        off = Off(self.now if published is None else published)
        self.feed.append(off)
        return self._cancel(off)

    def ready(self, readiness: Readiness | None) -> None:
        self.arbiter.readiness = readiness
        self._wake()
        self.until(self.now)

    def withdraw(self, rule: str, why: Ruling) -> None:
        for arbiter in (self.arbiter, self.rehearsal):
            arbiter.withdraw(rule, why)
        self._wake()
        self.until(self.now)

    def look(self) -> AdsNews:
        """Ask Twitch what ads ran."""
        news = self.arbiter.ads.saw(AdSchedule(last_ad=self.twitch.last_ad), self.now)
        self.news.append(news)
        if news.foreign is not None:
            self._wake()
        self._changed()
        return news

    def foreign(self, length: int = 30) -> None:
        """Somebody else runs an ad, now."""
        self.twitch.foreign(self.now, length)

    def write(self) -> None:
        """Write the status."""
        memory = self.arbiter.memory
        schedule = self.arbiter.ads.schedule
        known = schedule.last_ad if schedule is not None else self.written[2]
        self.written = (memory.recent, memory.next_eligible, known)

    def crash(self, down: float = 0.0) -> list[Outcome]:
        """The process dies, and another starts, which hears the last minutes again."""
        self._life += 1
        for run in self._runs:
            run.run.close()
        self._runs.clear()
        self.advance(down)
        self._start(self.now)
        known = self._born = len(self.outcomes)
        for event in list(self.feed):
            window = event.max_age if isinstance(event, Cue) else 300.0
            if event.published < self.now - window - self.policy.delay:
                continue
            if isinstance(event, Cue):
                self._take(event)
            else:
                self._cancel(event)
        return self.outcomes[known:]

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.until(self.now + seconds)

    def until(self, instant: float) -> None:
        """Let time pass up to an instant."""
        while (due := self._next()) is not None and due <= instant:
            self.now = max(self.now, due)
            self._happen()
        self.now = max(self.now, instant)

    def settle(self) -> None:
        """Let time pass until nothing is left to wait for."""
        while (due := self._next()) is not None:
            self.until(due)

    def _next(self) -> float | None:
        known = [run.until for run in self._runs if not run.busy]
        known += [self._later[0][0]] if self._later else []
        due = min(known, default=math.inf)
        return due if due < math.inf else None

    def _happen(self) -> None:
        while self._later and self._later[0][0] <= self.now:
            _, _, life, action = heapq.heappop(self._later)
            if life in (self._life, -1):
                action()
        for run in list(self._runs):
            if not run.busy and run.until <= self.now and run in self._runs:
                self._go_on(run, Reply(self.now))

    def _at(self, time: float, action: Callable[[], None], *, outlives: bool = False) -> None:
        life = -1 if outlives else self._life
        heapq.heappush(self._later, (time, next(self._order), life, action))

    # The channel, as the operator drives it

    def _take(self, cue: Cue) -> Outcome:
        outcome = Outcome(cue)
        self.outcomes.append(outcome)
        arbiter = self.rehearsal if cue.dry_run else self.arbiter
        start = arbiter.take(cue, self.now)
        if isinstance(start, Ruling):
            outcome.ruling, outcome.ended = start, self.now
            self._changed()
            return outcome
        run = _Run(arbiter.run(start, self.now), arbiter, outcome)
        self._runs.append(run)
        self._go_on(run, None)
        self._wake()
        self.until(self.now)
        return outcome

    def _cancel(self, off: Off) -> bool:
        due = off.published + self.policy.delay
        found = [a.cancel(due, self.now) for a in (self.arbiter, self.rehearsal)]
        self._wake()
        self.until(self.now)
        return any(found)

    def _wake(self) -> None:
        for run in list(self._runs):
            if not run.busy and run in self._runs:
                self._go_on(run, Reply(self.now))

    def _go_on(self, run: _Run, reply: Reply | None) -> None:
        run.busy = True
        try:
            step = next(run.run) if reply is None else run.run.send(reply)
        except StopIteration as end:
            self._end(run, end.value)
            return
        outcome = run.outcome
        outcome.steps.append(step)
        assert len(outcome.steps) < MOST_STEPS, outcome.cue
        if isinstance(step, Wait):
            run.until, run.busy = step.until, False
            if step.told is not None and (not outcome.told or outcome.told[-1] != step.told):
                outcome.told.append(step.told)
        elif outcome.cue.dry_run:
            answer = Answer(AnswerKind.ACCEPTED, "", COOLDOWN) if isinstance(step, Call) else None
            self._reply(run, 0.0, lambda: Reply(self.now, answer=answer))
        elif isinstance(step, Call):
            self._call(run, step.length)
        elif isinstance(step, ReadLastAd):
            self._reply(run, self.twitch.latency, self._last_ad)
        elif isinstance(step, CheckLive):
            self._reply(run, self.twitch.latency, lambda: Reply(self.now, live=self.twitch.live))
        elif isinstance(step, Refresh):
            told = self.twitch.refreshes.pop(0) if self.twitch.refreshes else True
            self._reply(run, self.twitch.refresh_takes, lambda: Reply(self.now, refreshed=told))

    def _end(self, run: _Run, ruling: Ruling) -> None:
        self._runs.remove(run)
        run.outcome.ruling, run.outcome.ended = ruling, self.now
        if self.confirms and ruling.verdict is Verdict.FIRED:
            for after in CONFIRM_AT:
                self._at(self.now + after, self._confirm)
        self._wake()
        self._changed()

    def _confirm(self) -> None:
        if self.arbiter.ads.waits:
            self.look()

    def _changed(self) -> None:
        """The status is to be written."""
        if self.lag == 0:
            self.write()
        elif self.lag is not None:
            self._at(self.now + self.lag, self.write)

    def _reply(self, run: _Run, after: float, reply: Callable[[], Reply]) -> None:
        self._at(self.now + after, lambda: self._go_on(run, reply()))

    def _last_ad(self) -> Reply:
        twitch = self.twitch
        last = twitch.last_ads.pop(0) if twitch.last_ads else twitch.last_ad
        if isinstance(last, str) or not twitch.readable:
            return Reply(self.now, unreadable="no scope")
        return Reply(self.now, last_ad_known=True, last_ad=last)

    def _call(self, run: _Run, length: int) -> None:
        calling = [r for r in self._runs if r.busy and isinstance(r.outcome.steps[-1], Call)]
        real = [r for r in calling if not r.outcome.cue.dry_run]
        assert real == [run], "one start at most calls"
        twitch, asked_at, cue = self.twitch, self.now, run.outcome.cue
        fate = twitch.script.pop(0) if twitch.script else ACCEPTED

        def act() -> bool:
            return twitch.act(self.now, length, asked_at, cue)

        if fate is ACCEPTED or (isinstance(fate, Answer) and fate.kind is AnswerKind.ACCEPTED):
            answer = fate if act() else twitch.cooling(self.now)
            self.refused += answer is not fate
        elif isinstance(fate, Answer):
            answer = fate
        elif fate is Fate.FAILED_LATE:
            act()
            answer = ERROR
        else:
            answer = LOST
            if fate is not Fate.LOST:
                after = 0.0 if fate is Fate.ACTED else TIMEOUT - 0.001
                self._at(self.now + after, lambda: (act(), None)[1], outlives=True)
        after = TIMEOUT if answer.kind is AnswerKind.NO_ANSWER else twitch.latency
        self._reply(run, after, lambda: Reply(self.now, answer=answer))


def record(
    name: str,
    result: Verdict = Verdict.FIRED,
    started: float = NOW - 600,
    *,
    length: int = 60,
    due: float | None = None,
    break_seconds: float | None = None,
) -> CueRecord:
    """A cue that the status tells of."""
    return CueRecord(name, started, started, length, result, due=due, break_seconds=break_seconds)


def hear_all(world: World, cues: list[Cue]) -> list[Outcome]:
    """Deliver each when it is published; then let all come to its end."""
    outcomes = []
    for cue in cues:
        world.until(cue.published)
        outcomes.append(world.hear(cue))
    world.settle()
    return outcomes


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]
