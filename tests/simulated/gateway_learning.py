"""An API server made by hand, and what a gateway learns from it."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from controller.clients.kube import Kube
from controller.gateway.catalog import Catalog
from controller.gateway.extension_watch import Apps
from controller.gateway.metrics import GatewayMetrics
from controller.policies.extension_secrets import SharedSecret, encode, verifying_secrets
from controller.resources.common import rfc3339
from controller.resources.extensionapp import EXTENSION
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import eventually
from tests.simulated.local_api import LocalApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from controller.gateway.catalog import Endpoint


ORIGIN = "https://deck.ext-twitch.tv"
PROVIDER = "https://id.example.com/introspect"
FAR = 4e9


def shared(text: str) -> SharedSecret:
    return SharedSecret(Sensitive(base64.b64encode(text.encode()).decode()), 1.0, FAR)


class ApiServer(LocalApi):
    """Has ExtensionApps and Secrets; counts what it is asked for."""

    def __init__(self) -> None:
        self.apps: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.away = False
        self.refused: set[str] = set()  # names of Secrets that may not be read
        self._version = 0
        app = web.Application()
        app.router.add_get("/apis/{tail:.*}/extensionapps", self._list)
        app.router.add_get("/api/v1/namespaces/{space}/secrets/{name}", self._secret)
        super().__init__(app)

    def put_app(self, name: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Make or change an ExtensionApp; returns its body."""
        body = self.apps.setdefault(name, extension(name))
        annotations = changes.pop("annotations", None)
        if annotations is not None:
            body["metadata"]["annotations"] = annotations
        body["metadata"]["creationTimestamp"] = changes.pop(
            "created", body["metadata"]["creationTimestamp"]
        )
        body["status"] = changes.pop("status", body["status"])
        body["spec"] = body["spec"] | changes
        body["metadata"]["resourceVersion"] = self._next()
        return dict(body)

    def put_target(self, app: str, *secrets: SharedSecret, revoked_for: str = "") -> None:
        """Write the target Secret as the operator does."""
        data = {k: v.reveal() for k, v in encode(secrets, time.time()).items()}
        labels = {
            "app.kubernetes.io/managed-by": "twitch-operator",
            "twitch-operator.dev/extension": app,
        }
        body = self.apps.get(app) or extension(app)
        marks = {"twitch-operator.dev/client-id": body["spec"]["clientId"]}
        if revoked_for:
            marks["twitch-operator.dev/revoked-for"] = revoked_for
        self.put_secret(f"{app}-secrets", data, labels, marks)

    def put_secret(
        self,
        name: str,
        data: dict[str, str],
        labels: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> None:
        meta = {"name": name, "namespace": "studio", "uid": name, "resourceVersion": self._next()}
        self.secrets[name] = {
            "kind": "Secret",
            "metadata": {**meta, "labels": labels or {}, "annotations": annotations or {}},
            "data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()},
        }

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    async def _list(self, _request: web.Request) -> web.Response:
        if self.away:
            return web.Response(status=503)
        listed = {"kind": "ExtensionAppList", "metadata": {}, "items": list(self.apps.values())}
        return web.json_response(listed)

    async def _secret(self, request: web.Request) -> web.Response:
        if self.away:
            return web.Response(status=503)
        name = request.match_info["name"]
        self.asked.append(name)
        if name in self.refused:
            return web.json_response({"message": "secrets is forbidden"}, status=403)
        if name not in self.secrets:
            refusal = {"kind": "Status", "message": "not found"}
            return web.json_response(refusal, status=404)
        return web.json_response(self.secrets[name])


def extension(name: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "studio",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": "2026-11-23T10:00:00Z",
        },
        "spec": {
            "clientId": f"client-{name}",
            "ownerId": "27419011",
            "version": "1.3.0",
            "secret": {
                "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
                "targetSecretName": f"{name}-secrets",
            },
            "gateway": {"allowedOrigins": [ORIGIN]},
        },
        "status": {},
    }


def status(
    secrets_current: str, reason: str, handled: str = "", *, accepted: bool | None = None
) -> dict[str, Any]:
    """What the operator tells; `accepted`: Twitch took a secret: where one is current, it did."""
    condition = {"type": "SecretsCurrent", "status": secrets_current, "reason": reason}
    condition |= {"message": "", "lastTransitionTime": rfc3339(1.0)}
    told: dict[str, Any] = {"conditions": [condition]}
    if secrets_current == "True" if accepted is None else accepted:
        began, ends = rfc3339(1.0), rfc3339(4e9)
        times = {"activeTime": began, "expirationTime": ends}
        told["secrets"] = [{"fingerprint": "0123456789abcdef", "state": "Active", **times}]
    if handled:
        told["lastHandledRevokeAt"] = handled
    return told


class Learning:
    """The gateway's knowledge, kept as in a process of its own."""

    def __init__(self, api: ApiServer, catalog: Catalog, apps: Apps) -> None:
        self.api = api
        self.catalog = catalog
        self.apps = apps

    def tell(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - JSON
        """Change an ExtensionApp, and deliver the watch's event."""
        self.apps.notify(EXTENSION, "MODIFIED", self.api.put_app(name, **changes))

    def found(self, client_id: str) -> Endpoint:
        served = self.catalog.find(client_id)
        assert served is not None
        return served

    def problem(self, client_id: str) -> str | None:
        """Why the provider of an extension cannot be asked."""
        provider = self.found(client_id).oauth
        assert provider is not None
        return provider.problem

    def verifies(self, client_id: str) -> list[Sensitive]:
        served = self.catalog.find(client_id)
        return [s.content for s in verifying_secrets(served.secrets, time.time())] if served else []


@asynccontextmanager
async def learning(
    api: ApiServer, *, ready: bool = True, forget: Callable[[str], None] | None = None
) -> AsyncIterator[Learning]:
    settings = Settings.model_validate(
        {"secret_check_interval": 0.2, "missing_secret_check_interval": 0.2, "resync_interval": 0.5}
    )
    async with api, Kube(api.load) as kube:
        catalog = Catalog()
        apps = Apps(settings, kube, catalog, forget or GatewayMetrics().forget)
        work = asyncio.get_running_loop().create_task(apps.run())
        try:
            if ready:
                await eventually(lambda: catalog.ready)
            yield Learning(api, catalog, apps)
            assert not work.done(), work.exception()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
