"""The arbiter against a model of Twitch: lost answers, restarts and repeats in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.events import Answer, AnswerKind, Verdict
from controller.rules.arbiter import COOLDOWN, Arbiter
from controller.rules.steps import Cue, CueRecord, ReadLastAd, Refresh, Reply, Ruling, Step, Wait

if TYPE_CHECKING:
    from collections.abc import Generator

BEGIN = 1_700_000_000.0
TIMEOUT = 5.0
ON_TIME = 2.0  # less is latency, for which a break is not shortened


class Fate(Enum):
    """What becomes of a call."""

    ANSWERED = "answered"
    LOST = "it never arrives, and nobody knows"
    ACTED = "it acts at once, and the answer is lost"
    ACTED_LATE = "it acts at the last moment, and the answer is lost"
    NOT_SENT = "the connection fails"
    RATE_LIMITED = "refused before it acts"
    UNAUTHORIZED = "the token has expired"
    NOT_LIVE = "off air for a moment"


@dataclass(frozen=True)
class Start:
    """A commercial that ran."""

    cue: Cue
    time: float
    asked_at: float
    length: int


@dataclass
class Twitch:
    """Starts a commercial only if 8 minutes have passed since the last."""

    starts: list[Start] = field(default_factory=list)

    def act(self, cue: Cue, asked_at: float, length: int, time: float) -> bool:
        if self.starts and time < self.starts[-1].time + COOLDOWN:
            return False
        self.starts.append(Start(cue, time, asked_at, length))
        return True


@dataclass(frozen=True)
class Delivery:
    """A cue as it reaches the channel.

    Attributes:
        cue: Which one; the same number is the same cue again.
        pause: Seconds since the delivery before.
        fates: Of its calls, in order; those beyond are answered.
        readable: Whether the last ad can be read, each time it is asked for.
        crash_at: The process dies before this step, or once it got its ruling and before that was
            written; None: it does not.
        down: Seconds until the next process starts.
    """

    cue: int
    pause: float
    fates: tuple[Fate, ...]
    readable: tuple[bool, ...]
    crash_at: int | None
    down: float


DELIVERIES = st.builds(
    Delivery,
    cue=st.integers(0, 3),
    pause=st.one_of(st.floats(0, 10), st.floats(0, 600)),
    fates=st.lists(st.sampled_from(Fate), max_size=4).map(tuple),
    readable=st.lists(st.booleans(), max_size=3).map(tuple),
    crash_at=st.none() | st.integers(0, 5),
    down=st.floats(0, 60),
)


class World:
    """One channel over several lives of the process."""

    def __init__(self, max_age: float, length: int, *, prompt_status: bool) -> None:
        self.twitch = Twitch()
        self.now = BEGIN
        self.verdicts: list[tuple[Cue, Verdict, list[Start]]] = []
        self._cues: dict[int, Cue] = {}
        self._max_age = max_age
        self._length = length
        self._prompt_status = prompt_status
        self._written: tuple[tuple[CueRecord, ...], float | None] = ((), None)
        self.arbiter = self._new_process(BEGIN)

    def _new_process(self, now: float) -> Arbiter:
        recent, next_eligible = self._written
        arbiter = Arbiter(now, TIMEOUT, recent, next_eligible)
        arbiter.readiness = None
        return arbiter

    def deliver(self, delivery: Delivery) -> None:
        self.now += delivery.pause
        cue = self._cues.setdefault(
            delivery.cue, Cue(f"cue-{delivery.cue}", self.now, self._length, self._max_age)
        )
        before = len(self.twitch.starts)
        ruling = self._run(cue, delivery)
        if ruling is not None:
            own = self.twitch.starts[before:]
            self.verdicts.append((cue, ruling.verdict, own))
            if self._prompt_status or ruling.verdict is not Verdict.COOLING_DOWN:
                self._written = (self.arbiter.recent, self.arbiter.next_eligible)
        if delivery.crash_at is not None:
            self.now += delivery.down
            self.arbiter = self._new_process(self.now)

    def _run(self, cue: Cue, delivery: Delivery) -> Ruling | None:
        run: Generator[Step, Reply, Ruling] = self.arbiter.run(cue, self.now)
        fates, readable = list(delivery.fates), list(delivery.readable)
        try:
            step = next(run)
            count = 0
            while True:
                reply = self._reply(step, cue, fates, readable)
                if count == delivery.crash_at:
                    return None
                count += 1
                step = run.send(reply)
        except StopIteration as end:
            ruling: Ruling = end.value
            # Whoever dies after the last step has told nobody.
            return ruling if delivery.crash_at is None else None

    def _reply(self, step: Step, cue: Cue, fates: list[Fate], readable: list[bool]) -> Reply:
        if isinstance(step, Wait):
            self.now = max(self.now, step.until)
            return Reply(self.now)
        self.now += 0.1
        if isinstance(step, Refresh):
            self.now += 14
            return Reply(self.now, refreshed=True)
        if isinstance(step, ReadLastAd):
            if readable and not readable.pop(0):
                return Reply(self.now)
            starts = self.twitch.starts
            last = float(int(starts[-1].time)) if starts else None
            return Reply(self.now, last_ad_known=True, last_ad=last)
        fate = fates.pop(0) if fates else Fate.ANSWERED
        answer = self._answer(fate, cue, step.length)
        return Reply(self.now, answer=answer)

    def _answer(self, fate: Fate, cue: Cue, length: int) -> Answer:
        asked_at = self.now
        if fate is Fate.ANSWERED:
            if self.twitch.act(cue, asked_at, length, self.now):
                return Answer(AnswerKind.ACCEPTED, "", COOLDOWN)
            return Answer(AnswerKind.COOLDOWN, "recently ran")
        if fate in _PLAIN:
            return Answer(_PLAIN[fate], fate.value)
        self.now += TIMEOUT
        if fate is Fate.ACTED:
            self.twitch.act(cue, asked_at, length, asked_at)
        elif fate is Fate.ACTED_LATE:
            self.twitch.act(cue, asked_at, length, self.now)
        return Answer(AnswerKind.NO_ANSWER, fate.value)


_PLAIN = {
    Fate.NOT_SENT: AnswerKind.NOT_SENT,
    Fate.RATE_LIMITED: AnswerKind.RATE_LIMITED,
    Fate.UNAUTHORIZED: AnswerKind.UNAUTHORIZED,
    Fate.NOT_LIVE: AnswerKind.NOT_LIVE,
}


@settings(max_examples=150, deadline=None)
@given(
    deliveries=st.lists(DELIVERIES, min_size=1, max_size=8),
    max_age=st.floats(1, 300),
    length=st.integers(1, 180),
    prompt_status=st.booleans(),
)
def test_whatever_happens_a_cue_starts_at_most_one_commercial_and_only_while_it_is_young(
    deliveries: list[Delivery], max_age: float, length: int, prompt_status: bool
) -> None:
    world = World(max_age, length, prompt_status=prompt_status)
    for delivery in deliveries:
        world.deliver(delivery)
    starts = world.twitch.starts
    assert len({start.cue.id for start in starts}) == len(starts)
    for start in starts:
        late = start.asked_at - start.cue.published
        left = length if late < ON_TIME + 0.1 else length - late
        assert late <= max_age + 0.2
        assert start.time <= start.cue.published + max_age + TIMEOUT + 0.2
        assert 1 <= start.length <= min(180, left + 1)


@settings(max_examples=150, deadline=None)
@given(
    deliveries=st.lists(DELIVERIES, min_size=1, max_size=8),
    max_age=st.floats(1, 300),
    length=st.integers(1, 180),
)
def test_whatever_happens_the_ruling_tells_what_ran(
    deliveries: list[Delivery], max_age: float, length: int
) -> None:
    world = World(max_age, length, prompt_status=True)
    for delivery in deliveries:
        world.deliver(delivery)
    for cue, verdict, own in world.verdicts:
        if own:
            assert verdict in (Verdict.FIRED, Verdict.UNKNOWN), cue
    # Where the last ad cannot be read, a cooldown may be another's; else it is the cue's own break.
    readable = all(all(delivery.readable) for delivery in deliveries)
    ago = ON_TIME + 1 if readable else COOLDOWN
    for cue, verdict, _ in world.verdicts:
        if verdict is Verdict.FIRED:
            assert any(start.time >= cue.published - ago for start in world.twitch.starts), cue


@settings(max_examples=100, deadline=None)
@given(deliveries=st.lists(DELIVERIES, min_size=1, max_size=8))
def test_a_cue_that_fired_or_is_unknown_is_never_called_for_again(
    deliveries: list[Delivery],
) -> None:
    world = World(300, 180, prompt_status=True)
    settled: set[str] = set()
    for delivery in deliveries:
        world.deliver(delivery)
        if delivery.crash_at is not None or not world.verdicts:
            continue
        cue, verdict, own = world.verdicts[-1]
        if cue.id in settled:
            assert not own
            assert verdict is Verdict.DUPLICATE
        if verdict in (Verdict.FIRED, Verdict.UNKNOWN):
            settled.add(cue.id)
