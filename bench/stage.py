"""What every benchmark needs around it: a control plane, and the simulators in their processes."""

from __future__ import annotations

import asyncio
import math
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from bench import objects
from bench.audit import AuditLog
from bench.cluster import Cluster, connect
from bench.processes import BenchError, running
from bench.report import say
from controller.sandbox import controlplane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from bench.cluster import Observation
    from bench.processes import Child

__all__ = ["Call", "Stage", "Twitch", "is_ready", "open_stage", "wait_for_all"]

_CRDS = Path(__file__).parent.parent / "crds"
_COMMERCIAL = "/helix/channels/commercial"


@dataclass(frozen=True, slots=True)
class Call:
    """A commercial call as Twitch received it; `time` in seconds since the epoch."""

    client_id: str
    login: str
    length: int
    time: float


class Twitch:
    """The simulated Twitch in its process, through its control endpoints."""

    def __init__(self, told: dict[str, str], http: httpx.AsyncClient) -> None:
        self.helix_url, self.identity_url = told["helix_url"], told["identity_url"]
        self._control = told["url"] + "/_sandbox"
        self._http = http

    async def add_app(self, client_id: str, client_secret: str) -> None:
        """Register an application."""
        await self._ask("POST", "/apps", client_id=client_id, client_secret=client_secret)

    async def add_broadcasters(self, count: int, first: int = 0) -> list[str]:
        """Add broadcasters who are live, numbered from `first`; returns their ids."""
        answers = [
            await self._ask("POST", "/broadcasters", login=objects.login(number))
            for number in range(first, first + count)
        ]
        return [str(answer["broadcaster_id"]) for answer in answers]

    async def consent(self, number: int, client_id: str) -> dict[str, str]:
        """Let a broadcaster agree to an application; returns access_token and refresh_token."""
        path = f"/broadcasters/{objects.login(number)}/consent"
        return dict(await self._ask("POST", path, client_id=client_id))

    async def commercial_calls(self) -> list[Call]:
        """All calls for commercials since the last `forget`."""
        return [
            Call(call["headers"]["client-id"], call["login"], call["body"]["length"], call["time"])
            for call in await self._requests("POST", _COMMERCIAL)
        ]

    async def count(self, method: str, path: str) -> int:
        """How many calls of this kind came since the last `forget`."""
        return len(await self._requests(method, path))

    async def forget(self) -> None:
        """Forget the calls that came."""
        await self._ask("DELETE", "/requests")

    async def _requests(self, method: str, path: str) -> list[Any]:
        query = f"/requests?method={method}&path={path}&limit=100000"
        return list((await self._ask("GET", query))["requests"])

    async def be_slow(self, number: int, seconds: float) -> None:
        """Let all calls for commercials of a broadcaster take so many seconds."""
        await self._ask(
            "POST",
            "/faults",
            method="POST",
            path=_COMMERCIAL,
            login=objects.login(number),
            times=None,
            delay=seconds,
        )

    async def _ask(self, method: str, path: str, /, **body: object) -> Any:  # noqa: ANN401 - JSON
        response = await self._http.request(method, self._control + path, json=body or None)
        response.raise_for_status()
        return response.json()


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs around what is measured.

    Attributes:
        cluster: The API server.
        audit: Its audit log.
        twitch: The simulated Twitch.
        pubnub: Where the simulated PubNub is: `url` and `origin`.
        http: For what the benchmark asks.
        folder: For logs.
        kubeconfig: Of the cluster.
    """

    cluster: Cluster
    audit: AuditLog
    twitch: Twitch
    pubnub: dict[str, str]
    http: httpx.AsyncClient
    folder: Path
    kubeconfig: Path

    def operator(self, namespace: str, **settings: str) -> AbstractAsyncContextManager[Child]:
        """Run the operator for a namespace.

        Args:
            namespace: Its name.
            settings: Of the operator, beside those that it needs here.
        """
        return running(
            f"operator-{namespace}",
            "controller",
            "run",
            folder=self.folder,
            settings={
                "KUBECONFIG": str(self.kubeconfig),
                "TWITCH_OPERATOR_WATCH_NAMESPACES": namespace,
                "TWITCH_OPERATOR_HELIX_URL": self.twitch.helix_url,
                "TWITCH_OPERATOR_IDENTITY_URL": self.twitch.identity_url,
                "TWITCH_OPERATOR_PUBNUB_ORIGIN": self.pubnub["origin"],
                "TWITCH_OPERATOR_PUBNUB_TLS": "false",
            }
            | {f"TWITCH_OPERATOR_{name.upper()}": text for name, text in settings.items()},
        )

    async def prepare(
        self, namespace: str, count: int, client_id: str | None, topics: int | None = None
    ) -> None:
        """Make a namespace with channels and rules.

        Args:
            namespace: Its name.
            count: Of channels; each has one rule.
            client_id: Of the application that the broadcasters agree to; None: no Secrets at all.
            topics: How many topics the rules share; None: each has one of its own.
        """
        numbers = range(count)
        await self.cluster.create_namespace(namespace)
        if client_id is not None:
            secrets = objects.shared_secrets(client_id, f"{client_id}-secret")
            for number in numbers:
                tokens = await self.twitch.consent(number, client_id)
                secrets.append(objects.grant_secret(number, tokens["refresh_token"]))
            await self.cluster.create(namespace, secrets)
        await self.cluster.create(namespace, map(objects.channel, numbers))
        rules = (objects.rule(number, topics) for number in numbers)
        await self.cluster.create(namespace, rules)


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Start the control plane and the simulators; they end with the context."""
    with tempfile.TemporaryDirectory(prefix="twitch-operator-bench-") as temporary:
        folder = Path(temporary)
        log = folder / "audit.log"
        say("starting a control plane and the simulators")
        with await asyncio.to_thread(controlplane.start, audit_log=log) as plane:
            await asyncio.to_thread(plane.run_kubectl, "apply", "-f", str(_CRDS), check=True)
            await asyncio.to_thread(plane.until_established, "crd", "--all")
            async with (
                connect(plane.kubeconfig) as cluster,
                running(
                    "twitch", "bench.simulators", "twitch", folder=folder, configuration={}
                ) as twitch,
                running(
                    "pubnub", "bench.simulators", "pubnub", folder=folder, configuration={}
                ) as pubnub,
                httpx.AsyncClient(
                    timeout=30, trust_env=False, limits=httpx.Limits(max_connections=None)
                ) as http,
            ):
                yield Stage(
                    cluster,
                    AuditLog(log),
                    Twitch(twitch.told, http),
                    pubnub.told,
                    http,
                    folder,
                    plane.kubeconfig,
                )


async def wait_for_all(child: Child, observation: Observation, timeout: float) -> None:  # noqa: ASYNC109 - with a message of its own
    """Wait until a process has brought all objects to where they shall be.

    Raises:
        BenchError: It ended, or takes too long; the message names objects.
    """
    try:
        await child.during(observation.complete.wait(), timeout)
    except BenchError as error:
        missing = observation.missing
        msg = f"{len(missing)} objects are not done ({', '.join(missing[:5])}, …): {error}"
        raise BenchError(msg) from None


def is_ready(body: dict[str, Any]) -> bool:
    """Whether an object's condition Ready is True, and tells of its present generation."""
    generation = body["metadata"].get("generation", math.nan)
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("observedGeneration") == generation
        for condition in (body.get("status") or {}).get("conditions", ())
    )
