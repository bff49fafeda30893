"""Writes the Secrets that the operator makes, with their owners where that is allowed."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from controller.clients.kube import KubeConflict, KubeError, KubeNotFound
from controller.resources.kind import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clients.kube import Kube, Secret
    from controller.policies.problems import Blocked
    from controller.runtime.resource import Key
    from controller.sensitive import Sensitive

__all__ = ["SecretOwners", "jitter", "owner_reference", "store_secret"]

_FORBIDDEN = 403
_ASK_AGAIN = 60.0  # seconds from a refusal: the right may be given meanwhile


class SecretOwners:
    """Whether a Secret has the owners that it should have, where the API server may refuse them.

    Attributes:
        problem: Why it has not; None: it has.
    """

    def __init__(self) -> None:
        self.problem: Blocked | None = None
        self._refused: tuple[str, ...] = ()
        self._again = 0.0

    def settled(self, found: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
        """Whether nothing is to be written because of them.

        Args:
            found: UIDs of the owners it has.
            wanted: UIDs of those that it should have.
        """
        if found == wanted:
            self.problem = None
        elif self.problem is None or self._refused != wanted:
            return False
        return self.problem is None or time.monotonic() < self._again

    def wrote(self, wanted: tuple[str, ...], refused: Blocked | None) -> None:
        """It was written; `refused` tells why not with these owners."""
        self._refused, self.problem = wanted, refused
        self._again = time.monotonic() + _ASK_AGAIN

    def ask_again(self) -> None:
        """Take no former refusal for an answer."""
        self._again = 0.0

    @property
    def next_try(self) -> float | None:
        """When to ask again (seconds since the epoch); None: not for a former refusal."""
        left = self._again - time.monotonic()
        # Past that moment, whoever looks next asks: to be woken again would not make them look.
        return time.time() + left if self.problem is not None and left > 0 else None


async def store_secret(  # noqa: PLR0913 - a Secret has that many parts
    kube: Kube,
    namespace: str,
    name: str,
    data: Mapping[str, Sensitive],
    labels: Mapping[str, str],
    *,
    before: Secret | None,
    owner: Mapping[str, Any] | None,
    annotations: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> tuple[Secret, KubeError | None]:
    """Make a Secret, or replace one that is still as it was read.

    Clusters with the admission plugin OwnerReferencesPermissionEnforcement let nobody change the
    owners of an object who may not delete it. Then the Secret is stored with the owners it has.

    Args:
        kube: Writes.
        namespace: Of the Secret.
        name: Of the Secret.
        data: Key → text.
        labels: Of the Secret.
        before: As it was read; None: there is none.
        owner: Owner reference that it should have; None: none.
        annotations: Of the Secret.
        dry_run: Only find out whether it could be written.

    Returns:
        As it is stored, and why its owner is not as wanted (None: it is).

    Raises:
        KubeConflict: It is not as it was read.
        KubeNotFound: It is gone.
        KubeError: The API server refuses it for good.
        KubeUnavailable: The API server is away.
    """
    if before is None:
        made = await kube.create_secret(
            namespace, name, data, labels, owner, annotations=annotations, dry_run=dry_run
        )
        return made, None

    async def update(owners: tuple[Mapping[str, Any], ...]) -> Secret:
        return await kube.update_secret(
            namespace, name, data, labels,
            resource_version=before.resource_version, owners=owners,
            annotations=annotations, dry_run=dry_run,
        )  # fmt: skip

    wanted = (owner,) if owner is not None else ()
    try:
        return await update(wanted), None
    except (KubeConflict, KubeNotFound):
        raise
    except KubeError as error:
        same = [each["uid"] for each in wanted] == list(before.owner_uids)
        if error.status != _FORBIDDEN or same:
            raise
        return await update(before.owners), error


def owner_reference(key: Key, uid: str) -> dict[str, object]:
    """Owner reference: the Secret goes with its resource."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": key.kind, "name": key.name, "uid": uid}


def jitter(uid: str) -> float:
    """0..1, steady for a resource: spreads what would fall due together."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) / 2**32
