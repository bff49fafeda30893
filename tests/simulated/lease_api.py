"""The Leases of an API server, for replicas in this process: versions, conflicts and watches."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

from aiohttp import web

from controller.resources.extensionapp import EXTENSION_APP
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL

__all__ = ["LeaseApi"]

_PATH = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


_KINDS = {each.plural: each.name for each in (TWITCH_CHANNEL, TRIGGER_RULE, EXTENSION_APP)}
_CUSTOM = "/apis/twitch-operator.dev/v1alpha1"


class LeaseApi:
    """Serves them.

    Attributes:
        leases: As they are stored, by name.
        resources: What lists of custom resources tell, by the plural of the kind.
        written: The names of those whose status was written.
    """

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.resources: dict[str, list[dict[str, Any]]] = {}
        self.written: list[str] = []
        self._version = 0
        self._changed = asyncio.Condition()
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get(_PATH, self._watch),
                web.post(_PATH, self._create),
                web.get(_PATH + "/{name}", self._get),
                web.put(_PATH + "/{name}", self._replace),
                web.get(_CUSTOM + "/{plural}", self._list),
                web.get("/api/v1/namespaces/{namespace}/secrets/{name}", self._no_secret),
                web.patch(
                    _CUSTOM + "/namespaces/{namespace}/{plural}/{name}/status", self._note_status
                ),
            ]
        )

    async def delete(self, name: str) -> None:
        del self.leases[name]
        await self._tell()

    async def _list(self, request: web.Request) -> web.Response:
        items = self.resources.get(request.match_info["plural"], [])
        kind = f"{_KINDS[request.match_info['plural']]}List"
        return web.json_response({"kind": kind, "metadata": {}, "items": items})

    async def _note_status(self, request: web.Request) -> web.Response:
        self.written.append(request.match_info["name"])
        plural = request.match_info["plural"]
        [found] = self.resources[plural]
        api = "twitch-operator.dev/v1alpha1"
        return web.json_response({"apiVersion": api, "kind": _KINDS[plural], **found, "status": {}})

    async def _no_secret(self, _: web.Request) -> web.Response:
        return _refusal(404)

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
