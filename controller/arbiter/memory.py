"""What a channel remembers of its commercials: the cues called for, the ads that ran, the cooldown.

A rehearsal (mode DryRun) has a memory of its own over the real one: it sees what really ran, and
what it pretends to have run is seen by nobody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controller.arbiter.budget import HOUR, Ad
from controller.events import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.arbiter.steps import CueRecord

__all__ = ["COOLDOWN", "MAX_RECENT", "Memory"]

COOLDOWN = 480.0
"""Seconds between two commercials where Twitch does not say: once every 8 minutes."""

MAX_RECENT = 20
"""So many cues are kept in the status: the memory over restarts."""

_MAX_KNOWN = 200
_MAX_FOREIGN = 100
_SAME = 60.0  # seconds


class Memory:
    """Cooldown clock and memory of one channel.

    Args:
        recent: Cues that were called for, in any order.
        next_eligible: When Twitch allows the next commercial, as far as is known.
        base: What really ran, where this is a rehearsal's.

    Attributes:
        retry_after: Seconds of cooldown that Twitch's last answer imposed.
        last_message: What Twitch said last.
        cooling: Why the channel cools down.
    """

    def __init__(
        self,
        recent: Iterable[CueRecord] = (),
        next_eligible: float | None = None,
        base: Memory | None = None,
    ) -> None:
        self._base = base
        # In the order of their calls; plain containers, because ten thousand channels have them.
        self._known: dict[str, CueRecord] = {}
        for record in sorted(recent, key=lambda r: r.started):
            self._known[record.cue_id] = record
        self._foreign: list[Ad] = []
        self._set_back: dict[str, float] = {}  # cue -> seconds that the clock was set back since
        self._next_eligible = next_eligible
        self.retry_after: float | None = None
        self.last_message: str | None = None
        self.cooling: str | None = None

    def known(self, cue_id: str) -> CueRecord | None:
        """What became of a cue that was called for."""
        record = self._known.get(cue_id)
        if record is None and self._base is not None:
            return self._base.known(cue_id)
        return record

    @property
    def recent(self) -> tuple[CueRecord, ...]:
        """The cues that were called for, newest first, at most `MAX_RECENT`."""
        return tuple(reversed(self._known.values()))[:MAX_RECENT]

    @property
    def last_fired(self) -> CueRecord | None:
        """The newest cue that started a commercial."""
        return next((r for r in reversed(self._known.values()) if r.result.started), None)

    @property
    def next_eligible(self) -> float | None:
        """When Twitch allows the next commercial; None: nothing is known against it."""
        known = [self._next_eligible, self._base.next_eligible if self._base else None]
        return max((at for at in known if at is not None), default=None)

    def remember(self, record: CueRecord) -> None:
        """Keep what became of a cue; what was known of it is replaced."""
        self._known[record.cue_id] = record
        self._set_back.pop(record.cue_id, None)
        while len(self._known) > _MAX_KNOWN:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._set_back.pop(oldest, None)

    def change(self, cue_id: str, **changes: object) -> CueRecord | None:
        """Change what is known of a cue; returns the record, or None where there is none."""
        record = self._known.get(cue_id)
        if record is not None:
            record = self._known[cue_id] = replace(record, **changes)  # type: ignore[arg-type]
        return record

    def fired(self, record: CueRecord, until: float, wait: float, message: str | None) -> None:
        """A commercial began."""
        self.remember(record)
        self.cool(until, wait, message)
        self.cooling = None  # from our own commercial, which is told elsewhere

    def cool(self, until: float, wait: float, message: str | None) -> None:
        """Twitch's answer says until when the channel cools down."""
        self._next_eligible = until
        self.retry_after = wait
        self.last_message = self.cooling = message

    def saw_foreign(self, ad: Ad) -> None:
        """An ad ran that was not ours: it moves the same clock."""
        self._foreign = [*self._foreign[1 - _MAX_FOREIGN :], ad]
        if self.cools_from(ad.started):
            self.cooling = "an ad ran that a rule did not start"

    def cools_from(self, ad: float) -> bool:
        """An ad began of which no answer told; whether that moves the clock."""
        until = ad + COOLDOWN
        moves = self._next_eligible is None or until > self._next_eligible
        if moves:
            self._next_eligible = until
        return moves

    def set_back(self, seconds: float, now: float) -> None:
        """The clock was set back: what lies in its future keeps its age.

        The rest stays as it is: it may have happened before the clock was set forward, and nothing
        may count as older than it is. The records keep their times: Twitch's ads are found by them.

        Args:
            seconds: By so many.
            now: The present time, by the clock as it is now.
        """
        for record in self._known.values():
            if self._began(record) > now:
                before = self._set_back.get(record.cue_id, 0.0)
                self._set_back[record.cue_id] = before + seconds
        # Twitch's clock told these: how long ago they began is not known.
        self._foreign = [replace(ad, started=min(ad.started, now)) for ad in self._foreign]
        until, wait = self._next_eligible, self.retry_after or COOLDOWN
        if until is not None and until - wait > now:
            self._next_eligible = min(until - seconds, now + wait)

    def _began(self, record: CueRecord) -> float:
        return record.started - self._set_back.get(record.cue_id, 0.0)

    def near(self, ad: float, early: float, late: float) -> CueRecord | None:
        """The cue whose call an ad belongs to: it began so many seconds before or after it."""
        calls = (r for r in reversed(self._known.values()) if r.result is not Verdict.FAILED)
        return next((r for r in calls if -early <= ad - r.started <= late), None)

    def unknown_before(self, instant: float) -> bool:
        """Whether it is open if a commercial ran from which the channel cools down then."""
        return any(
            r.result is Verdict.UNKNOWN and r.started < instant < r.started + COOLDOWN
            for r in self._known.values()
        )

    def ads(self, now: float) -> list[Ad]:
        """The ads of the last hour, oldest first."""
        ran = [
            Ad(self._began(r), r.accepted or r.length, ours=True)
            for r in self._known.values()
            if r.result is not Verdict.FAILED
        ]
        ran += self._foreign
        if self._base is not None:
            real = self._base.ads(now)
            # What is rehearsed beside a commercial that really ran is the same one.
            ran = [ad for ad in ran if all(abs(ad.started - r.started) > _SAME for r in real)]
            ran += real
        return sorted((ad for ad in ran if ad.started > now - HOUR), key=lambda ad: ad.started)
