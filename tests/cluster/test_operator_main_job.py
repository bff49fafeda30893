"""Cues become commercials, and `kubectl get` tells about them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from controller.resources.common import parse_instant
from controller.sandbox.twitch import Fault
from tests.cluster.kubectl import conditions, eventually, summary
from tests.cluster.manifests import message
from tests.cluster.operator_harness import leaked
from tests.cluster.pace import stretched
from tests.cluster.watching import watching

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Operator, Site, Station

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

COLUMNS = ["NAME", "READY", "LIVE", "LAST-RUN", "LENGTH", "CONFIRMED", "NEXT-OK", "REASON"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    return await site.start_operator()


_AD_ASSETS = [
    {"field": "msg_type", "equals": "video"},
    {"field": "data.asset_id", "glob": "Ad_*"},
    {"field": "data.rescue_reason", "equals": "na"},
]


async def test_both_example_messages_start_one_commercial_each(site: Site) -> None:
    splices, assets = await asyncio.gather(site.add_station("splices"), site.prepare("assets"))
    feed = {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["splices"]}}
    await site.kubectl.apply(assets.channel(), assets.rule(match=_AD_ASSETS, feed=feed))
    await site.kubectl.ready("tch/assets", "trule/assets")
    began = time.time()
    splices.publish(message("scte35", "a-splice"))
    splices.publish(message("video", "an-asset"))
    await eventually(lambda: splices.commercials and assets.commercials)
    for station, cue_id in ((splices, "a-splice"), (assets, "an-asset")):
        (commercial,) = station.commercials
        assert (commercial.requested, commercial.source) == (125, "api")
        assert commercial.start - began < stretched(1)
        await _check_statuses(site, station.name, cue_id, began)
    for station in (splices, assets):
        await _check_confirmed(site, station, began)


async def _check_statuses(site: Site, name: str, cue_id: str, began: float) -> None:
    fired = {"matched": 1, "fired": 1, "skipped": 0, "failed": 0}
    rule = await site.kubectl.until("trule", name, lambda s: s["counts"] == fired)
    assert summary(conditions(rule)) == ("True", "False", "False")
    assert conditions(rule)["FeedConnected"]["status"] == "True"
    assert conditions(rule)["Suspended"]["status"] == "False"
    (decision,) = rule["recentDecisions"]
    assert (decision["eventId"], decision["verdict"]) == (cue_id, "Fired")
    assert decision["detail"] == "commercial of 125 s"
    assert 0 < decision["latencyMilliseconds"] < 1000
    assert rule["retryAfterSeconds"] == 480
    for instant in ("lastEventTime", "lastFiredTime"):
        assert abs(parse_instant(rule[instant]) - began) < 5
    assert 475 < parse_instant(rule["nextEligibleTime"]) - began < 490

    channel = await site.kubectl.until("tch", name, lambda s: "commercials" in s)
    found = conditions(channel)
    assert summary(found) == ("True", "False", "False")
    assert (found["Authorized"]["status"], found["Live"]["status"]) == ("True", "True")
    assert channel["broadcaster"]["login"] == name
    assert channel["broadcaster"]["type"] == "partner"
    grant = channel["authorization"]
    assert grant["scopes"] == ["channel:edit:commercial", "channel:read:ads"]
    assert parse_instant(grant["expirationTime"]) > began + 3600
    assert {"lastRefreshTime", "lastValidationTime"} <= grant.keys()
    told = channel["commercials"]
    assert (told["lastLengthSeconds"], told["retryAfterSeconds"]) == (125, 480)
    assert told["lastMessage"].startswith("Starting commercial break.")
    assert told["nextEligibleTime"] == rule["nextEligibleTime"]
    (cue,) = told["recentCues"]
    assert (cue["cueId"], cue["lengthSeconds"], cue["result"]) == (cue_id, 125, "Fired")
    assert parse_instant(cue["publishTime"]) <= parse_instant(cue["startTime"])
    assert cue["dueTime"] == cue["publishTime"]
    assert (round(cue["breakSeconds"], 1), cue["acceptedSeconds"]) == (125.1, 125)
    assert cue["rule"] == name
    assert channel["observedGeneration"] == rule["observedGeneration"] == 1


async def _check_confirmed(site: Site, station: Station, began: float) -> None:
    """Twitch's last_ad_at moved near the call: the column, the decision and the cue tell."""
    path = "recentDecisions[0].verdict=Confirmed"
    rule = await site.kubectl.until_path("trule", station.name, path)
    assert rule["counts"] == {"matched": 1, "fired": 1, "skipped": 0, "failed": 0}
    channel = await site.kubectl.until_path("tch", station.name, "commercials.lastConfirmedTime")
    assert abs(parse_instant(channel["commercials"]["lastConfirmedTime"]) - began) < 2
    assert [each["result"] for each in channel["commercials"]["recentCues"]] == ["Confirmed"]
    assert abs(parse_instant(channel["adSchedule"]["lastAdTime"]) - began) < 2
    header, row = (await site.kubectl("get", "tch", station.name)).splitlines()
    assert header.split() == COLUMNS
    assert row.split()[5].endswith("s")


