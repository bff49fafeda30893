"""Ad breaks that are marked in an HLS playlist become commercials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.sandbox.hls import HlsSimulator, StreamOptions
from tests.cluster.kubectl import conditions, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site, Station

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

MATCH = [{"field": "type", "equals": "ad_break_start"}]
ENDS = [{"field": "type", "equals": "ad_break_end"}]
ACTION = {"commercial": {"lengthField": "duration_sec"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hls(site: Site) -> AsyncIterator[HlsSimulator]:
    async with HlsSimulator() as simulator:
        await site.start_operator(ALLOWED_FETCH_HOSTS="127.0.0.1")
        yield simulator


async def rule_at(site: Site, login: str, url: str, **spec: Any) -> Station:  # noqa: ANN401 - YAML
    station = await site.prepare(login)
    rule = station.rule(
        feed={"hls": {"url": url, **spec}}, match=MATCH, cancelOn=ENDS, action=ACTION
    )
    await site.kubectl.apply(station.channel(), rule)
    return station


async def test_a_marker_in_a_playlist_starts_a_commercial(site: Site, hls: HlsSimulator) -> None:
    hls.begin(StreamOptions(name="marked", target=0.5))
    station = await rule_at(site, "marked", hls.url_of("marked"))
    await site.kubectl.ready("tch/marked", "trule/marked")
    made = hls.advertise("marked", 60.0)
    await eventually(lambda: station.commercials)
    (decision,) = await station.decisions()
    assert (decision["verdict"], decision["detail"]) == ("Fired", "commercial of 60 s")
    assert decision["eventId"].startswith(f"{made.event_id}@")
    assert [each.requested for each in station.commercials] == [60]


async def test_a_break_that_runs_already_starts_nothing(site: Site, hls: HlsSimulator) -> None:
    running = hls.begin(StreamOptions(name="running", target=0.5, window=3))
    hls.advertise("running", 60.0)
    await eventually(lambda: running.last(hls._clock()) > running.breaks[0].first + 3)
    station = await rule_at(site, "running", hls.url_of("running"))
    (decision,) = await station.decisions()
    assert decision["verdict"] == "Expired"
    assert "spec.feed.hls.joinRunning is false" in decision["detail"]
    assert station.commercials == []


async def test_a_running_break_is_joined_where_the_rule_wants_it(
    site: Site, hls: HlsSimulator
) -> None:
    joined = hls.begin(StreamOptions(name="joined", target=0.5, window=3))
    hls.advertise("joined", 90.0)
    await eventually(lambda: joined.last(hls._clock()) > joined.breaks[0].first + 3)
    station = await rule_at(site, "joined", hls.url_of("joined"), joinRunning=True)
    await eventually(lambda: station.commercials)
    (commercial,) = station.commercials
    assert 30 < commercial.requested < 90


async def test_what_is_wrong_is_told_by_the_rule(site: Site, hls: HlsSimulator) -> None:
    await rule_at(site, "lost", hls.url_of("lost"))
    await rule_at(site, "inside", "https://10.0.0.1/live.m3u8")
    status = await site.kubectl.until_reason("trule", "lost", "PlaylistNotFound")
    assert status["Stalled"]["status"] == "False"
    status = await site.kubectl.until_reason("trule", "inside", "HostNotAllowed")
    assert status["Stalled"]["status"] == "True"
    assert "correct spec.feed.hls.url" in status["Ready"]["message"]
    assert conditions({"conditions": list(status.values())})["FeedConnected"]["status"] == "False"
