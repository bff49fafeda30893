"""Rules that send messages, with a real operator: what arrives, and that nothing arrives twice.

Environment:
    TWITCH_OPERATOR_TEST_KILLS: How often it is killed; default 3.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.cluster.extension_front import CLIENT_ID, OWNER_ID, extension_front
from tests.cluster.kubectl import conditions, eventually
from tests.cluster.manifests import message, rule, secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.extension_front import ExtensionFront
    from tests.cluster.operator_harness import Operator, Site, Station

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

NAME = "deck-tracker"
KILLS = int(os.environ.get("TWITCH_OPERATOR_TEST_KILLS") or 3)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(site: Site) -> AsyncIterator[ExtensionFront]:
    async with extension_front(site.twitch.helix_url) as front:
        await site.kubectl.apply(secret(f"{NAME}-bootstrap", secret=front.secret))
        yield front


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def operator(site: Site, front: ExtensionFront) -> AsyncIterator[Operator]:
    front.received.clear()
    front.delay = 0.0
    operator = await site.start_operator(HELIX_URL=front.url)
    began = time.time()  # of what is published in its first second, a former one may have sent
    await eventually(lambda: time.time() > began + 1.0)
    yield operator
    await site.close()


def extension() -> dict[str, Any]:
    given = {"name": f"{NAME}-bootstrap", "key": "secret"}
    spec = {
        "clientId": CLIENT_ID,
        "ownerId": OWNER_ID,
        "version": "1.0.0",
        "secret": {"bootstrapSecretRef": given, "targetSecretName": f"{NAME}-secrets"},
    }
    api = "twitch-operator.dev/v1alpha1"
    return {"apiVersion": api, "kind": "ExtensionApp", "metadata": {"name": NAME}, "spec": spec}


def overlays(station: Station, **spec: object) -> dict[str, Any]:
    """A rule beside the station's own, for the same messages."""
    data = '{"n": event.common.unique_id, "seconds": event.data.duration_sec}'
    action = {"extensionMessage": {"extensionRef": {"name": NAME}, "type": "ad", "data": data}}
    made = rule(station.name, **{"action": action, **spec})
    made["metadata"] = {"name": f"{station.name}-overlay"}
    return made


async def decided(site: Site, name: str, count: int) -> list[tuple[str, str]]:
    """Identity and verdict of a rule's decisions, oldest first, once there are so many."""
    status = await site.kubectl.until_path("trule", name, f"counts.matched={count}")
    return [(d["eventId"], d["verdict"]) for d in reversed(status["recentDecisions"])]


async def test_one_cue_starts_a_commercial_and_tells_the_overlay_once(
    site: Site, front: ExtensionFront
) -> None:
    station = await site.add_station("both")
    name = f"{station.name}-overlay"
    await site.kubectl.apply(overlays(station))
    await site.kubectl.until_reason("trule", name, "ExtensionNotFound")
    await site.kubectl.apply(extension())
    await site.kubectl.ready(f"extapp/{NAME}", f"trule/{name}")
    cue = message("scte35", "cue", duration_sec=60.0)
    station.publish(cue)
    assert await decided(site, name, 1) == [("cue", "Fired")]
    station.publish(cue)
    assert await decided(site, name, 2) == [("cue", "Fired"), ("cue", "Duplicate")]
    assert (await station.verdicts(2))[0] == "Fired"
    (received,) = front.received
    assert received.body == {"type": "ad", "data": {"n": "cue", "seconds": 60}, "version": 0}
    assert received.channel == (await site.kubectl.status("tch", "both"))["broadcaster"]["id"]
    assert len(station.commercials) == 1
    status = await site.kubectl.status("trule", name)
    assert "nextEligibleTime" not in status
    assert status["counts"]["fired"] == 1


async def test_a_channel_that_is_off_air_gets_messages_and_a_paused_one_none(
    site: Site, front: ExtensionFront
) -> None:
    station = await site.add_station("quiet")
    name = f"{station.name}-overlay"
    await site.kubectl.apply(extension(), overlays(station))
    await site.kubectl.ready(f"trule/{name}")
    site.twitch.set_live("quiet", live=False)
    station.publish(message("scte35", "off-air"))
    assert await decided(site, name, 1) == [("off-air", "Fired")]
    paused = "twitch-operator.dev/paused"
    await site.kubectl("annotate", "tch", "quiet", f"{paused}=by-a-test")
    await site.kubectl.until("trule", name, lambda s: _reason(s) == "ChannelNotReady")
    station.publish(message("scte35", "held"))
    assert (await decided(site, name, 2))[1] == ("held", "Paused")
    await site.kubectl("annotate", "tch", "quiet", f"{paused}-")
    await site.kubectl.ready(f"trule/{name}")
    assert front.names() == ["off-air"]


