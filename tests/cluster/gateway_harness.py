"""The gateway as a process of its own, on a real API server, with what it calls beside it."""

from __future__ import annotations

import base64
import os
import re
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.policies.extension_secrets import SharedSecret, encode
from controller.sandbox.oauth import OAuthSimulator
from controller.sensitive import Sensitive
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import raw_secret
from tests.cluster.operator_harness import Operator
from tests.programs import Program

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cluster.operator_harness import Site

__all__ = ["Gateway", "Scene", "new_scene", "new_secret"]

_LOGIN = ("gateway", "login-of-the-gateway")
_SETTINGS = {
    "ALLOWED_FETCH_HOSTS": "127.0.0.1",
    "GATEWAY_ADDRESS": "127.0.0.1:0",
    "GATEWAY_DRAIN": "1s",
    "HEALTH_ADDRESS": "127.0.0.1:0",
    "METRICS_ADDRESS": "127.0.0.1:0",
    "SECRET_CHECK_INTERVAL": "1s",
    "MISSING_SECRET_CHECK_INTERVAL": "1s",
    "RESYNC_INTERVAL": "3s",
    "LOG_LEVEL": "DEBUG",
}


def new_secret(active_in: float = -60.0) -> SharedSecret:
    """A shared secret, active since (or in) some seconds, for long."""
    content = base64.b64encode(secrets.token_bytes(32)).decode()
    now = time.time()
    return SharedSecret(Sensitive(content), round(now + active_in), round(now) + 1e9)


class Gateway(Operator):
    """One process of `twitch-operator gateway`."""

    @property
    def url(self) -> str:
        """Where it serves, once it does."""
        served = re.search(r"serving /send/, /setup/ on 127\.0\.0\.1 port (\d+)", self.log)
        assert served, self.log
        return f"http://127.0.0.1:{served[1]}"

    async def serving(self) -> None:
        """Wait until it takes requests."""
        await eventually(lambda: self.ended or "serving /send/" in self.log)
        assert not self.ended, self.log


class Upstream:
    """The two calls of Twitch that a gateway makes; takes whatever is signed with a known secret.

    Attributes:
        messages: What was sent, with the channel.
        configured: The channels that were marked as configured.
        wrong: What was wrong with a call, of which there should be none.
        hold: While it is set, calls wait for this event.
    """

    def __init__(self) -> None:
        self.known: list[SharedSecret] = []
        self.messages: list[tuple[str, str]] = []
        self.configured: list[str] = []
        self.wrong: list[str] = []
        self.hold: asyncio.Event | None = None
        app = web.Application()
        app.router.add_post("/extensions/pubsub", self._pubsub)
        app.router.add_put("/extensions/required_configuration", self._require)
        self.server = TestServer(app)

    async def _pubsub(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), await request.json()
        if self.hold is not None:
            await self.hold.wait()
        if claims.get("channel_id") != body["broadcaster_id"]:
            self.wrong.append(f"channel {claims.get('channel_id')} and {body['broadcaster_id']}")
        self.messages.append((body["broadcaster_id"], body["message"]))
        return web.Response(status=204)

    async def _require(self, request: web.Request) -> web.Response:
        self._claims(request)
        self.configured.append(request.query["broadcaster_id"])
        return web.Response(status=204)

    def _claims(self, request: web.Request) -> dict[str, Any]:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        for secret in self.known:
            try:
                return dict(jwt.decode(token, _key(secret), algorithms=["HS256"]))
            except jwt.InvalidSignatureError:
                continue
        self.wrong.append("signed with an unknown secret")
        return {}


