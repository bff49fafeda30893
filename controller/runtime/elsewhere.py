"""What is known of the resources that other shards act for: the least that matters here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.policies.sharding import SHARD_LABEL, Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.runtime.resource import Key, Resource

__all__ = ["Elsewhere", "Foreign", "wish_of"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A resource that another shard acts for.

    Attributes:
        key: Its name.
        uid: Tells it from another of the same name.
        created: When it was made.
        claim: What it has of which there is one in all namespaces, such as a broadcaster; None:
            nothing.
        wish: Its label for the shard.
    """

    key: Key
    uid: str
    created: float
    claim: str | None
    wish: Wish | None


class Elsewhere:
    """Knows the resources of the other shards, and tells kinds of claims that came or went."""

    def __init__(self) -> None:
        self._of_kind: dict[str, dict[str, Foreign]] = {}
        self._claim_of: dict[str, Callable[[Resource], str | None]] = {}
        self._changed: dict[str, Callable[[str], None]] = {}

    def follow(
        self, kind: str, claim_of: Callable[[Resource], str | None], changed: Callable[[str], None]
    ) -> None:
        """Follow the claims of a kind.

        Args:
            kind: Its name.
            claim_of: Reads what a resource claims.
            changed: Called with a claim that a resource has now, or has no longer.
        """
        self._claim_of[kind], self._changed[kind] = claim_of, changed

    def take(self, resource: Resource) -> None:
        """Take a resource that is new, or its new state."""
        kind = resource.key.kind
        claim = self._claim_of[kind](resource) if kind in self._claim_of else None
        found = Foreign(resource.key, resource.uid, resource.created, claim, wish_of(resource))
        known = self._of_kind.setdefault(kind, {})
        before = known.get(resource.uid)
        known[resource.uid] = found
        self._tell(kind, before, found)

    def drop(self, kind: str, uids: set[str]) -> None:
        """Forget those that are not there any more."""
        known = self._of_kind.get(kind, {})
        for uid in uids & known.keys():
            self._tell(kind, known.pop(uid), None)

    def clear(self) -> None:
        """Forget all: they are listed anew."""
        for kind, known in self._of_kind.items():
            self.drop(kind, set(known))

    def uids(self, kind: str, namespace: str | None) -> set[str]:
        """UIDs of those of a kind, in a namespace or all."""
        known = self._of_kind.get(kind, {}).values()
        return {found.uid for found in known if namespace in (None, found.key.namespace)}

    def with_claim(self, kind: str, claim: str) -> list[Foreign]:
        """Those that have a claim."""
        return [found for found in self._of_kind.get(kind, {}).values() if found.claim == claim]

    def wishes(self) -> Iterator[Wish]:
        """Their labels."""
        for known in self._of_kind.values():
            for found in known.values():
                if found.wish is not None:
                    yield found.wish

    def _tell(self, kind: str, before: Foreign | None, after: Foreign | None) -> None:
        old, new = (one.claim if one is not None else None for one in (before, after))
        if old == new or kind not in self._changed:
            return
        for claim in (old, new):
            if claim is not None:
                self._changed[kind](claim)


def wish_of(resource: Resource) -> Wish | None:
    """A resource's label for the shard; None: it has none."""
    text = resource.labels.get(SHARD_LABEL)
    if text is None:
        return None
    return Wish(resource.created, resource.uid, resource.key.namespace, text)
