"""A killed operator loses no extension secret, and makes none that is not due.

Extensions rotate their shared secrets every few seconds, at a Twitch that is not the simulator. The
operator is ended with SIGKILL, at any moment or at an aimed one, and started anew, again and again.
All the while a consumer signs calls with `current`, also with one that it read a second ago.

For a proof, set TWITCH_OPERATOR_TEST_KILLS to 200 (see `seeds`): a quarter of an hour and some
400 rotations.
"""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.cluster.extension_kills import Killings
from tests.cluster.extension_scene import Consumer, new_extensions
from tests.cluster.gate import Gate
from tests.cluster.kubectl import eventually
from tests.cluster.seeds import chosen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.extension_kills import Moment
    from tests.cluster.extension_scene import Extensions
    from tests.cluster.operator_harness import Site
    from tests.other_extensions import OtherExtension

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

KILLS, SEED = chosen(11)
APPS = 6
INTERVAL, DELAY = 10, 3
RETIRE = 90.0  # seconds; less the delay, it is what a restart and its first writes may take


async def test_no_secret_is_lost_and_none_is_made_that_is_not_due(
    site: Site, tmp_path: Path
) -> None:
    print(f"seed {SEED}: {KILLS} kills")  # noqa: T201 - shown when it fails
    rng = random.Random(SEED)
    async with new_extensions(site) as scene, Gate(tmp_path / "k", site.plane.kubeconfig) as gate:
        scene.twitch.retire_after = RETIRE
        names = [f"app-{number}" for number in range(APPS)]
        killings = Killings(scene, gate, names, rng)
        await killings.start()
        rotation = {"interval": f"{INTERVAL}s", "activationDelay": f"{DELAY}s"}
        for name in names:
            await scene.add(name, rotation=rotation)
            await asyncio.sleep(1)  # so that they do not rotate all at once
        consumer = Consumer(scene, names)
        async with consumer.running() as consuming:
            for number, moment in enumerate(shuffled(killings.moments, rng), 1):
                print(f"kill {number}: {moment.__name__}")  # noqa: T201
                await killings.kill_at(moment)
                assert not consuming.done()
                assert not consumer.complaints
            await each_rotates_again(scene, names)
        assert (consumer.complaints, scene.twitch.wrong) == ([], [])
        apps = [scene.at_twitch(name) for name in names]
        for name, mine in zip(names, apps, strict=True):
            none_too_many(mine, [at for at, revoked in killings.revocations if revoked == name])
            all_stored(mine, consumer)
        rotations = sum(len(mine.made) for mine in apps)
        print(f"rotations: {rotations}; calls of the consumer: {consumer.signed}")  # noqa: T201
        await killings.operator.kill()


def shuffled(moments: list[Moment], rng: random.Random) -> list[Moment]:
    """All moments equally often, in any order."""
    chosen = moments * (KILLS // len(moments)) + rng.sample(moments, KILLS % len(moments))
    rng.shuffle(chosen)
    return chosen


async def each_rotates_again(scene: Extensions, names: list[str]) -> None:
    """Wait until each extension has another secret, and the Secret has it, too."""
    apps = {name: scene.at_twitch(name) for name in names}
    before = {name: len(mine.made) for name, mine in apps.items()}
    await eventually(
        lambda: all(len(mine.made) > before[name] for name, mine in apps.items()),
        2 * INTERVAL + DELAY,
    )
    for name, mine in apps.items():
        text = mine.keys[-1].text
        await scene.until_target(name, lambda t, text=text: text in t.known)  # type: ignore[misc]


def none_too_many(mine: OtherExtension, revocations: list[float]) -> None:
    """Between two secrets lies an interval, unless somebody asked for one more."""
    asked = list(revocations)
    for before, after in pairwise([0.0, *(each.time for each in mine.made)]):
        if after - before < 0.9 * INTERVAL + DELAY - 0.1:
            assert asked, f"{mine.client_id}: made {after - before:.1f} s after the one before"
            assert asked[0] < after, f"{mine.client_id}: made, and nobody had asked"
            del asked[0]
        while asked and asked[0] < before:
            del asked[0]


def all_stored(mine: OtherExtension, consumer: Consumer) -> None:
    """Each was in the Secret, and was there before the next one came into service."""
    for made, after in pairwise(mine.made):
        seen = consumer.seen.get(made.key.text)
        assert seen is not None, f"{mine.client_id}: what was made at {made.time} never got there"
        late = seen - after.key.active
        assert late < 0, f"{mine.client_id}: stored {late:.1f} s after the next one was in service"
