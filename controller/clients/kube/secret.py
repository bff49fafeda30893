"""Secrets, as the API server sends and takes them."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.sensitive import Sensitive

__all__ = ["Secret", "secret_manifest"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret as read.

    Attributes:
        data: Key → decoded bytes.
        labels: Its labels.
        owners: Its owner references.
        resource_version: For an update that must not overwrite another's.
        uid: Its own UID.
        annotations: Its annotations.
    """

    data: Mapping[str, bytes]
    labels: Mapping[str, str]
    owners: tuple[Mapping[str, Any], ...]
    resource_version: str
    uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def owner_uids(self) -> tuple[str, ...]:
        """The UIDs of its owners."""
        return tuple(str(owner.get("uid", "")) for owner in self.owners)

    def __repr__(self) -> str:
        return f"Secret(keys={sorted(self.data)}, resource_version={self.resource_version!r})"

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Secret:
        """Decode what the API server sent."""
        meta = manifest["metadata"]
        data = {}
        for key, text in (manifest.get("data") or {}).items():
            try:
                data[key] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError, TypeError):
                data[key] = b""
        return cls(
            data=data,
            labels=meta.get("labels") or {},
            owners=tuple(meta.get("ownerReferences") or ()),
            resource_version=meta.get("resourceVersion", ""),  # none of a rehearsed creation
            uid=meta["uid"],
            annotations=meta.get("annotations") or {},
        )


def secret_manifest(
    name: str,
    data: Mapping[str, Sensitive],
    labels: Mapping[str, str],
    owners: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return the manifest of a Secret; the arguments are those of `Kube.create_secret`."""
    metadata: dict[str, Any] = {"name": name, "labels": dict(labels)}
    if annotations:
        metadata["annotations"] = dict(annotations)
    if owners:
        metadata["ownerReferences"] = [dict(owner) for owner in owners]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata,
        "data": {k: base64.b64encode(v.reveal().encode()).decode() for k, v in data.items()},
    }
