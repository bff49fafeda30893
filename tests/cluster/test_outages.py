"""PubNub away, the API server away, both at once: cues before, during and after start one each.

Environment:
    TWITCH_OPERATOR_TEST_OUTAGE: Seconds that an outage lasts; default 5. For a proof: 600, of which
        PubNub is away for 90, as a break that is longer over starts nothing.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message, rule
from tests.cluster.operator_access import Line
from tests.cluster.pace import stretched
from tests.cluster.studio import Studio, new_studio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

OUTAGE = float(os.environ.get("TWITCH_OPERATOR_TEST_OUTAGE") or 5)
FED_OUTAGE = min(OUTAGE, 90.0)  # of PubNub
MAX_AGE = "120s"
LENGTH = 150  # seconds; an outage of 90 s leaves a commercial of 60 s
PLANES = ("pubnub", "api", "both")
MOMENTS = ("before", "during", "after")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(site: Site, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    folder: Path = tmp_path_factory.mktemp("line")
    async with Line(folder / "kubeconfig", site.plane.kubeconfig) as line:
        yield line


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(site: Site, line: Line) -> AsyncIterator[Studio]:
    async with new_studio(site, {"ADS_CHECK_INTERVAL": "1s"}) as studio:
        await studio.start(kubeconfig=line.kubeconfig)
        names = [f"{plane}-{moment}" for plane in PLANES for moment in MOMENTS]
        await studio.add(
            *(one for name in names for one in (*studio.channel(name), rule(name, maxAge=MAX_AGE)))
        )
        yield studio


def publish(studio: Studio, name: str) -> None:
    studio.publish(name, message(cue_id=f"cue-{name}", duration_sec=LENGTH))


async def settled(studio: Studio, names: Iterable[str]) -> None:
    """Exactly one start each, and statuses that have caught up with it."""
    names = list(names)
    look = await studio.until(
        lambda look: all(
            look.verdict(name) == "Confirmed" and look.results(name) == ["Confirmed"]
            for name in names
        )
    )
    for name in names:
        assert len(studio.starts(name)) == 1
        assert len(studio.asked(name)) == 1
        assert look.rules[name]["counts"] == {"matched": 1, "fired": 1, "skipped": 0, "failed": 0}
        assert look.ready(name)
        assert look.condition(name, "FeedConnected", of_rule=True)["status"] == "True"


async def test_a_cue_during_an_outage_of_the_feed_fires_when_it_is_back(studio: Studio) -> None:
    publish(studio, "pubnub-before")
    await eventually(lambda: studio.starts("pubnub-before"))
    await studio.site.pubnub.refuse()
    publish(studio, "pubnub-during")
    await asyncio.sleep(FED_OUTAGE)
    assert not studio.starts("pubnub-during")
    await studio.site.pubnub.accept()
    publish(studio, "pubnub-after")
    await eventually(lambda: studio.starts("pubnub-during") and studio.starts("pubnub-after"))
    (asked,) = studio.asked("pubnub-during")
    assert LENGTH - FED_OUTAGE - 15 < asked <= LENGTH - FED_OUTAGE + 1  # what is left of the break


async def test_cues_fire_on_time_while_the_api_server_is_away(studio: Studio, line: Line) -> None:
    publish(studio, "api-before")
    await line.cut()
    publish(studio, "api-during")
    await eventually(
        lambda: studio.starts("api-before") and studio.starts("api-during"), within=stretched(2)
    )
    await asyncio.sleep(OUTAGE)
    publish(studio, "api-after")
    await eventually(lambda: studio.starts("api-after"), within=stretched(2))
    await line.mend()


async def test_both_away_at_once_lose_no_cue_and_repeat_none(studio: Studio, line: Line) -> None:
    publish(studio, "both-before")
    await eventually(lambda: studio.starts("both-before"))
    await asyncio.gather(line.cut(), studio.site.pubnub.refuse())
    publish(studio, "both-during")
    await asyncio.sleep(FED_OUTAGE)
    await studio.site.pubnub.accept()
    await eventually(lambda: studio.starts("both-during"))  # the API server is still away
    await line.mend()
    publish(studio, "both-after")
    await eventually(lambda: studio.starts("both-after"))


async def test_afterwards_all_statuses_are_right_and_the_operator_runs_on(studio: Studio) -> None:
    await settled(studio, (f"{plane}-{moment}" for plane in PLANES for moment in MOMENTS))
    assert not studio.operator.ended
    assert (await studio.operator.get("/readyz")).status_code == 200
