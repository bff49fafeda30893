"""All TwitchChannels: what runs for them, and what follows from what Twitch tells of them."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.channels.ads import AdsWatch
from controller.channels.as_run import AsRunLog
from controller.channels.as_run_entries import AsRunEntries
from controller.channels.by_hand import ByHand, identity_of
from controller.channels.conflicts import Conflicts
from controller.channels.factory import ChannelFactory
from controller.channels.live import LiveWatch
from controller.channels.metrics import ChannelMetrics
from controller.channels.policies.announcements import announcements
from controller.channels.reconciler import ChannelReconciler
from controller.channels.signals import (
    ChannelChanged,
    ChannelDeclared,
    ChannelRemoved,
    CommercialCalled,
    CommercialSettled,
)
from controller.channels.status import claimed
from controller.events import Ruling, Verdict
from controller.logs import fields
from controller.resources.twitchchannel import CHANNEL, TWITCH_CHANNEL
from controller.runtime.objects import ObjectController
from controller.runtime.resource import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.arbiter.ads_log import AdsNews
    from controller.arbiter.steps import Cue
    from controller.channels.channel import Channel
    from controller.clients.twitch import Twitch
    from controller.events import Progress
    from controller.policies.announcements import Announcement
    from controller.runtime.controller import Reporter
    from controller.runtime.kernel import Kernel
    from controller.runtime.resource import Resource

__all__ = ["ChannelController"]

logger = logging.getLogger(__name__)

_PATIENCE = 5.0  # seconds beside those of a call in which a token gets into its Secret
_GONE = Ruling(Verdict.CHANNEL_NOT_READY, "the channel was deleted while the cue waited")


class ChannelController(ObjectController["Channel"]):
    """Keeps all channels.

    Args:
        kernel: What it works with.
        twitch: Twitch's APIs.
    """

    kind = TWITCH_CHANNEL

    def __init__(self, kernel: Kernel, twitch: Twitch) -> None:
        super().__init__(kernel)
        settings, quiet = kernel.settings, kernel.call_priority.quiet
        self._metrics = ChannelMetrics(kernel.metrics)
        self._metrics.states.states = lambda: [each.state() for each in self.objects.values()]
        self._log = AsRunLog(settings.as_run_dir, self._metrics)
        self._entries = AsRunEntries(self._log, self._metrics.breaks)
        self._conflicts = Conflicts(
            self.objects.get, self.conclude, partial(kernel.elsewhere.with_claim, CHANNEL)
        )
        kernel.elsewhere.follow(CHANNEL, claimed, self._conflicts.rank)
        self._ads = AdsWatch(
            twitch.helix, self.objects.values, self, settings.ads_check_interval, quiet
        )
        self._live = LiveWatch(
            twitch.helix,
            self.objects.values,
            self._live_changed,
            self.doubt,
            settings.live_check_interval,
        )
        self._factory = ChannelFactory(kernel, twitch, self._metrics, self.doubt)
        self._reconciler = ChannelReconciler(
            self._metrics,
            conflicts=self._conflicts,
            by_hand=ByHand(self._answered, kernel.tracer, kernel.term),
            look_live=self._live.ask,
            conclude=self.conclude,
        )
        kernel.signals.subscribe(CommercialCalled, self._called)

    def broadcaster_of(self, namespace: str, name: str) -> str | None:
        """The broadcaster id of a channel that has its grant; None: it is not known."""
        channel = self.objects.get(Key(CHANNEL, namespace, name))
        return channel.claim if channel is not None and channel.conflict is None else None

    def conclude(self, channel: Channel) -> None:
        """Something about a channel may have changed: its status and its rules follow."""
        key = channel.resource.key
        if self.objects.get(key) is not channel:
            return
        channel.concluded = True
        channel.settle()
        self._kernel.mark(key)
        self._kernel.signals.send(ChannelChanged(channel))

    def doubt(self, channel: Channel) -> None:
        """Twitch refused a channel's token: look whether it lives."""
        channel.grant_manager.recheck()
        self._kernel.reconcile(channel.resource.key)

    def saw_ads(self, channel: Channel, news: AdsNews) -> None:
        """Twitch told of the channel's ads."""
        channel.settle()
        self._kernel.mark(channel.resource.key, urgent=bool(news.settled or news.foreign))
        if news.foreign is not None:
            self._entries.write_foreign(channel, news.foreign)
        for record in news.settled:
            self._kernel.signals.send(CommercialSettled(channel, record))

    async def run(self) -> None:
        """Look at streams and ads, and write the as-run log, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live.run())
            await self._kernel.begun.wait()  # what ads ran is told by one process
            for job in (self._ads.run(), self._log.run()):
                group.create_task(job)

    def tick(self, set_back: float) -> None:
        """Follow the clock, and write down the breaks that are over."""
        if set_back:
            for channel in self.objects.values():
                channel.airtime.set_back(set_back)
        if self._kernel.term.begun:
            self._entries.write_all_ended(self.objects.values())

    async def drain(self, within: float) -> None:
        """Wait for the answers to the calls under way."""
        busy = [channel.airtime for channel in self.objects.values() if channel.airtime.busy]
        await asyncio.gather(*(airtime.drain(within) for airtime in busy))

    def stop(self) -> None:
        """Drop what still waits: the next process hears of it again."""
        for channel in self.objects.values():
            channel.stop()

    async def flush(self) -> None:
        """Wait until refreshed tokens are in their Secrets; write what ran to the as-run log."""
        managers = [channel.grant_manager for channel in self.objects.values()]
        try:
            async with asyncio.timeout(self._kernel.settings.identity_timeout + _PATIENCE):
                await asyncio.gather(*(manager.finish() for manager in managers))
        except TimeoutError:
            logger.error("a token was still being refreshed at the end")
        if self._kernel.term.begun:
            self._entries.write_all_ended(self.objects.values(), at_once=True)
        await self._log.flush()

    def reporter(self, key: Key) -> Reporter | None:
        """Who tells the status of a resource; None: it is gone."""
        return self.objects.get(key)

    def announcements(
        self, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> tuple[Announcement, ...]:
        """What is worth an Event between two statuses."""
        return announcements(before, after)

    def _live_changed(self, channel: Channel) -> None:
        """Whether a channel is live is known, or changed."""
        if self._kernel.term.begun:
            self._ads.introduce(channel)
        else:
            channel.settle()

    def _begun(self, held: Channel) -> None:
        if held.live is not None:
            self._ads.introduce(held)

    def _new(self, resource: Resource) -> Channel:
        return self._factory.new(resource)

    async def _reconcile(self, held: Channel) -> float | None:
        return await self._reconciler.run(held)

    def _added(self, held: Channel) -> None:
        key = held.resource.key
        self._metrics.breaks.add(key.namespace, key.name)
        self._conflicts.settle(held)
        self._changed(held)

    def _changed(self, held: Channel) -> None:
        self._kernel.signals.send(ChannelDeclared(held))

    def _recheck(self, held: Channel) -> None:
        held.grant_manager.recheck(anew=True)

    def _removed(self, held: Channel) -> None:
        held.stopped = True
        held.airtime.retire(_GONE)
        if self._kernel.term.begun:
            self._entries.write_ended(held, at_once=True)
        key = held.resource.key
        self._metrics.remove(key.namespace, key.name)
        self._kernel.signals.send(ChannelRemoved(held))
        self._conflicts.settle(held)

    def _answered(self, channel: Channel, cue: Cue | None, progress: Progress) -> None:
        """A request by hand was answered."""
        key, ruling = channel.resource.key, progress.ruling
        told = {"channel": key.name, "verdict": ruling.verdict.value, "detail": ruling.detail}
        logger.info(
            "%s: by hand: %s: %s", key, ruling.verdict, ruling.detail,
            extra=fields(**told)
            if cue is None
            else identity_of(cue, key.namespace).fields(**told),
        )  # fmt: skip
        self._kernel.mark(key)
        if progress.called_at is not None:
            self._kernel.signals.send(CommercialCalled(channel, ruling.verdict))

    def _called(self, signal: CommercialCalled) -> None:
        """Twitch was asked for a commercial: what follows from its answer, whoever asked."""
        channel = signal.channel
        self._kernel.mark(channel.resource.key)
        if signal.verdict is Verdict.FIRED:
            fired = channel.airtime.arbiter.memory.last_fired
            self._ads.expect(channel, fired.started if fired is not None else time.time())
        if signal.verdict is Verdict.FAILED:
            self.doubt(channel)
        if signal.verdict is Verdict.NOT_LIVE:
            self._live.ask(channel)