class Scene:
    """A namespace with one extension, a simulated provider and Twitch's two calls."""

    def __init__(self, site: Site, folder: Path, upstream: Upstream, oauth: OAuthSimulator) -> None:
        self.site = site
        self.kubectl = site.kubectl
        self.upstream = upstream
        self.oauth = oauth
        self.name = f"deck-{secrets.token_hex(4)}"
        self.client_id = secrets.token_hex(15)
        self._folder = folder
        self._gateways: list[Gateway] = []

    @property
    def helix_url(self) -> str:
        """Where Twitch's two calls are."""
        return str(self.upstream.server.make_url("")).rstrip("/")

    def app(self, **gateway: object) -> dict[str, Any]:
        """The ExtensionApp."""
        oauth = {
            "introspectionUrl": self.oauth.introspection_url,
            "secretRef": {"name": f"{self.name}-login"},
        }
        return {
            "apiVersion": "twitch-operator.dev/v1alpha1",
            "kind": "ExtensionApp",
            "metadata": {"name": self.name},
            "spec": {
                "clientId": self.client_id,
                "ownerId": "27419011",
                "version": "1.3.0",
                "secret": {
                    "bootstrapSecretRef": {"name": f"{self.name}-bootstrap", "key": "secret"},
                    "targetSecretName": f"{self.name}-secrets",
                },
                "requiredConfiguration": {"value": "COMPLETE"},
                "gateway": {"oauth": oauth, **gateway},
            },
        }

    def login(self) -> dict[str, Any]:
        """The Secret with which the gateway logs in at the provider."""
        client_id, client_secret = (text.encode() for text in _LOGIN)
        made = raw_secret(f"{self.name}-login", client_id=client_id, client_secret=client_secret)
        made["metadata"]["annotations"] = {"twitch-operator.dev/allowed-host": "127.0.0.1"}
        return made

    def target(self, *known: SharedSecret, revoked_for: str = "") -> dict[str, Any]:
        """The target Secret as the operator writes it; Twitch knows these secrets from now on."""
        self.upstream.known += known
        data = {k: v.reveal().encode() for k, v in encode(known, time.time()).items()}
        made = raw_secret(f"{self.name}-secrets", **data)
        made["metadata"]["labels"] = {
            "app.kubernetes.io/managed-by": "twitch-operator",
            "twitch-operator.dev/extension": self.name,
        }
        made["metadata"]["annotations"] = {"twitch-operator.dev/client-id": self.client_id}
        if revoked_for:
            made["metadata"]["annotations"]["twitch-operator.dev/revoked-for"] = revoked_for
        return made

    async def start(
        self, *, kubeconfig: Path | None = None, wait: bool = True, **settings: str
    ) -> Gateway:
        """Start a gateway for the namespace; further settings without their prefix."""
        chosen = {
            **_SETTINGS,
            "HELIX_URL": self.helix_url,
            "WATCH_NAMESPACES": self.site.namespace,
            **settings,
        }
        environment = {f"TWITCH_OPERATOR_{name}": value for name, value in chosen.items()}
        environment["KUBECONFIG"] = str(kubeconfig or self.site.plane.kubeconfig)
        log = self._folder / f"gateway-{self.name}-{len(self._gateways)}.log"
        gateway = Gateway(Program.start("gateway", os.environ | environment, log), log)
        self._gateways.append(gateway)
        if wait:
            await gateway.serving()
        return gateway

    def send_headers(self, channel: str = "1111") -> dict[str, str]:
        """Headers of /send/ with a new bearer token for the channel."""
        token = self.oauth.token(channels=[channel])
        return {
            "Authorization": f"Bearer {token}",
            "X-Twitch-Client-Id": self.client_id,
            "X-Twitch-User-Id": channel,
        }

    def setup_headers(self, secret: SharedSecret, channel: str = "1111") -> dict[str, str]:
        """Headers of /setup/ with a JWT as Twitch's helper has it."""
        claims = {
            "exp": int(time.time()) + 300,
            "opaque_user_id": f"U{channel}",
            "user_id": channel,
            "channel_id": channel,
            "role": "broadcaster",
        }
        token = jwt.encode(claims, _key(secret), algorithm="HS256")
        return {
            "Authorization": f"Bearer {token}",
            "X-Twitch-Client-Id": self.client_id,
            "X-Twitch-User-Id": channel,
            "X-Twitch-Extension-Version": "1.3.0",
        }

    async def close(self) -> None:
        for gateway in self._gateways:
            if not gateway.ended:
                await gateway.kill()
        await self.kubectl("delete", "extapp", self.name, "--ignore-not-found")
        texts = [gateway.log for gateway in self._gateways]
        held = [_LOGIN[1], *(secret.content.reveal() for secret in self.upstream.known)]
        assert not [text for text in held if any(text in log for log in texts)]
        assert not self.upstream.wrong


@asynccontextmanager
async def new_scene(site: Site, folder: Path) -> AsyncIterator[Scene]:
    """A scene whose processes end with it; nothing is applied yet."""
    site.plane.until_established("crd/extensionapps.twitch-operator.dev")
    upstream = Upstream()
    async with upstream.server, OAuthSimulator() as oauth:
        oauth.add_client(*_LOGIN)
        scene = Scene(site, folder, upstream, oauth)
        try:
            yield scene
        finally:
            await scene.close()


def _key(secret: SharedSecret) -> bytes:
    return base64.b64decode(secret.content.reveal())
