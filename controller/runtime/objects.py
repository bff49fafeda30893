"""What the controllers of the kinds have in common: they hold an object for each resource."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from controller.runtime.controller import Held

if TYPE_CHECKING:
    from controller.resources.kind import Kind
    from controller.runtime.controller import Reporter
    from controller.runtime.kernel import Kernel
    from controller.runtime.resource import Key, Resource

__all__ = ["ObjectController"]


class _Object(Held, Protocol):
    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        ...

    def recall(self, resource: Resource) -> None:
        """Take over what another process wrote to the status; nothing of this one is under way."""
        ...


T = TypeVar("T", bound=_Object)


class ObjectController(ABC, Generic[T]):
    """Holds an object for each resource of a kind.

    Args:
        kernel: What it works with.

    Attributes:
        kind: The kind.
        objects: All that are held.
    """

    kind: ClassVar[Kind]

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.objects: dict[Key, T] = {}

    def upsert(self, resource: Resource) -> None:
        """Take a resource that is new, or the new state of one that is held."""
        key = resource.key
        held = self.objects.get(key)
        if held is None:
            self.objects[key] = held = self._new(resource)
            self._added(held)
        elif held.resource.asks == resource.asks:
            self._follow(held, resource)
            return
        else:
            requested_before = held.resource.requested_at
            held.update(resource)
            self._follow(held, resource)
            if requested_before != resource.requested_at:
                self._kernel.secrets.look_again(key)
                self._recheck(held)
            self._changed(held)
        self._kernel.reconcile(key)

    def _follow(self, held: T, resource: Resource) -> None:
        """Until this process decides, the status is the memory of the one that does."""
        if not self._kernel.term.begun:
            held.recall(resource)

    def begin(self) -> None:
        """Begin to decide: look at everything as it is now."""
        for key, held in self.objects.items():
            self._begun(held)
            self._kernel.secrets.look_again(key)
            self._kernel.reconcile(key)

    def remove(self, key: Key) -> None:
        """Drop a resource that is gone."""
        held = self.objects.pop(key)
        self._kernel.forget(key)
        self._removed(held)

    async def reconcile(self, key: Key) -> float | None:
        """Look at the whole of a resource, and do what is due."""
        held = self.objects.get(key)
        if held is None:
            return None
        try:
            return await self._reconcile(held)
        finally:
            if key not in self.objects:
                self._kernel.secrets.release(key)  # deleted during the round

    async def run(self) -> None:
        """Do what goes on beside the reconciliations, until cancelled."""

    def tick(self, set_back: float) -> None:
        """Look after what time changes."""

    async def close(self) -> None:
        """Take in nothing new: the process ends."""

    async def drain(self, within: float) -> None:
        """Wait for the answers to the calls under way."""

    def stop(self) -> None:
        """Drop what still waits."""

    async def flush(self) -> None:
        """Write down what is not to be lost."""

    @abstractmethod
    def _new(self, resource: Resource) -> T:
        """Make the object of a resource that was not there before."""

    @abstractmethod
    async def _reconcile(self, held: T) -> float | None:
        """Look at the whole of it, and do what is due."""

    @abstractmethod
    def reporter(self, key: Key) -> Reporter | None:
        """Who tells the status of a resource; None: it is gone."""

    def _added(self, held: T) -> None:
        """Take note of a resource that was not there before."""

    def _begun(self, held: T) -> None:
        """Prepare to decide about it."""

    def _changed(self, held: T) -> None:
        """Take note of what changed in a resource that was."""

    def _removed(self, held: T) -> None:
        """Let go of what is gone."""

    def _recheck(self, held: T) -> None:
        """Prepare to look at everything: somebody asked for it."""
