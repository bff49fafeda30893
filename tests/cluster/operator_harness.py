"""The operator as a process of its own, on a real API server, between simulated Twitch and PubNub.

A `Site` is a namespace with the simulators beside it; a `Station` is one broadcaster in it, with
all that a rule needs, under names that nothing else uses. Whatever is waited for has a deadline.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from controller.sandbox.pubnub import PubNubSimulator
from controller.sandbox.twitch import TwitchSimulator
from tests.cluster import api
from tests.cluster.kubectl import PATIENCE, Kubectl, eventually
from tests.cluster.manifests import channel, rule, secret
from tests.programs import CLOCK_AHEAD, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from controller.sandbox.controlplane import ControlPlane
    from controller.sandbox.twitch import Commercial

__all__ = ["CLIENT_ID", "CRDS", "Operator", "Site", "Station", "leaked", "new_site"]

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
CLIENT_ID = "an-application"
SCOPES = ("channel:edit:commercial", "channel:read:ads")
_CREDENTIAL_FIELDS = ("client_secret", "code", "device_code", "refresh_token", "token")
_SETTINGS = {
    "SECRET_CHECK_INTERVAL": "1s",
    "MISSING_SECRET_CHECK_INTERVAL": "1s",
    "STATUS_INTERVAL": "1s",
    "LIVE_CHECK_INTERVAL": "1s",
    "RESYNC_INTERVAL": "3s",
    "PUBNUB_TLS": "false",
    "HEALTH_ADDRESS": "127.0.0.1:0",
    "METRICS_ADDRESS": "127.0.0.1:0",
    "LOG_LEVEL": "DEBUG",
}


class Operator:
    """One process of `twitch-operator run`."""

    def __init__(self, process: Program | subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    async def running(self) -> None:
        """Wait until it has seen all resources."""
        await eventually(
            lambda: self.ended or "INFO    controller.commands.run: running" in self.log
        )
        assert not self.ended, self.log

    async def get(self, path: str) -> httpx.Response:
        """Ask one of its own endpoints, at the port that it says it serves."""
        await eventually(lambda: self.ended or " on 127.0.0.1 port " in self.log)
        served = re.search(r"serving .* on 127\.0\.0\.1 port (\d+)", self.log)
        assert served, self.log
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            return await client.get(f"http://127.0.0.1:{served[1]}{path}")

    async def until_forgotten(self, rule: str) -> None:
        """Wait until no series of a rule is left: it listens for it no more."""
        deadline = time.monotonic() + PATIENCE
        while f'rule="{rule}"' in (await self.get("/metrics")).text:
            assert time.monotonic() < deadline, f"{rule} is still there"
            await asyncio.sleep(0.1)

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)

    async def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(by)
        return await asyncio.to_thread(self.process.wait, 30)


class Site:
    """A namespace and the simulators; operators are started in it.

    Attributes:
        forks: Start operators without their imports; False: with an interpreter of their own.
        clock_ahead: Seconds by which the wall clock of the next operator is ahead, if it forks.
    """

    def __init__(
        self, plane: ControlPlane, namespace: str, folder: Path, twitch: TwitchSimulator,
        pubnub: PubNubSimulator,
    ) -> None:  # fmt: skip
        self.plane = plane
        self.namespace = namespace
        self.kubectl = Kubectl(plane, namespace)
        self.twitch = twitch
        self.pubnub = pubnub
        self.subscribe_key = f"sub-c-{uuid.uuid4()}"
        self.client_secret = uuid.uuid4().hex
        self.operators: list[Operator] = []
        self.forks = True
        self.clock_ahead = 0.0
        self._folder = folder

    async def start_operator(
        self, *, kubeconfig: Path | None = None, wait: bool = True, **settings: str
    ) -> Operator:
        """Start an operator for this namespace; further settings without their prefix."""
        chosen = _SETTINGS | {
            "HELIX_URL": self.twitch.helix_url,
            "IDENTITY_URL": self.twitch.identity_url,
            "PUBNUB_ORIGIN": self.pubnub.origin,
            "WATCH_NAMESPACES": self.namespace,
        }
        environment = {
            "KUBECONFIG": str(kubeconfig or self.plane.kubeconfig),
            CLOCK_AHEAD: str(self.clock_ahead),
        } | {f"TWITCH_OPERATOR_{name}": value for name, value in (chosen | settings).items()}
        log = self._folder / f"operator-{len(self.operators)}.log"
        start = Program.start if self.forks else _start
        process = start("run", os.environ | environment, log)
        operator = Operator(process, log)
        self.operators.append(operator)
        if wait:
            await operator.running()
        return operator

    async def add_station(self, login: str, **spec: object) -> Station:
        """A broadcaster who consented, with channel and rule, ready for cues."""
        station = self.new_station(login)
        await self.kubectl.apply(station.grant(), station.channel(**spec), station.rule())
        await self.kubectl.ready(f"tch/{station.name}", f"trule/{station.name}")
        return station

    async def prepare(self, login: str, scopes: Iterable[str] = SCOPES) -> Station:
        """A broadcaster who consented, and the Secret that says so; no channel and no rule yet."""
        station = self.new_station(login)
        await station.consent(scopes=scopes)
        return station

    def new_station(self, login: str) -> Station:
        """A broadcaster that nobody asked for a consent yet."""
        self.twitch.add_broadcaster(login)
        return Station(self, login)

    async def close(self) -> None:
        for operator in self.operators:
            if not operator.ended:
                await operator.kill()

    def credentials(self) -> set[str]:
        """Every credential that was in use: what Twitch gave and got, and PubNub's key."""
        twitch = self.twitch
        used = {self.client_secret, self.subscribe_key}
        used |= twitch.grants._by_access.keys() | twitch.grants._by_refresh.keys()
        used |= twitch.logins._codes.keys() | twitch.logins._devices.keys()
        used |= {each.stream_key for each in twitch.channels.all()}
        used |= {app.secret for app in twitch.grants.apps() if app.secret}
        for call in twitch.journal:
            form = call.form()
            used |= {form.get(name, "") for name in _CREDENTIAL_FIELDS}
            used.add(call.token("bearer", "oauth"))
        return used - {""}


