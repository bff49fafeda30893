"""The commercials of a channel: its arbiter, and what is on its way to Twitch.

Starts run side by side and never wait for another channel; which of them calls, the arbiter says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from controller.arbiter.arbiter import Arbiter
from controller.arbiter.steps import Readiness
from controller.channels.driver import StartDriver
from controller.events import Progress, Ruling, Verdict
from controller.policies.clocks import is_ahead

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.arbiter.ads_log import AdsNews
    from controller.arbiter.breaks import Break
    from controller.arbiter.steps import Cue
    from controller.channels.driver import Signer
    from controller.clients.helix import Helix
    from controller.events import AdSchedule
    from controller.resources.commercials import CommercialPolicy

    Report = Callable[[Progress], None]

__all__ = ["Airtime"]

logger = logging.getLogger(__name__)

_MOST_UNDER_WAY = 100


class Airtime:
    """Takes the cues of one channel.

    Args:
        name: Of the channel, for the log.
        helix: Twitch.
        signer: Signs the calls.
        broadcaster_id: Of the channel.
        arbiter: Decides.
    """

    def __init__(
        self,
        name: str,
        *,
        helix: Helix,
        signer: Signer,
        broadcaster_id: Callable[[], str],
        arbiter: Arbiter,
    ) -> None:
        self._name = name
        self._helix = helix
        self._signer = signer
        self._broadcaster_id = broadcaster_id
        self._under_way: dict[asyncio.Task[None], StartDriver] = {}
        self._dry_run_arbiter: Arbiter | None
        self.arbiter: Arbiter
        self.recall(arbiter)

    def recall(self, arbiter: Arbiter) -> None:
        """Go on from what an arbiter remembers; nothing is under way."""
        self._dry_run_arbiter = None
        self.arbiter = arbiter
        now = time.time()
        last = next((record.started for record in self.arbiter.memory.recent), now)
        self.arbiter.memory.set_back(last - now if is_ahead(last, now) else 0.0, now)

    def set_back(self, seconds: float) -> None:
        """The clock was set back by so many seconds."""
        now = time.time()
        for arbiter in filter(None, (self.arbiter, self._dry_run_arbiter)):
            arbiter.memory.set_back(seconds, now)
        self._wake()

    def settle(self, policy: CommercialPolicy, readiness: Readiness | None) -> None:
        """Take what the channel's spec and its grant say now."""
        arbiter = self.arbiter
        if arbiter.policy is not policy or arbiter.readiness != readiness:
            arbiter.policy, arbiter.readiness = policy, readiness
            self._wake()

    def submit(self, cue: Cue, report: Report) -> None:
        """Decide about a cue.

        Args:
            cue: What is asked for.
            report: Called with what became of it, and before that with what to tell meanwhile.
        """
        now = time.time()
        arbiter = self._arbiter_for(cue)
        start = arbiter.take(cue, now)
        if isinstance(start, Ruling):
            report(Progress(start))
            return
        driver = StartDriver(
            self._helix,
            self._signer,
            self._broadcaster_id,
            lambda ruling: report(Progress(ruling, final=False)),
        )
        ruling = driver.begin(arbiter, start, now)
        self._wake()  # it may have taken another's place
        if ruling is not None:
            report(Progress(ruling))
            return
        if len(self._under_way) >= _MOST_UNDER_WAY:
            start.dropped = Ruling(Verdict.FAILED, f"{_MOST_UNDER_WAY} cues wait already")
        task = asyncio.get_running_loop().create_task(self._finish(cue, driver, report))
        self._under_way[task] = driver

    def _arbiter_for(self, cue: Cue) -> Arbiter:
        if not cue.dry_run:
            return self.arbiter
        if self._dry_run_arbiter is None:
            real = self.arbiter
            self._dry_run_arbiter = Arbiter(real.policy, real.term, real.call_timeout, real=real)
        return self._dry_run_arbiter

    async def _finish(self, cue: Cue, driver: StartDriver, report: Report) -> None:
        try:
            ruling = await driver.finish()
        except Exception:
            # A fault of ours: told as a verdict, and the next cue has its own chance.
            logger.exception("%s: cue %s failed", self._name, cue.id)
            ruling = Ruling(Verdict.FAILED, "an internal fault; see the operator's log")
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._under_way.pop(task, None)
            self._wake()
        try:
            report(Progress(ruling, driver.called_at))
        except Exception:
            logger.exception("%s: the ruling on cue %s was not recorded", self._name, cue.id)

    def cancel(self, begins: float, *, dry_run: bool) -> bool:
        """An off cue: it closes the break of its time; whether there was one.

        Args:
            begins: When it comes into effect, without the channel's delay.
            dry_run: Its rule rehearses: it closes what is rehearsed, and nothing else.
        """
        due = begins + self.arbiter.policy.delay
        real = None if dry_run else self.arbiter
        arbiters = [a for a in (real, self._dry_run_arbiter) if a is not None]
        found = [arbiter.cancel(due, time.time()) for arbiter in arbiters]
        self._wake()
        return any(found)

    def withdraw(self, rule: str, why: Ruling) -> None:
        """A rule is gone or suspended: none of its starts is called for any more."""
        for arbiter in (self.arbiter, self._dry_run_arbiter):
            if arbiter is not None:
                arbiter.withdraw(rule, why)
        self._wake()

    def saw_ads(self, schedule: AdSchedule) -> AdsNews:
        """Take what Twitch tells of the channel's ads."""
        news = self.arbiter.ads.saw(schedule, time.time())
        if news.foreign is not None:
            self._wake()
        return news

    def ended(self, *, at_once: bool = False) -> list[Break]:
        """The breaks that are over; each is told once. A rehearsal's are not told.

        Args:
            at_once: The process ends: take what was called for, over or not.
        """
        now = time.time()
        if self._dry_run_arbiter is not None:
            self._dry_run_arbiter.ended(now)
        return self.arbiter.ended(now, at_once=at_once)

    @property
    def idle(self) -> bool:
        """Whether no break is open, nor was a moment ago."""
        dry_run = self._dry_run_arbiter is not None and bool(self._dry_run_arbiter.breaks)
        return not self.arbiter.breaks and not dry_run

    @property
    def busy(self) -> bool:
        """Whether a start is on its way."""
        return bool(self._under_way)

    def _wake(self) -> None:
        for driver in self._under_way.values():
            driver.wake()

    async def drain(self, within: float) -> None:
        """Wait until the calls under way have their answers; what only waits is dropped.

        A start that waits is taken up by the next process, which hears its cue again.
        """
        calling = [t for t, driver in self._under_way.items() if driver.called_at is not None]
        if calling:
            await asyncio.wait(calling, timeout=within)
        self.stop()

    def retire(self, why: Ruling) -> None:
        """The channel is gone: what waits is told so, and a call under way comes to its end."""
        self.arbiter.readiness = Readiness(why.verdict, why.detail)
        self._wake()

    def stop(self) -> None:
        """Drop what is on its way: the resource is gone, or the process ends."""
        for task in self._under_way:
            task.cancel()