async def test_a_lost_answer_and_a_gone_extension_are_told(
    site: Site, front: ExtensionFront
) -> None:
    station = await site.add_station("unlucky")
    name = f"{station.name}-overlay"
    await site.kubectl.apply(extension(), overlays(station))
    await site.kubectl.ready(f"trule/{name}")
    front.lose = 1
    station.publish(message("scte35", "lost"))
    assert await decided(site, name, 1) == [("lost", "Unknown")]
    await site.kubectl("delete", "extapp", NAME)
    await site.kubectl.until_reason("trule", name, "ExtensionNotFound")
    assert front.names() == ["lost"]


async def test_a_cue_that_is_published_again_after_a_restart_is_a_duplicate(
    site: Site, front: ExtensionFront, operator: Operator
) -> None:
    station = await site.add_station("again")
    name = f"{station.name}-overlay"
    twins = {"key": ["data.duration_sec"], "window": "2m"}
    await site.kubectl.apply(extension(), overlays(station, dedupe=twins))
    await site.kubectl.ready(f"trule/{name}")
    station.publish(message("scte35", "main", duration_sec=61.0))
    assert await decided(site, name, 1) == [("main", "Fired")]
    assert await operator.end() == 0
    operator = await site.start_operator(HELIX_URL=front.url)
    await _first_second_is_over(site, name)
    station.publish(message("scte35", "backup", duration_sec=61.0))
    station.publish(message("scte35", "main", duration_sec=61.0))
    expected = [("main", "Fired"), ("backup", "Duplicate"), ("main", "Duplicate")]
    assert await decided(site, name, 3) == expected
    # Killed right after the call: only the feed tells the next process of it.
    front.delay = 0.5
    station.publish(message("scte35", "second", duration_sec=62.0))
    await eventually(lambda: "second" in front.names())
    await operator.kill()
    operator = await site.start_operator(HELIX_URL=front.url)
    await _first_second_is_over(site, name)
    station.publish(message("scte35", "second-backup", duration_sec=62.0))
    told = (await decided(site, name, 5))[3:]
    assert told == [("second", "Unknown"), ("second-backup", "Duplicate")]
    assert front.names() == ["main", "second"]


async def test_an_operator_that_is_killed_again_and_again_sends_nothing_twice(
    site: Site, front: ExtensionFront, operator: Operator
) -> None:
    station = await site.add_station("killed")
    name = f"{station.name}-overlay"
    await site.kubectl.apply(extension(), overlays(station, maxAge="2m"))
    await site.kubectl.ready(f"trule/{name}")
    published: list[str] = []
    going = True

    async def publish() -> None:
        while going:
            published.append(f"cue-{len(published)}")
            station.publish(message("scte35", published[-1]))
            await asyncio.sleep(0.2)

    publishing = asyncio.create_task(publish())
    front.delay = 0.2  # so that a kill falls between a message and its answer
    for _ in range(KILLS):
        enough = len(front.received) + 5
        await eventually(partial(_has, front, enough))
        await operator.kill()
        operator = await site.start_operator(HELIX_URL=front.url)
    after = time.time()
    await eventually(lambda: front.received[-1].time > after)
    going = False
    await publishing
    last = message("scte35", "the-last")
    station.publish(last)
    await eventually(lambda: "the-last" in front.names())
    assert max(Counter(front.names()).values()) == 1
    assert set(front.names()) <= {*published, "the-last"}
    status = await site.kubectl.until(
        "trule", name, lambda s: s["recentDecisions"][0]["eventId"] == "the-last"
    )
    assert status["recentDecisions"][0]["verdict"] == "Fired"
    assert status["counts"]["failed"] > 0  # Unknown: what nobody knows of is not sent


async def _first_second_is_over(site: Site, rule: str) -> None:
    """What is published in a process's first second may be of before: repeats are passed over."""
    since = time.time()
    await site.kubectl.ready(f"extapp/{NAME}", f"trule/{rule}")
    await eventually(lambda: time.time() > since + 1.5)


def _has(front: ExtensionFront, count: int) -> bool:
    return len(front.received) >= count


def _reason(status: dict[str, Any]) -> str:
    return str(conditions(status)["Ready"]["reason"])
