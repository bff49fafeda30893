"""The three Secrets of a channel's grant: the application, the consent, and the tokens.

The first two are the user's, and only read. The third is the operator's own: it is made with POST,
updated with the resourceVersion that was read, and one that is somebody else's is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clients.identity import Application
from controller.clients.kube import KubeConflict, KubeNotFound
from controller.engine import tokens
from controller.engine.secrets import text_of_key
from controller.errors import InvalidSecret
from controller.policies.grants import Blocked

if TYPE_CHECKING:
    from controller.clients.kube import Kube, Secret
    from controller.engine.resource import Key
    from controller.engine.secrets import SecretStore
    from controller.policies.grants import Grant
    from controller.resources.twitchchannel import TwitchChannelSpec
    from controller.sensitive import Sensitive

__all__ = ["GrantSecrets"]

_APP = "spec.app.secretRef"
_INPUT = "spec.authorization.refreshToken.secretKeyRef"


class GrantSecrets:
    """Reads what a channel's spec names, and keeps its tokens.

    Args:
        key: The channel.
        uid: Its UID.
        secrets: Reads, and tells when something changes.
        kube: Writes.
    """

    def __init__(self, key: Key, uid: str, secrets: SecretStore, kube: Kube) -> None:
        self._key = key
        self._uid = uid
        self._secrets = secrets
        self._kube = kube

    def keep_only(self, spec: TwitchChannelSpec) -> None:
        """Read no longer what the spec named before."""
        names = (
            spec.app.secret_ref.name,
            spec.authorization.refresh_token.secret_key_ref.name,
            self._token_name(spec),
        )
        self._secrets.release(self._key, but={(self._key.namespace, name) for name in names})

    async def application(self, spec: TwitchChannelSpec) -> Application | Blocked:
        """The application, or why there is none."""
        name = spec.app.secret_ref.name
        secret = await self._get(name)
        if secret is None:
            return tokens.missing(_APP, name, "client-id and client-secret")
        try:
            client_id = text_of_key(secret, name, "client-id").reveal()
            has_secret = "client-secret" in secret.data
            client_secret = text_of_key(secret, name, "client-secret") if has_secret else None
        except InvalidSecret as error:
            return Blocked("InvalidSecret", f"{_APP}: {error}", human=True)
        return Application(client_id, client_secret)

    async def refresh_token(self, spec: TwitchChannelSpec) -> Sensitive | Blocked:
        """The refresh token that the user gave, or why there is none."""
        ref = spec.authorization.refresh_token.secret_key_ref
        secret = await self._get(ref.name)
        if secret is None:
            return tokens.missing(_INPUT, ref.name, ref.key)
        try:
            return text_of_key(secret, ref.name, ref.key)
        except InvalidSecret as error:
            return Blocked("InvalidSecret", f"{_INPUT}: {error}", human=True)

    async def stored(
        self, spec: TwitchChannelSpec, *, fresh: bool = False
    ) -> Secret | Blocked | None:
        """The token Secret; None: there is none; Blocked: it is somebody else's."""
        name = self._token_name(spec)
        secret = await self._get(name, fresh=fresh)
        if secret is not None and not tokens.is_ours(secret, self._key):
            return tokens.foreign(name)
        return secret

    def is_owned_as_wanted(self, secret: Secret, spec: TwitchChannelSpec) -> bool:
        """Whether the token Secret goes with the channel, or stays, as the spec has it."""
        return secret.owner_uids == ((self._uid,) if _goes_along(spec) else ())

    async def store(self, spec: TwitchChannelSpec, grant: Grant) -> bool:
        """Write a grant; False: the Secret is not as it was read, or somebody else's."""
        namespace, name = self._key.namespace, self._token_name(spec)
        secret = await self.stored(spec)
        if isinstance(secret, Blocked):
            return False
        data, labels = tokens.to_data(grant), tokens.labels(self._key)
        owner = tokens.owner(self._key, self._uid) if _goes_along(spec) else None
        try:
            if secret is None:
                stored = await self._kube.create_secret(namespace, name, data, labels, owner)
            else:
                version = secret.resource_version
                stored = await self._kube.update_secret(
                    namespace, name, data, labels, resource_version=version, owner=owner
                )
        except (KubeConflict, KubeNotFound):
            await self._get(name, fresh=True)
            return False
        self._secrets.put(namespace, name, stored)
        return True

    def _token_name(self, spec: TwitchChannelSpec) -> str:
        return spec.token_secret_name(self._key.name)

    async def _get(self, name: str, *, fresh: bool = False) -> Secret | None:
        return await self._secrets.get(self._key.namespace, name, self._key, fresh=fresh)


def _goes_along(spec: TwitchChannelSpec) -> bool:
    return spec.token.deletion_policy == "Delete"
