"""Takes in what lists and watches tell of resources, in whatever order it comes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from controller.runtime.elsewhere import Elsewhere, wish_of
from controller.runtime.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.policies.sharding import Wish
    from controller.resources.kind import Kind
    from controller.runtime.controller import Holder
    from controller.runtime.resource import Key

__all__ = ["Intake"]

_DELETED = 10_000  # UIDs of the last deletions that are remembered


class Intake:
    """Lets those who hold resources follow the API server.

    What is older than what is held is dropped, and so is what was deleted since: a list and a watch
    run side by side, and a list may begin before the watch tells of a change.

    What belongs to another shard is not held. What is known of it all the same is kept apart.

    Args:
        holders: By the name of each kind that is watched.
        owns: Whether this process acts for a namespace; default: for all.
        elsewhere: Is told of the resources of other namespaces.
    """

    def __init__(
        self,
        holders: Mapping[str, Holder],
        owns: Callable[[str], bool] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._holders = holders
        self._owns = owns
        self._elsewhere = elsewhere or Elsewhere()
        self._deleted: OrderedDict[str, None] = OrderedDict()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is to be listed and watched."""
        return tuple(holder.kind for holder in self._holders.values())

    def notify(self, kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        """Take a watch event.

        Args:
            kind: Of the resource.
            event: ADDED, MODIFIED, DELETED; None for one of a list.
            body: The resource.
        """
        resource = Resource.from_body(kind, body)
        if event == "DELETED" or body["metadata"].get("deletionTimestamp"):
            self._deleted[resource.uid] = None
            while len(self._deleted) > _DELETED:
                self._deleted.popitem(last=False)
            self._elsewhere.drop(kind, {resource.uid})
            self._drop(resource.key, resource.uid)
        elif resource.uid not in self._deleted:
            if self._owns is None or self._owns(resource.key.namespace):
                self._take(self._holders[kind], resource)
            else:
                self._elsewhere.take(resource)

    def uids(self, kind: str, namespace: str | None) -> set[str]:
        """UIDs of the resources of a kind that are known, in a namespace or all."""
        return self._elsewhere.uids(kind, namespace) | {
            held.resource.uid
            for key, held in self._holders[kind].objects.items()
            if namespace in (None, key.namespace)
        }

    def wishes(self) -> tuple[list[Wish], set[str]]:
        """All labels for the shard, and the namespaces in which something is held here."""
        found, namespaces = list(self._elsewhere.wishes()), set()
        for holder in self._holders.values():
            for key, held in holder.objects.items():
                namespaces.add(key.namespace)
                if (wish := wish_of(held.resource)) is not None:
                    found.append(wish)
        return found, namespaces

    def sift(self) -> None:
        """Let go of what is not, or no longer, to be held here: as if it was known from elsewhere.

        What is now to be held comes with the next list.
        """
        self._elsewhere.clear()
        for holder in self._holders.values():
            for key in [
                key for key in holder.objects if self._owns and not self._owns(key.namespace)
            ]:
                holder.remove(key)

    def drop(self, kind: str, uids: set[str]) -> None:
        """Drop the resources of these UIDs: they are not there any more."""
        self._elsewhere.drop(kind, uids)
        gone = [
            key
            for key, held in (self._holders[kind].objects.items() if uids else ())
            if held.resource.uid in uids
        ]
        for key in gone:
            self._holders[kind].remove(key)

    def _take(self, holder: Holder, resource: Resource) -> None:
        held = holder.objects.get(resource.key)
        if held is not None and held.resource.uid != resource.uid:
            holder.remove(resource.key)
        elif held is not None and _is_known(resource, held.resource):
            return
        holder.upsert(resource)

    def _drop(self, key: Key, uid: str) -> None:
        holder = self._holders[key.kind]
        held = holder.objects.get(key)
        if held is not None and held.resource.uid == uid:
            holder.remove(key)


def _is_known(resource: Resource, known: Resource) -> bool:
    """Whether a state of a resource is no newer than the one that is known."""
    if resource.generation < known.generation:
        return True
    return resource.version < known.version or resource.version == known.version > 0
