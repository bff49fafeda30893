"""The cluster as a command of the user's sees it: found as kubectl finds it, its refusals told."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from controller.clients.kube import Kube, KubeError, KubeNotFound, KubeUnavailable
from controller.clients.kube.config import Configuration, find_namespace, load_configuration
from controller.errors import OperatorError
from controller.logs import set_up_logging
from controller.resources.kind import GROUP
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from controller.resources.kind import Kind

    Resource = dict[str, Any]

__all__ = [
    "Cluster",
    "Forbidden",
    "explain_absence",
    "full_name",
    "no_operator",
    "open_cluster",
    "run_in_cluster",
    "told",
]

T = TypeVar("T")

_FORBIDDEN = 403


class Forbidden(OperatorError):
    """The user lacks a right; the message names it."""


def run_in_cluster(context: str | None, work: Callable[[Cluster], Awaitable[T]]) -> T:
    """Do the work of a command.

    Args:
        context: Of the kubeconfig; None: the current one.
        work: Is given the cluster.

    Raises:
        OperatorError: There is no such cluster, or the work cannot be done.
    """
    settings = Settings.from_environment(os.environ)
    set_up_logging(settings.log_level, settings.log_format)

    async def run() -> T:
        async with open_cluster(context) as cluster:
            return await work(cluster)

    return asyncio.run(run())


@asynccontextmanager
async def open_cluster(context: str | None) -> AsyncIterator[Cluster]:
    """Find the cluster.

    Args:
        context: Of the kubeconfig; None: the current one.

    Raises:
        OperatorError: There is none.
    """

    def load() -> Awaitable[Configuration]:
        return load_configuration(context)

    async with Kube(load) as kube:
        yield Cluster(kube, context)


class Cluster:
    """Reads and annotates resources; whatever is forbidden is told with the right that is missing.

    Attributes:
        kube: For whatever else is to be called.
    """

    def __init__(self, kube: Kube, context: str | None) -> None:
        self.kube = kube
        self._context = context

    def namespace(self, chosen: str | None) -> str:
        """The namespace that the user chose, else that of the context."""
        return chosen or find_namespace(self._context)

    async def get(self, kind: Kind, namespace: str, name: str) -> Resource:
        """Read a resource.

        Raises:
            OperatorError: There is none of that name (it tells which there are), or it must not be
                read.
        """
        try:
            with told(full_name(kind), namespace):
                return await self.kube.get(kind.plural, namespace, name)
        except KubeNotFound:
            absent = await explain_absence(self.kube, kind, namespace, name)
        raise OperatorError(absent)

    async def list_all(self, kind: Kind, namespace: str | None) -> list[Resource]:
        """Read all resources of a kind; namespace None: of the whole cluster.

        Raises:
            OperatorError: They must not be read, or there is no such kind.
        """
        try:
            with told(full_name(kind), namespace, verb="list"):
                return [each async for each in self.kube.list_all(kind.plural, namespace)]
        except KubeNotFound:
            msg = f"there are no {full_name(kind)}: twitch-operator crds | kubectl apply -f -"
            raise OperatorError(msg) from None

    async def annotate(
        self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]
    ) -> None:
        """Set annotations, or remove those that are None.

        Raises:
            OperatorError: The resource is gone, or must not be changed.
        """
        with told(full_name(kind), namespace):
            await self.kube.annotate(kind.plural, namespace, name, annotations)

    async def until(
        self,
        read: Callable[[], Awaitable[T]],
        done: Callable[[T], object],
        patience: float,
        look: float = 0.25,
    ) -> tuple[T, bool]:
        """Read until something is done.

        Args:
            read: Reads; while the API server is away, it is tried again.
            done: Whether what was read is as it is to become.
            patience: Seconds.
            look: Seconds between two looks.

        Returns:
            What was read last, and whether it is done.

        Raises:
            OperatorError: It cannot be read.
        """
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            try:
                found = await read()
                if done(found) or left <= 0:
                    return found, bool(done(found))
            except KubeUnavailable:
                if left <= 0:
                    raise
            await asyncio.sleep(max(0.0, min(look, left)))


@contextmanager
def told(resource: str, namespace: str | None, verb: str | None = None) -> Iterator[None]:
    """Say which right is missing, where one is.

    Args:
        resource: As a Role has it, such as secrets.
        namespace: In which it is missing; None: in the whole cluster.
        verb: As a Role has it; None: as the refused call tells.

    Raises:
        Forbidden: In place of the API server's refusal.
    """
    try:
        yield
    except KubeError as error:
        if error.status != _FORBIDDEN:
            raise
        missing = verb or error.verb
        role, place = ("Role", f"namespace {namespace}")
        if namespace is None:
            role, place = "ClusterRole", "the whole cluster"
        msg = (
            f"you may not {missing} {resource} in {place}: ask for a {role} that has the verb"
            f" {missing} on {resource}"
        )
        raise Forbidden(msg) from None


async def explain_absence(kube: Kube, kind: Kind, namespace: str, name: str) -> str:
    """Tell that a resource is not there, and what is there instead."""
    absent = f"{kind.name.lower()}/{name} does not exist in namespace {namespace}"
    try:
        found = [each["metadata"]["name"] async for each in kube.list_all(kind.plural, namespace)]
    except KubeNotFound:
        return f"{absent}, nor do the CRDs: twitch-operator crds | kubectl apply -f -"
    except (KubeError, KubeUnavailable):  # to list is a right of its own
        return absent
    there = f"there is {', '.join(sorted(found))}" if found else "there is none"
    return f"{absent}; {there} (choose a namespace with -n)"


def no_operator(namespace: str, within: str) -> str:
    """Tell that nobody answered.

    Args:
        namespace: In which somebody should have.
        within: How long it was waited for, such as 5s.
    """
    return (
        f"no operator answered within {within}: none seems to watch namespace {namespace}. See that"
        " twitch-operator runs, and that its setting WATCH_NAMESPACES, if there is one, names this"
        " namespace"
    )


def full_name(kind: Kind) -> str:
    """Name of a kind, as a Role has it."""
    return f"{kind.plural}.{GROUP}"
