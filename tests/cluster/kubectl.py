"""kubectl as the tests' client, and waiting with a deadline for whatever is to become true."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

from tests.cluster import api

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["PATIENCE", "Kubectl", "conditions", "eventually", "summary"]

PATIENCE = 60.0  # seconds for anything to become true; most takes less than two
_LOOK = 0.02  # between two looks at a simulator or a log
_ASK = 0.15  # between two questions to the API server


async def eventually(condition: Callable[[], object], within: float = PATIENCE) -> None:
    """Wait until a condition of this process holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(_LOOK)


class Kubectl:
    """The client, in one namespace."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self._plane = plane
        self.namespace = namespace

    async def __call__(self, *args: str, manifest: str | None = None, check: bool = True) -> str:
        """Run a command; its output, and what it said of an error."""
        done = await asyncio.to_thread(
            self._plane.run_kubectl, "-n", self.namespace, *args, input=manifest, check=check
        )
        return done.stdout + done.stderr

    async def apply(self, *manifests: dict[str, Any]) -> None:
        rest = [each for each in manifests if not api.knows(each["kind"])]
        for each in manifests:
            if api.knows(each["kind"]):
                await asyncio.to_thread(api.apply, self._plane, self.namespace, each)
        if rest:
            whole = {"apiVersion": "v1", "kind": "List", "items": rest}
            await self("apply", "-f", "-", manifest=json.dumps(whole))

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        found = await asyncio.to_thread(api.get, self._plane, self.namespace, kind, name)
        if found is None:  # kubectl says in its words why not
            found = json.loads(await self("get", kind, name, "-o", "json"))
        return dict(found)

    async def list(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind in the namespace."""
        return await asyncio.to_thread(api.listed, self._plane, self.namespace, kind)

    async def patch(
        self, kind: str, name: str, change: dict[str, Any], subresource: str = ""
    ) -> None:
        """Merge this into an object."""
        place = (kind, name)
        await asyncio.to_thread(api.patch, self._plane, self.namespace, place, change, subresource)

    async def annotate(self, kind: str, name: str, **values: str | None) -> None:
        """Set annotations of the operator's, by the names behind its prefix; None: remove."""
        marks = {f"twitch-operator.dev/{key}": value for key, value in values.items()}
        await self.patch(kind, name, {"metadata": {"annotations": marks}})

    async def status(self, kind: str, name: str) -> dict[str, Any]:
        return dict((await self.get(kind, name)).get("status") or {})

    async def until(
        self,
        kind: str,
        name: str,
        condition: Callable[[dict[str, Any]], object],
        within: float = PATIENCE,
    ) -> dict[str, Any]:
        """Wait until a condition on the status holds; returns that status."""
        deadline = time.monotonic() + within
        while True:
            status = await self.status(kind, name)
            if condition(status):
                return status
            assert time.monotonic() < deadline, f"{kind} {name}: {json.dumps(status, indent=1)}"
            await asyncio.sleep(_ASK)

    async def until_path(self, kind: str, name: str, path: str) -> dict[str, Any]:
        """Wait until a path leads to something, or (path=value) to this; returns the status.

        It watches, where `until` asks again and again: what is so for a moment is not missed.
        """
        path, _, value = path.partition("=")

        def holds(found: dict[str, Any]) -> bool:
            at = _at(found.get("status", {}), path)
            return at is not None and value in ("", at if isinstance(at, str) else json.dumps(at))

        return dict((await self.until_object(kind, name, holds))["status"])

    async def until_object(
        self, kind: str, name: str, condition: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any]:
        """Wait until a condition on the whole object holds; returns the object. It watches."""
        found = await self._watch(kind, name, condition)
        assert found, json.dumps(await self.status(kind, name), indent=1)
        return found

    async def until_reason(self, kind: str, name: str, reason: str) -> dict[str, dict[str, Any]]:
        """Wait until Ready has this reason; returns the conditions by type."""
        # Ready is the first condition.
        return conditions(await self.until_path(kind, name, f"conditions[0].reason={reason}"))

    async def ready(self, *names: str) -> None:
        """Wait for condition Ready as kubectl does, such as `ready("tch/mst3k", "trule/mst3k")`."""
        for kind, name in (each.split("/") for each in names):
            if not await self._watch(kind, name, _is_ready):
                raise AssertionError(json.dumps(await self.status(kind, name), indent=1))

    async def _watch(
        self, kind: str, name: str, condition: Callable[[dict[str, Any]], object]
    ) -> dict[str, Any] | None:
        place = (kind, name)
        return await asyncio.to_thread(
            api.until, self._plane, self.namespace, place, condition, PATIENCE
        )


def _at(status: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    """What a path such as `conditions[0].reason` leads to; None: nowhere."""
    for key in re.findall(r"\w+", path):
        if isinstance(status, list):
            status = status[int(key)] if int(key) < len(status) else None
        else:
            status = (status or {}).get(key)
    return status


def _is_ready(found: dict[str, Any]) -> bool:
    """Whether it is, for its present generation."""
    ready = conditions(found.get("status", {})).get("Ready", {})
    seen = ready.get("observedGeneration", found["metadata"]["generation"])
    return ready.get("status") == "True" and bool(seen >= found["metadata"]["generation"])


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in status.get("conditions", ())}


def summary(found: dict[str, dict[str, Any]]) -> tuple[str, str, str]:
    """Status of Ready, Reconciling and Stalled."""
    return (found["Ready"]["status"], found["Reconciling"]["status"], found["Stalled"]["status"])
