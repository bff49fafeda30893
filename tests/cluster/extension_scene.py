"""ExtensionApps at the other Twitch: what is applied, and what the target Secrets hold over time.

A `Consumer` is what mounts the Secrets: it signs calls with `current` the whole time, and holds
what it finds against what Twitch has.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import jwt

from tests.cluster.kubectl import PATIENCE, conditions
from tests.cluster.manifests import secret
from tests.cluster.operator_access import GROUP
from tests.cluster.operator_harness import leaked
from tests.other_extensions import OtherExtensions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Operator, Site
    from tests.other_extensions import Key, OtherExtension

__all__ = ["LABELS", "OWNER", "Consumer", "Extensions", "Target", "new_extensions"]

LABELS = {"app.kubernetes.io/managed-by": "twitch-operator"}
OWNER = "27419011"
_TARGET = "-secrets"
_SETTINGS = {
    "MIN_ACTIVATION_DELAY": "1s",
    "EXTENSION_CHECK_INTERVAL": "2s",
    "CALL_TIMEOUT": "1s",
}


@dataclass(frozen=True)
class Target:
    """A target Secret as it was read."""

    meta: dict[str, Any]
    data: dict[str, str]

    @classmethod
    def of(cls, body: dict[str, Any]) -> Target:
        data = body.get("data") or {}
        return cls(body["metadata"], {k: base64.b64decode(v).decode() for k, v in data.items()})

    def get(self, key: str) -> str | None:
        """The base64 text of current, next or previous."""
        return self.data.get(key)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What secrets.json lists."""
        listed: list[dict[str, Any]] = json.loads(self.data["secrets.json"])["secrets"]
        return listed

    @property
    def known(self) -> set[str]:
        """The texts of all secrets that it lists."""
        return {entry["content"] for entry in self.entries}

    @property
    def verifying(self) -> set[str]:
        """The texts of those that verify."""
        return {entry["content"] for entry in self.entries if not entry.get("revoked")}


class Extensions:
    """A site with extensions at the other Twitch; operators are started by hand."""

    def __init__(self, site: Site, twitch: OtherExtensions, view: _View) -> None:
        self.site = site
        self.kubectl = site.kubectl
        self.twitch = twitch
        self._view = view

    async def start(
        self, *, kubeconfig: Path | None = None, wait: bool = True, **settings: str
    ) -> Operator:
        """Start an operator that calls the other Twitch; further settings without their prefix."""
        urls = {"HELIX_URL": self.twitch.helix_url, "IDENTITY_URL": self.twitch.identity_url}
        chosen = _SETTINGS | urls | settings
        return await self.site.start_operator(kubeconfig=kubeconfig, wait=wait, **chosen)

    def client_id(self, name: str) -> str:
        """The extension's, by the name of its ExtensionApp."""
        return f"client0{name.replace('-', '0')}"

    def register(self, name: str) -> OtherExtension:
        """A new extension at Twitch, with one secret of its console."""
        self.twitch.add_extension(self.client_id(name), OWNER)
        return self.at_twitch(name)

    def at_twitch(self, name: str) -> OtherExtension:
        return self.twitch.extension(self.client_id(name))

    def bootstrap(self, name: str, text: str = "") -> dict[str, Any]:
        """The Secret with a secret of the console: the latest, or this text."""
        return secret(f"{name}-bootstrap", secret=text or self.at_twitch(name).keys[-1].text)

    def app(self, name: str, **of_secret: object) -> dict[str, Any]:
        """The ExtensionApp; `of_secret` adds to spec.secret. It rotates seldom by default."""
        meta = {"name": name}
        kind = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "ExtensionApp", "metadata": meta}
        whole = {
            "bootstrapSecretRef": {"name": f"{name}-bootstrap", "key": "secret"},
            "targetSecretName": name + _TARGET,
            "rotation": {"interval": "1h", "activationDelay": "2s"},
        }
        client_id = self.client_id(name)
        spec = {"clientId": client_id, "ownerId": OWNER, "version": "1.3.0"}
        return {**kind, "spec": {**spec, "secret": whole | of_secret}}

    async def add(self, name: str, **of_secret: object) -> OtherExtension:
        """An extension whose ExtensionApp is Ready."""
        mine = self.register(name)
        await self.kubectl.apply(self.bootstrap(name), self.app(name, **of_secret))
        await self.kubectl.ready(f"extapp/{name}")
        return mine

    async def target(self, name: str) -> Target | None:
        """The target Secret as it is."""
        return (await self.targets()).get(name)

    async def targets(self) -> dict[str, Target]:
        """All target Secrets, by the names of their ExtensionApps."""
        return {
            body["metadata"]["name"].removesuffix(_TARGET): Target.of(body)
            for body in await self._view.secrets(self.site.namespace)
            if body["metadata"]["name"].endswith(_TARGET)
        }

    async def until_target(
        self, name: str, good: Callable[[Target], object], within: float = PATIENCE
    ) -> Target:
        """Wait until the target Secret is as it should be."""
        deadline = time.monotonic() + within
        while True:
            found = await self.target(name)
            if found is not None and good(found):
                return found
            keys = sorted(found.data) if found is not None else None
            assert time.monotonic() < deadline, f"{name}: {keys}"
            await asyncio.sleep(0.05)

    async def condition(self, name: str, kind: str = "SecretsCurrent") -> dict[str, Any]:
        return conditions(await self.kubectl.status("extapp", name)).get(kind, {})

    async def until_reason(self, name: str, reason: str) -> dict[str, dict[str, Any]]:
        """Wait until Ready has this reason; the conditions by type."""
        return await self.kubectl.until_reason("extapp", name, reason)

    async def revoke(self, name: str, value: str) -> None:
        """Ask for all secrets to be taken out of service."""
        await self.kubectl.annotate("extapp", name, revokeRequestedAt=value)


