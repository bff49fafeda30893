"""A real Prometheus scrapes operator and gateway: each expression yields series, and alerts fire.

Environment:
    TWITCH_OPERATOR_TEST_HEALTHY: Seconds without a fault, in which no alert may fire; default 3.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from controller.feeds.registry import FEEDS
from controller.resources.extensionapp import EXTENSION
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.probes import serve_probes
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from tests.prometheus import ALERTS, DASHBOARD, program
from tests.simulated.gateway_world import open_world
from tests.simulated.harness import eventually, settings_for
from tests.simulated.whole_operator import Api, a_resource, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from controller.clients.http import HttpClient
    from controller.sandbox.pubnub import PubNubSimulator
    from controller.sandbox.twitch import TwitchSimulator
    from controller.settings import Settings

HEALTHY = float(os.environ.get("TWITCH_OPERATOR_TEST_HEALTHY") or 3)
PATIENCE = 60.0
# A comparison leaves out what is as it should be: with `bool` it yields 0 or 1 instead.
_COMPARISON = re.compile(r" (>|<|==) (?!bool)")
_ABSENT = re.compile(r"^absent\((.*)\)$")


class Prometheus:
    """One process, and its HTTP API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression yields now."""
        answer = await self._client.get("/api/v1/query", params={"query": expression})
        told = answer.json()
        assert told["status"] == "success", (expression, told)
        return list(told["data"]["result"])

    async def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {
            each["metric"]["alertname"] for each in await self.query('ALERTS{alertstate="firing"}')
        }

    async def until_firing(self, wanted: Callable[[set[str]], object]) -> set[str]:
        """Wait until a condition on the alerts that fire holds."""
        deadline = time.monotonic() + PATIENCE
        while not wanted(firing := await self.firing()):
            assert time.monotonic() < deadline, firing
            await asyncio.sleep(0.2)
        return firing

    async def until_series(self, expressions: Iterable[str]) -> None:
        """Wait until each expression yields a series."""
        deadline = time.monotonic() + PATIENCE
        without = list(expressions)
        while without := [each for each in without if not await self.query(each)]:
            assert time.monotonic() < deadline, "\n".join(without)
            await asyncio.sleep(0.5)


def yielding(expression: str) -> str:
    """The expression so that it yields series whatever their values are."""
    shown = expression.replace("$namespace", ".*")
    shown = _ABSENT.sub(r"\1", shown)
    return _COMPARISON.sub(r" \1 bool ", shown)


def alert_rules() -> list[dict[str, Any]]:
    """The chart's alerts, which do not wait before they fire."""
    [group] = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [
        {name: value for name, value in rule.items() if name != "for"} for rule in group["rules"]
    ]


