"""Breaks: the unit of advertising, of which cues are but the signs.

A break is open from its first cue's due time to its end and `breakGap` beyond. Whatever announces
a start meanwhile, of whatever rule, kind or headend, belongs to it and extends it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.arbiter.steps import BY_HAND, Cue
from controller.events import Ruling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.arbiter.steps import CueRecord

__all__ = ["LONGEST_BREAK", "Break", "Breaks", "UnderWay"]

LONGEST_BREAK = 480.0
"""Seconds beyond which nothing extends a break: Twitch's cooldown, after which a next may run."""

_MOST_CUES = 100  # that a break keeps; a cue that is repeated each second has more
_KEPT = 600.0  # seconds after its end for which a late sign of it is recognised


@dataclass(slots=True, eq=False)
class UnderWay:
    """A start under way, as the other cues of its channel see it.

    Attributes:
        cue: Whose start it is.
        brk: Its break.
        dropped: Why it is not to go on: it was cancelled, outranked, or its rule is gone.
        calling: A call is under way, or its outcome open.
        looks_back: It is being found out whether a former process called for it.
        holds_until: Until when it waits for the channel to be eligible; None: it does not.
        first_call: When Twitch was first asked, by an earlier process at the earliest; None: not.
        otherwise: What its cue is told where nothing comes of it, as it was not its break's first.
    """

    cue: Cue
    brk: Break
    dropped: Ruling | None = None
    calling: bool = False
    looks_back: bool = False
    holds_until: float | None = None
    first_call: float | None = None
    otherwise: Ruling | None = None


@dataclass(slots=True, eq=False)
class Break:
    """One break of a channel.

    Attributes:
        due: When it begins, in seconds since the epoch, the channel's delay included.
        end: When it ends, as far as it was announced.
        cues: What announced it, first first.
        start: What is under way for it.
        by: The cue whose start was decided about last.
        called: When Twitch was first asked for it.
        settled: No further call is to be made for it.
        asked: Seconds that were asked for last.
        accepted: Seconds that Twitch answered.
        confirmed: When its commercial began, as Twitch's last_ad_at shows.
        ruling: What became of it, so far.
        closed: An off cue has ended it.
        recalled: A former process called for it.
        reported: It was told to the as-run log.
    """

    due: float
    end: float
    cues: list[Cue] = field(default_factory=list)
    start: UnderWay | None = None
    by: Cue | None = None
    called: float | None = None
    settled: bool = False
    asked: int | None = None
    accepted: int | None = None
    confirmed: float | None = None
    ruling: Ruling | None = None
    closed: bool = False
    recalled: bool = False
    reported: bool = False

    @property
    def seconds(self) -> float:
        """How long it is on air."""
        return self.end - self.due

    @property
    def by_hand(self) -> bool:
        """Whether it is none on air: somebody asked for a commercial, and nothing announced one."""
        return all(cue.rule == BY_HAND for cue in self.cues)

    @property
    def ran(self) -> bool:
        """Whether its commercial ran, as far as is known."""
        return self.ruling is not None and self.ruling.verdict.started

    @property
    def commercial(self) -> tuple[float, float] | None:
        """When its commercial began and ended; None: none ran, or it is not known."""
        known = [at for at in (self.called, self.confirmed) if at is not None]
        if not self.ran or self.accepted is None or not known:
            return None
        began = max(known)  # Twitch tells whole seconds, which may lie before the call
        return began, began + self.accepted

    @property
    def key(self) -> str:
        """What names it: the identity of its first cue."""
        return self.cues[0].id

    def has(self, cue_id: str) -> bool:
        """Whether a cue announced it before."""
        return any(cue.id == cue_id for cue in self.cues)

    def overlaps(self, due: float, end: float, gap: float) -> bool:
        """Whether a sign of these times belongs to it."""
        if self.closed:
            return self.due <= due < self.end
        return due <= self.end + gap and end + gap >= self.due

    def recall(self, record: CueRecord) -> None:
        """Take over what a former process did for it."""
        self.cues.append(
            Cue(
                record.cue_id,
                record.published,
                self.seconds,
                max_age=0.0,
                begins=self.due,
                rule=record.rule,
            )
        )
        self.called, self.asked, self.accepted = record.started, record.length, record.accepted
        self.settled = self.recalled = True
        self.ruling = Ruling(record.result, "by an operator that ran before")

    def heard_again(self, cue: Cue) -> None:
        """The event of a cue came once more: after a restart it says what the status does not."""
        self.cues = [cue if each.id == cue.id and not each.payload else each for each in self.cues]

    def join(self, cue: Cue, end: float) -> None:
        """Let a cue belong to it, and extend it."""
        if len(self.cues) < _MOST_CUES and not self.has(cue.id):
            self.cues.append(cue)
        if not self.closed:
            self.end = min(max(self.end, end), self.due + LONGEST_BREAK)


class Breaks:
    """The breaks of a channel that are open, or were a moment ago."""

    def __init__(self) -> None:
        self._breaks: list[Break] = []

    def __iter__(self) -> Iterator[Break]:
        return iter(self._breaks)

    def __bool__(self) -> bool:
        return bool(self._breaks)

    def open(self, due: float, end: float) -> Break:
        """Begin one."""
        new = Break(due, min(end, due + LONGEST_BREAK))
        self._breaks.append(new)
        return new

    def at(self, due: float, end: float, gap: float) -> Break | None:
        """The break to which a sign of these times belongs; the newest of several."""
        found = (b for b in reversed(self._breaks) if b.overlaps(due, end, gap))
        return next(found, None)

    def of_cue(self, cue_id: str) -> Break | None:
        """The break that a cue announced."""
        return next((b for b in reversed(self._breaks) if b.has(cue_id)), None)

    def forget(self, now: float) -> None:
        """Drop what is long over."""
        self._breaks = [b for b in self._breaks if b.start or b.end + _KEPT > now]