class _View:
    """Reads Secrets by the API server itself: kubectl would be too slow."""

    def __init__(self, plane: ControlPlane) -> None:
        config = json.loads(plane.kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._trust = ssl.create_default_context(cadata=authority)
        self._server = cluster["server"]
        self._headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def secrets(self, namespace: str) -> list[dict[str, Any]]:
        url = f"{self._server}/api/v1/namespaces/{namespace}/secrets"
        async with self._session.get(url, ssl=self._trust) as answer:
            assert answer.status == 200, await answer.text()
            listed: list[dict[str, Any]] = (await answer.json())["items"]
            return listed


@dataclass
class Consumer:
    """Signs with `current` the whole time, also with one that it read a while ago.

    Attributes:
        seen: When the Secret first had a secret, by its text.
        signed: Calls that Twitch took.
        complaints: What must not be.
    """

    of: Extensions
    names: list[str]
    stale: float = 1.0
    seen: dict[str, float] = field(default_factory=dict)
    signed: int = 0
    complaints: list[str] = field(default_factory=list)
    _read: list[tuple[float, dict[str, Target]]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Sign and compare, until the block ends."""
        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(self._run(session))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _run(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._look()
            for name in self.names:
                for moment in (self._read[0], self._read[-1]):
                    await self._sign(session, name, *moment)
            await asyncio.sleep(0.05)

    async def _look(self) -> None:
        before = time.time()
        living = {name: self.of.at_twitch(name).living(before) for name in self.names}
        targets = await self.of.targets()
        now = time.time()
        self._read = [(at, t) for at, t in self._read if at > now - self.stale]
        self._read.append((now, targets))
        for name in self.names:
            self._compare(name, targets[name], living[name], now)

    def _compare(self, name: str, target: Target, living: list[Key], now: float) -> None:
        for text in target.known:
            self.seen.setdefault(text, now)
        for key in living:
            if key.text in self.seen and key.text not in target.known and now < key.ends - 0.5:
                self.complaints.append(f"{name}: a secret is gone from the Secret before its end")

    async def _sign(
        self, session: aiohttp.ClientSession, name: str, at: float, targets: dict[str, Target]
    ) -> None:
        current = targets[name].get("current")
        if current is None:
            self.complaints.append(f"{name}: there is no current")
            return
        claims = {"exp": int(time.time()) + 60, "user_id": OWNER, "role": "external"}
        client_id = self.of.client_id(name)
        token = jwt.encode(claims, base64.b64decode(current), algorithm="HS256")
        async with session.get(
            f"{self.of.twitch.helix_url}/extensions/configurations",
            params={"extension_id": client_id, "segment": "global"},
            headers={"Authorization": f"Bearer {token}", "Client-Id": client_id},
        ) as answer:
            if answer.status == 200:
                self.signed += 1
            else:
                told = f"{name}: {answer.status}, with current of {time.time() - at:.1f} s ago"
                self.complaints.append(told)


@asynccontextmanager
async def new_extensions(site: Site) -> AsyncIterator[Extensions]:
    """Nothing is applied yet, and no operator runs. In the end, nothing told a secret."""
    site.plane.until_established("crd/extensionapps.twitch-operator.dev")
    async with OtherExtensions() as twitch, _View(site.plane) as view:
        twitch.least_delay, twitch.reads_a_minute = 1.0, 1e6
        scene = Extensions(site, twitch, view)
        yield scene
        told = await site.kubectl("get", "extapp,events.events.k8s.io", "-o", "json")
        assert not leaked(twitch.secrets, [told, *(each.log for each in site.operators)])
