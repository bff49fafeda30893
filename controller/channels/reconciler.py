"""What is done for a TwitchChannel whenever something about it may have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clients.helix import Unauthorized
from controller.resources.twitchchannel import STREAM_KEY_SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.channels.by_hand import ByHand
    from controller.channels.channel import Channel
    from controller.channels.conflicts import Conflicts
    from controller.channels.metrics import ChannelMetrics
    from controller.resources.twitchchannel import TwitchChannelSpec

__all__ = ["ChannelReconciler"]


class ChannelReconciler:
    """Reconciles channels.

    Args:
        metrics: What is counted.
        conflicts: Which channel has which broadcaster.
        by_hand: Answers requests for commercials.
        look_live: Asks soon whether a channel is live.
        conclude: Called when a channel's status may have changed.
    """

    def __init__(
        self,
        metrics: ChannelMetrics,
        *,
        conflicts: Conflicts,
        by_hand: ByHand,
        look_live: Callable[[Channel], None],
        conclude: Callable[[Channel], None],
    ) -> None:
        self._metrics = metrics
        self._conflicts = conflicts
        self._by_hand = by_hand
        self._look_live = look_live
        self._conclude = conclude

    async def run(self, channel: Channel) -> float | None:
        """Look at the whole of it, and do what is due.

        Returns:
            When to come back; None: when something changes.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        requested = channel.resource.requested_at
        self._by_hand.look(channel)
        if channel.spec is None:
            channel.tried = True
            channel.concluded = True
            channel.handled = requested
            self._conclude(channel)
            return None
        owners = (channel.grant_manager.owners, channel.stream_key.owners)
        if requested != channel.handled:
            for each in owners:
                each.ask_again()
        try:
            again = await channel.grant_manager.reconcile(channel.spec)
            channel.tried = True  # a failure that may pass is no answer: young cues wait on
            channel.handled = requested
            key_again = await self._keep_stream_key(channel, channel.spec)
            moments = (again, key_again, *(each.next_try for each in owners))
            return min((at for at in moments if at is not None), default=None)
        finally:
            if channel.grant_manager.user is None:
                channel.live = None
            channel.settle()
            self._conflicts.settle(channel)
            self._tell_expiration(channel)
            if channel.live is None and channel.credential() is not None:
                self._look_live(channel)
            if self._has_news(channel):
                self._conclude(channel)

    @staticmethod
    def _has_news(channel: Channel) -> bool:
        """Whether a round that ended is told now; else a look at the stream follows and tells."""
        if channel.concluded:
            return True
        if channel.grant_manager.failure is not None and not channel.stumbled:
            channel.stumbled = True  # the next try is a second away: one status tells how it ends
            return False
        return channel.credential() is None or channel.grant_manager.user is None

    async def _keep_stream_key(self, channel: Channel, spec: TwitchChannelSpec) -> float | None:
        if spec.suspend or not channel.authorized:
            return None  # no calls, or the key of somebody else
        grant_manager, user = channel.grant_manager, channel.grant_manager.user
        try:
            return await channel.stream_key.reconcile(
                spec.stream_key_secret_name,
                channel.credential(),
                user.id if user is not None else "",
                grant_manager.may(STREAM_KEY_SCOPE),
            )
        except Unauthorized:
            grant_manager.recheck()
            raise

    def _tell_expiration(self, channel: Channel) -> None:
        key, grant = channel.resource.key, channel.grant_manager.grant
        if channel.stopped:
            return
        if grant is None:
            self._metrics.end_token(key.namespace, key.name)
        else:
            gauge = self._metrics.credential_expiration.labels(key.namespace, key.name)
            gauge.set(grant.expires_at)
