"""What is done for a TwitchChannel whenever something about it may have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.channels.channel import Channel
from controller.channels.grant.manager import GrantManager
from controller.channels.grant.secrets import GrantSecrets, Permits
from controller.channels.stream_keys import StreamKeyManager
from controller.clients.helix import Unauthorized
from controller.resources.twitchchannel import STREAM_KEY_SCOPE
from controller.runtime.owned_secrets import jitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.channels.conflicts import Conflicts
    from controller.clients.helix import Helix
    from controller.clients.identity import Identity
    from controller.clients.kube import Kube
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.runtime.metrics import Metrics
    from controller.runtime.resource import Resource
    from controller.runtime.secrets import SecretStore
    from controller.settings import Settings

__all__ = ["ChannelReconciler"]


class ChannelReconciler:
    """Makes channels, and runs their rounds.

    Args:
        settings: Limits and intervals.
        kube: The API server.
        metrics: What is counted.
        helix: Twitch's API.
        identity: Twitch's OAuth.
        secrets: The Secrets that channels name.
        conflicts: Which channel has which broadcaster.
        look_live: Asks soon whether a channel is live.
        refused: Called with a channel whose token was refused.
        tell: Called when a channel's status may have changed.
        started: When this process began, in seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        settings: Settings,
        kube: Kube,
        metrics: Metrics,
        *,
        helix: Helix,
        identity: Identity,
        secrets: SecretStore,
        conflicts: Conflicts,
        look_live: Callable[[Channel], None],
        refused: Callable[[Channel], None],
        tell: Callable[[Channel], None],
        started: float,
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._helix = helix
        self._identity = identity
        self._secrets = secrets
        self._conflicts = conflicts
        self._look_live = look_live
        self._refused = refused
        self._tell = tell
        self._started = started
        self._permits = Permits()

    def new_channel(self, resource: Resource) -> Channel:
        """A channel that has not been looked at yet."""
        grant_manager = GrantManager(
            resource.key,
            resource.uid,
            identity=self._identity,
            helix=self._helix,
            secrets=GrantSecrets(
                resource.key, resource.uid, self._secrets, self._kube, self._permits
            ),
            metrics=self._metrics,
            validate_interval=self._settings.validate_interval,
            eligible_interval=self._settings.live_check_interval,
        )
        stream_key = StreamKeyManager(
            resource.key,
            resource.uid,
            helix=self._helix,
            secrets=self._secrets,
            kube=self._kube,
            interval=self._settings.validate_interval,
            jitter=jitter(resource.uid),
        )
        return Channel(
            resource,
            grant_manager=grant_manager,
            stream_key=stream_key,
            helix=self._helix,
            started=self._started,
            call_timeout=self._settings.call_timeout,
            on_refused=self._refused,
        )

    async def run(self, channel: Channel) -> float | None:
        """Look at the whole of it, and do what is due.

        Returns:
            When to come back; None: when something changes.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        requested = channel.resource.requested_at
        if channel.spec is None:
            channel.tried = True
            channel.concluded = True
            channel.handled = requested
            self._tell(channel)
            return None
        try:
            again = await channel.grant_manager.reconcile(channel.spec)
            channel.tried = True  # a failure that may pass is no answer: young cues wait on
            channel.handled = requested
            key_again = await self._keep_stream_key(channel, channel.spec)
            return min((at for at in (again, key_again) if at is not None), default=None)
        finally:
            if channel.grant_manager.user is None:
                channel.live = None
            channel.settle()
            self._conflicts.settle(channel)
            self._tell_expiration(channel)
            if channel.live is None and channel.credential() is not None:
                self._look_live(channel)
            if self._has_news(channel):
                self._tell(channel)

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
            self._metrics.remove_channel(key.namespace, key.name)
        else:
            gauge = self._metrics.credential_expiration.labels(key.namespace, key.name)
            gauge.set(grant.expires_at)
