"""A broadcaster belongs to one channel: the oldest that has its grant. Others are in conflict.

Those that other shards act for count as well; their statuses tell whose grant they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.channels.channel import Channel
    from controller.runtime.elsewhere import Foreign
    from controller.runtime.resource import Key

__all__ = ["Conflicts"]


class Conflicts:
    """Knows which channels have the grant of the same broadcaster.

    Args:
        find: Finds a channel; None: it is gone.
        changed: Called with a channel that lost its rival or got one, other than the one settled.
        elsewhere: The channels of other shards that have the grant of a broadcaster.
    """

    def __init__(
        self,
        find: Callable[[Key], Channel | None],
        changed: Callable[[Channel], None],
        elsewhere: Callable[[str], Iterable[Foreign]],
    ) -> None:
        self._find = find
        self._changed = changed
        self._elsewhere = elsewhere
        self._of_broadcaster: dict[str, set[Key]] = {}

    def settle(self, channel: Channel) -> None:
        """Look again at a channel whose grant, age or existence changed."""
        before = channel.broadcaster_id
        channel.broadcaster_id = channel.claim
        if before is not None and before != channel.broadcaster_id:
            self.rank(before, channel)
        if channel.broadcaster_id is not None:
            keys = self._of_broadcaster.setdefault(channel.broadcaster_id, set())
            keys.add(channel.resource.key)
            self.rank(channel.broadcaster_id, channel)

    def rank(self, broadcaster_id: str, asking: Channel | None = None) -> None:
        """Find the one channel that a broadcaster belongs to.

        Args:
            broadcaster_id: Whose grant came or went.
            asking: The channel that is being settled.
        """
        found = [self._find(key) for key in self._of_broadcaster.get(broadcaster_id, ())]
        same = [c for c in found if c is not None and c.broadcaster_id == broadcaster_id]
        if not same:
            self._of_broadcaster.pop(broadcaster_id, None)
            return
        self._of_broadcaster[broadcaster_id] = {channel.resource.key for channel in same}
        held = [(c.resource.created, c.resource.uid, c.resource.key) for c in same]
        there = [(f.created, f.uid, f.key) for f in self._elsewhere(broadcaster_id)]
        *_, first = min(held + there)
        for channel in same:
            conflict = None if channel.resource.key == first else first.path
            if channel.conflict != conflict:
                channel.conflict = conflict
                channel.settle()
                if channel is not asking and channel.concluded:
                    self._changed(channel)
