"""All ExtensionApps, and what other kinds ask of them."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.channels.signals import ChannelChanged
from controller.extensions.app import ExtensionApp
from controller.extensions.configuration import ConfigurationManager
from controller.extensions.metrics import ExtensionMetrics
from controller.extensions.policies.announcements import announcements
from controller.extensions.reconciler import ExtensionReconciler
from controller.extensions.secrets import SecretManager
from controller.extensions.signals import ExtensionChanged
from controller.resources.extensionapp import EXTENSION, EXTENSION_APP, ExtensionAppStatus
from controller.runtime.objects import ObjectController
from controller.runtime.resource import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clients.extension_jwt import Extension
    from controller.clients.extensions import Extensions
    from controller.policies.announcements import Announcement
    from controller.policies.findings import Finding
    from controller.runtime.controller import Reporter
    from controller.runtime.kernel import Kernel
    from controller.runtime.resource import Resource

__all__ = ["ExtensionController"]


class ExtensionController(ObjectController[ExtensionApp]):
    """Keeps all ExtensionApps.

    Args:
        kernel: What it works with.
        extensions: Twitch's extension endpoints.
        broadcaster_of: The broadcaster id of a channel, by namespace and name; None: not known.
    """

    kind = EXTENSION_APP

    def __init__(
        self,
        kernel: Kernel,
        extensions: Extensions,
        broadcaster_of: Callable[[str, str], str | None],
    ) -> None:
        super().__init__(kernel)
        self._metrics = ExtensionMetrics(kernel.metrics)
        self._extensions = extensions
        self._broadcaster_of = broadcaster_of
        self._broadcasters: dict[Key, str | None] = {}
        self._reconciler = ExtensionReconciler(
            kernel.settings,
            self.objects,
            secrets=kernel.secrets,
            broadcaster_of=broadcaster_of,
            conclude=self._conclude,
            reconcile=kernel.reconcile,
        )
        self._reconciler.elsewhere = partial(kernel.elsewhere.with_claim, EXTENSION)
        kernel.elsewhere.follow(EXTENSION, _claimed, self._reconciler.changed)
        kernel.signals.subscribe(ChannelChanged, self._channel_changed)

    def signer_of(self, namespace: str, name: str) -> Extension | str:
        """What to sign the calls of an ExtensionApp with, or why there is nothing."""
        app = self.objects.get(Key(EXTENSION, namespace, name))
        if app is None:
            return f"ExtensionApp {name} does not exist"
        return app.signer(time.time())

    def secrets_current(self, key: Key) -> Finding | None:
        """Whether the secrets of an ExtensionApp are current; None: there is no such."""
        app = self.objects.get(key)
        return app.secrets_finding(time.time()) if app is not None else None

    def reporter(self, key: Key) -> Reporter | None:
        """Who tells the status of a resource; None: it is gone."""
        return self.objects.get(key)

    def announcements(
        self, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> tuple[Announcement, ...]:
        """What is worth an Event between two statuses."""
        return announcements(before, after)

    def _new(self, resource: Resource) -> ExtensionApp:
        kernel, settings = self._kernel, self._kernel.settings
        status = ExtensionAppStatus.from_status(resource.status)
        made = ExtensionApp(
            resource,
            secret_manager=SecretManager(
                resource,
                extensions=self._extensions,
                secrets=kernel.secrets,
                kube=kernel.kube,
                settings=settings,
            ),
            configuration=ConfigurationManager(
                resource.key, self._extensions, settings, status.configuration
            ),
            least_delay=settings.min_activation_delay,
        )
        made.stands_by = not kernel.term.begun
        return made

    def _begun(self, held: ExtensionApp) -> None:
        held.stands_by = False

    async def _reconcile(self, held: ExtensionApp) -> float | None:
        return await self._reconciler.run(held)

    def _added(self, held: ExtensionApp) -> None:
        self._reconciler.changed(held.client_id)

    def _changed(self, held: ExtensionApp) -> None:
        self._reconciler.changed(held.client_id)

    def _recheck(self, held: ExtensionApp) -> None:
        held.recheck()

    def _removed(self, held: ExtensionApp) -> None:
        key = held.resource.key
        self._reconciler.changed(held.client_id)
        self._metrics.remove(key.namespace, key.name)
        self._kernel.signals.send(ExtensionChanged(key))

    def _conclude(self, app: ExtensionApp) -> None:
        """Something about an ExtensionApp may have changed: its status and its rules follow."""
        key, due = app.resource.key, app.next_rotation
        if self.objects.get(key) is not app:
            return
        self._metrics.set(key.namespace, key.name, due)
        self._kernel.mark(key)
        self._kernel.signals.send(ExtensionChanged(key))

    def _channel_changed(self, signal: ChannelChanged) -> None:
        """A channel's broadcaster may have become known, or another."""
        channel = signal.channel.resource.key
        found = self._broadcaster_of(channel.namespace, channel.name)
        if self._broadcasters.get(channel) == found:
            return
        self._broadcasters[channel] = found
        for key, app in self.objects.items():
            if key.namespace == channel.namespace and channel.name in app.channels:
                self._kernel.reconcile(key)


def _claimed(resource: Resource) -> str | None:
    """The client id of an ExtensionApp that another shard acts for, if Twitch accepted it."""
    status = ExtensionAppStatus.from_status(resource.status)
    found = resource.spec.get("clientId")
    return found if isinstance(found, str) and status.secrets else None
