"""The API server without a client library: what a benchmark asks of it must cost little."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from bench.objects import GROUP, PLURALS, VERSION
from bench.processes import BenchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

__all__ = ["Cluster", "Observation", "connect"]

Json = dict[str, Any]

_AT_ONCE = 16
_PLACES = {
    "Secret": ("/api/v1", "secrets"),
    "TwitchChannel": (f"/apis/{GROUP}/{VERSION}", "twitchchannels"),
    "TriggerRule": (f"/apis/{GROUP}/{VERSION}", "triggerrules"),
}


class Observation:
    """How many objects are as somebody waits for them to be.

    Attributes:
        listed: All were seen.
        complete: All are as they shall be.
    """

    def __init__(self, wanted: int, good: Callable[[Json], bool]) -> None:
        self._wanted = wanted
        self._good = good
        self._seen: set[tuple[str, str]] = set()
        self._found: set[tuple[str, str]] = set()
        self.listed = asyncio.Event()
        self.complete = asyncio.Event()

    @property
    def missing(self) -> list[str]:
        """Those that are not as they shall be."""
        return sorted(f"{kind} {name}" for kind, name in self._seen - self._found)

    def take(self, body: Json) -> None:
        """Look at an object that came or changed."""
        key = (body["kind"], body["metadata"]["name"])
        self._seen.add(key)
        if self._good(body):
            self._found.add(key)
        else:
            self._found.discard(key)
        if len(self._seen) >= self._wanted:
            self.listed.set()
        if len(self._found) >= self._wanted:
            self.complete.set()


class Cluster:
    """What the benchmarks do with it."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        await self._post("/api/v1/namespaces", {"metadata": {"name": name}})

    async def create(self, namespace: str, manifests: Iterable[Json]) -> None:
        """Make objects, several at a time.

        Raises:
            BenchError: One was refused.
        """
        left = iter(manifests)

        async def work() -> None:
            for manifest in left:
                base, plural = _PLACES[manifest["kind"]]
                await self._post(f"{base}/namespaces/{namespace}/{plural}", manifest)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(work())

    @asynccontextmanager
    async def observe(
        self, namespace: str, wanted: int, good: Callable[[Json], bool]
    ) -> AsyncIterator[Observation]:
        """Watch all channels and rules of a namespace; begins when they all were seen.

        Args:
            namespace: Where they are.
            wanted: How many there are.
            good: Tells of an object whether it is as it shall be.
        """
        observation = Observation(wanted, good)
        watches = [
            asyncio.create_task(self._watch(namespace, plural, observation)) for plural in PLURALS
        ]
        try:
            async with asyncio.timeout(60):
                await observation.listed.wait()
            yield observation
        finally:
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, namespace: str, plural: str, observation: Observation) -> None:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}"
        while True:
            # The server ends the watch of a slow reader; the next one begins with all objects.
            async with self._http.stream(
                "GET", path, params={"watch": "1"}, timeout=None
            ) as stream:
                async for line in stream.aiter_lines():
                    event = json.loads(line)
                    if event["type"] in {"ADDED", "MODIFIED"}:
                        observation.take(event["object"])

    async def _post(self, path: str, manifest: Json) -> None:
        response = await self._http.post(path, json=manifest)
        if response.status_code != 201:
            msg = f"the API server refused POST {path}: {response.text}"
            raise BenchError(msg)


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Cluster]:
    """Talk to the cluster of a kubeconfig that the sandbox wrote."""
    config = json.loads(await asyncio.to_thread(kubeconfig.read_text, "utf-8"))
    [cluster], [user] = config["clusters"], config["users"]
    authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
    async with httpx.AsyncClient(
        base_url=cluster["cluster"]["server"],
        headers={"Authorization": f"Bearer {user['user']['token']}"},
        verify=ssl.create_default_context(cadata=authority),
        timeout=30,
        trust_env=False,
    ) as http:
        yield Cluster(http)
