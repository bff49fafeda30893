"""kubectl as the tests' client, and waiting with a deadline for whatever is to become true."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from tests.cluster import api

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["PATIENCE", "Kubectl", "conditions", "eventually", "summary"]

PATIENCE = 60.0  # seconds for anything to become true; most takes less than two
_LOOK = 0.02  # between two looks at a simulator or a log
_ASK = 0.15  # between two calls of kubectl


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
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        await self("apply", "-f", "-", manifest=json.dumps(whole))

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        found = await asyncio.to_thread(api.get, self._plane, self.namespace, kind, name)
        if found is None:  # kubectl says in its words why not
            found = json.loads(await self("get", kind, name, "-o", "json"))
        return dict(found)

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
        """Wait until a JSON path leads to something, or (path=value) to this; returns the status.

        One watch of kubectl's own, where `until` asks again and again.
        """
        path, _, value = path.partition("=")
        wanted = f"--for=jsonpath={{.status.{path}}}" + (f"={value}" if value else "")
        wait = ("wait", f"{kind}/{name}", wanted, f"--timeout={PATIENCE:.0f}s")
        said = await self(*wait, check=False)
        status = await self.status(kind, name)
        assert "condition met" in said, f"{wanted}: {said}{json.dumps(status, indent=1)}"
        return status

    async def until_reason(self, kind: str, name: str, reason: str) -> dict[str, dict[str, Any]]:
        """Wait until Ready has this reason; returns the conditions by type."""
        # Ready is the first condition: kubectl knows no comparison within the path.
        return conditions(await self.until_path(kind, name, f"conditions[0].reason={reason}"))

    async def ready(self, *names: str) -> None:
        """Wait as a user would, such as `ready("tch/mst3k", "trule/mst3k")`."""
        await self("wait", "--for=condition=Ready", *names, f"--timeout={PATIENCE:.0f}s")


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in status.get("conditions", ())}


def summary(found: dict[str, dict[str, Any]]) -> tuple[str, str, str]:
    """Status of Ready, Reconciling and Stalled."""
    return (found["Ready"]["status"], found["Reconciling"]["status"], found["Stalled"]["status"])
