"""An operator that is killed in the middle of refreshes, and what must be true afterwards.

A `Scene` has channels with one-time refresh tokens and access tokens that live for seconds, so that
some are always being refreshed. Its moments are where a kill can fall; `kill_at` ends the operator
there, starts it anew, and holds what it finds against what Twitch and the token Secrets told.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from bisect import bisect
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from controller.sandbox.twitch import Fault
from controller.sandbox.twitch.journal import Journal
from tests.cluster.gate import Gate
from tests.cluster.kubectl import conditions, eventually
from tests.cluster.manifests import secret

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
    from pathlib import Path

    from controller.sandbox.twitch import Call
    from tests.cluster.operator_harness import Operator, Site, Station

__all__ = ["QUICK", "Aim", "Scene", "new_scene"]

CHANNELS = 8
APP = "public-client"
LIFETIME = 4  # seconds; each channel refreshes at half of it
QUICK = 2.0  # seconds that an operator mostly takes, at most, from Twitch's answer to the Secret
_TIMES_THE_SLOWEST = 3  # of those that were stored; where none was as slow, QUICK
WITHIN = 45.0
_HELD = 30.0
_TOKEN_SUFFIX = "-twitch-token"
_TELLS_THE_END = {"AuthorizationRevoked", "Expiring"}


@dataclass(frozen=True)
class Found:
    """A channel as the API server has it: its conditions by type, and the keys of its tokens."""

    told: dict[str, dict[str, Any]]
    tokens: dict[str, str]

    @property
    def refresh(self) -> str:
        return self.tokens.get("refresh-token", "")


@dataclass(frozen=True)
class Aim:
    """What must be true of some channels, by their names, after a kill at this moment.

    Attributes:
        kept: Twitch traded no token for them, or the new one is in the Secret.
        lost: Twitch did, and it cannot be.
        hindered: Seconds before the kill in which the Secret could not be written.
    """

    kept: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    hindered: float = 0.0


@dataclass
class Scene:
    """The channels, and what is done to their operator.

    Attributes:
        rng: Chooses.
        starts: When each operator was started.
        given: The refresh token in the input Secret, by the channel's name.
        dead: Channels that wait for a new consent.
        lost: Grants that no operator could have kept, by the moment of the kill.
    """

    site: Site
    gate: Gate
    stations: dict[str, Station]
    rng: random.Random
    operator: Operator = field(init=False)
    starts: list[float] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    lost: Counter[str] = field(default_factory=Counter)

    # What is there

    async def look(self) -> dict[str, Found]:
        """All channels by name."""
        channels, secrets = [
            {each["metadata"]["name"]: each for each in await self.site.kubectl.list(kind)}
            for kind in ("tch", "secret")
        ]
        found = {}
        for name, channel in channels.items():
            made = secrets.get(name + _TOKEN_SUFFIX, {}).get("data", {})
            tokens = {key: base64.b64decode(text).decode() for key, text in made.items()}
            found[name] = Found(conditions(channel.get("status", {})), tokens)
        return found

    async def until(self, names: Iterable[str], good: Callable[[str, Found], object]) -> None:
        """Wait until all these channels are as they should be."""
        deadline = time.monotonic() + WITHIN
        names = set(names)
        while True:
            found = await self.look()
            bad = {name: found[name].told for name in names if not good(name, found[name])}
            if not bad:
                return
            assert time.monotonic() < deadline, f"{json.dumps(bad, indent=1)}\n{self.operator.log}"
            await asyncio.sleep(0.1)

    def refreshes(self, since: int = 0) -> list[Call]:
        """Exchanges of refresh tokens that Twitch got, without the first so many calls."""
        calls = islice(self.site.twitch.journal, since, None)
        return [call for call in calls if call.path == "/oauth2/token"]

    def trades(self) -> Counter[tuple[int, str]]:
        """How often each operator handed in each refresh token."""
        return Counter(
            (bisect(self.starts, call.time), _refresh_token(call)) for call in self.refreshes()
        )

    def took(self) -> list[float]:
        """Seconds from each trade to the write of the Secret by the same operator."""
        names = {station.login: name for name, station in self.stations.items()}
        found = []
        for call in self.refreshes():
            if call.login not in names:
                continue  # of a dead grant: nothing was traded
            writes = self.gate.writes.get(names[call.login] + _TOKEN_SUFFIX, [])
            at = next(iter(writes[bisect(writes, call.time) :]), None)
            if at is not None and bisect(self.starts, at) == bisect(self.starts, call.time):
                found.append(at - call.time)
        return found

    def is_good(self, refresh_token: str) -> bool:
        """Whether Twitch would take this refresh token."""
        return bool(self.site.twitch.grants.owner(refresh_token))

    def is_fresh(self, found: Found, but: str = "") -> bool:
        """Whether a channel is Ready, by other tokens than these."""
        access = self.site.twitch.grants.access(found.tokens.get("access-token", ""), time.time())
        told = found.told.get("Ready", {}).get("status")
        return told == "True" and access is not None and found.refresh != but

    def can_live(self, name: str, found: Found) -> bool:
        """Whether the operator has, or can still get, tokens that Twitch takes."""
        given = self.given[name]
        untouched = _sha256(given) != found.tokens.get("input-sha256") and self.is_good(given)
        return self.is_good(found.refresh) or untouched

    # What is done

    async def start(self, *, wait: bool = True) -> None:
        self.starts.append(time.time())
        self.operator = await self.site.start_operator(
            kubeconfig=self.gate.kubeconfig, wait=wait, LIVE_CHECK_INTERVAL="60s"
        )

    async def kill(self) -> None:
        """Kill it, and let all that it had sent come to its end."""
        await self.operator.kill()
        self.gate.release()
        self.site.twitch.clear_faults()
        await eventually(lambda: not self.gate.busy)

    async def consent(self, names: Iterable[str]) -> None:
        """The broadcasters consent again."""
        given = {}
        for name in names:
            tokens = self.site.twitch.consent(self.stations[name].login, APP)
            self.given[name] = given[name] = tokens.refresh_token
        await self.site.kubectl.apply(
            *(secret(f"{name}-grant", refresh_token=token) for name, token in given.items())
        )

    def some(self) -> frozenset[str]:
        """A few of the living."""
        living = sorted(self.stations.keys() - self.dead)
        return frozenset(self.rng.sample(living, min(len(living), self.rng.randint(1, 3))))

    # Moments to kill it at

    async def anywhere(self) -> Aim:
        await asyncio.sleep(self.rng.uniform(0, LIFETIME / 2))
        return Aim()

    async def in_a_burst(self) -> Aim:
        seen = self.site.twitch.journal.count
        await eventually(lambda: self.refreshes(seen))
        await asyncio.sleep(self.rng.uniform(0, 0.03))
        return Aim()

    async def while_it_starts(self) -> Aim:
        await self.kill()
        await self.start(wait=False)
        return await self.in_a_burst()

    async def before_twitch_acts(self) -> Aim:
        return Aim(kept=await self._hold_answers(Fault(delay=_HELD, drop=True)))

    async def after_twitch_acted(self) -> Aim:
        return Aim(lost=await self._hold_answers(Fault(delay=_HELD, when="after")))

    async def _hold_answers(self, fault: Fault) -> frozenset[str]:
        names, seen = self.some(), self.site.twitch.journal.count
        logins = {self.stations[name].login for name in names}
        for login in logins:
            where = {"path": "/oauth2/token", "login": login}
            self.site.twitch.order_fault(fault.model_copy(update=where))
        await eventually(lambda: logins <= {call.login for call in self.refreshes(seen)})
        return names

    async def before_the_secret_is_written(self) -> Aim:
        return Aim(lost=await self._hold_writes(written=False))

    async def after_the_secret_is_written(self) -> Aim:
        return Aim(kept=await self._hold_writes(written=True))

    async def _hold_writes(self, *, written: bool) -> frozenset[str]:
        names = self.some()
        self.gate.hold({name + _TOKEN_SUFFIX for name in names}, written=written)
        await eventually(lambda: len(self.gate.held) == len(names))
        return names

    async def without_the_api_server(self) -> Aim:
        seconds = self.rng.uniform(0, LIFETIME / 2)
        await self.gate.cut()
        await asyncio.sleep(seconds)
        await self.operator.kill()
        await self.gate.mend()
        return Aim(hindered=seconds)

    async def during_a_new_consent(self) -> Aim:
        names = self.some()
        await self.consent(names)
        given = {self.given[name] for name in names}
        await eventually(lambda: given & set(map(_refresh_token, self.refreshes())))
        await asyncio.sleep(self.rng.uniform(0, 0.03))
        return Aim()

    @property
    def moments(self) -> list[Callable[[], Awaitable[Aim]]]:
        return [
            self.anywhere, self.in_a_burst, self.while_it_starts, self.before_twitch_acts,
            self.after_twitch_acted, self.before_the_secret_is_written,
            self.after_the_secret_is_written, self.without_the_api_server,
            self.during_a_new_consent,
        ]  # fmt: skip

    # One kill

    async def kill_at(self, moment: Callable[[], Awaitable[Aim]]) -> None:
        """Kill it there, start it anew, and see that each channel is where it can be."""
        aim = await moment()
        killed = time.time()
        await self.kill()
        before = await self.look()
        lost = {name for name in before if not self.can_live(name, before[name])}
        assert aim.lost <= lost
        assert not aim.kept & lost
        for name in lost - self.dead - aim.lost:
            self._is_unavoidable(before[name], killed, aim.hindered)
        self.lost[moment.__name__] += len(lost - self.dead)
        self.dead = lost
        await self.start()
        living = self.stations.keys() - self.dead
        await self.until(living, lambda name, found: self.is_fresh(found, before[name].refresh))
        await self.until(self.dead, self._is_told)
        await self.heal({name for name in sorted(self.dead) if self.rng.random() < 0.7})

    def _is_unavoidable(self, found: Found, killed: float, hindered: float) -> None:
        """Nothing but the kill kept the tokens from the Secret: the answer had just come."""
        within = hindered + max([QUICK, *(_TIMES_THE_SLOWEST * took for took in self.took())])
        stored = {found.refresh} if found.refresh else set(self.given.values())
        traded = max(call.time for call in self.refreshes() if _refresh_token(call) in stored)
        assert killed - traded < within, "the answer was there long before the kill"

    def _is_told(self, name: str, found: Found) -> bool:
        told = found.told["Authorized"]
        command = f"kubectl twitch authorize -n {self.site.namespace} {name}"
        return told["reason"] in _TELLS_THE_END and command in told["message"]

    async def heal(self, names: Collection[str]) -> None:
        """A new consent is all that it takes."""
        if not names:
            return
        await self.consent(names)
        await self.until(
            names,
            lambda name, found: (
                self.is_fresh(found) and found.tokens["input-sha256"] == _sha256(self.given[name])
            ),
        )
        self.dead.difference_update(names)


@asynccontextmanager
async def new_scene(site: Site, folder: Path, rng: random.Random) -> AsyncIterator[Scene]:
    """Channels that are Ready, and their operator."""
    site.twitch.journal = Journal(keep=1_000_000)
    site.twitch.options.token_lifetime = LIFETIME
    site.twitch.add_app(APP)
    stations = [site.new_station(f"victim_{number}") for number in range(CHANNELS)]
    async with Gate(folder / "kubeconfig", site.plane.kubeconfig) as gate:
        scene = Scene(site, gate, {each.name: each for each in stations}, rng)
        await scene.consent(scene.stations)
        app = {"secretRef": {"name": APP}}
        await site.kubectl.apply(
            secret(APP, client_id=APP), *(each.channel(app=app) for each in stations)
        )
        await scene.start()
        await scene.until(scene.stations, lambda _, found: scene.is_fresh(found))
        yield scene
        await scene.operator.kill()


def _refresh_token(call: Call) -> str:
    return call.form().get("refresh_token", "")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
