"""The Leases of an API server, for replicas in this process: versions, conflicts and watches."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

from aiohttp import web

__all__ = ["LeaseApi"]

_PATH = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


class LeaseApi:
    """Serves them.

    Attributes:
        leases: As they are stored, by name.
    """

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self._version = 0
        self._changed = asyncio.Condition()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get(_PATH, self._watch),
                web.post(_PATH, self._create),
                web.get(_PATH + "/{name}", self._get),
                web.put(_PATH + "/{name}", self._replace),
            ]
        )

    async def delete(self, name: str) -> None:
        del self.leases[name]
        await self._tell()

    async def _get(self, request: web.Request) -> web.Response:
        found = self.leases.get(request.match_info["name"])
        return web.json_response(found) if found is not None else _refusal(404)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["metadata"]["name"] in self.leases:
            return _refusal(409)
        return await self._store(body)

    async def _replace(self, request: web.Request) -> web.Response:
        body = await request.json()
        known = self.leases.get(body["metadata"]["name"])
        if known is None:
            return _refusal(404)
        if body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            return _refusal(409)
        return await self._store(body)

    async def _store(self, body: dict[str, Any]) -> web.Response:
        self._version += 1
        body["metadata"] |= {"resourceVersion": str(self._version)}
        body["metadata"].setdefault("uid", f"uid-{self._version}")
        self.leases[body["metadata"]["name"]] = body
        await self._tell()
        return web.json_response(body)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        name = request.query["fieldSelector"].partition("=")[2]
        told = request.query["resourceVersion"]
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            found = copy.deepcopy(self.leases.get(name))
            version = found["metadata"]["resourceVersion"] if found is not None else ""
            if version != told:
                told = version
                kind = "MODIFIED" if found is not None else "DELETED"
                line = {"type": kind, "object": found or {"metadata": {"name": name}}}
                await response.write(json.dumps(line).encode() + b"\n")
            async with self._changed:
                await self._changed.wait()


def _refusal(status: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": status, "message": "no"}, status=status)
