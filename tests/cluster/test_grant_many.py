"""Many channels share an application, and all their tokens expire within the same minute.

Environment:
    TWITCH_OPERATOR_TEST_CHANNELS: How many; default 100. For a proof: 1000, two minutes.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from controller.sandbox.twitch import Fault
from controller.sandbox.twitch.journal import Journal
from tests.cluster.kubectl import conditions, eventually
from tests.cluster.watching import watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from controller.sandbox.twitch import TwitchSimulator
    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

CHANNELS = int(os.environ.get("TWITCH_OPERATOR_TEST_CHANNELS") or 100)
# Refreshes begin when half of it, or all but 30 s, is over: by then all must have been imported.
LIFETIME = max(24, 80 * CHANNELS // 1000)
TOKEN = "/oauth2/token"
ANSWER = 0.1  # seconds that each identity call takes
AT_ONCE = 20
AS_USERS_RUN_IT: dict[str, Any] = {
    "SECRET_CHECK_INTERVAL": "60s",
    "MISSING_SECRET_CHECK_INTERVAL": "10s",
    "LIVE_CHECK_INTERVAL": "60s",
    "RESYNC_INTERVAL": "300s",
    "STATUS_INTERVAL": "10s",
    "LOG_LEVEL": "INFO",
}


@dataclass
class History:
    """What the API server ever held of the channels.

    Attributes:
        tokens: By channel: when an access token came into its Secret, and which.
        ready: Channels that were Ready.
        gaps: What was told of one that was Ready before, and is not fully so.
    """

    tokens: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    gaps: list[str] = field(default_factory=list)

    def take_secret(self, body: dict[str, Any]) -> None:
        name = body["metadata"]["labels"]["twitch-operator.dev/channel"]
        access = base64.b64decode(body["data"]["access-token"]).decode()
        seen = self.tokens.setdefault(name, [])
        if access not in (each for _, each in seen[-1:]):
            seen.append((time.time(), access))

    def take_channel(self, body: dict[str, Any]) -> None:
        name, told = body["metadata"]["name"], conditions(body.get("status", {}))
        if not told:
            return
        if all(told[kind]["status"] == "True" for kind in ("Ready", "Authorized")):
            self.ready.add(name)
        elif name in self.ready:
            self.gaps.append(f"{name}: {told['Ready']['message']}")


@asynccontextmanager
async def remembering(site: Site) -> AsyncIterator[History]:
    """All that happens to the channels of a site and to their tokens."""
    history, file = History(), site.plane.kubeconfig
    own = f"namespaces/{site.namespace}"
    channels = f"/apis/twitch-operator.dev/v1alpha1/{own}/twitchchannels"
    ours = {"labelSelector": "app.kubernetes.io/managed-by=twitch-operator"}
    async with (
        watching(file, channels, history.take_channel),
        watching(file, f"/api/v1/{own}/secrets", history.take_secret, **ours),
    ):
        yield history


def most_at_once(arrivals: Iterable[float]) -> int:
    """How many calls were under way at once: each was held for ANSWER, at least."""
    ends = [(at + ANSWER, -1) for at in arrivals]
    most = now = 0
    for _, step in sorted([*ends, *((end - ANSWER, 1) for end, _ in ends)]):
        now += step
        most = max(most, now)
    return most


def answered(twitch: TwitchSimulator) -> int:
    """How many token calls Twitch has answered."""
    return sum(call.status == 200 for call in twitch.calls(path=TOKEN))


async def apply(site: Site, count: int) -> None:
    """Broadcasters who consented, and their channels."""
    stations = [site.new_station(f"one_of_many_{number:04}") for number in range(count)]
    items = [made for each in stations for made in (each.grant(), each.channel())]
    whole = {"apiVersion": "v1", "kind": "List", "items": items}
    await site.kubectl("create", "-f", "-", manifest=json.dumps(whole))


async def test_no_channel_of_many_is_ever_without_a_token_and_twitch_is_not_flooded(
    site: Site,
) -> None:
    twitch = site.twitch
    twitch.journal = Journal(keep=1_000_000)
    twitch.options.token_lifetime = LIFETIME
    await apply(site, CHANNELS)
    twitch.order_fault(Fault(path="/oauth2/*", delay=ANSWER, times=None))
    async with remembering(site) as history:
        await site.start_operator(**AS_USERS_RUN_IT)
        began = time.monotonic()
        await eventually(lambda: answered(twitch) == CHANNELS, within=LIFETIME / 2)
        twitch.options.token_lifetime = 14_400  # what is imported ends soon, what follows does not
        await eventually(lambda: len(history.ready) == CHANNELS, within=LIFETIME)
        print(f"{CHANNELS} channels Ready after {time.monotonic() - began:.1f} s")  # noqa: T201
        tokens = history.tokens.items()
        first = {name: twitch.grants._by_access[seen[0][1]] for name, seen in tokens}
        ends = [access.expires for access in first.values()]
        assert max(ends) - min(ends) < 60
        await eventually(lambda: time.time() > max(ends) + 1, within=2 * LIFETIME)

    assert history.gaps == []
    spare = []
    for name, seen in history.tokens.items():
        (_, _), (renewed, access) = seen
        spare.append(first[name].expires - renewed)
        assert twitch.grants.access(access, time.time()) is not None
    assert len(spare) == CHANNELS
    assert min(spare) > 0, "a token expired before the next one was there"
    calls = Counter(call.login for call in twitch.calls(path=TOKEN))
    assert set(calls.values()) == {2}
    assert {call.status for call in twitch.journal} <= {200, None}
    identity = [call.time for call in twitch.journal if call.path.startswith("/oauth2/")]
    most = most_at_once(identity)
    print(f"at least {min(spare):.1f} s left at a refresh, at most {most} calls at once")  # noqa: T201
    assert AT_ONCE / 2 <= most <= AT_ONCE
