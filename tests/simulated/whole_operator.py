"""A whole operator in this process, with as much of an API server as it takes."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from controller.clients.kube import Kube
from controller.operator import Operator
from controller.resources.common import rfc3339
from controller.resources.kind import GROUP, VERSION
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.tracing.tracer import NO_TRACER
from tests.simulated.local_api import LocalApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.clients.http import HttpClient
    from controller.settings import Settings
    from controller.tracing.tracer import Tracer

__all__ = ["Api", "Stage", "a_resource", "running"]

_SECRETS = "/api/v1/namespaces/default/secrets"


def a_resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One that was made a minute ago."""
    meta = {"name": name, "namespace": "default", "uid": name, "generation": 1}
    made = {"creationTimestamp": rfc3339(time.time() - 60), "resourceVersion": "1"}
    return {
        "apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": meta | made, "spec": spec,
    }  # fmt: skip


@dataclass
class Api:
    """As much of an API server as it takes: lists, Secrets, statuses."""

    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    held: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    _metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def app(self) -> web.Application:
        """What is served."""
        app, kinds = web.Application(), f"/apis/{GROUP}/{VERSION}"
        app.router.add_get(kinds + "/{plural}", self._list)
        app.router.add_patch(kinds + "/namespaces/default/{plural}/{name}/status", self._status)
        app.router.add_get(_SECRETS + "/{name}", self._secret)
        app.router.add_post(_SECRETS, self._make_secret)
        app.router.add_put(_SECRETS + "/{name}", self._make_secret)
        app.router.add_post("/apis/events.k8s.io/v1/namespaces/default/events", self._event)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        kinds = {"triggerrules": RULE, "twitchchannels": CHANNEL, "extensionapps": "ExtensionApp"}
        kind = kinds[request.match_info["plural"]]
        return web.json_response({"kind": f"{kind}List", "items": self.held.get(kind, [])})

    async def _status(self, request: web.Request) -> web.Response:
        name, patch = request.match_info["name"], await request.json()
        self.statuses[name] = patch[1]["value"]
        every = [each for kind in self.held.values() for each in kind]
        found = next(each for each in every if each["metadata"]["name"] == name)
        return web.json_response(found | {"status": patch[1]["value"]})

    async def _secret(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.secrets:
            gone = {"kind": "Status", "reason": "NotFound", "details": {"kind": "secrets"}}
            return web.json_response(gone | {"code": 404}, status=404)
        meta = self._metadata.get(name, {})
        return web.json_response(_secret(name, self.secrets[name], meta))

    async def _make_secret(self, request: web.Request) -> web.Response:
        manifest = await request.json()
        meta = manifest["metadata"]
        if "dryRun" not in request.query:
            data = {k: base64.b64decode(v).decode() for k, v in manifest["data"].items()}
            self.secrets[meta["name"]] = data
            self._metadata[meta["name"]] = meta
        made = _secret(meta["name"], self.secrets.get(meta["name"], {}), meta)
        return web.json_response(made, status=201)

    async def _event(self, request: web.Request) -> web.Response:
        return web.json_response(await request.json() | {"kind": "Event"}, status=201)

    def condition(self, rule: str, kind: str) -> dict[str, Any]:
        """What a rule's status tells, {} as long as it tells nothing."""
        told = self.statuses.get(rule, {}).get("conditions", [])
        return next((each for each in told if each["type"] == kind), {})


def _secret(name: str, texts: dict[str, str], meta: dict[str, Any]) -> dict[str, Any]:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    own = {"name": name, "namespace": "default", "uid": name, "resourceVersion": str(data)}
    return {"kind": "Secret", "metadata": meta | own, "data": data}


@dataclass
class Stage:
    """An operator that runs."""

    operator: Operator
    api: Api

    def value(self, metric: str, **labels: str) -> float | None:
        """What a scrape tells."""
        return self.operator.registry.get_sample_value(f"twitch_operator_{metric}", labels)


@asynccontextmanager
async def running(
    api: Api, settings: Settings, http: HttpClient, tracer: Tracer = NO_TRACER
) -> AsyncIterator[Stage]:
    """Run an operator that soon sees what changes."""
    quick = {"status_interval": 0.05, "missing_secret_check_interval": 0.1,
             "secret_check_interval": 0.1}  # fmt: skip
    async with LocalApi(api.app) as local, Kube(local.load) as kube:
        operator = Operator(settings.model_copy(update=quick), kube, http, tracer)
        task = asyncio.create_task(operator.run())
        try:
            yield Stage(operator, api)
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await operator.drain()
