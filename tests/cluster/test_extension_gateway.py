"""Operator and gateway together: a front end is served with each JWT that Twitch hands it."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.cluster.extension_scene import new_extensions
from tests.cluster.gateway_harness import Gateway
from tests.cluster.kubectl import eventually
from tests.cluster.operator_harness import leaked
from tests.cluster.pace import stretched
from tests.programs import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cluster.extension_scene import Extensions
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

CHANNEL, VERSION = "1111", "1.3.0"
SETTINGS = {
    "GATEWAY_ADDRESS": "127.0.0.1:0",
    "GATEWAY_DRAIN": "100ms",
    "SECRET_CHECK_INTERVAL": "1s",
    "MISSING_SECRET_CHECK_INTERVAL": "1s",
}


@asynccontextmanager
async def gateway_of(scene: Extensions, folder: Path) -> AsyncIterator[Gateway]:
    """A gateway that calls the other Twitch."""
    chosen = SETTINGS | {
        "HELIX_URL": scene.twitch.helix_url,
        "WATCH_NAMESPACES": scene.site.namespace,
    }
    environment = {f"TWITCH_OPERATOR_{name}": value for name, value in chosen.items()}
    environment |= os.environ | {"KUBECONFIG": str(scene.site.plane.kubeconfig)}
    log = folder / "gateway.log"
    gateway = Gateway(Program.start("gateway", environment, log), log)
    try:
        await gateway.serving()
        yield gateway
    finally:
        await gateway.kill()


class Panel:
    """A front end that finishes its setup again and again."""

    def __init__(self, scene: Extensions, name: str, gateway: Gateway) -> None:
        self._scene, self._name, self._url = scene, name, f"{gateway.url}/setup/"
        self.found: Counter[str] = Counter()

    def token(self) -> str:
        """As Twitch hands it out now: signed with its newest secret that is active."""
        return self._scene.twitch.helper_token(self._scene.client_id(self._name))

    async def set_up(self, http: httpx.AsyncClient, token: str = "") -> str:
        """What the gateway answers: a status, or the name of an error."""
        headers = {
            "Authorization": f"Bearer {token or self.token()}",
            "X-Twitch-Client-Id": self._scene.client_id(self._name),
            "X-Twitch-User-Id": CHANNEL,
            "X-Twitch-Extension-Version": VERSION,
        }
        answer = await http.post(self._url, headers=headers)
        told: dict[str, Any] = answer.json()
        return str(told.get("error", answer.status_code))

    async def run(self, http: httpx.AsyncClient) -> None:
        while True:
            self.found[await self.set_up(http)] += 1
            await asyncio.sleep(0.03)


async def test_no_front_end_notices_a_rotation_or_a_kill_and_each_one_a_revocation(
    site: Site, tmp_path: Path
) -> None:
    async with (
        new_extensions(site) as scene,
        httpx.AsyncClient(trust_env=False, verify=False) as http,
    ):
        scene.twitch.retire_after = 12.0
        operator = await scene.start()
        mine = scene.register("deck")
        app = scene.app("deck", rotation={"interval": "10s", "activationDelay": "4s"})
        app["spec"] |= {"gateway": {}, "requiredConfiguration": {"value": "COMPLETE"}}
        await scene.kubectl.apply(scene.bootstrap("deck"), app)
        await scene.kubectl.ready("extapp/deck")
        async with gateway_of(scene, tmp_path) as gateway:
            panel = Panel(scene, "deck", gateway)
            running = asyncio.create_task(panel.run(http))
            await eventually(lambda: len(mine.made) == 1)
            await operator.kill()
            operator = await scene.start()
            await eventually(lambda: len(mine.made) == 2, 30)
            await asyncio.sleep(mine.made[1].key.active + 3 - time.time())
            running.cancel()
            assert panel.found.keys() == {"200"}
            assert mine.required == {CHANNEL: (VERSION, "COMPLETE")}
            former = panel.token()
            await scene.revoke("deck", "leaked")
            asked = time.time()
            while await panel.set_up(http) == "200":
                assert time.time() < asked + stretched(1)
            await eventually(lambda: any(made.time > asked for made in mine.made))
            new = mine.keys[-1]
            # A token is made before the look at the clock: a pause between them would be a new one.
            while (token := panel.token()) and time.time() < new.active - 0.2:
                assert await panel.set_up(http, token) == "invalid_jwt"
            await asyncio.sleep(max(0.0, new.active + 0.2 - time.time()))
            assert await panel.set_up(http) == "200"
            assert await panel.set_up(http, former) == "invalid_jwt"
            assert not leaked([*scene.twitch.secrets, former, panel.token()], [gateway.log])
        assert scene.twitch.wrong == []
        await operator.end()
