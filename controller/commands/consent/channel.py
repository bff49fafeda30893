"""The TwitchChannel that a command is about, found in the cluster as kubectl finds it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from controller.clients.identity import Application
from controller.clients.kube import KubeNotFound, KubeUnavailable
from controller.clients.secret_values import marks_of, text_of_key
from controller.commands.cluster import (
    explain_absence,
    full_name,
    no_operator,
    open_cluster,
    told,
)
from controller.commands.consent.outcomes import Done, Failed, Waiting
from controller.commands.terminal import say
from controller.durations import format_duration
from controller.errors import OperatorError
from controller.resources.common import rfc3339
from controller.resources.twitchchannel import (
    TWITCH_CHANNEL,
    TwitchChannelSpec,
    TwitchChannelStatus,
)
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.clients.kube import Kube, Secret
    from controller.commands.consent.outcomes import Verdict
    from controller.resources.common import SecretKeyReference

__all__ = ["Channel", "open_channel"]

_LOOK = 1.0  # seconds between two looks at the status
_PLURAL = TWITCH_CHANNEL.plural


@asynccontextmanager
async def open_channel(
    name: str, namespace: str | None, context: str | None
) -> AsyncIterator[Channel]:
    """Find the cluster and the channel in it.

    Args:
        name: Of the TwitchChannel.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.

    Raises:
        OperatorError: There is no such cluster or channel, or it must not be read.
    """
    async with open_cluster(context) as cluster:
        yield await Channel.find(cluster.kube, cluster.namespace(namespace), name)


class Channel:
    """One TwitchChannel; whatever is forbidden is told with the right that is missing.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        spec: As it was found.
        status: As it was last read.
    """

    spec: TwitchChannelSpec
    status: TwitchChannelStatus

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube = kube
        self.namespace = namespace
        self.name = name

    @classmethod
    async def find(cls, kube: Kube, namespace: str, name: str) -> Channel:
        """Read it.

        Raises:
            OperatorError: There is none of that name, or it must not be read.
        """
        channel = cls(kube, namespace, name)
        try:
            await channel._read()
        except KubeNotFound:
            raise OperatorError(
                await explain_absence(kube, TWITCH_CHANNEL, namespace, name)
            ) from None
        return channel

    async def _read(self) -> None:
        with told(full_name(TWITCH_CHANNEL), self.namespace):
            found = await self._kube.get(_PLURAL, self.namespace, self.name)
        self.spec = TwitchChannelSpec.from_spec(found["spec"])
        self.status = TwitchChannelStatus.from_status(found.get("status") or {})

    async def application(self) -> Application:
        """The application that it names.

        Raises:
            OperatorError: Its Secret is missing, lacks a key, or must not be read.
        """
        name = self.spec.app.secret_ref.name
        try:
            with told("secrets", self.namespace):
                secret = await self._kube.get_secret(self.namespace, name)
        except KubeNotFound:
            msg = (
                f"spec.app.secretRef: Secret {name} does not exist in namespace {self.namespace}:"
                " create it with the keys client-id and client-secret"
            )
            raise OperatorError(msg) from None
        client_id = text_of_key(secret, name, "client-id").reveal()
        has_secret = "client-secret" in secret.data
        return Application(
            client_id, text_of_key(secret, name, "client-secret") if has_secret else None
        )

    async def dry_run(self, given: SecretKeyReference | None, annotation: str) -> None:
        """Find out whether all could be written, before a consent is spent on it.

        Args:
            given: Where the consent goes; None: nowhere.
            annotation: By which the operator is asked.

        Raises:
            OperatorError: It could not, or the Secret is not for a consent.
        """
        await self._annotate(annotation, "", dry_run=True)
        if given is None:
            return
        found = await self._hand_over(given, Sensitive("a consent"), dry_run=True)
        refusal = marks_of(found).refusal(given.name)
        if refusal is not None:
            field = f"spec.authorization.{self.spec.authorization.way}.secretKeyRef"
            raise OperatorError(f"{field}: {refusal}")

    async def hand_over(self, given: SecretKeyReference, consent: Sensitive) -> None:
        """Put a code or a refresh token where the operator reads it."""
        await self._hand_over(given, consent)
        say(f"The consent is in Secret {given.name} (key {given.key}) for the operator.")

    async def ask(self, annotation: str) -> str:
        """Ask the operator for something; returns the value by which its status will answer."""
        value = rfc3339(time.time())
        await self._annotate(annotation, value)
        return value

    async def wait(
        self,
        judge: Callable[[TwitchChannelStatus], Verdict],
        patience: float,
        on_address: Callable[[str], object] = lambda _: None,
    ) -> str:
        """Look at the status until a request has come to its end, and print what changes.

        Args:
            judge: Says from the status where it stands.
            patience: Seconds, beside those in which a human is waited for.
            on_address: Is given the first address that a human is to open.

        Returns:
            What was done.

        Raises:
            OperatorError: It was not done, or not in time.
        """
        shown = opened = ""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            match await self._judged(judge):
                case Done(text):
                    return text
                case Failed(text):
                    raise OperatorError(text)
                case Waiting(text, unhurried, address):
                    if text not in ("", shown):
                        say(text)
                        shown = text
                    if unhurried:
                        deadline = time.monotonic() + patience
                    if address and not opened:
                        on_address(address)
                        opened = address
            await asyncio.sleep(_LOOK)
        raise OperatorError(self._explain_silence(shown, patience))

    async def _judged(self, judge: Callable[[TwitchChannelStatus], Verdict]) -> Verdict:
        try:
            await self._read()
        except KubeUnavailable as error:
            return Waiting(str(error))
        except KubeNotFound:
            return Failed(f"twitchchannel/{self.name} was deleted meanwhile")
        return judge(self.status)

    async def _annotate(self, annotation: str, value: str, *, dry_run: bool = False) -> None:
        with told(full_name(TWITCH_CHANNEL), self.namespace):
            await self._kube.annotate(
                _PLURAL, self.namespace, self.name, {annotation: value}, dry_run=dry_run
            )

    async def _hand_over(
        self, given: SecretKeyReference, consent: Sensitive, *, dry_run: bool = False
    ) -> Secret:
        with told("secrets", self.namespace):
            return await self._kube.set_secret_key(
                self.namespace, given.name, given.key, consent, dry_run=dry_run
            )

    def _explain_silence(self, shown: str, patience: float) -> str:
        within = format_duration(patience)
        if shown:
            return f"gave up after {within}; what was last seen is: {shown}"
        silent = no_operator(self.namespace, within)
        ready = next((each for each in self.status.conditions if each.type == "Ready"), None)
        before = f". The status is of before: {ready.reason}: {ready.message}" if ready else ""
        return silent + before
