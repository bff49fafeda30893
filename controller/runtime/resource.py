"""What the kernel keeps of a resource as the API server holds it."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from controller.resources.common import parse_instant
from controller.resources.kind import GROUP, REQUESTED_AT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Key", "Resource", "pack", "unpack"]

_OURS = f"{GROUP}/"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Key(NamedTuple):
    """Names a resource."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """Namespace/name, where the kind is known."""
        return f"{self.namespace}/{self.name}"


def pack(status: Mapping[str, Any]) -> bytes:
    """Compress a JSON object.

    As objects, the specs and statuses of ten thousand channels and rules take 100 MiB.
    """
    return zlib.compress(json.dumps(status, separators=(",", ":")).encode(), level=1)


def unpack(packed: bytes) -> Mapping[str, Any]:
    """Return what was packed."""
    return json.loads(zlib.decompress(packed))  # type: ignore[no-any-return]


class _Packable:
    """A JSON object, or the same as compressed text."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, instance: object | None, _owner: type) -> Mapping[str, Any]:
        if instance is None:
            raise AttributeError(self._slot)  # a dataclass asks for a default: there is none
        value = instance.__dict__[self._slot]
        return unpack(value) if isinstance(value, bytes) else value

    def __set__(self, instance: object, value: Mapping[str, Any] | bytes) -> None:
        instance.__dict__[self._slot] = value


@dataclass(frozen=True)
class Resource:
    """One state of a resource.

    Attributes:
        key: Its name.
        uid: Tells it from another of the same name.
        generation: Grows with each change of the spec.
        created: When it was made, in whole seconds, on the API server's clock.
        requested_at: Value of the annotation that asks for a reconciliation now.
        spec: As stored; empty in what is `kept`.
        status: As stored; in what is `kept`, it is unpacked anew at each look.
        annotations: Those of the operator's own group: what its users ask for.
        version: Grows with each change of anything; 0: not known.
        labels: By which rules select channels; a change of them does not change the generation.
    """

    key: Key
    uid: str
    generation: int
    created: float
    requested_at: str | None
    spec: Mapping[str, Any]
    status: _Packable = _Packable()
    annotations: Mapping[str, str] = field(default_factory=lambda: _NONE)
    labels: Mapping[str, str] = field(default_factory=lambda: _NONE)
    version: int = 0

    @property
    def asks(self) -> tuple[object, ...]:
        """What its user wants: where this is the same, there is nothing new to do."""
        return self.generation, self.requested_at, self.annotations, self.labels

    def kept(self, written: bytes | None = None) -> Resource:
        """What is held of it once its spec is parsed.

        Most of what a watch tells is an echo, and is never held: that is not worth packing.

        Args:
            written: The status that was written since, packed.
        """
        return replace(self, spec=_NONE, status=written or pack(self.status))

    @classmethod
    def from_body(cls, kind: str, body: Mapping[str, Any]) -> Resource:
        """Read what a list or a watch delivered."""
        meta = body["metadata"]
        found = (meta.get("annotations") or {}).items()
        annotations = {name: value for name, value in found if name.startswith(_OURS)}
        return cls(
            key=Key(kind, meta["namespace"], meta["name"]),
            uid=meta["uid"],
            generation=int(meta.get("generation") or 0),
            created=parse_instant(meta["creationTimestamp"]),
            requested_at=annotations.get(REQUESTED_AT),
            annotations=annotations or _NONE,
            labels=meta.get("labels") or _NONE,
            version=_version(meta.get("resourceVersion")),
            spec=body.get("spec") or {},
            status=body.get("status") or {},
        )


def _version(text: object) -> int:
    """API servers hand out growing numbers, though clients may rely on it only of late."""
    return int(text) if isinstance(text, str) and text.isdecimal() else 0