@dataclass(frozen=True)
class Station:
    """One broadcaster: by default its login is also the name of channel, rule and topic."""

    site: Site
    login: str
    other_name: str = ""

    @property
    def name(self) -> str:
        return self.other_name or self.login.replace("_", "-")

    def renamed(self, name: str) -> Station:
        """The same broadcaster, under another name of the resources."""
        return replace(self, other_name=name)

    def channel(self, **spec: object) -> dict[str, Any]:
        return channel(self.name, **spec)

    def rule(self, **spec: object) -> dict[str, Any]:
        return rule(self.name, **spec)

    def grant(self, client_id: str = CLIENT_ID, scopes: Iterable[str] = SCOPES) -> dict[str, Any]:
        """The broadcaster consents (anew); the Secret that says so."""
        tokens = self.site.twitch.consent(self.login, client_id, scopes)
        return secret(f"{self.name}-grant", refresh_token=tokens.refresh_token)

    async def consent(self, client_id: str = CLIENT_ID, scopes: Iterable[str] = SCOPES) -> None:
        """The broadcaster consents (anew), and the refresh token is put into the input Secret."""
        await self.site.kubectl.apply(self.grant(client_id, scopes))

    def publish(self, message: object) -> int:
        return self.site.pubnub.publish(self.name, message, subscribe_key=self.site.subscribe_key)

    @property
    def commercials(self) -> list[Commercial]:
        """What Twitch took for this broadcaster."""
        return [each for each in self.site.twitch.commercials if each.login == self.login]

    def calls(self, path: str = "/helix/channels/commercial") -> int:
        """Calls that Twitch got with this broadcaster's credential, refused ones too."""
        return len(self.site.twitch.calls(path=path, login=self.login))

    @property
    def refreshes(self) -> int:
        """How often a refresh token was handed in, the first import included."""
        return self.calls("/oauth2/token")

    async def decisions(self, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the rule tells of exactly so many decisions; returns them, oldest first."""
        path = f"counts.matched={count}"
        status = await self.site.kubectl.until_path("trule", self.name, path)
        return list(reversed(status["recentDecisions"]))

    async def verdicts(self, count: int = 1) -> list[str]:
        return [each["verdict"] for each in await self.decisions(count)]

    async def until_reason(self, reason: str) -> dict[str, dict[str, Any]]:
        """Wait until the channel's Ready has this reason; returns its conditions by type."""
        return await self.site.kubectl.until_reason("tch", self.name, reason)


@asynccontextmanager
async def new_site(plane: ControlPlane, folder: Path) -> AsyncIterator[Site]:
    """A site with an application that is registered at Twitch, and no operator yet."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    await asyncio.to_thread(api.create_namespace, plane, namespace)
    async with TwitchSimulator() as twitch, PubNubSimulator() as pubnub:
        site = Site(plane, namespace, folder, twitch, pubnub)
        twitch.options.device_interval = 1  # seconds; by default 5 for each code that is typed
        twitch.add_app(CLIENT_ID, site.client_secret)
        try:
            await site.kubectl.apply(
                secret("twitch-app", client_id=CLIENT_ID, client_secret=site.client_secret),
                secret("playout", subscribe_key=site.subscribe_key),
            )
            yield site
        finally:
            await site.close()
            await asyncio.to_thread(api.delete_namespace, plane, namespace)
    assert not leaked(site.credentials(), (operator.log for operator in site.operators))


def leaked(credentials: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The credentials that stand in one of the texts."""
    whole = "\n".join(texts)
    return [each for each in credentials if each in whole]


def _start(command: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start it as a user does, with an interpreter of its own."""
    whole = [sys.executable, "-m", "controller", command]
    with log.open("wb") as out:
        return subprocess.Popen(whole, env=environment, cwd=ROOT, stdout=out, stderr=out)