def shown_expressions() -> list[str]:
    """What the dashboard asks for."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


@asynccontextmanager
async def prometheus(folder: Path, ports: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """One that scrapes these jobs each second."""
    (folder / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "alerts", "rules": alert_rules()}]}), "utf-8"
    )
    scrapes = [
        {
            "job_name": job,
            "honor_labels": True,  # as the chart's ServiceMonitor
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, port in ports.items()
    ]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": scrapes}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), "utf-8")
    log = folder / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=out,
            stderr=out,
        )
    try:
        served = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
        await eventually(
            lambda: process.poll() is not None or served.search(log.read_text("utf-8"))
        )
        found = served.search(log.read_text("utf-8"))
        assert found, log.read_text("utf-8")
        url = f"http://{found[1]}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
            yield Prometheus(client)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def resources(twitch: TwitchSimulator) -> Api:
    """A channel, a rule for it, and an extension, with the Secrets that they name."""
    extension = twitch.add_extension("deck", "27419011")
    secrets = {
        "app": {"client-id": "client", "client-secret": "client-secret-0123456789"},
        "playout": {"subscribe-key": SUBSCRIBE_KEY},
        "grant": {"refresh-token": twitch.consent("mst3k", "client").refresh_token},
        "deck-bootstrap": {"secret": extension.secrets[0].content},
    }
    grant = {"refreshToken": {"secretKeyRef": {"name": "grant", "key": "refresh-token"}}}
    channel = {"login": "mst3k", "app": {"secretRef": {"name": "app"}}, "authorization": grant}
    rule = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": "kind", "equals": "spot"}],
        "idField": "id",
        "action": {"commercial": {"lengthField": "seconds"}},
    }
    bootstrap = {"name": "deck-bootstrap", "key": "secret"}
    app = {
        "clientId": "deck",
        "ownerId": "27419011",
        "version": "1.0.0",
        "secret": {"bootstrapSecretRef": bootstrap, "targetSecretName": "deck-secrets"},
    }
    held = {
        CHANNEL: [a_resource(CHANNEL, "mst3k", channel)],
        RULE: [a_resource(RULE, "splices", rule)],
        EXTENSION: [a_resource(EXTENSION, "deck", app)],
    }
    return Api(secrets, held)


@dataclass
class Stage:
    """An operator and a gateway that are scraped.

    Attributes:
        prometheus: Who scrapes them.
        operator_ends: Ends what the operator serves.
    """

    prometheus: Prometheus
    operator_ends: Callable[[], Awaitable[None]]


@pytest.fixture
async def stage(
    twitch: TwitchSimulator,
    pubnub: PubNubSimulator,
    settings: Settings,
    http: HttpClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> AsyncIterator[Stage]:
    program("prometheus")  # before anything is started
    FEEDS.load()
    chosen = settings.model_dump() | {"validate_interval": 0.5, "metrics_address": "127.0.0.1:0"}
    settings, api = settings_for(pubnub, **chosen), resources(twitch)
    async with AsyncExitStack() as stack:
        running_one = await stack.enter_async_context(running(api, settings, http))
        world = await stack.enter_async_context(open_world())
        await world.client.post("/send/", json={})
        names = ("mst3k", "splices", "deck")
        ready = lambda: all(api.condition(n, "Ready").get("status") == "True" for n in names)  # noqa: E731
        await eventually(ready)
        running_one.operator._kernel.term.begin(time.time() - 10)
        pubnub.publish("mst3k", {"kind": "spot", "id": "break-1", "seconds": 60})
        await eventually(lambda: running_one.value("decisions_total", verdict="Fired") == 1)
        caplog.set_level(logging.INFO)
        ports: dict[str, str] = {}
        ends = AsyncExitStack()
        for name, registry, by in (
            ("operator", running_one.operator.registry, ends),
            ("gateway", world.metrics.registry, stack),
        ):
            await by.enter_async_context(serve_probes(settings, registry, bool, bool))
            [*_, ports[name]] = re.findall(
                r"serving /metrics on 127\.0\.0\.1 port (\d+)", caplog.text
            )
        scraping = await stack.enter_async_context(prometheus(tmp_path, ports))
        yield Stage(scraping, ends.aclose)
        await ends.aclose()


async def test_expressions_yield_series_and_alerts_fire_for_faults_alone(
    stage: Stage, twitch: TwitchSimulator, pubnub: PubNubSimulator
) -> None:
    prometheus = stage.prometheus
    asked = [rule["expr"] for rule in alert_rules() if rule["alert"] != "TwitchFeedDenied"]
    await prometheus.until_series(yielding(each) for each in (*asked, *shown_expressions()))
    until = time.monotonic() + HEALTHY
    while time.monotonic() < until:
        pubnub.publish("mst3k", {"kind": "heartbeat"})
        assert await prometheus.firing() == set()
        await asyncio.sleep(1)
    twitch.change_password("mst3k")
    pubnub.deny()
    pubnub.drop_polls()
    wanted = {"TwitchGrantDead", "TwitchRefreshesRefused"}
    wanted |= {"TwitchResourceStalled", "TwitchFeedDenied"}
    assert await prometheus.until_firing(lambda firing: firing >= wanted) == wanted
    await stage.operator_ends()
    await prometheus.until_firing(lambda firing: "TwitchOperatorDown" in firing)