async def test_two_rules_for_both_messages_of_a_break_start_one_commercial(site: Site) -> None:
    station = await site.add_station("both")
    assets = station.rule(match=_AD_ASSETS) | {"metadata": {"name": "both-assets"}}
    await site.kubectl.apply(assets)
    await site.kubectl.ready("trule/both-assets")
    station.publish(message("scte35", "of-the-splice"))
    assert await station.verdicts() == ["Fired"]
    station.publish(message("video", "of-the-asset"))
    status = await site.kubectl.until_path("trule", "both-assets", "counts.matched=1")
    (decision,) = status["recentDecisions"]
    assert (decision["eventId"], decision["verdict"]) == ("of-the-asset", "SameBreak")
    assert "with cue of-the-splice (Fired)" in decision["detail"]
    assert status["counts"] == {"matched": 1, "fired": 0, "skipped": 1, "failed": 0}
    assert (len(station.commercials), station.calls()) == (1, 1)


async def test_the_columns_of_kubectl_get_answer_what_ran_and_when_the_next_may(
    site: Site,
) -> None:
    station = await site.add_station("columns")
    station.publish(message())
    await station.decisions()
    await site.kubectl.until("tch", station.name, lambda s: "commercials" in s)
    header, row = (await site.kubectl("get", "tch", "columns")).splitlines()
    assert header.split() == COLUMNS
    name, ready, live, ago, length, next_ok, reason = row.split()
    assert (name, ready, live, length, reason) == ("columns", "True", "True", "125", "Succeeded")
    assert ago.endswith("s")
    assert next_ok.endswith("Z")
    header, row = (await site.kubectl("get", "trule", "columns")).splitlines()
    told = dict(zip(header.split(), row.split(), strict=True))
    assert (told["READY"], told["FEED"], told["VERDICT"]) == ("True", "True", "Fired")
    assert (told["FIRED"], told["SKIPPED"], told["FAILED"]) == ("1", "0", "0")
    assert (told["CHANNEL"], told["REASON"]) == ("columns", "Succeeded")
    wide = (await site.kubectl("get", "tch,trule", "-o", "wide")).splitlines()
    assert any("partner" in line for line in wide)


async def test_a_break_within_the_cooldown_is_told_and_not_called(site: Site) -> None:
    station = await site.add_station("cooling")
    await site.kubectl.apply(station.rule(cancelOn=[{"field": "msg_type", "equals": "scte35_off"}]))
    await site.kubectl.until("trule", "cooling", lambda s: s["observedGeneration"] == 2)
    station.publish(message())
    await station.decisions()
    station.publish(message() | {"msg_type": "scte35_off"})  # the next cue is of another break
    station.publish(message())
    first, second = await station.decisions(2)
    assert (first["verdict"], second["verdict"]) == ("Fired", "CoolingDown")
    assert second["detail"].startswith("not before ")
    assert station.calls() == 1
    status = await site.kubectl.status("trule", station.name)
    assert status["counts"] == {"matched": 2, "fired": 1, "skipped": 1, "failed": 0}
    assert (await site.kubectl.until_reason("tch", station.name, "Succeeded"))["Ready"]


async def test_a_cooldown_that_only_twitch_knows_of_is_told_by_its_answer(site: Site) -> None:
    station = await site.add_station("elsewhere")
    site.twitch.start_ad("elsewhere", 60)
    station.publish(message())
    (decision,) = await station.decisions()
    assert decision["verdict"] == "CoolingDown"
    assert "recently ran" in decision["detail"]
    status = await site.kubectl.until("tch", station.name, lambda s: "commercials" in s)
    assert status["commercials"]["retryAfterSeconds"] in (479, 480)


async def test_a_repeated_cue_is_a_duplicate_even_when_the_channel_may_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.twitch.options, "cooldown", 0)
    monkeypatch.setattr(site.twitch.options, "cooldown_covers_ad", False)
    station = await site.add_station("repeats", commercials={"breakGap": "0s", "minLength": "0s"})
    station.publish(message("scte35", "the-same", duration_sec=1))
    (fired,) = await station.decisions()
    # A cue joins the break that is on air, and begins another one afterwards.
    await eventually(lambda: time.time() > parse_instant(fired["time"]) + 1.1)
    station.publish(message("scte35", "the-same", duration_sec=1))
    station.publish(message("scte35", "another", duration_sec=1))
    assert await station.verdicts(3) == ["Fired", "Duplicate", "Fired"]
    assert station.calls() == 2


