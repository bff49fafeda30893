"""Two replicas: one leads, and whatever happens to it, each cue starts one commercial.

Environment:
    TWITCH_OPERATOR_TEST_KILLS: How often a leader is ended; default 2. For a proof: 20.
    TWITCH_OPERATOR_TEST_LEASE: Seconds of the lease; default 6. For a proof: 10.
    TWITCH_OPERATOR_TEST_AWAY: Seconds for which the API server is away, and a leader is stopped,
        beyond the lease; default 1. For a proof: 120, of which a leader is stopped for 30 at most.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.kubectl import eventually
from tests.cluster.operator_access import Line
from tests.cluster.pace import stretched
from tests.cluster.replicas import MAX_AGE, new_replicas
from tests.cluster.seeds import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cluster.operator_harness import Site
    from tests.cluster.replicas import Replicas

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

KILLS, SEED = chosen(2)
LEASE = float(os.environ.get("TWITCH_OPERATOR_TEST_LEASE") or 6)
AWAY = float(os.environ.get("TWITCH_OPERATOR_TEST_AWAY") or 1)
CUES = 6  # around each end of a leader


def judge(replicas: Replicas, names: Sequence[str], max_age: float = MAX_AGE) -> None:
    """Each cue started one commercial, in time."""
    wrong = []
    for name in names:
        starts, published = replicas.studio.starts(name), replicas.published[name]
        if len(starts) != 1 or starts[0] > published + max_age:
            wrong.append(f"{name}, published at {published}: {starts}")
    assert not wrong, "\n".join(wrong)


async def test_every_cue_starts_one_commercial_whenever_the_leader_ends(site: Site) -> None:
    print(f"seed {SEED}: {KILLS} ends, a lease of {LEASE:g} s")  # noqa: T201 - shown when it fails
    rng = random.Random(SEED)
    took: dict[signal.Signals, list[float]] = {signal.SIGKILL: [], signal.SIGTERM: []}
    async with new_replicas(site, LEASE) as replicas:
        replicas.apart = 30.0
        await replicas.start()
        await replicas.leader()
        await replicas.start()
        for number in range(KILLS):
            by = (signal.SIGKILL, signal.SIGTERM)[number % 2]
            names = [f"r{number}-{cue}" for cue in range(CUES)]
            await replicas.add_channels(names)
            took[by].append(await _end_under_cues(replicas, names, by, rng))
            judge(replicas, names)
            await replicas.start()
            await replicas.studio.clear()
    for by, seconds in took.items():
        told = ", ".join(f"{one:.2f}" for one in sorted(seconds))
        print(f"{by.name}: seconds to the next fired cue: {told}")  # noqa: T201
    assert max(took[signal.SIGKILL]) <= LEASE + stretched(2.0)
    assert max(took[signal.SIGTERM]) <= stretched(2.0)


async def _end_under_cues(
    replicas: Replicas, names: Sequence[str], by: signal.Signals, rng: random.Random
) -> float:
    """End the leader in a stream of cues; seconds from there to the first call of the next one."""
    leader = await replicas.leader()
    spread = (LEASE + 2 if by is signal.SIGKILL else 2.0) / len(names)
    ends_at = rng.uniform(0, 2 * spread)
    stream = asyncio.create_task(_publish(replicas, names, spread))
    await asyncio.sleep(ends_at)
    ended = time.time()
    await replicas.end(leader, by)
    await stream
    await eventually(lambda: all(replicas.studio.starts(name) for name in names), MAX_AGE)
    later = [call.time for call in replicas.twitch.called if call.host != leader.host]
    return min(at for at in later if at > ended) - ended


async def _publish(replicas: Replicas, names: Sequence[str], spread: float) -> None:
    for name in names:
        replicas.publish(name)
        await asyncio.sleep(spread)


async def test_a_leader_that_was_stopped_calls_nothing_when_it_goes_on(site: Site) -> None:
    async with new_replicas(site, LEASE) as replicas:
        await replicas.start()
        old = await replicas.leader()
        await replicas.start()
        await replicas.add_channels(["stopped-before", "stopped-after"])
        replicas.publish("stopped-before")
        await eventually(lambda: replicas.studio.starts("stopped-before"))
        old.operator.process.send_signal(signal.SIGSTOP)
        replicas.publish("stopped-after")
        await eventually(lambda: len(replicas.leaders) == 2)
        await asyncio.sleep(min(AWAY, 30.0 - LEASE))
        went_on = time.time()
        old.operator.process.send_signal(signal.SIGCONT)
        code = await asyncio.to_thread(old.operator.process.wait, 30)
        replicas.running.remove(old)
        await eventually(lambda: replicas.studio.starts("stopped-after"))
        assert code == 1
        assert "leads instead of this replica" in old.operator.log
        assert not [call for call in replicas.calls_of(old) if call.time > went_on]
        judge(replicas, ["stopped-before", "stopped-after"])


async def test_without_the_api_server_the_leader_waits_and_then_goes_on(
    site: Site, tmp_path: Path
) -> None:
    async with (
        new_replicas(site, LEASE) as replicas,
        Line(tmp_path / "one", site.plane.kubeconfig) as one,
        Line(tmp_path / "two", site.plane.kubeconfig) as two,
    ):
        await replicas.start(one.kubeconfig)
        leader = await replicas.leader()
        await replicas.start(two.kubeconfig)
        names = ["away-before", "away-during", "away-after"]
        await replicas.add_channels(names, maxAge="5m")
        replicas.publish("away-before")
        await eventually(lambda: replicas.studio.starts("away-before"))
        await asyncio.gather(one.cut(), two.cut())
        await eventually(lambda: "no changing call until it is" in leader.operator.log)
        cut = time.time()
        replicas.publish("away-during", 600.0)  # so that much is left of the break
        # Longer than the lease: a standby that took the lead by its clock alone would show.
        await asyncio.sleep(LEASE + AWAY)
        assert not [call for call in replicas.twitch.called if call.time > cut]
        await asyncio.gather(one.mend(), two.mend())
        replicas.publish("away-after")
        await eventually(lambda: all(replicas.studio.starts(name) for name in names))
        assert "renewed; calls go on" in leader.operator.log
        assert replicas.leaders == [leader]
        judge(replicas, names, 300.0)
