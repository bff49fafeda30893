"""What goes to the as-run log: a channel's breaks that are over, and ads that no rule started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.arbiter.as_run import ChannelIdentity, break_entry, foreign_entry
from controller.channels.metrics import result_of_break

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.arbiter.budget import Ad
    from controller.channels.as_run import AsRunLog
    from controller.channels.channel import Channel
    from controller.runtime.tallies import Tallies

__all__ = ["AsRunEntries"]


class AsRunEntries:
    """Makes the entries.

    Args:
        log: Takes them.
        breaks: Counts the breaks.
    """

    def __init__(self, log: AsRunLog, breaks: Tallies) -> None:
        self._log = log
        self._breaks = breaks

    def write_all_ended(self, channels: Iterable[Channel], *, at_once: bool = False) -> None:
        """Write the breaks that are over of all channels that have any."""
        for channel in channels:
            if not channel.airtime.idle:
                self.write_ended(channel, at_once=at_once)

    def write_ended(self, channel: Channel, *, at_once: bool = False) -> None:
        """Write the breaks of a channel that are over; each is written once.

        Args:
            channel: The channel.
            at_once: It is gone, or the process ends: take what was called for, over or not.
        """
        airtime, key = channel.airtime, channel.resource.key
        for brk in airtime.ended(at_once=at_once):
            if not brk.recalled or self._log.remembers:
                self._log.write(break_entry(_station(channel), brk, airtime.arbiter.breaks))
            if not brk.recalled and not brk.by_hand:
                verdict = brk.ruling.verdict if brk.ruling is not None else None
                self._breaks.inc(key.namespace, key.name, result_of_break(verdict))

    def write_foreign(self, channel: Channel, ad: Ad) -> None:
        """Write an ad that no rule started."""
        self._log.write(foreign_entry(_station(channel), ad))


def _station(channel: Channel) -> ChannelIdentity:
    key, user = channel.resource.key, channel.grant_manager.user
    broadcaster_id = user.id if user is not None else ""
    return ChannelIdentity(channel.resource.uid, key.namespace, key.name, broadcaster_id)