async def test_what_does_not_match_leads_to_nothing(site: Site) -> None:
    station = await site.add_station("choosy")
    version = (await site.kubectl.get("trule", "choosy"))["metadata"]["resourceVersion"]
    station.publish(message("video"))
    station.publish({"msg_type": "SCTE35"})
    station.publish(message("scte35", "the-match"))
    assert [each["eventId"] for each in await station.decisions()] == ["the-match"]
    assert (await site.kubectl.get("trule", "choosy"))["metadata"]["resourceVersion"] != version
    assert (await site.kubectl.status("trule", "choosy"))["counts"]["matched"] == 1


async def test_a_dry_run_decides_and_calls_nothing(site: Site) -> None:
    station = await site.add_station("rehearsal")
    await site.kubectl.apply(station.rule(mode="DryRun"))
    await site.kubectl.until("trule", "rehearsal", lambda s: s["observedGeneration"] == 2)
    station.publish(message("scte35", "twice"))
    station.publish(message("scte35", "twice"))
    first, second = await station.decisions(2)
    assert (first["verdict"], second["verdict"]) == ("DryRun", "Duplicate")
    assert first["detail"] == "would have started a commercial of 125 s"
    assert station.calls() == 0


async def test_a_suspended_rule_tells_its_cues_and_calls_nothing(site: Site) -> None:
    station = await site.add_station("paused_rule")
    await site.kubectl.apply(station.rule(suspend=True))
    found = await site.kubectl.until_reason("trule", station.name, "Suspended")
    assert summary(found) == ("False", "False", "False")
    assert found["Suspended"]["status"] == "True"
    station.publish(message())
    assert await station.verdicts() == ["Suspended"]
    await site.kubectl.apply(station.rule())
    await site.kubectl.ready("trule/paused-rule")
    station.publish(message())
    assert await station.verdicts(2) == ["Suspended", "Fired"]
    assert station.calls() == 1


async def test_a_suspended_channel_keeps_its_grant_and_calls_nothing(site: Site) -> None:
    station = await site.add_station("paused_channel")
    await site.kubectl.apply(station.channel(suspend=True))
    found = await station.until_reason("Suspended")
    assert summary(found) == ("False", "False", "False")
    assert found["Authorized"]["status"] == "True"
    station.publish(message())
    assert await station.verdicts() == ["Suspended"]
    await site.kubectl.apply(station.channel())
    await site.kubectl.ready("tch/paused-channel", "trule/paused-channel")
    station.publish(message())
    assert await station.verdicts(2) == ["Suspended", "Fired"]
    assert (station.calls(), station.refreshes) == (1, 1)


async def test_a_channel_off_air_is_ready_and_its_cue_is_not_live(site: Site) -> None:
    station = await site.add_station("off_air")
    site.twitch.set_live("off_air", False)
    status = await site.kubectl.until(
        "tch", station.name, lambda s: conditions(s)["Live"]["status"] == "False"
    )
    assert summary(conditions(status)) == ("True", "False", "False")
    station.publish(message())
    (decision,) = await station.decisions()
    assert decision["verdict"] == "NotLive"
    assert "streaming live" in decision["detail"]


async def test_a_cue_for_neither_affiliate_nor_partner_is_not_eligible_until_that_changes(
    site: Site,
) -> None:
    station = await site.prepare("newcomer")
    site.twitch.set_type("newcomer", "")
    await site.kubectl.apply(station.channel(), station.rule())
    found = await station.until_reason("NotEligible")
    assert summary(found) == ("False", "False", "True")
    assert "neither affiliate nor partner" in found["Ready"]["message"]
    await site.kubectl.until_reason("trule", station.name, "ChannelNotReady")
    station.publish(message())
    assert await station.verdicts() == ["NotEligible"]
    assert station.calls() == 0
    site.twitch.set_type("newcomer", "affiliate")
    await site.kubectl.ready("tch/newcomer", "trule/newcomer")
    station.publish(message())
    assert await station.verdicts(2) == ["NotEligible", "Fired"]


async def test_a_channel_has_its_status_though_twitch_tells_nobody_who_is_live(site: Site) -> None:
    fault = site.twitch.order_fault(Fault(path="/helix/streams", status=503, times=None))
    try:
        station = await site.add_station("in_the_dark")
        found = conditions(await site.kubectl.status("tch", station.name))
        assert summary(found) == ("True", "False", "False")
        assert found["Live"]["status"] == "Unknown"
    finally:
        site.twitch.clear_faults(fault)
    await site.kubectl.until(
        "tch", station.name, lambda s: conditions(s)["Live"]["status"] == "True"
    )


