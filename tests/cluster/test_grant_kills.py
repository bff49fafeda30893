"""A killed operator loses no grant that the protocol lets it keep.

The refresh tokens are one-time, the access tokens live for seconds, so that some are always being
refreshed. The operator is ended with SIGKILL, at any moment or at an aimed one, and started anew,
again and again. After each kill Twitch and the token Secret say whether a grant can be alive: it
cannot if the refresh token in the Secret was traded for another, which never got there. What can be
alive must come back by itself; for the rest the channel tells what to do, and that heals it.

For a proof, set TWITCH_OPERATOR_TEST_KILLS to 200 (see `seeds`): a quarter of an hour.
"""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING

import pytest

from tests.cluster.kill_harness import QUICK, new_scene
from tests.cluster.seeds import chosen

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

KILLS, SEED = chosen(9)


async def test_a_grant_is_alive_after_a_kill_wherever_it_can_be(site: Site, tmp_path: Path) -> None:
    print(f"seed {SEED}: {KILLS} kills")  # noqa: T201 - shown when it fails
    rng = random.Random(SEED)
    async with new_scene(site, tmp_path, rng) as scene:
        moments = scene.moments
        left = moments * (KILLS // len(moments)) + rng.sample(moments, KILLS % len(moments))
        rng.shuffle(left)
        for number, moment in enumerate(left, 1):
            print(f"kill {number}: {moment.__name__}")  # noqa: T201
            await scene.kill_at(moment)
        await scene.heal(frozenset(scene.dead))
        # Each try of each refresh token is followed by another one only after a kill.
        assert max(scene.trades().values()) == 1
        assert median(scene.took()) < QUICK
    lost = dict(scene.lost)
    print(f"refreshes: {scene.trades().total()}; grants lost unavoidably: {lost}")  # noqa: T201
