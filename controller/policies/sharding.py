"""Which of several operators, the shards, a namespace belongs to.

All resources of a namespace belong to one shard: the one that the layout names, or else the one
that follows from the namespace's name. A label names where a namespace is wanted; it is moved there
by the shard that has it, and by no other, so that never two act for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from controller.resources.kind import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "SHARD_LABEL",
    "Layout",
    "Wish",
    "ignored",
    "lease_name",
    "moves",
    "shard_named",
    "shard_of",
    "wanted",
]

SHARD_LABEL: Final = f"{GROUP}/shard"
"""Label of a resource: the shard that its namespace is to belong to."""

_SHARDS = f"{GROUP}/shards"
_NAMESPACES = f"{GROUP}/namespaces"
_NONE: Final[Mapping[str, int]] = MappingProxyType({})
_MOST_DIGITS = 4


def shard_of(namespace: str, shards: int) -> int:
    """The shard of a namespace that nobody moved: the same in each process and each release.

    It is the first 8 bytes of the name's SHA-256, as a big-endian number, modulo the shards.

    Args:
        namespace: Its name.
        shards: How many there are.
    """
    return int.from_bytes(hashlib.sha256(namespace.encode()).digest()[:8]) % shards


def lease_name(base: str, shard: int, shards: int) -> str:
    """Name of the Lease by which a shard's replicas elect a leader."""
    return base if shards == 1 else f"{base}-{shard}-of-{shards}"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the namespaces are divided; all shards read the same one.

    Attributes:
        shards: How many shards there are.
        moved: Namespaces that were given to a shard, whatever their names say.
    """

    shards: int
    moved: Mapping[str, int] = field(default_factory=lambda: _NONE)

    def owner(self, namespace: str) -> int:
        """The one shard that acts for a namespace."""
        return self.moved.get(namespace, shard_of(namespace, self.shards))

    def with_moved(self, moved: Mapping[str, int]) -> Layout:
        """The same with some namespaces given to others."""
        return Layout(self.shards, {**self.moved, **moved})

    @property
    def annotations(self) -> dict[str, str]:
        """As it is stored."""
        moved = json.dumps(dict(self.moved), separators=(",", ":"), sort_keys=True)
        return {_SHARDS: str(self.shards), _NAMESPACES: moved}

    @classmethod
    def of(cls, annotations: Mapping[str, str]) -> Layout | None:
        """Read what is stored; None: nothing that can be read, as if nothing was."""
        text = annotations.get(_SHARDS, "")
        if not _is_number(text) or int(text) == 0:
            return None
        shards = int(text)
        try:
            told = json.loads(annotations.get(_NAMESPACES) or "{}")
        except ValueError:
            return None
        if not isinstance(told, dict):
            return None
        moved = {n: s for n, s in told.items() if type(s) is int and 0 <= s < shards}
        return cls(shards, moved) if len(moved) == len(told) else None


@dataclass(frozen=True, slots=True, order=True)
class Wish:
    """The label of one resource.

    Attributes:
        created: When the resource was made.
        uid: Of the resource.
        namespace: Of the resource.
        text: The label's value.
    """

    created: float
    uid: str
    namespace: str
    text: str


def shard_named(text: str, shards: int) -> int | None:
    """The shard that a label names; None: there is no such shard."""
    return int(text) if _is_number(text) and int(text) < shards else None


def wanted(wishes: Iterable[Wish], shards: int) -> dict[str, tuple[int, Wish]]:
    """The shard that each labelled namespace is wanted at, and the label that says so.

    The label of the oldest resource counts: a newer one, which another person may have made, moves
    nothing. A label that names no shard counts for nothing.

    Args:
        wishes: All labels.
        shards: How many there are.
    """
    found: dict[str, tuple[int, Wish]] = {}
    for wish in sorted(wishes):
        shard = shard_named(wish.text, shards)
        if shard is not None:
            found.setdefault(wish.namespace, (shard, wish))
    return found


def moves(
    layout: Layout, shard: int, namespaces: Iterable[str], wishes: Iterable[Wish]
) -> dict[str, int]:
    """The namespaces that a shard is to give to others.

    Args:
        layout: As it is.
        shard: The one that gives.
        namespaces: All in which there are resources.
        wishes: All labels.

    Returns:
        The receiving shard of each.
    """
    by_label = wanted(wishes, layout.shards)
    found = {}
    for namespace in namespaces:
        home = shard_of(namespace, layout.shards)
        target = by_label[namespace][0] if namespace in by_label else home
        if layout.owner(namespace) == shard != target:
            found[namespace] = target
    return found


def ignored(wishes: Iterable[Wish], shards: int) -> dict[Wish, str]:
    """The labels that do not count, and for each what to do about it."""
    all_of_them = list(wishes)
    by_label, found = wanted(all_of_them, shards), {}
    for wish in all_of_them:
        target, first = by_label.get(wish.namespace, (None, None))
        named = shard_named(wish.text, shards)
        label = f"label {SHARD_LABEL}={wish.text!r} of a resource of namespace {wish.namespace}"
        if named is None:
            found[wish] = f"the {label} names no shard: set it to 0..{shards - 1}, or remove it"
        elif first is not None and named != target:
            found[wish] = (
                f"the {label} is ignored, for an older resource of the namespace has {target}: give"
                " all its resources the same label, or only one"
            )
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
