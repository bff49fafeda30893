"""One Lease of coordination.k8s.io: the lock by which one of several replicas leads."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from controller.clients.kube.answers import KubeNotFound, KubeUnavailable
from controller.policies.leasing import Lease
from controller.resources.kind import GROUP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from controller.clients.kube.connection import Connection

__all__ = ["HANDED_OVER", "Leases", "micro_time"]

HANDED_OVER = f"{GROUP}/handed-over"
"""Annotation of a Lease that was released after all statuses were written."""

_API = "coordination.k8s.io/v1"


class Leases:
    """Reads and writes one Lease; each request has its own, short timeout.

    Args:
        kube: The API server.
        namespace: Of the Lease.
        name: Of the Lease.
        timeout: Seconds.
    """

    def __init__(self, kube: Connection, namespace: str, name: str, timeout: float) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._timeout = timeout
        self._all = f"/apis/{_API}/namespaces/{namespace}/leases"

    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    async def get(self) -> Lease | None:
        """Read it; None: it does not exist.

        Raises:
            KubeUnavailable: The API server is away.
            KubeError: It refuses.
        """
        try:
            told = await self._call("GET", f"{self._all}/{self._name}")
        except KubeNotFound:
            return None
        return _lease(told)

    async def put(self, lease: Lease, now: str, *, new: bool | None = None) -> Lease:
        """Write it, provided that it is as it was read; returns what is stored.

        Args:
            lease: What to write.
            now: The time of the renewal, as it is to be stored; "": it is none.
            new: It does not exist yet; default: if there is no metadata.

        Raises:
            KubeConflict: Somebody wrote it in between.
            KubeNotFound: It was deleted in between.
            KubeUnavailable: The API server is away: whether it was written is not known.
            KubeError: It refuses.
        """
        name = {"name": self._name, "namespace": self._namespace}
        meta = {**lease.metadata, **name}
        annotations = {k: v for k, v in _annotations(meta).items() if k != HANDED_OVER}
        handed_over = {HANDED_OVER: "true"} if lease.handed_over else {}
        body = {
            "apiVersion": _API,
            "kind": "Lease",
            "metadata": {**meta, "annotations": annotations | handed_over},
            "spec": {
                "holderIdentity": lease.holder or None,
                "leaseDurationSeconds": math.ceil(lease.seconds),
                "acquireTime": lease.acquired or None,
                "renewTime": now or None,
                "leaseTransitions": lease.transitions,
            },
        }
        if lease.metadata and not new:
            return _lease(await self._call("PUT", f"{self._all}/{self._name}", body))
        return _lease(await self._call("POST", self._all, body))

    async def changes(self, since: Lease, within: float) -> AsyncIterator[Lease | None]:
        """Yield each new state of it, for so many seconds; None: it was deleted.

        Args:
            since: The state after which changes are told.
            within: Whole seconds.

        Raises:
            KubeUnavailable: The API server is away, or does not remember that state.
            KubeError: It refuses.
        """
        query = [
            ("watch", "1"),
            ("fieldSelector", f"metadata.name={self._name}"),
            ("resourceVersion", str(since.metadata.get("resourceVersion"))),
            ("timeoutSeconds", str(round(within))),
        ]
        async for told in self._kube.stream(
            self._all, query, self._timeout, within + self._timeout
        ):
            body = told.get("object")
            if told.get("type") == "ERROR" or not isinstance(body, dict):
                msg = f"the API server ended the watch of {self}"
                raise KubeUnavailable(msg)
            yield None if told.get("type") == "DELETED" else _lease(body)

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:  # noqa: ANN401 - JSON
        # A replica must be able to write it in order to lead: no deadline speaks against it.
        return await self._kube.request(method, path, "Lease", self._timeout, body=body)


def micro_time(seconds: float) -> str:
    """An instant as MicroTime has it, which wants exactly six digits of the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _annotations(meta: Mapping[str, Any]) -> dict[str, Any]:
    found = meta.get("annotations")
    return dict(found) if isinstance(found, dict) else {}


def _lease(body: Mapping[str, Any]) -> Lease:
    """Read what people and other programs may have written, too."""
    meta, spec = body.get("metadata") or {}, body.get("spec") or {}
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    return Lease(
        holder=str(spec.get("holderIdentity") or ""),
        seconds=float(seconds) if isinstance(seconds, int) else 0.0,
        transitions=transitions if isinstance(transitions, int) else 0,
        acquired=str(spec.get("acquireTime") or ""),
        handed_over=HANDED_OVER in _annotations(meta),
        metadata=meta,
    )
