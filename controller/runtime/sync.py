"""Lists all resources: at the start, and now and then, to find what a watch can miss."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from controller.clients.kube import KubeError, KubeNotFound, KubeUnavailable

if TYPE_CHECKING:
    from controller.clients.kube import Kube
    from controller.resources.kind import Kind
    from controller.runtime.intake import Intake
    from controller.settings import Settings

__all__ = ["Sync"]

logger = logging.getLogger(__name__)

_INSTALL_CRDS = "twitch-operator crds | kubectl apply -f -"
_NO_NAMESPACE = (
    ". Give the operator a Role there; if this is no namespace, correct"
    " TWITCH_OPERATOR_WATCH_NAMESPACES (watchNamespaces of the chart)"
)
_FORBIDDEN = 403
_SPACING = 1.0


class Sync:
    """Compares what is held with what the API server has.

    Args:
        kube: Lists.
        settings: Namespaces, and how often.
        intake: Takes what is listed, and drops what is not.
    """

    def __init__(self, kube: Kube, settings: Settings, intake: Intake) -> None:
        self._kube = kube
        self._settings = settings
        self._intake = intake
        self._asked = asyncio.Event()
        self.done = False

    def ask(self) -> None:
        """List soon."""
        self._asked.set()

    async def once(self) -> None:
        """List all resources, tell what is there, and what is gone.

        Raises:
            KubeUnavailable: The API server is away.
            KubeNotFound: The CRDs are not installed.
            KubeError: Nothing at all may be listed.
        """
        problem: KubeError | None = None
        listed = False
        for kind in self._intake.kinds:
            for namespace in self._settings.watch_namespaces or (None,):
                try:
                    await self._list(kind, namespace)
                    listed = True
                except KubeError as error:
                    # One namespace without rights must not stop the others.
                    problem = error
                    remedy = _NO_NAMESPACE if namespace and error.status == _FORBIDDEN else ""
                    where = f"{kind.plural} of namespace {namespace or '(all)'}"
                    logger.error("%s: %s%s", where, error, remedy)
        if problem is not None and (isinstance(problem, KubeNotFound) or not listed):
            raise problem
        self.done = True

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        # What comes while the list is read is not among these, and not taken for gone.
        left = self._intake.uids(kind.name, namespace)
        async for body in self._kube.list_all(kind.plural, namespace):
            left.discard(body["metadata"]["uid"])
            self._intake.notify(kind.name, None, body)
        self._intake.drop(kind.name, left)

    async def first(self) -> None:
        """List until it works, and tell what is watched."""
        await self.surely()
        await self._tell_what_is_watched()

    async def surely(self) -> None:
        """List until it works."""
        pause, told = 1.0, ""
        while True:
            try:
                await self.once()
            except KubeNotFound:
                problem = f"the CRDs are not installed: {_INSTALL_CRDS}"
            except (KubeUnavailable, KubeError) as error:
                problem = str(error)
            else:
                return
            if problem != told:
                logger.error("waiting for the API server: %s", problem)
                told = problem
            await asyncio.sleep(pause)
            pause = min(2 * pause, 10.0)

    async def _tell_what_is_watched(self) -> None:
        names = self._settings.watch_namespaces
        kinds = ", ".join(kind.plural for kind in self._intake.kinds)
        logger.info("watching %s in %s", kinds, ", ".join(names) or "all namespaces")
        for name in names:
            try:
                lacking = await self._kube.lacks_namespace(name)
            except (KubeUnavailable, KubeError) as error:
                logger.debug("namespace %s: %s", name, error)  # it is listed all the same
                continue
            if lacking:
                logger.warning(
                    "namespace %s (TWITCH_OPERATOR_WATCH_NAMESPACES) does not exist: it is watched"
                    " as soon as it is there; correct the name if it is another", name,
                )  # fmt: skip

    async def run(self) -> None:
        """List every interval, and when asked, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._settings.resync_interval):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self.once()
            except (KubeUnavailable, KubeError) as error:
                logger.warning("the resources were not listed: %s", error)
            await asyncio.sleep(_SPACING)
