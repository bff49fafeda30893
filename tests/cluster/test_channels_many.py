"""One rule for many channels, several rules for one, and starts that wait."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.resources.common import parse_instant
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message, rule
from tests.cluster.studio import Studio, new_studio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

DELAY = 20.0  # seconds that a start waits here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(site: Site) -> AsyncIterator[Studio]:
    async with new_studio(site, {"ADS_CHECK_INTERVAL": "1s", "CALL_TIMEOUT": "1s"}) as studio:
        await studio.start()
        yield studio


def labelled(studio: Studio, name: str, **labels: str) -> list[dict[str, Any]]:
    grant, made = studio.channel(name)
    made["metadata"]["labels"] = labels
    return [grant, made]


def selecting(name: str, selector: dict[str, Any], **spec: object) -> dict[str, Any]:
    made = rule(name, channelSelector=selector, **spec)
    del made["spec"]["channelRef"]
    return made


async def test_one_rule_serves_the_channels_that_the_event_names(studio: Studio) -> None:
    by_feed = {
        "matchLabels": {"network": "mst3k"},
        "matchEvent": [{"label": "feed", "field": "feed_code"}],
    }
    await studio.add(
        *labelled(studio, "east-1", network="mst3k", feed="east"),
        *labelled(studio, "east-2", network="mst3k", feed="east"),
        *labelled(studio, "west", network="mst3k", feed="west"),
        *labelled(studio, "foreign", network="other", feed="east"),
        selecting("headends", by_feed),
    )
    await studio.until(
        lambda look: look.condition("headends", "Ready", of_rule=True).get("status") == "True"
    )
    studio.publish("headends", message(cue_id="of-east") | {"feed_code": "east"})
    look = await studio.until(lambda look: len(look.decisions("headends")) == 2)
    assert {each["channel"] for each in look.decisions("headends")} == {"east-1", "east-2"}
    assert {each["eventId"] for each in look.decisions("headends")} == {"of-east"}
    assert [len(studio.starts(name)) for name in ("east-1", "east-2", "west", "foreign")] == [
        1, 1, 0, 0,
    ]  # fmt: skip

    # A channel is given another label: from then on it is another feed's.
    await studio.site.kubectl("label", "--overwrite", "tch", "west", "feed=north")
    studio.publish("headends", message(cue_id="nobodys") | {"feed_code": "south"})
    look = await studio.until(lambda look: look.verdict("headends") == "ChannelNotReady")
    assert "feed=south" in look.decisions("headends")[-1]["detail"]
    studio.publish("headends", message(cue_id="of-north") | {"feed_code": "north"})
    await eventually(lambda: studio.starts("west"))


async def test_a_selector_that_matches_nothing_is_told(studio: Studio) -> None:
    await studio.add(selecting("nowhere", {"matchLabels": {"network": "nowhere"}}))
    look = await studio.until(
        lambda look: look.condition("nowhere", "Ready", of_rule=True).get("status") == "False"
    )
    told = look.condition("nowhere", "Ready", of_rule=True)
    assert "channelSelector" in told["message"], told
    studio.publish("nowhere", message())
    await studio.until_verdict("nowhere", "ChannelNotReady")


async def test_of_two_rules_the_one_of_higher_priority_has_the_channel(studio: Studio) -> None:
    low = rule("low", channelRef={"name": "wanted"}, priority=1)
    high = rule("high", channelRef={"name": "wanted"}, priority=2)
    await studio.add(*studio.channel("wanted", commercials={"delay": "2s"}), low, high)
    studio.publish("low", message(duration_sec=120))
    await studio.until_verdict("low", "Waiting")
    studio.publish("high", message(duration_sec=60))
    outranked = await studio.until_verdict("low", "Outranked")
    assert "high" in outranked["detail"]
    await studio.until_verdict("high", "Fired", "Confirmed")
    (asked,) = studio.asked("wanted")
    assert 60 <= asked <= 62  # from when the break began to the end that the higher one tells


async def test_an_off_cue_cancels_a_start_that_waits(studio: Studio) -> None:
    off = rule("called-off", cancelOn=[{"field": "msg_type", "equals": "off"}])
    await studio.add(*studio.channel("called-off", commercials={"delay": "10s"}), off)
    due = time.time() + 10
    studio.publish("called-off", message())
    await studio.until_verdict("called-off", "Waiting")
    studio.publish("called-off", message() | {"msg_type": "off"})
    await studio.until_verdict("called-off", "Cancelled")
    await asyncio.sleep(max(0.0, due + 1 - time.time()))
    assert studio.asked("called-off") == []


async def test_an_off_cue_of_a_rehearsing_rule_drops_no_real_start(studio: Studio) -> None:
    await studio.station("kept", delay="2s")
    feed = rule("kept")["spec"]["feed"]
    off = [{"field": "msg_type", "equals": "off"}]
    trial = rule("trial", channelRef={"name": "kept"}, feed=feed, cancelOn=off, mode="DryRun")
    await studio.site.kubectl.apply(trial)
    await studio.site.kubectl.ready("trule/trial")
    studio.publish("kept", message())
    await studio.until_verdict("trial", "Waiting")
    studio.publish("kept", message() | {"msg_type": "off"})
    await studio.until_verdict("trial", "Cancelled")
    await studio.until_verdict("kept", "Fired", "Confirmed")
    assert len(studio.asked("kept")) == 1


async def test_a_rule_that_is_pointed_elsewhere_or_deleted_starts_nothing_more(
    studio: Studio,
) -> None:
    names = ("repointed", "deleted", "beside")
    await asyncio.gather(*(studio.station(name, delay="4s") for name in names))
    for name in names:
        studio.publish(name, message())
        await studio.until_verdict(name, "Waiting")
    await studio.site.kubectl.apply(rule("repointed", channelRef={"name": "beside"}))
    await studio.site.kubectl("delete", "trule", "deleted")
    decision = await studio.until_verdict("repointed", "Suspended")
    assert decision["detail"] == "the rule was pointed elsewhere while the cue waited"
    # What was published last is called for last: the others' moments have passed then.
    await studio.until_verdict("beside", "Fired", "Confirmed")
    assert studio.asked("repointed") == studio.asked("deleted") == []


async def test_a_channel_that_is_deleted_leaves_the_line_of_its_break(studio: Studio) -> None:
    await studio.station("leaving")
    studio.publish("leaving", message(cue_id="its-last"))
    await studio.until_verdict("leaving", "Fired", "Confirmed")
    await studio.site.kubectl("delete", "tch", "leaving")
    await eventually(lambda: '"cue_ids":["its-last"]' in studio.operator.log)
    assert studio.operator.log.count('"cue_ids":["its-last"]') == 1


async def test_a_pause_and_a_suspended_rule_hold_a_start_that_waits(studio: Studio) -> None:
    for name in ("held", "withdrawn"):
        await studio.add(
            *studio.channel(name, commercials={"delay": "3s"}), rule(name), ready=False
        )
    await studio.until(lambda look: look.ready("held") and look.ready("withdrawn"))
    for name in ("held", "withdrawn"):
        studio.publish(name, message())
    await studio.until_verdict("withdrawn", "Waiting")
    await studio.site.kubectl.annotate("tch", "held", paused="true")
    await studio.site.kubectl.apply(rule("withdrawn", suspend=True))
    assert (await studio.until_verdict("withdrawn", "Suspended"))["detail"].startswith("the rule")
    await studio.until_verdict("held", "Paused")
    assert studio.asked("held") == studio.asked("withdrawn") == []


async def test_an_ad_by_hand_moves_the_cooldown_and_a_planned_one_is_told(studio: Studio) -> None:
    await studio.station("managed")
    studio.twitch.run_ad("managed", 60)
    began = time.time()
    look = await studio.until(
        lambda look: "nextEligibleTime" in look.channels["managed"].get("commercials", {})
    )
    eligible = parse_instant(look.channels["managed"]["commercials"]["nextEligibleTime"])
    assert abs(eligible - began - 480) < 3
    studio.publish("managed", message())
    await studio.until_verdict("managed", "CoolingDown")
    assert studio.asked("managed") == []  # Twitch need not be asked

    studio.twitch.plan_ad("managed", time.time() + 300, 90)
    look = await studio.until(
        lambda look: look.condition("managed", "AdsManagerScheduled").get("status") == "True"
    )
    assert "Ads Manager" in look.condition("managed", "AdsManagerScheduled")["message"]
    assert look.ready("managed")


async def test_a_clock_that_is_off_is_told_and_its_future_counts_as_now(studio: Studio) -> None:
    skewed = rule("skewed", timeField="common.timestamp")
    await studio.add(*studio.channel("skewed"), skewed)
    ahead = message()
    ahead["common"]["timestamp"] = time.time() + 30
    studio.publish("skewed", ahead)
    look = await studio.until(
        lambda look: look.condition("skewed", "ClockSkew", of_rule=True).get("status") == "True"
    )
    assert look.ready("skewed")
    await studio.until_verdict("skewed", "Fired", "Confirmed")
    assert studio.starts("skewed")[0] - time.time() < 5


async def test_a_start_that_waits_survives_restarts_and_fires_once_on_time(studio: Studio) -> None:
    await studio.station("delayed", delay=f"{DELAY:.0f}s")
    due = time.time() + DELAY
    studio.publish("delayed", message())
    for by in (signal.SIGTERM, signal.SIGKILL):
        await studio.until_verdict("delayed", "Waiting")
        await studio.operator.end(by)
        await studio.start()
    assert not studio.starts("delayed")
    back = time.time()
    await studio.until_verdict("delayed", "Fired", "Confirmed")
    (start,) = studio.starts("delayed")
    assert due <= start < max(due, back) + 1.5
    (asked,) = studio.asked("delayed")
    if start < due + 1.5:
        assert asked == 125
    else:  # the operator was back only later: what was left of the break
        assert abs(asked - (125.1 - (start - due))) < 1.5
