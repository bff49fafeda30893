"""A channel's stream key, in a Secret that an encoder can mount."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from controller.channels.grant import token_secret as tokens
from controller.channels.policies import stream_keys as policy
from controller.clients.helix import Unauthorized
from controller.clients.kube import KubeConflict, KubeError, KubeNotFound
from controller.errors import OperatorError, TransientError
from controller.runtime.owned_secrets import SecretOwners, jitter, owner_reference, store_secret
from controller.runtime.plan_loop import settle

if TYPE_CHECKING:
    from controller.clients.helix import Credential, Helix
    from controller.clients.kube import Kube, Secret
    from controller.policies.problems import Blocked
    from controller.runtime.resource import Key
    from controller.runtime.secret_cache import SecretStore
    from controller.sensitive import Sensitive

    _Seen = tuple[policy.StreamKeyFacts, Secret | None]

__all__ = ["DATA_KEY", "StreamKeyManager"]

logger = logging.getLogger(__name__)

DATA_KEY = "stream-key"
"""Key of the Secret; and value of its label."""


class StreamKeyManager:
    """Keeps the Secret of one channel's stream key as Twitch tells the key.

    The Secret is owned by the channel and goes with it. When the spec names another, or none any
    more, the former Secret stays as it is until the channel is deleted. A Secret that was not made
    for this channel's stream key is never written to. Whoever calls `reconcile` tells the
    `SecretStore` when the Secret is no longer needed (`release`).

    Args:
        key: The channel.
        uid: Its UID.
        helix: Tells the key.
        secrets: Reads the Secret, and tells when somebody changes or deletes it.
        kube: Writes it.
        interval: Seconds between two reads of the key at Twitch.

    Attributes:
        problem: What keeps the key from its Secret; None: nothing, or no Secret is wanted. While
            `synced`, what may pass by itself is none.
        owners: Whether the Secret's owner is the channel.
        synced: The Secret holds the key that Twitch told last, to this process.
    """

    def __init__(
        self,
        key: Key,
        uid: str,
        *,
        helix: Helix,
        secrets: SecretStore,
        kube: Kube,
        interval: float,
    ) -> None:
        self._channel = key
        self._uid = uid
        self._helix = helix
        self._secrets = secrets
        self._kube = kube
        self._interval = interval
        self._jitter = jitter(uid)
        self._key: Sensitive | None = None
        self._broadcaster_id = ""
        self._read_at: float | None = None
        self._refused: Sensitive | None = None
        self.problem: Blocked | None = None
        self.synced = False
        self.owners = SecretOwners()

    async def reconcile(
        self,
        secret_name: str | None,
        credential: Credential | None,
        broadcaster_id: str,
        allowed: bool,
    ) -> float | None:
        """Do what is due.

        Args:
            secret_name: `spec.streamKeySecretName`; None: no Secret is wanted.
            credential: What calls are signed with; None: there is nothing that lives.
            broadcaster_id: Whose grant it is; "": not known yet.
            allowed: The grant has the scope channel:read:stream_key.

        Returns:
            When to come back (seconds since the epoch); None: when something changes.

        Raises:
            Unauthorized: Twitch refused the token; a refresh may cure it.
            OperatorError: To be tried again with growing pauses.
        """
        if secret_name is None:
            self._forget()
            self.problem, self.synced, self.owners = None, False, SecretOwners()
            return None
        if broadcaster_id not in ("", self._broadcaster_id):
            self._forget()
            self._broadcaster_id = broadcaster_id
        try:
            return await self._work(secret_name, credential, broadcaster_id, allowed=allowed)
        except OperatorError as error:
            failing = policy.refused if isinstance(error, KubeError) else policy.failing
            self.problem = None if self.synced else failing(str(error))
            raise

    async def _work(
        self, name: str, credential: Credential | None, broadcaster_id: str, *, allowed: bool
    ) -> float | None:
        usable = credential if broadcaster_id else None

        async def look() -> _Seen:
            secret = await self._secrets.get(self._channel.namespace, name, self._channel)
            facts = self._facts(name, secret, granted=usable is not None, allowed=allowed)
            self.synced = facts.stored
            return facts, secret

        rest, _ = await settle(
            look,
            lambda seen, now: policy.plan(seen[0], now, self._interval),
            partial(self._do, name, usable, broadcaster_id),
            unsettled=f"Secret {name} changes whenever the stream key is written to it",
        )
        self.problem = rest.blocked
        return rest.until

    async def _do(
        self, name: str, usable: Credential | None, whose: str, step: policy.Plan, seen: _Seen
    ) -> None:
        if isinstance(step, policy.Write):
            await self._write(name, seen[1])
        elif usable is not None:
            await self._read(usable, whose)

    def _facts(
        self, name: str, secret: Secret | None, *, granted: bool, allowed: bool
    ) -> policy.StreamKeyFacts:
        foreign = secret is not None and not self._is_ours(secret)
        return policy.StreamKeyFacts(
            name=name,
            command=f"kubectl twitch authorize -n {self._channel.namespace} {self._channel.name}",
            foreign=foreign,
            granted=granted,
            allowed=allowed,
            read_at=self._read_at,
            stored=secret is not None and not foreign and self._is_current(secret),
            jitter=self._jitter,
        )

    def _is_ours(self, secret: Secret) -> bool:
        # The label of the channel alone would also be that of its tokens.
        content = secret.labels.get(tokens.CONTENT)
        return tokens.is_ours(secret, self._channel) and content == DATA_KEY

    def _is_current(self, secret: Secret) -> bool:
        # Others may own it besides: they are left alone.
        found = (self._uid,) if self._uid in secret.owner_uids else secret.owner_uids
        if not self.owners.settled(found, (self._uid,)) or self._key is None:
            return False
        return secret.data.get(DATA_KEY) == self._key.reveal().encode()

    def _forget(self) -> None:
        self._key, self._read_at, self._refused, self._broadcaster_id = None, None, None, ""

    async def _read(self, credential: Credential, broadcaster_id: str) -> None:
        try:
            self._key = await self._helix.stream_key(credential, broadcaster_id)
        except Unauthorized as error:
            if self._refused not in (None, credential.access):
                # The token that replaced a refused one is refused, too: no refresh cures that.
                raise TransientError(str(error)) from error
            self._refused = credential.access
            raise
        self._refused = None
        self._read_at = time.time()

    async def _write(self, name: str, secret: Secret | None) -> None:
        """Make or replace the Secret; one that is not as it was read is read anew."""
        if self._key is None:
            return
        namespace = self._channel.namespace
        data = {DATA_KEY: self._key}
        labels = tokens.labels(self._channel) | {tokens.CONTENT: DATA_KEY}
        owner = owner_reference(self._channel, self._uid)
        try:
            stored, refusal = await store_secret(
                self._kube, namespace, name, data, labels, before=secret, owner=owner
            )
        except (KubeConflict, KubeNotFound):
            await self._secrets.get(namespace, name, self._channel, fresh=True)
            return
        refused = policy.owner_refused(name, refusal) if refusal else None
        self.owners.wrote((self._uid,), refused)
        self._secrets.put(namespace, name, stored)
        logger.info("%s: the stream key is in Secret %s", self._channel, name)
