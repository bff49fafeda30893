"""A full run with faults, after which nothing that anybody can read holds a credential.

All loggers of all libraries are on, whatever the operator's own settings say, and Twitch quotes
what it was sent wherever it can. The codes that a broadcaster types are meant to be read.
"""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.sandbox.twitch import Fault
from tests.cluster.kubectl import conditions, eventually
from tests.cluster.manifests import message, raw_secret, secret
from tests.cluster.operator_harness import CLIENT_ID, SCOPES
from tests.cluster.watching import watching
from tests.leaks import answering, leaks, quoting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.cluster.operator_harness import Operator, Site, Station

REDIRECT = "http://localhost:3000/auth/twitch/callback"
DEVICE: dict[str, Any] = {"authorization": {"deviceCode": {}}}
KEY_SCOPE = "channel:read:stream_key"
MISTYPED, NO_TEXT = "0f9d3c7b51e84a26", "gr\u00fcn-0f9d3c7b51e84a27"
# But PubNub's, which the operator holds at CRITICAL: it prints whole answers, with their key.
ALL_LOGGERS = """
import logging
logging.Logger.isEnabledFor = lambda self, level: self.name != "pubnub"
"""
TOKEN, COMMERCIAL = "/oauth2/token", "/helix/channels/commercial"


class Run:
    """One operator after the other, and all that they told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.forks = False  # what is logged at the imports counts, too
        self.told: list[str] = []
        self.metrics = ""

    async def start(self, form: str) -> None:
        """Start an operator that looks at everything again and again."""
        await self.site.start_operator(wait=False, VALIDATE_INTERVAL="2s", LOG_FORMAT=form)

    def fault(self, station: Station | None, path: str, fault: Fault) -> None:
        """Order a fault for a broadcaster; None: for calls that carry nobody's credential."""
        login = station.login if station is not None else ""
        where = {"path": path, "login": login}
        self.site.twitch.faults.order(fault.model_copy(update=where))

    async def struck(self, but: str = "") -> None:
        """Wait until all ordered faults have struck, those for one path aside."""
        pending = self.site.twitch.faults.pending
        await eventually(lambda: {each.fault.path for each in pending()} <= {but}, within=40)

    async def access_token(self, station: Station) -> str:
        """The one in use."""
        found = await self.site.kubectl.get("secret", f"{station.name}-twitch-token")
        return base64.b64decode(found["data"]["access-token"]).decode()

    async def ask(self, station: Station, annotation: str = "requestedAt") -> None:
        name = f"twitch-operator.dev/{annotation}=now"
        await self.site.kubectl("annotate", "--overwrite", "tch", station.name, name)

    async def until_reason(self, station: Station, *reasons: str) -> None:
        await self.site.kubectl.until(
            "tch",
            station.name,
            lambda status: conditions(status).get("Authorized", {}).get("reason") in reasons,
            within=40,
        )

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Remember each version of each resource and Event."""
        own, twitch = f"namespaces/{self.site.namespace}", "/apis/twitch-operator.dev/v1alpha1"
        paths = [
            f"{twitch}/{own}/twitchchannels",
            f"{twitch}/{own}/triggerrules",
            f"/apis/events.k8s.io/v1/{own}/events",
        ]
        async with AsyncExitStack() as stack:
            for path in paths:
                watch = watching(self.site.plane.kubeconfig, path, self._take)
                await stack.enter_async_context(watch)
            yield

    def _take(self, body: dict[str, Any]) -> None:
        self.told.append(json.dumps(body))

    async def texts(self) -> dict[str, str]:
        """All that can be read."""
        kubectl = self.site.kubectl
        texts = {f"log {n}": each.log for n, each in enumerate(self.site.operators)}
        texts["objects and Events"] = "\n".join(self.told)
        texts["metrics"] = self.metrics
        for args in (("describe", "tch,trule"), ("get", "tch,trule", "-o", "wide"), ("events",)):
            texts[" ".join(args)] = await kubectl(*args)
        return texts


async def refresh_tokens_that_are_quoted(run: Run) -> None:
    """The first way in, and every way in which Twitch may refuse it."""
    site = run.site
    own = site.client_secret
    answers: dict[str, Callable[[str], Fault]] = {
        "unavailable": lambda sent: quoting(503, "cannot take", sent, own),
        "unknown": lambda sent: quoting(400, "what is", sent, own),
        "too_many": lambda sent: quoting(429, "too often:", sent, own),
        "refused": lambda sent: quoting(400, "Invalid refresh token", sent, own),
        "unauthorized": lambda sent: quoting(401, "Invalid refresh token", sent, own),
        "rejected": lambda sent: quoting(403, "invalid client secret", own, sent),
        "malformed": lambda sent: answering(200, {"refresh_token": sent, "access_token": 7}),
        "no_json": lambda sent: answering(200, f"access_token={sent}&client_secret={own}"),
        "a_page": lambda sent: answering(403, f"<p>token {sent} secret {own}</p>"),
        "lost": lambda _: Fault(drop=True, when="after"),
    }  # fmt: skip
    ends = {
        "refused": "AuthorizationRevoked", "unauthorized": "AuthorizationRevoked",
        "rejected": "ClientRejected", "lost": "AuthorizationRevoked",
    }  # fmt: skip
    stations, manifests = {}, []
    for login, answer in answers.items():
        stations[login] = station = site.new_station(login)
        token = site.twitch.consent(login, CLIENT_ID, SCOPES).refresh_token
        manifests += [secret(f"{station.name}-grant", refresh_token=token), station.channel()]
        run.fault(station, TOKEN, answer(token))
    odd = site.new_station("odd")
    wrong = raw_secret("odd-grant", refresh_token=NO_TEXT.encode())
    await site.kubectl.apply(*manifests, wrong, odd.channel())
    await run.until_reason(odd, "InvalidSecret")
    await site.kubectl.apply(secret("odd-grant", refresh_token=MISTYPED))
    for login, station in stations.items():
        await run.until_reason(station, ends.get(login, "Succeeded"))
    await run.until_reason(odd, "AuthorizationRevoked")


async def tokens_that_are_quoted(run: Run) -> None:
    """Whatever a living token is used for, Twitch quotes it."""
    paths = ("/oauth2/validate", "/helix/users", "/helix/streams/key", COMMERCIAL)
    for number, (status, path) in enumerate((s, p) for p in paths for s in (400, 401, 500)):
        station = run.site.new_station(f"quoted_{number}")
        spec = {"streamKeySecretName": f"{station.name}-key"} if path.endswith("key") else {}
        await station.consent(scopes=[*SCOPES, KEY_SCOPE])
        await run.site.kubectl.apply(station.channel(**spec), station.rule())
        await run.site.kubectl.ready(f"tch/{station.name}", f"trule/{station.name}")
        access = await run.access_token(station)
        run.fault(station, path, quoting(status, "I was told", access))
        run.fault(station, "/helix/streams", quoting(status, "I was told", access))
        if path == COMMERCIAL:
            station.publish(message())
    accepted = await run.site.add_station("accepted")
    access = await run.access_token(accepted)
    body = {"data": [{"message": f"thank you for {access}", "length": 60, "retry_after": 480}]}
    run.fault(accepted, COMMERCIAL, answering(200, body))
    accepted.publish(message())
    await accepted.decisions()
    await eventually(
        lambda: (
            {each.fault.path for each in run.site.twitch.faults.pending()} <= {"/helix/streams"}
        ),
        within=40,
    )
    run.site.twitch.clear_faults()


async def codes_that_are_quoted(run: Run) -> None:
    """The second way in."""
    site, its_secret = run.site, "5e17f0a2b9c84d3e9a6b"
    site.twitch.add_app("web", its_secret, redirect_uris=(REDIRECT,))
    await site.kubectl.apply(secret("web", client_id="web", client_secret=its_secret))
    cases = {
        "misdirected": (400, "Parameter redirect_uri does not match", "ClientRejected"),
        "used": (400, "Invalid authorization code", "AuthorizationRevoked"),
        "delayed": (500, "cannot trade", "Succeeded"),
        "odd_code": (400, "what is", "Succeeded"),
        "no_app": (403, "invalid client secret", "ClientRejected"),
    }
    for login, (status, told, reason) in cases.items():
        station = site.new_station(login)
        code = await _code(site, login)
        ref = {"name": f"{station.name}-code", "key": "code"}
        way = {"authorizationCode": {"secretKeyRef": ref, "redirectUri": REDIRECT}}
        run.fault(None, TOKEN, quoting(status, told, code, its_secret))
        app = {"secretRef": {"name": "web"}}
        channel = station.channel(app=app, authorization=way)
        await site.kubectl.apply(secret(ref["name"], code=code), channel)
        await run.struck()
        await run.until_reason(station, reason)


async def _code(site: Site, login: str) -> str:
    """What the browser brings back when the broadcaster says yes."""
    query = {
        "response_type": "code", "client_id": "web", "redirect_uri": REDIRECT,
        "scope": " ".join(SCOPES), "login": login,
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False, verify=False) as browser:
        answer = await browser.get(f"{site.twitch.identity_url}/authorize", params=query)
    return httpx.URL(answer.headers["Location"]).params["code"]


async def device_codes_that_are_quoted(run: Run) -> None:
    """The third way in."""
    site, station = run.site, run.site.new_station("typist")
    site.twitch.options.device_interval = 1
    await site.kubectl.apply(station.channel(**DEVICE))
    await run.until_reason(station, "AuthorizationPending")
    await site.kubectl.until("tch", "typist", lambda s: s.get("authorization", {}).get("userCode"))
    (device,) = site.twitch.logins._devices.values()
    for status, told in ((500, "cannot poll"), (400, "what is"), (400, "invalid device code")):
        run.fault(None, TOKEN, quoting(status, told, device.device_code))
    await run.struck()
    await eventually(lambda: len(site.twitch.logins._devices) == 2)
    second = list(site.twitch.logins._devices.values())[-1]
    site.twitch.approve_device(second.user_code, "typist")
    await run.until_reason(station, "Succeeded")


async def ends_that_are_told(run: Run) -> None:
    """A grant that dies, one that is given back, and a Secret that cannot be written."""
    site = run.site
    dead, leaver, frozen = [await site.add_station(name) for name in ("dead", "leaver", "frozen")]
    site.twitch.change_password("dead")
    await run.ask(dead)
    access = await run.access_token(leaver)
    run.fault(leaver, "/oauth2/revoke", quoting(503, "cannot end", access))
    run.fault(leaver, "/oauth2/revoke", quoting(400, "Invalid token", access))
    await run.ask(leaver, "revokeRequestedAt")
    patch = ("patch", "secret", "frozen-twitch-token", "-p", '{"immutable": true}')
    await site.kubectl(*patch)
    site.twitch.expire_access_tokens("frozen")
    await run.ask(frozen)
    for station in (dead, leaver):
        await run.until_reason(station, "AuthorizationRevoked")
    await run.struck()
    await eventually(lambda: "secrets/frozen-twitch-token with 422" in site.operators[-1].log)


async def a_kill_in_a_refresh(run: Run) -> None:
    """A grant that the kill ends; the next operator writes its log in the other form."""
    site = run.site
    station, operator = await site.add_station("victim"), site.operators[-1]
    before = station.refreshes
    run.fault(station, TOKEN, Fault(delay=30, when="after"))
    site.twitch.expire_access_tokens("victim")
    await run.ask(station)
    await eventually(lambda: station.refreshes > before)
    run.metrics += (await operator.get("/metrics")).text
    await operator.kill()
    site.twitch.clear_faults()
    await run.start("json")
    await run.until_reason(station, "AuthorizationRevoked")


STEPS: tuple[Callable[[Run], Awaitable[None]], ...] = (
    refresh_tokens_that_are_quoted,
    tokens_that_are_quoted,
    codes_that_are_quoted,
    device_codes_that_are_quoted,
    ends_that_are_told,
    a_kill_in_a_refresh,
)


@pytest.mark.cluster
@pytest.mark.asyncio(loop_scope="module")
async def test_nothing_that_a_full_run_with_faults_wrote_holds_a_credential(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ALL_LOGGERS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = Run(site)
    async with run.watched():
        await run.start("text")
        for step in STEPS:
            await step(run)
        last: Operator = site.operators[-1]
        run.metrics += (await last.get("/metrics")).text
        assert await last.end() == 0  # what is still to be told is told
    texts = await run.texts()
    assert "httpx" in texts["log 0"]  # all loggers were on
    assert texts["log 1"].startswith("{")
    assert "token_refreshes_total" in texts["metrics"]
    assert "AuthorizationRevoked" in texts["objects and Events"]
    found = leaks(site.credentials() | {NO_TEXT}, texts)
    assert not found, "\n".join(found)
