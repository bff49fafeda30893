"""The three Secrets of a channel's grant: the application, the consent, and the tokens.

The first two are the user's, and only read. The third is the operator's own: it is made with POST,
updated with the resourceVersion that was read, and one that is somebody else's is not touched.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.channels.grant import token_secret as tokens
from controller.channels.policies.grant_facts import Input
from controller.clients.identity import Application
from controller.clients.kube import KubeConflict, KubeError, KubeNotFound
from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret
from controller.policies import problems
from controller.policies.problems import Blocked
from controller.runtime.owned_secrets import SecretOwners, owner_reference, store_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.channels.policies.grant_facts import Holding
    from controller.clients.kube import Kube, Secret
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.runtime.resource import Key
    from controller.runtime.secret_cache import SecretStore
    from controller.sensitive import Sensitive

__all__ = ["GrantSecrets", "SecretPermissions"]

_APP = "spec.app.secretRef"
_PERMIT_LIFETIME = 60.0


class SecretPermissions:
    """Remembers for a minute in which namespaces a Secret may be made."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def has(self, namespace: str) -> bool:
        """Whether that was found out lately."""
        return time.monotonic() < self._until.get(namespace, 0.0)

    def note(self, namespace: str) -> None:
        """It was found out now."""
        self._until[namespace] = time.monotonic() + _PERMIT_LIFETIME

    def withdraw(self, namespace: str) -> None:
        """A Secret was refused there: each is to be rehearsed by itself again."""
        self._until.pop(namespace, None)


class GrantSecrets:
    """Reads what a channel's spec names, and keeps its tokens.

    Args:
        key: The channel.
        uid: Its UID.
        secrets: Reads, and tells when something changes.
        kube: Writes.
        permits: Shared by all channels.

    Attributes:
        owners: Whether the token Secret's owner is as the spec has it.
    """

    def __init__(
        self, key: Key, uid: str, secrets: SecretStore, kube: Kube, permits: SecretPermissions
    ) -> None:
        self._key = key
        self._uid = uid
        self._secrets = secrets
        self._kube = kube
        self._permits = permits
        self.owners = SecretOwners()

    def keep_only(self, spec: TwitchChannelSpec) -> None:
        """Read no longer what the spec named before."""
        given = spec.authorization.secret_key_ref
        names = (
            spec.app.secret_ref.name,
            given.name if given is not None else None,
            self._token_name(spec),
            spec.stream_key_secret_name,
        )
        kept = {(self._key.namespace, name) for name in names if name is not None}
        self._secrets.release(self._key, but=kept)

    async def application(self, spec: TwitchChannelSpec) -> Application | Blocked:
        """The application, or why there is none."""
        name = spec.app.secret_ref.name
        secret = await self._get(name)
        if secret is None:
            return problems.missing_secret(
                _APP, name, self._key.namespace, "client-id and client-secret"
            )
        try:
            client_id = text_of_key(secret, name, "client-id").reveal()
            has_secret = "client-secret" in secret.data
            client_secret = text_of_key(secret, name, "client-secret") if has_secret else None
        except InvalidSecret as error:
            return Blocked("InvalidSecret", f"{_APP}: {error}", human=True)
        return Application(client_id, client_secret)

    async def given(self, spec: TwitchChannelSpec, command: str) -> Input | Blocked | None:
        """What the user gave, or why it cannot be read; None: the way in needs nothing.

        Args:
            spec: Of the channel.
            command: What makes the Secret where it is missing.
        """
        ref = spec.authorization.secret_key_ref
        if ref is None:
            return None
        field = f"spec.authorization.{spec.authorization.way}.secretKeyRef"
        secret = await self._get(ref.name)
        if secret is None:
            namespace = self._key.namespace
            return problems.missing_secret(field, ref.name, namespace, ref.key, command)
        try:
            credential = text_of_key(secret, ref.name, ref.key)
        except InvalidSecret as error:
            return Blocked("InvalidSecret", f"{field}: {error}", human=True)
        code = spec.authorization.authorization_code
        return Input(credential, code.redirect_uri if code is not None else None)

    async def stored(
        self, spec: TwitchChannelSpec, *, fresh: bool = False
    ) -> Secret | Blocked | None:
        """The token Secret; None: there is none; Blocked: it is somebody else's."""
        name = self._token_name(spec)
        secret = await self._get(name, fresh=fresh)
        if secret is None:
            return None
        if not tokens.is_ours(secret, self._key) or tokens.CONTENT in secret.labels:
            return problems.foreign_secret("spec.token.secretName", name)
        return secret

    def is_owned_as_wanted(self, secret: Secret, spec: TwitchChannelSpec) -> bool:
        """Whether the token Secret goes with the channel, or stays, as the spec has it."""
        wanted = (self._uid,) if _goes_along(spec) else ()
        return self.owners.settled(secret.owner_uids, wanted)

    async def can_store(self, spec: TwitchChannelSpec, holding: Holding) -> bool:
        """Find out whether new tokens could be kept, before a one-time token is spent on them.

        Returns:
            False: the token Secret is not as it was read, or somebody else's.

        Raises:
            KubeError: The operator may not write it.
            KubeUnavailable: The API server is away.
        """
        secret = await self.stored(spec)
        namespace = self._key.namespace
        if secret is None and self._permits.has(namespace):
            return True
        if not await self._write(spec, secret, tokens.to_data(holding), dry_run=True):
            return False
        if secret is None:
            self._permits.note(namespace)
        return True

    async def store(self, spec: TwitchChannelSpec, holding: Holding) -> bool:
        """Write what is in hand; False: the Secret is not as it was read, or somebody else's."""
        secret = await self.stored(spec)
        return await self._write(spec, secret, tokens.to_data(holding), dry_run=False)

    async def _write(
        self,
        spec: TwitchChannelSpec,
        secret: Secret | Blocked | None,
        data: Mapping[str, Sensitive],
        *,
        dry_run: bool,
    ) -> bool:
        if isinstance(secret, Blocked):
            return False
        namespace, name = self._key.namespace, self._token_name(spec)
        labels = tokens.labels(self._key)
        owner = owner_reference(self._key, self._uid) if _goes_along(spec) else None
        try:
            stored, refusal = await store_secret(
                self._kube, namespace, name, data, labels,
                before=secret, owner=owner, dry_run=dry_run,
            )  # fmt: skip
        except (KubeConflict, KubeNotFound):
            await self._get(name, fresh=True)
            return False
        except KubeError:
            self._permits.withdraw(namespace)
            raise
        field, wanted = "spec.token.deletionPolicy", (self._uid,) if owner is not None else ()
        refused = problems.owner_refused(field, name, refusal) if refusal else None
        self.owners.wrote(wanted, refused)
        if not dry_run:
            self._secrets.put(namespace, name, stored)
        return True

    def _token_name(self, spec: TwitchChannelSpec) -> str:
        return spec.token_secret_name(self._key.name)

    async def _get(self, name: str, *, fresh: bool = False) -> Secret | None:
        return await self._secrets.get(self._key.namespace, name, self._key, fresh=fresh)


def _goes_along(spec: TwitchChannelSpec) -> bool:
    return spec.token.deletion_policy == "Delete"
