"""What Twitch or the API server refuses an extension: one call, and not its credential."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from controller.clients.extension_jwt import Perms
from controller.clients.extensions import Extensions
from controller.clients.kube import Kube
from controller.extensions.app import ExtensionApp
from controller.extensions.configuration import ConfigurationManager
from controller.extensions.policies import rotation
from controller.extensions.reconciler import ExtensionReconciler
from controller.extensions.secrets import SecretManager
from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key, Resource
from controller.runtime.secret_cache import SecretStore
from controller.sandbox.twitch import Fault
from controller.sensitive import Sensitive
from tests.simulated.local_api import LocalApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from controller.policies.findings import Finding
    from controller.sandbox.twitch import TwitchSimulator
    from controller.sandbox.twitch.extensions import Extension
    from controller.settings import Settings

KEY = Key(EXTENSION, "tv", "deck")
SECRETS = "/helix/extensions/jwt/secrets"
REQUIRED = "/helix/extensions/required_configuration"
LONG_AGO = 30 * 86_400.0
EXAMPLE_KEY = Sensitive("c2VjcmV0" * 6)


def base64_of(text: Sensitive) -> str:
    return base64.b64encode(text.reveal().encode()).decode()


class ApiServer(LocalApi):
    """Keeps Secrets; `refused`: names of those that may not be read."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.refused: set[str] = set()
        self._version = 0
        app, path = web.Application(), "/api/v1/namespaces/tv/secrets"
        app.router.add_get(f"{path}/{{name}}", self._get)
        app.router.add_post(path, self._put)
        app.router.add_put(f"{path}/{{name}}", self._put)
        super().__init__(app)

    def store(self, name: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        self._version += 1
        meta = {"name": name, "namespace": "tv", "uid": name} | body.pop("metadata", {})
        stored = {"kind": "Secret", "metadata": meta | {"resourceVersion": str(self._version)}}
        self.secrets[name] = stored | body
        return self.secrets[name]

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name in self.refused:
            return _refusal(403, f'secrets "{name}" is forbidden')
        if name not in self.secrets:
            return _refusal(404, f'secrets "{name}" not found')
        return web.json_response(self.secrets[name])

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        found = {k: body[k] for k in ("metadata", "data")}
        return web.json_response(self.store(body["metadata"]["name"], **found))


def _refusal(status: int, message: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "message": message, "code": status}
    return web.json_response(body, status=status)


SPEC: dict[str, Any] = {
    "clientId": "d72h",
    "ownerId": "1",
    "version": "1.3.0",
    "secret": {
        "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
        "targetSecretName": "target",
        "rotation": {"interval": "48h"},
    },
}
CONFIGURED = {
    "configuration": {
        "channels": [{"channelRef": {"name": "mst3k"}, "segment": "developer", "content": "{}"}]
    },
    "requiredConfiguration": {"value": "DONE"},
}


@dataclass
class Desk:
    """One ExtensionApp, and its rounds as the operator runs them."""

    twitch: TwitchSimulator
    mine: Extension
    api: ApiServer
    extensions: Extensions
    secrets: SecretStore
    rounds: ExtensionReconciler
    app: ExtensionApp

    def declare(self, **more: object) -> None:
        """The spec is changed."""
        before = self.app.resource
        self.app.update(replace(before, generation=before.generation + 1, spec=SPEC | more))

    async def round(self) -> float:
        """In how many seconds it comes back."""
        again = await self.rounds.run(self.app)
        assert again is not None
        return again - time.time()

    async def rest(self) -> float:
        """Rounds until there is nothing more to do at once."""
        for _ in range(20):
            if (pause := await self.round()) > 0.01:
                return pause
        pytest.fail("it never rests")

    def finding(self, kind: str) -> Finding:
        return next(f for f in self.app.findings(time.time()) if f.type == kind)

    def told(self, kind: str) -> tuple[str, str, bool]:
        found = self.finding(kind)
        return found.status, found.reason, found.human

    def count(self, method: str, path: str) -> int:
        return len(self.twitch.calls(method, path))

    def refuse(self, method: str, path: str, status: int) -> None:
        """Each such call is answered with this status, and words."""
        words = {"error": "Unauthorized", "status": status, "message": "not for you"}
        fault = Fault(method=method, path=path, status=status, body=words, times=None)
        self.twitch.order_fault(fault)

    async def sends(self) -> int:
        """The status of a message that is signed with what signs now."""
        signer = self.app.signer(time.time())
        assert not isinstance(signer, str), signer
        return (await self.extensions.send(signer, Perms("11", "broadcast"), "{}")).status


@pytest.fixture
async def desk(
    twitch: TwitchSimulator, http: httpx.AsyncClient, settings: Settings
) -> AsyncIterator[Desk]:
    mine = twitch.add_extension("d72h", "1", EXAMPLE_KEY.reveal())
    mine.secrets[0].active -= LONG_AGO
    extensions = Extensions(http, settings)
    async with ApiServer() as api, Kube(api.load) as kube:
        api.store("bootstrap", data={"secret": base64_of(EXAMPLE_KEY)})
        secrets = SecretStore(kube, settings, lambda _who: None)
        made = Resource(KEY, "u", 1, time.time() - LONG_AGO, None, spec=SPEC, status={})
        app = ExtensionApp(
            made,
            secret_manager=SecretManager(
                made, extensions=extensions, secrets=secrets, kube=kube, settings=settings
            ),
            configuration=ConfigurationManager(KEY, extensions, settings),
            least_delay=settings.min_activation_delay,
        )
        rounds = ExtensionReconciler(
            settings,
            {KEY: app},
            secrets=secrets,
            broadcaster_of=lambda _namespace, _name: "11",
            conclude=lambda _app: None,
            reconcile=lambda _key: None,
        )
        yield Desk(twitch, mine, api, extensions, secrets, rounds, app)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refusal_to_make_a_secret_leaves_the_present_one_in_service(
    desk: Desk, status: int
) -> None:
    desk.refuse("POST", SECRETS, status)
    pause = await desk.rest()
    assert 590 < pause <= 600
    assert desk.told("SecretsCurrent") == ("True", "RotationRefused", True)
    words = f"Twitch answered POST /extensions/jwt/secrets with {status}: not for you"
    assert words in desk.finding("SecretsCurrent").message
    assert desk.finding("Ready").status == "True"
    assert desk.finding("Stalled").status == "True"
    # Signing goes on, here and for whoever mounts the Secret.
    assert await desk.sends() == 204
    target = desk.api.secrets["target"]
    assert target["data"]["current"] == base64_of(EXAMPLE_KEY)
    assert "twitch-operator.dev/rotation-begun" not in target["metadata"]["annotations"]
    for _ in range(3):
        await desk.round()
    assert desk.count("POST", SECRETS) == 1, "it is asked again before the interval is over"
    # Somebody asks, or changes the spec: one more each.
    desk.app.recheck()
    await desk.rest()
    assert desk.count("POST", SECRETS) == 2
    desk.declare(version="1.4.0")
    await desk.rest()
    assert desk.count("POST", SECRETS) == 3
    desk.twitch.clear_faults()
    desk.app.recheck()
    await desk.rest()
    assert desk.told("SecretsCurrent") == ("True", "Succeeded", False)
    assert desk.mine.created == 1


async def test_it_is_the_secret_that_is_lost_where_a_look_is_refused_too(desk: Desk) -> None:
    desk.refuse("POST", SECRETS, 401)
    desk.twitch.order_fault(Fault(method="GET", path=SECRETS, headers={"X-First": "1"}))
    desk.refuse("GET", SECRETS, 401)
    await desk.rest()
    assert desk.count("POST", SECRETS) == 1
    assert desk.told("SecretsCurrent") == ("False", "SecretLost", True)
    assert "GET /extensions/jwt/secrets with 401" in desk.finding("SecretsCurrent").message


@pytest.mark.parametrize("status", [401, 403])
async def test_required_configuration_that_is_refused_is_tried_again_after_the_interval(
    desk: Desk, status: int
) -> None:
    desk.refuse("PUT", REQUIRED, status)
    desk.declare(**CONFIGURED)
    pause = await desk.rest()
    assert 500 < pause <= 600
    assert desk.told("ConfigurationSynced") == ("False", "ConfigurationRefused", True)
    assert "not for you" in desk.finding("ConfigurationSynced").message
    assert desk.told("SecretsCurrent")[:2] == ("True", "Succeeded")
    for _ in range(3):
        await desk.round()
    assert desk.count("PUT", REQUIRED) == 1
    desk.twitch.clear_faults()
    desk.app.recheck()
    await desk.rest()
    assert desk.told("ConfigurationSynced") == ("True", "Succeeded", False)


async def test_a_secret_that_is_lost_is_found_out_by_the_call_that_is_refused(desk: Desk) -> None:
    seldom = SPEC["secret"] | {"rotation": {"interval": "8760h"}}
    desk.declare(**CONFIGURED, secret=seldom)
    await desk.rest()
    assert desk.told("Ready") == ("True", "Succeeded", False)
    desk.mine.secrets.clear()
    desk.app.configuration.recheck()
    looks = desk.count("GET", SECRETS)
    await desk.rest()
    assert desk.count("GET", SECRETS) == looks + 1
    assert desk.told("SecretsCurrent") == ("False", "SecretLost", True)
    assert desk.finding("Ready").reason == "SecretLost"
    # A secret of the console heals all of it, without waiting for the interval.
    healing = Sensitive(desk.twitch.extensions.create_secret(desk.mine, 0, time.time()).content)
    desk.api.store("bootstrap", data={"secret": base64_of(healing)})
    desk.secrets.look_again(KEY)
    await desk.rest()
    assert desk.told("Ready") == ("True", "Succeeded", False)


async def test_an_oauth_secret_that_may_not_be_read_is_a_condition(desk: Desk) -> None:
    oauth = {
        "introspectionUrl": "https://id.example.com/introspect",
        "secretRef": {"name": "provider"},
    }
    desk.api.refused.add("provider")
    desk.declare(gateway={"enabled": True, "oauth": oauth})
    await desk.round()
    assert desk.told("GatewayConfigured") == ("False", "SecretRefused", True)
    message = desk.finding("GatewayConfigured").message
    assert message.startswith("spec.gateway.oauth.secretRef: ")
    assert 'secrets "provider" is forbidden' in message
    assert desk.finding("Ready").reason == "SecretRefused"
    desk.api.refused.clear()
    await desk.round()
    assert desk.told("GatewayConfigured")[1] == "SecretNotFound"


async def test_a_refused_secret_is_tried_again_though_the_clock_is_set_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.refuse("GET", SECRETS, 401)
    assert await desk.rest() == pytest.approx(60, abs=1)
    assert desk.told("SecretsCurrent") == ("False", "SecretLost", True)
    desk.twitch.faults.clear()
    asked, real = desk.count("GET", SECRETS), time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    monkeypatch.setattr(rotation, "REFUSED_FOR", 0.2)

    async def again() -> bool:
        await desk.round()
        return desk.count("GET", SECRETS) > asked

    for _ in range(40):
        if await again():
            return
        await asyncio.sleep(0.05)
    pytest.fail("it is not tried again")
