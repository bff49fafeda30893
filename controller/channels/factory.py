"""Makes the objects of TwitchChannels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.channels.channel import Channel
from controller.channels.grant.manager import GrantManager
from controller.channels.grant.secrets import GrantSecrets, SecretPermissions
from controller.channels.status import remembering_arbiter
from controller.channels.stream_keys import StreamKeyManager
from controller.resources.twitchchannel import TwitchChannelStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.channels.metrics import ChannelMetrics
    from controller.clients.twitch import Twitch
    from controller.runtime.kernel import Kernel
    from controller.runtime.resource import Resource

__all__ = ["ChannelFactory"]


class ChannelFactory:
    """Makes channels that have not been looked at yet.

    Args:
        kernel: What they work with.
        twitch: Twitch's APIs.
        metrics: What is counted.
        on_refused: Called with a channel whose token was refused.
    """

    def __init__(
        self,
        kernel: Kernel,
        twitch: Twitch,
        metrics: ChannelMetrics,
        on_refused: Callable[[Channel], None],
    ) -> None:
        self._kernel = kernel
        self._twitch = twitch
        self._metrics = metrics
        self._on_refused = on_refused
        self._permits = SecretPermissions()

    def new(self, resource: Resource) -> Channel:
        """Make the channel of a resource."""
        kernel, twitch, settings = self._kernel, self._twitch, self._kernel.settings
        key, uid = resource.key, resource.uid
        status = TwitchChannelStatus.from_status(resource.status)
        return Channel(
            resource,
            grant_manager=GrantManager(
                key,
                uid,
                twitch,
                GrantSecrets(key, uid, kernel.secrets, kernel.kube, self._permits),
                self._metrics,
                settings,
            ),
            stream_key=StreamKeyManager(
                key,
                uid,
                helix=twitch.helix,
                secrets=kernel.secrets,
                kube=kernel.kube,
                interval=settings.validate_interval,
            ),
            helix=twitch.helix,
            arbiter=remembering_arbiter(status, kernel.term, settings.call_timeout),
            on_refused=self._on_refused,
        )
