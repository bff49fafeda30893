"""The target Secret of an ExtensionApp: what it holds of the secrets, and what is written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.clients.kube import KubeConflict, KubeNotFound
from controller.extensions.policies.rotation import Holding
from controller.policies.extension_secrets import REVOKED_FOR, decode, encode
from controller.policies.problems import Blocked, owner_refused
from controller.policies.target_secret import CLIENT_ID_OF, foreign_target, target_labels
from controller.resources.common import parse_instant, rfc3339
from controller.resources.kind import GROUP
from controller.runtime.owned_secrets import SecretOwners, owner_reference, store_secret

if TYPE_CHECKING:
    from controller.clients.kube import Kube, Secret
    from controller.resources.extensionapp import ExtensionAppSpec
    from controller.runtime.resource import Resource
    from controller.runtime.secret_cache import SecretStore

__all__ = ["TargetSecret", "holding_of"]

_BEGUN = f"{GROUP}/rotation-begun"
_MARKS = (_BEGUN, REVOKED_FOR, CLIENT_ID_OF)


class TargetSecret:
    """Reads and writes the Secret that an ExtensionApp names.

    Args:
        resource: The ExtensionApp.
        secrets: What the named Secrets hold.
        kube: Writes.

    Attributes:
        owners: Whether the Secret's owner is as the spec has it.
    """

    def __init__(self, resource: Resource, secrets: SecretStore, kube: Kube) -> None:
        self._key = resource.key
        self._uid = resource.uid
        self._secrets = secrets
        self._kube = kube
        self.owners = SecretOwners()

    async def read(self, spec: ExtensionAppSpec) -> Secret | None:
        """Return the Secret; None: there is none."""
        name = spec.secret.target_secret_name
        return await self._secrets.get(self._key.namespace, name, self._key)

    def foreign(self, spec: ExtensionAppSpec, secret: Secret) -> Blocked | None:
        """Why a Secret of that name is not written; None: it is the ExtensionApp's own."""
        return foreign_target(
            spec.secret.target_secret_name,
            secret.labels,
            secret.annotations,
            namespace=self._key.namespace,
            extension=self._key.name,
            client_id=spec.client_id,
            holds_secrets=bool(decode(secret.data)),
        )

    def holds(self, spec: ExtensionAppSpec, secret: Secret, holding: Holding) -> bool:
        """Whether the Secret is as it should be: content, marks and owner."""
        wanted = {k: v.reveal().encode() for k, v in encode(holding.secrets, time.time()).items()}
        marks = {name: text for name, text in secret.annotations.items() if name in _MARKS}
        owned = (self._uid,) if spec.secret.deletion_policy == "Delete" else ()
        return (
            dict(secret.data) == wanted
            and marks == _marks(spec, holding)
            and self.owners.settled(secret.owner_uids, owned)
        )

    async def write(
        self, spec: ExtensionAppSpec, secret: Secret | None, holding: Holding
    ) -> Secret | None:
        """Make or replace the Secret.

        Args:
            spec: Of the ExtensionApp.
            secret: As it was read.
            holding: What it should hold.

        Returns:
            As it is stored; None: it is not as it was read, and was read anew.
        """
        namespace, name = self._key.namespace, spec.secret.target_secret_name
        owned = spec.secret.deletion_policy == "Delete"
        labels, kept = (secret.labels, secret.annotations) if secret is not None else ({}, {})
        others = {k: v for k, v in kept.items() if k not in _MARKS}
        try:
            stored, refusal = await store_secret(
                self._kube, namespace, name, encode(holding.secrets, time.time()),
                {**labels, **target_labels(self._key.name)}, before=secret,
                owner=owner_reference(self._key, self._uid) if owned else None,
                annotations=others | _marks(spec, holding),
            )  # fmt: skip
        except (KubeConflict, KubeNotFound):
            await self._secrets.get(namespace, name, self._key, fresh=True)
            return None
        refused = owner_refused("spec.secret.deletionPolicy", name, refusal) if refusal else None
        self.owners.wrote((self._uid,) if owned else (), refused)
        self._secrets.put(namespace, name, stored)
        return stored


def holding_of(secret: Secret) -> Holding:
    """Read what a target Secret holds."""
    try:
        begun = parse_instant(secret.annotations[_BEGUN])
    except (KeyError, ValueError):
        begun = None
    return Holding(decode(secret.data), begun, secret.annotations.get(REVOKED_FOR, ""))


def _marks(spec: ExtensionAppSpec, holding: Holding) -> dict[str, str]:
    """Annotations of the target Secret: whose secrets, and what was under way."""
    marks = {CLIENT_ID_OF: spec.client_id}
    if holding.begun is not None:
        marks[_BEGUN] = rfc3339(holding.begun)
    return marks | ({REVOKED_FOR: holding.revoke_request} if holding.revoke_request else {})