async def test_many_rules_of_one_key_set_share_one_listener(site: Site) -> None:
    await asyncio.gather(*(site.add_station(f"shared_{number}") for number in range(4)))
    await asyncio.wait_for(site.pubnub.wait_for_polls(1, site.subscribe_key), 10)
    *_, poll = [each for each in site.pubnub.requests if "/subscribe/" in each.path]
    topics = unquote(poll.path.split("/")[4]).split(",")
    assert {f"shared-{number}" for number in range(4)} <= set(topics)


async def test_no_cue_is_lost_while_the_topics_change(site: Site) -> None:
    station = await site.add_station("steady")
    visitors = [f"visitor-{number}" for number in range(8)]
    for number, visitor in enumerate(visitors):
        await site.kubectl.apply(
            station.rule() | {"metadata": {"name": visitor}}
            if number % 2
            else _visitor(station.rule(), number)
        )
        station.publish(message("scte35", f"cue-{number}"))
    decisions = await station.decisions(8)
    await site.kubectl("delete", "trule", *visitors)
    assert [each["eventId"] for each in decisions] == [f"cue-{number}" for number in range(8)]
    assert (len(station.commercials), station.calls()) == (1, 1)  # all of one break


def _visitor(rule: dict[str, Any], number: int) -> dict[str, Any]:
    rule["metadata"] = {"name": f"visitor-{number}"}
    rule["spec"]["feed"]["pubnub"]["topics"] = [f"elsewhere-{number}"]
    return rule


@pytest.mark.parametrize("stumbles", [False, True], ids=["at-once", "at-the-second-try"])
async def test_a_new_channel_and_its_rule_are_written_once(site: Site, stumbles: bool) -> None:
    told: dict[str, list[dict[str, Any]]] = {"TwitchChannel": [], "TriggerRule": []}

    def take(body: dict[str, Any]) -> None:
        versions, status = told[body["kind"]], body.get("status", {})
        unseen = status.get("observedGeneration", -1) < 0  # as the API server makes it
        if not unseen and versions[-1:] != [status]:
            versions.append(status)

    station = await site.prepare(f"told_once_{stumbles}".lower())
    if stumbles:
        site.twitch.order_fault(Fault(path="/helix/users", login=station.login, status=503))
    of = f"/apis/twitch-operator.dev/v1alpha1/namespaces/{site.namespace}"
    only = {"fieldSelector": f"metadata.name={station.name}"}
    config = site.plane.kubeconfig
    async with (
        watching(config, f"{of}/twitchchannels", take, **only),
        watching(config, f"{of}/triggerrules", take, **only),
    ):
        await site.kubectl.apply(station.channel(), station.rule())
        # Whatever Twitch tells of a channel that is live: its user, its stream and its ads.
        await eventually(lambda: any("adSchedule" in status for status in told["TwitchChannel"]))
        await eventually(lambda: told["TriggerRule"])
    for kind, versions in told.items():
        assert len(versions) == 1, (kind, versions)
        assert conditions(versions[0])["Ready"]["status"] == "True"


async def test_health_and_metrics_are_served(site: Site, operator: Operator) -> None:
    station = await site.add_station("measured")
    station.publish(message())
    await station.decisions()
    assert (await operator.get("/healthz")).text == "ok\n"
    assert (await operator.get("/readyz")).text == "ok\n"
    series = (await operator.get("/metrics")).text.splitlines()
    label = f'namespace="{site.namespace}",result="fired",rule="measured"'
    assert f"twitch_operator_rule_events_total{{{label}}} 1.0" in series
    for name in (
        "twitch_operator_build_info",
        "twitch_operator_cue_to_call_seconds_count",
        "twitch_operator_credential_expiration_timestamp_seconds",
        "twitch_operator_feed_last_poll_timestamp_seconds",
        'twitch_operator_decisions_total{verdict="Unknown"} 0.0',
        'twitch_operator_token_refreshes_total{result="Succeeded"}',
        'twitch_operator_token_validations_total{result="Refused"}',
        'twitch_operator_status_writes_total{kind="TriggerRule",result="written"}',
    ):
        assert any(line.startswith(name) for line in series), name
    refused = [line for line in series if 'result="refused"' in line and "_total" in line]
    assert all(line.endswith(" 0.0") for line in refused), refused


async def test_no_credential_can_be_seen_anywhere(site: Site, operator: Operator) -> None:
    station = await site.add_station("discreet")
    site.twitch.expire_access_tokens("discreet")
    station.publish(message())
    await station.decisions()
    metrics = (await operator.get("/metrics")).text
    objects = await site.kubectl("get", "tch,trule,events", "-o", "json")
    assert json.loads(objects)["items"]
    credentials = site.credentials()
    assert len(credentials) > 10
    assert leaked(credentials, [operator.log, metrics, objects]) == []
