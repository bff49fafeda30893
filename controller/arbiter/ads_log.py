"""What Twitch tells of the ads that ran: whether ours did, and which were not ours.

`last_ad_at` is a fact. Where it moves near a call, that commercial is Confirmed; where it does not
within a minute, Unconfirmed. Where it moves otherwise, somebody else ran an ad: by hand, or by
Twitch's Ads Manager. It burns the same cooldown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.arbiter.budget import Ad
from controller.events import AdSchedule, Verdict

if TYPE_CHECKING:
    from controller.arbiter.breaks import Break, Breaks, UnderWay
    from controller.arbiter.memory import Memory
    from controller.arbiter.steps import CueRecord

__all__ = ["CONFIRM_AT", "AdsLog", "AdsNews"]

CONFIRM_AT = (10.0, 20.0, 40.0, 61.0)
"""Seconds after a call at which Twitch is asked whether its commercial ran."""

_EARLY = 2.0  # Twitch's clock may be behind the feed's by as much
_LATE = 60.0
_GIVE_UP = 180.0  # seconds after a call for which an answer about it is waited for
# The forecast of the Ads Manager was seen to be minutes off.
_FORECAST_OFF = 300.0
_NEWS = 3600.0  # seconds; at a first look the last ad may be days old
_UNTOLD_LENGTH = 30  # seconds that an ad of unknown length counts for: the shortest standard one


@dataclass(frozen=True, slots=True)
class AdsNews:
    """What a look at Twitch's ad schedule brought.

    Attributes:
        settled: Cues whose result is now Confirmed or Unconfirmed.
        foreign: An ad that was not ours.
    """

    settled: tuple[CueRecord, ...] = ()
    foreign: Ad | None = None


class AdsLog:
    """Compares the ads of a channel with the calls for it.

    Args:
        memory: Of the channel.
        breaks: Of the channel.
        last_ad: When the last ad began that was dealt with before.

    Attributes:
        schedule: As Twitch told it last.
        last_confirmed: When the last commercial began that was confirmed.
    """

    def __init__(self, memory: Memory, breaks: Breaks, last_ad: float | None) -> None:
        self._memory = memory
        self._breaks = breaks
        self._last_ad = last_ad
        self._awaiting: dict[str, Break] = {}
        self.schedule: AdSchedule | None = None
        self.last_confirmed: float | None = None
        if last_ad is not None and memory.near(last_ad, _EARLY, _LATE) is None:
            # It counts in the budget of its hour over a restart, too.
            memory.saw_foreign(Ad(last_ad, _UNTOLD_LENGTH, ours=False))

    def fired(self, start: UnderWay) -> None:
        """A commercial was accepted: it is to be confirmed."""
        if not start.cue.dry_run:
            self._awaiting[start.cue.id] = start.brk

    def recalled(self, record: CueRecord, brk: Break) -> None:
        """A former process called for this break: it may be confirmed yet."""
        if record.result is Verdict.FIRED:
            self._awaiting[record.cue_id] = brk

    def extended(self, brk: Break) -> None:
        """The length of a break changed: what is remembered of it follows."""
        for cue in brk.cues:
            self._memory.change(cue.id, break_seconds=brk.seconds)

    def awaits(self, brk: Break) -> bool:
        """Whether the commercial of a break may still be confirmed."""
        return any(brk is other for other in self._awaiting.values())

    @property
    def waits(self) -> bool:
        """Whether a commercial is to be confirmed yet."""
        return bool(self._awaiting)

    def give_up(self, now: float | None = None) -> None:
        """Wait no longer for what nobody can tell; without a time: for nothing at all."""
        for cue_id in list(self._awaiting):
            record = self._memory.known(cue_id)
            if record is None or now is None or now > record.started + _GIVE_UP:
                del self._awaiting[cue_id]

    def saw(self, schedule: AdSchedule, now: float) -> AdsNews:
        """Take what Twitch tells of the channel's ads now."""
        before, self.schedule = self.schedule, schedule
        ad = schedule.last_ad
        settled = self._confirm(ad, now) if ad is not None else []
        settled += self._unconfirmed(ad, now)
        foreign = self._foreign(ad, before or schedule, now) if ad is not None else None
        if ad is not None and not self._may_be_ours(ad):
            self._last_ad = max(ad, self._last_ad or 0.0)
        return AdsNews(tuple(settled), foreign)

    def _confirm(self, ad: float, now: float) -> list[CueRecord]:
        record = self._memory.near(ad, _EARLY, _LATE)
        if record is None or record.result not in (Verdict.FIRED, Verdict.UNKNOWN):
            return []
        if now < record.started + CONFIRM_AT[0]:
            return []  # who reads the status sees first that it fired
        brk = self._awaiting.pop(record.cue_id, None) or self._breaks.of_cue(record.cue_id)
        if brk is not None:
            brk.confirmed = ad
        # Twitch tells whole seconds, which may lie before the call.
        self.last_confirmed = max(ad, record.started)
        if record.result is Verdict.UNKNOWN:
            self._memory.cools_from(ad)
        return self._settle(record, brk, Verdict.CONFIRMED)

    def _unconfirmed(self, ad: float | None, now: float) -> list[CueRecord]:
        settled = []
        for cue_id in list(self._awaiting):
            record = self._memory.known(cue_id)
            if record is None or now <= record.started + _LATE:
                continue
            brk = self._awaiting.pop(cue_id)
            # Behind an ad that began later nobody sees whether this one ran: it stays Fired.
            if ad is None or ad <= record.started + _LATE:
                settled += self._settle(record, brk, Verdict.UNCONFIRMED)
        return settled

    def _settle(self, record: CueRecord, brk: Break | None, result: Verdict) -> list[CueRecord]:
        if brk is not None and brk.ruling is not None:
            brk.ruling = replace(brk.ruling, verdict=result)
        changed = self._memory.change(record.cue_id, result=result)
        return [changed] if changed is not None else []

    def _foreign(self, ad: float, before: AdSchedule, now: float) -> Ad | None:
        """The ad, if it is new and nobody here called for it."""
        if self._last_ad is not None and ad <= self._last_ad + _EARLY:
            return None
        if self._memory.near(ad, _EARLY, _LATE) is not None or self._may_be_ours(ad):
            return None
        forecast = before.next_ad is not None and abs(before.next_ad - ad) <= _FORECAST_OFF
        length = before.duration if forecast and before.duration else _UNTOLD_LENGTH
        foreign = Ad(min(ad, now), length, ours=False)  # by a clock that is behind Twitch's
        self._memory.saw_foreign(foreign)
        return foreign if ad > now - _NEWS else None

    def _may_be_ours(self, ad: float) -> bool:
        """Whether a call may have started it whose outcome is open: the next look tells."""
        calls = (b.start.first_call for b in self._breaks if b.start is not None)
        return any(called is not None and ad >= called - _EARLY for called in calls)
