"""Brings cues to the channels' arbiters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.actions.base import Performer
from controller.arbiter.steps import Cue
from controller.channels.signals import CommercialCalled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.actions.base import RuleReference, Services
    from controller.channels.channel import Channel
    from controller.events import Progress, Ruling
    from controller.runtime.resource import Key

__all__ = ["CommercialPerformer"]


class CommercialPerformer(Performer[Cue]):
    """Has channels start commercials.

    Args:
        services: What it works with.
    """

    def __init__(self, services: Services) -> None:
        self._channels = services.channels
        self._signals = services.signals

    def submit(
        self,
        rule: RuleReference,
        channel: Channel,
        request: Cue,
        report: Callable[[Progress], None],
    ) -> None:
        """Have the channel's arbiter decide."""
        del rule

        def follow(progress: Progress) -> None:
            report(progress)
            if progress.called_at is not None:
                self._signals.send(CommercialCalled(channel, progress.ruling.verdict))

        channel.airtime.submit(request, follow)

    def cancel(self, channel: Channel, begins: float, *, dry_run: bool) -> bool:
        """Close the break of that time."""
        return channel.airtime.cancel(begins, dry_run=dry_run)

    def withdraw(self, rule: Key, why: Ruling, but: Iterable[Channel] = ()) -> None:
        """Call for none of a rule's starts any more.

        All channels are asked: the rule may have named others when its starts began.
        """
        kept = {id(channel) for channel in but}
        for key, channel in self._channels.items():
            if channel.airtime.busy and key.namespace == rule.namespace and id(channel) not in kept:
                channel.airtime.withdraw(rule.name, why)
