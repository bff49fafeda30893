"""Broadcasters of the other Twitch with their channels and rules, and one operator for all.

Where `operator_harness.Site` asks kubectl about each resource, a `Studio` makes many at once and
looks at all of them at once: what it waits for is a condition on everything.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from yarl import URL

from tests.cluster.manifests import channel, rule, secret
from tests.cluster.operator_access import GROUP
from tests.cluster.operator_harness import SCOPES
from tests.other_twitch import OtherTwitch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from pathlib import Path

    from tests.cluster.operator_harness import Operator, Site

__all__ = ["BLIND", "Look", "Studio", "new_studio"]

BLIND = SCOPES[:1]
"""Scopes of a grant that may start commercials, and cannot read whether they ran."""

APP, SECRET = "the-studio", "the-secret-of-the-studio"


@dataclass(frozen=True)
class Look:
    """The statuses of all channels and rules, by name, at one moment."""

    channels: Mapping[str, dict[str, Any]]
    rules: Mapping[str, dict[str, Any]]

    def decisions(self, name: str) -> list[dict[str, Any]]:
        """What a rule decided, oldest first."""
        return list(reversed(self.rules.get(name, {}).get("recentDecisions", ())))

    def verdict(self, name: str) -> str:
        """A rule's last verdict; "" before the first."""
        return next((each["verdict"] for each in reversed(self.decisions(name))), "")

    def results(self, name: str) -> list[str]:
        """What a channel remembers of its cues, newest first."""
        told = self.channels[name].get("commercials", {}).get("recentCues", ())
        return [cue["result"] for cue in told]

    def condition(self, name: str, kind: str, *, of_rule: bool = False) -> dict[str, Any]:
        """A condition; empty where there is none of this type."""
        status = (self.rules if of_rule else self.channels).get(name, {})
        return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})

    def ready(self, name: str) -> bool:
        """Whether a channel and its rule, if it has one, are Ready."""
        found = [self.condition(name, "Ready")]
        if name in self.rules:
            found.append(self.condition(name, "Ready", of_rule=True))
        return all(each.get("status") == "True" for each in found)


@dataclass
class Studio:
    """A site whose Twitch is the other one."""

    site: Site
    twitch: OtherTwitch
    settings: dict[str, str]
    operator: Operator = field(init=False)

    async def start(
        self, *, wait: bool = True, kubeconfig: Path | None = None, **settings: str
    ) -> None:
        """Start an operator in place of the last one."""
        chosen = self.settings | settings
        self.operator = await self.site.start_operator(wait=wait, kubeconfig=kubeconfig, **chosen)

    def channel(self, name: str, scopes: Iterable[str] = SCOPES, **spec: object) -> list[Any]:
        """A broadcaster who consented: the Secret with the grant, and the channel."""
        self.twitch.add_broadcaster(name)
        token = self.twitch.consent(name, APP, scopes).refresh_token
        app = {"secretRef": {"name": APP}}
        return [secret(f"{name}-grant", refresh_token=token), channel(name, app=app, **spec)]

    async def add(self, *manifests: dict[str, Any], ready: bool = True) -> None:
        """Make these, and wait until the channels and their rules are Ready."""
        whole = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        await self.site.kubectl("create", "-f", "-", manifest=json.dumps(whole))
        names = [m["metadata"]["name"] for m in manifests if m["kind"] == "TwitchChannel"]
        if ready:
            await self.until(lambda look: all(look.ready(name) for name in names))

    async def station(self, name: str, **commercials: object) -> None:
        """A broadcaster with a channel and a rule of the same name, both Ready."""
        await self.add(*self.channel(name, commercials=commercials), rule(name))

    async def clear(self) -> None:
        """Delete all channels and rules, and do not wait for it."""
        where = f"/apis/{GROUP}/v1alpha1/namespaces/{self.site.namespace}"
        for kind in ("triggerrules", "twitchchannels"):
            await self.site.kubectl("delete", "--raw", f"{where}/{kind}")

    def publish(self, topic: str, message: object) -> None:
        self.site.pubnub.publish(topic, message, subscribe_key=self.site.subscribe_key)

    async def look(self) -> Look:
        channels, rules = [
            {each["metadata"]["name"]: each.get("status", {}) for each in found}
            for found in (
                await self.site.kubectl.list("tch"),
                await self.site.kubectl.list("trule"),
            )
        ]
        return Look(channels, rules)

    async def until(self, condition: Callable[[Look], object], within: float = 60.0) -> Look:
        """Wait until a condition on everything holds."""
        deadline = time.monotonic() + within
        while True:
            look = await self.look()
            if condition(look):
                return look
            assert time.monotonic() < deadline, json.dumps([look.channels, look.rules], indent=1)
            await asyncio.sleep(0.2)

    async def until_verdict(
        self, name: str, *verdicts: str, within: float = 60.0
    ) -> dict[str, Any]:
        """Wait until a rule's last verdict is one of these; returns that decision."""
        look = await self.until(lambda look: look.verdict(name) in verdicts, within)
        return look.decisions(name)[-1]

    def starts(self, name: str) -> list[float]:
        """When commercials began that somebody asked for."""
        return [c.time for c in self.twitch.commercials if c.login == name and c.by_api]

    def asked(self, name: str) -> list[int]:
        """The seconds of each call for a commercial, refused and lost ones too."""
        return [call.length for call in self.twitch.commercial_calls if call.login == name]

    async def unplug(self) -> None:
        """Twitch refuses connections."""
        assert self.twitch._runner is not None
        for listener in list(self.twitch._runner.sites):
            await listener.stop()

    async def plug(self) -> None:
        """Twitch takes connections again, at the same address."""
        assert self.twitch._runner is not None
        address = URL(self.twitch.helix_url)
        await web.TCPSite(
            self.twitch._runner, "127.0.0.1", address.port, reuse_address=True
        ).start()

    def ran_before(self, name: str, ago: float) -> None:
        """An ad ran so many seconds ago: the cooldown is that much over."""
        user = self.twitch._users[name]
        self.twitch._run(user, 60, self.twitch.clock() - ago, by_api=False)


@asynccontextmanager
async def new_studio(
    site: Site, settings: Mapping[str, str], twitch: OtherTwitch | None = None
) -> AsyncIterator[Studio]:
    """A studio without an operator yet; the settings are for all of its operators."""
    async with twitch or OtherTwitch() as other:
        other.add_app(APP, SECRET)
        await site.kubectl.apply(secret(APP, client_id=APP, client_secret=SECRET))
        urls = {"HELIX_URL": other.helix_url, "IDENTITY_URL": other.identity_url}
        yield Studio(site, other, {**urls, **settings})
        await site.close()
