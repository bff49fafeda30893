"""The gateway between a real API server, a simulated provider and two calls of Twitch's."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio

from tests.cluster.gateway_harness import new_scene, new_secret
from tests.cluster.kubectl import PATIENCE, eventually
from tests.cluster.operator_access import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.gateway_harness import Gateway, Scene
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

INSTALL = Path(__file__).parents[2] / "docs" / "install.md"
MESSAGE = {"type": "card", "data": {"name": "Island"}}
ORIGIN = "https://deck.ext-twitch.tv"


@pytest_asyncio.fixture(loop_scope="module")
async def scene(site: Site, tmp_path: Path) -> AsyncIterator[Scene]:
    async with new_scene(site, tmp_path) as scene:
        yield scene


@pytest_asyncio.fixture(loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=15) as client:
        yield client


async def send(client: httpx.AsyncClient, gateway: Gateway, scene: Scene) -> httpx.Response:
    return await client.post(f"{gateway.url}/send/", headers=scene.send_headers(), json=MESSAGE)


_NO_BODY, _NOT_SERVED = "JSON parse error", "Invalid Twitch Client ID"


async def until_told(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], detail: str
) -> None:
    """Ask without a body until the 400 has this detail."""
    deadline = time.monotonic() + PATIENCE
    while detail not in (answer := await client.post(url, headers=headers)).text:
        assert time.monotonic() < deadline, f"{answer.status_code}: {answer.text}"
        await asyncio.sleep(0.05)
    assert answer.status_code == 400


async def until_status(
    client: httpx.AsyncClient, url: str, headers: dict[str, str], status: int
) -> httpx.Response:
    """Ask until the answer has a status."""
    deadline = time.monotonic() + PATIENCE
    while (answer := await client.post(url, headers=headers)).status_code != status:
        assert time.monotonic() < deadline, f"{answer.status_code}: {answer.text}"
        await asyncio.sleep(0.05)
    return answer


async def test_messages_reach_twitch_and_setups_are_finished(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    secret = new_secret()
    await scene.kubectl.apply(
        scene.app(allowedOrigins=[ORIGIN]), scene.login(), scene.target(secret)
    )
    gateway = await scene.start()
    answer = await send(client, gateway, scene)
    assert (answer.status_code, answer.json()["status"]) == (200, 204)
    channel, message = scene.upstream.messages[0]
    assert (channel, json.loads(message)) == ("1111", {**MESSAGE, "version": 0})
    asked = scene.setup_headers(secret) | {"Origin": ORIGIN}
    answer = await client.post(f"{gateway.url}/setup/", headers=asked)
    assert (answer.status_code, scene.upstream.configured) == (200, ["1111"])
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    for path in ("/healthz", "/readyz"):
        assert (await gateway.get(path)).status_code == 200
    counted = (await gateway.get("/metrics")).text
    assert f'extension="{scene.site.namespace}/{scene.name}"' in counted
    assert "/send/" in (await client.get(f"{gateway.url}/openapi.json")).json()["paths"]


async def test_extensions_come_change_and_go_while_it_runs(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    gateway = await scene.start()
    assert (await send(client, gateway, scene)).status_code == 400  # nobody to ask
    await scene.kubectl.apply(scene.app(), scene.login(), scene.target(new_secret()))
    url, headers = f"{gateway.url}/send/", scene.send_headers()
    await until_told(client, url, headers, _NO_BODY)
    await scene.kubectl.apply(scene.app(enabled=False))
    await until_told(client, url, headers, _NOT_SERVED)
    await scene.kubectl.apply(scene.app(enabled=True))
    await until_told(client, url, headers, _NO_BODY)
    counted = f'extension="{scene.site.namespace}/{scene.name}"'
    assert counted in (await gateway.get("/metrics")).text
    await scene.kubectl("delete", "extapp", scene.name)
    await until_told(client, url, headers, _NOT_SERVED)
    assert counted not in (await gateway.get("/metrics")).text


async def test_it_serves_what_it_knows_while_the_api_server_is_away(
    scene: Scene, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    await scene.kubectl.apply(scene.app(), scene.login(), scene.target(new_secret()))
    async with Line(tmp_path / "kubeconfig", scene.site.plane.kubeconfig) as api:
        gateway = await scene.start(kubeconfig=api.kubeconfig)
        await api.cut()
        late = await scene.start(kubeconfig=api.kubeconfig, wait=False)
        await eventually(lambda: "waiting for the API server" in late.log)
        assert (await late.get("/healthz")).status_code == 200
        assert (await late.get("/readyz")).status_code == 503
        await eventually(lambda: "was not reached" in gateway.log or "answer" in gateway.log)
        for _ in range(3):
            assert (await send(client, gateway, scene)).status_code == 200
            await asyncio.sleep(0.5)
        assert (await gateway.get("/readyz")).status_code == 200
        assert "serving /send/" not in late.log
        await scene.kubectl.apply(scene.app(enabled=False))
        await api.mend()
        await late.serving()
        headers = scene.send_headers()
        for each in (gateway, late):
            await until_told(client, f"{each.url}/send/", headers, _NOT_SERVED)


async def test_a_revocation_takes_effect_at_once_whatever_the_operator_does(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    old, new = new_secret(), new_secret()
    await scene.kubectl.apply(scene.app(), scene.login(), scene.target(old))
    gateways = [await scene.start(), await scene.start()]
    for gateway in gateways:
        await until_status(client, f"{gateway.url}/setup/", scene.setup_headers(old), 200)
    await scene.kubectl(
        "annotate", "extapp", scene.name, "twitch-operator.dev/revokeRequestedAt=now"
    )
    # No operator runs here, and its Secret is as it was.
    for gateway in gateways:
        refused = await until_status(client, f"{gateway.url}/setup/", scene.setup_headers(old), 403)
        assert refused.json()["error"] == "invalid_jwt"
        assert (await send(client, gateway, scene)).status_code == 200
    await scene.kubectl.apply(scene.target(new, old, revoked_for="now"))
    for gateway in gateways:
        await until_status(client, f"{gateway.url}/setup/", scene.setup_headers(new), 200)
        url = f"{gateway.url}/setup/"
        assert (await client.post(url, headers=scene.setup_headers(old))).status_code == 403


async def test_the_end_of_a_replica_drops_no_request(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    await scene.kubectl.apply(scene.app(), scene.login(), scene.target(new_secret()))
    first, second = await scene.start(), await scene.start()
    outcomes: Counter[str] = Counter()
    done = asyncio.Event()

    async def work(channel: str) -> None:
        """As a load balancer does: the first that takes a connection."""
        headers = scene.send_headers(channel)
        while not done.is_set():
            for gateway in (first, second):
                try:
                    answer = await client.post(
                        f"{gateway.url}/send/", headers=headers, json=MESSAGE
                    )
                except httpx.ConnectError:
                    continue
                outcomes[f"{gateway.process.pid}: {answer.status_code}"] += 1
                break
            await asyncio.sleep(0.02)

    load = [asyncio.create_task(work(str(n))) for n in range(20)]
    await eventually(lambda: sum(outcomes.values()) > 100)
    ending = asyncio.create_task(first.end())
    await eventually(lambda: "ending" in first.log)
    assert (await first.get("/readyz")).status_code == 503
    assert await ending == 0
    before = sum(outcomes.values())
    await eventually(lambda: sum(outcomes.values()) > before + 50)
    done.set()
    await asyncio.gather(*load)
    assert set(outcomes) == {f"{each.process.pid}: 200" for each in (first, second)}
    assert len(scene.upstream.messages) == sum(outcomes.values())
    assert "Traceback" not in first.log


async def test_requests_that_wait_for_twitch_are_answered_before_the_end(
    scene: Scene, client: httpx.AsyncClient
) -> None:
    await scene.kubectl.apply(scene.app(), scene.login(), scene.target(new_secret()))
    gateway = await scene.start(GATEWAY_DRAIN="200ms")
    scene.upstream.hold = asyncio.Event()
    waiting = [asyncio.create_task(send(client, gateway, scene)) for _ in range(5)]
    await eventually(lambda: len(scene.oauth.requests) == 5)
    ending = asyncio.create_task(gateway.end())
    await eventually(lambda: "ending" in gateway.log)
    await asyncio.sleep(1.5)
    assert not gateway.ended
    scene.upstream.hold.set()
    answers = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in answers] == [200] * 5
    assert await ending == 0
