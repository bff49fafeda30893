"""What a kind of resource is to the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.policies.announcements import Announcement
    from controller.resources.common import StatusModel
    from controller.resources.kind import Kind
    from controller.runtime.resource import Key, Resource

__all__ = ["Controller", "Held", "Holder", "Reporter"]


class Held(Protocol):
    """What is held of one resource."""

    @property
    def resource(self) -> Resource:
        """Its newest state that is known."""
        ...


class Holder(Protocol):
    """Holds the resources of a kind."""

    @property
    def kind(self) -> Kind:
        """The kind."""
        ...

    @property
    def objects(self) -> Mapping[Key, Held]:
        """All that are held."""
        ...

    def upsert(self, resource: Resource) -> None:
        """Take a resource that is new, or the new state of one that is held."""
        ...

    def remove(self, key: Key) -> None:
        """Drop a resource that is gone."""
        ...


class Reporter(Held, Protocol):
    """Tells the status of one resource."""

    def compose(self, now: float) -> StatusModel | None:
        """Its status now; None: nothing to tell yet."""
        ...

    def written(self, body: Mapping[str, Any]) -> None:
        """Take note that this is what the API server holds now."""
        ...


class Controller(Holder, Protocol):
    """Does the work for the resources of a kind."""

    async def reconcile(self, key: Key) -> float | None:
        """Look at the whole of a resource, and do what is due.

        Returns:
            When to come back (seconds since the epoch); None: when something changes.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        ...

    def reporter(self, key: Key) -> Reporter | None:
        """Who tells the status of a resource; None: it is gone."""
        ...

    def announcements(
        self, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Sequence[Announcement]:
        """What is worth an Event between two statuses of a resource."""
        ...

    async def run(self) -> None:
        """Do what goes on beside the reconciliations, until cancelled."""

    def begin(self) -> None:
        """Begin to decide: until now, resources were held and statuses followed."""

    def tick(self, set_back: float) -> None:
        """Look after what time changes; called about once a second.

        Args:
            set_back: Seconds by which the wall clock was set back since the last call.
        """

    async def close(self) -> None:
        """Take in nothing new: the process ends."""

    async def drain(self, within: float) -> None:
        """Wait, for at most so many seconds, for the answers to the calls under way."""

    def stop(self) -> None:
        """Drop what still waits."""

    async def flush(self) -> None:
        """Write down what is not to be lost; nothing else runs any more."""
