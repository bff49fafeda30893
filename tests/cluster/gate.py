"""A line to the API server on which the writes of token Secrets can be held."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from yarl import URL

from tests.cluster.operator_access import Line

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from aiohttp import web

__all__ = ["Gate"]


class Gate(Line):
    """A line on which the writes of some token Secrets wait, before or after they are done.

    Attributes:
        held: Names of the Secrets whose writes wait.
        busy: Requests under way, watches aside.
        writes: When which object was put, by its name.
    """

    def __init__(self, kubeconfig: Path, of: Path) -> None:
        super().__init__(kubeconfig, of)
        self._names: Collection[str] = ()
        self._written = False
        self._released = asyncio.Event()
        self.held: set[str] = set()
        self.busy = 0
        self.writes: dict[str, list[float]] = {}

    def hold(self, names: Collection[str], *, written: bool) -> None:
        """Let the next writes of these Secrets wait, `written`: when they are done."""
        self._names, self._written = names, written
        self._released, self.held = asyncio.Event(), set()

    def release(self) -> None:
        """Drop what waits; it was asked for by a process that is no more."""
        self._names = ()
        self._released.set()

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        if "watch=true" in request.raw_path:
            return await super()._forward(request)
        self.busy += 1
        try:
            name = request.path.rpartition("/")[2]
            if request.method != "PUT" or "dryRun" in request.raw_path:
                return await super()._forward(request)
            self.writes.setdefault(name, []).append(time.time())
            if name not in self._names:
                return await super()._forward(request)
            return await self._wait(name, request)
        finally:
            self.busy -= 1

    async def _wait(self, name: str, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if self._written:
            headers = {k: request.headers[k] for k in ("Authorization", "Content-Type")}
            url = URL(self._target + request.raw_path, encoded=True)
            async with self._session.put(url, headers=headers, data=body, ssl=self._trust) as done:
                assert done.status == 200, await done.text()
        self.held.add(name)
        await self._released.wait()
        raise ConnectionAbortedError
