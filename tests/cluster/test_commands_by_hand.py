"""`explain`, `timeline`, `fire`, `pause` and `resume` as a user runs them, with a real operator."""

from __future__ import annotations

import asyncio
import json
import os
import time
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.cluster.consent_harness import account
from tests.cluster.kubectl import PATIENCE, eventually
from tests.cluster.manifests import message
from tests.programs import Program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.operator_harness import Operator, Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

KINDS = {"apiGroups": ["twitch-operator.dev"], "resources": ["twitchchannels", "triggerrules"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    return await site.start_operator()


async def run(
    site: Site, *arguments: str, code: int = 0, kubeconfig: Path | None = None, place: bool = True
) -> str:
    """Run a command to its end; returns all that it printed."""
    where = ("-n", site.namespace) if place else ()
    environment = os.environ | {"KUBECONFIG": str(kubeconfig or site.plane.kubeconfig)}
    with TemporaryFile() as out:
        process = Program([*arguments, *where], environment, out, out)
        ended = await asyncio.to_thread(process.wait, 2 * PATIENCE)
        out.seek(0)
        text = out.read().decode()
    assert ended == code, text
    assert "Traceback" not in text
    assert "\x1b" not in text
    return text


async def test_a_commercial_by_hand_runs_once_and_the_next_is_told_to_wait(site: Site) -> None:
    policy = {"onCooldown": "Skip", "minLength": "1s", "breakGap": "0s"}
    station = await site.add_station("hand", commercials=policy)
    assert "twitchchannel/hand: Fired" in await run(site, "fire", "hand", "--length", "3s")
    (commercial,) = station.commercials
    assert commercial.requested == 3
    # Within the break a request would only extend it.
    await eventually(lambda: time.time() > commercial.start + 4)
    refused = await run(site, "fire", "hand", code=1)
    assert "CoolingDown" in refused
    assert "run it again after" in refused
    assert len(station.commercials) == 1
    shown = await run(site, "timeline", "hand", "-o", "json")
    assert json.loads(shown)["breaks"][0]["askedSeconds"] == 3
    assert "next commercial possible: 20" in await run(site, "timeline", "hand")


async def test_a_request_that_came_late_is_expired(site: Site) -> None:
    station = await site.add_station("late")
    asked = "2026-01-01T00:00:00Z/60s"
    await site.kubectl.annotate("tch", "late", fireRequested=asked)
    status = await site.kubectl.until_path("tch", "late", "lastFire.verdict=Expired")
    assert status["lastHandledFireAt"] == asked
    assert station.commercials == []


async def test_a_paused_channel_starts_nothing_until_it_is_resumed(
    site: Site, operator: Operator
) -> None:
    station = await site.add_station("held")
    told = await run(site, "pause", "held", "--reason", "wrong feed")
    assert f"paused: 1 channel ({site.namespace}/held)" in told
    assert "the operator confirms it" in told
    found = await site.kubectl.get("tch", "held")
    assert found["metadata"]["annotations"]["twitch-operator.dev/paused"].endswith(": wrong feed")
    ready = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    assert ready["message"].endswith(
        f": wrong feed; to end that: kubectl twitch resume held -n {site.namespace}"
    )
    station.publish(message(cue_id="while-paused"))
    (decision,) = await station.decisions()
    assert decision["verdict"] == "Paused"
    by_hand = await run(site, "fire", "held", code=1)
    assert f"kubectl twitch resume held -n {site.namespace}" in by_hand
    again = await run(site, "pause", "held")
    assert "paused before: 1 channel" in again
    assert "resumed: 1 channel" in await run(site, "resume", "held")
    await eventually(lambda: f"{site.namespace}/held: Resumed: resumed: cues" in operator.log)
    reasons: set[str] = set()
    async with asyncio.timeout(PATIENCE):
        while not {"Paused", "Resumed"} <= reasons:
            events = await site.kubectl.list("event")
            reasons = {e["reason"] for e in events if e["regarding"]["name"] == "held"}
            await asyncio.sleep(0.1)
    lines = [line for line in operator.log.splitlines() if f"{site.namespace}/held: " in line]
    assert len([line for line in lines if "esumed" in line]) == 1
    paused = [line for line in lines if "held back since" in line]
    assert paused
    assert all(": Paused: commercials are held back since 2" in line for line in paused)
    assert station.commercials == []
    station.publish(message(cue_id="after-that"))
    await eventually(lambda: station.commercials)


async def test_without_names_all_channels_are_paused(site: Site) -> None:
    await asyncio.gather(site.add_station("every-one"), site.add_station("every-two"))
    await run(site, "pause")
    found = await site.kubectl.list("tch")
    assert len(found) >= 2
    reasons = {each["status"]["conditions"][0]["reason"] for each in found}
    assert reasons == {"Paused"}
    told = await run(site, "resume", code=1)
    assert f"{site.namespace}/every-one   20" in told
    assert "name the channels to resume" in told
    found = await site.kubectl.list("tch")
    assert {each["status"]["conditions"][0]["reason"] for each in found} == {"Paused"}
    await run(site, "resume", "--all")
    assert "not paused before" in await run(site, "resume")


async def test_who_may_not_list_the_cluster_is_asked_for_a_namespace(
    site: Site, tmp_path: Path
) -> None:
    rights = [KINDS | {"verbs": ["get", "list", "patch"]}]
    few = await account(site, "of-one-namespace", rights, tmp_path)
    told = await run(site, "pause", code=1, kubeconfig=few, place=False)
    assert "you may not list twitchchannels.twitch-operator.dev in the whole cluster" in told
    assert "-n" in told


async def test_one_channel_that_fails_does_not_keep_the_others_from_it(site: Site) -> None:
    await site.add_station("sound")
    told = await run(site, "pause", "sound", "no-such-one", code=1)
    assert "paused: 1 channel" in told
    assert "failed: 1 channel: twitchchannel/no-such-one does not exist" in told
    await run(site, "resume", "sound")


async def test_a_rule_that_never_matched_shows_how_near_it_came(site: Site) -> None:
    station = await site.prepare("near")
    match = [
        {"field": "msg_type", "equals": "scte35"},
        {"field": "data.splice_insert_type", "equals": "immediate_on"},
    ]
    await site.kubectl.apply(station.channel(), station.rule(match=match))
    await site.kubectl.ready("tch/near", "trule/near")
    station.publish(message(cue_id="a-near-miss"))
    deadline = asyncio.get_running_loop().time() + 10
    while "nearest miss" not in (told := await run(site, "explain", "near")):
        assert asyncio.get_running_loop().time() < deadline, told
    assert "No event has matched yet." in told
    assert "event a-near-miss" in told
    assert 'data.splice_insert_type is "normal_on", and must be "immediate_on"' in told


async def test_who_may_only_read_is_shown_what_is_there(site: Site, tmp_path: Path) -> None:
    station = await site.add_station("readable")
    station.publish(message(cue_id="a-splice"))
    await station.decisions()
    reader = await account(site, "only-reads", [KINDS | {"verbs": ["get"]}], tmp_path)
    told = await run(site, "explain", "readable", kubeconfig=reader)
    assert "This is the last known nearest miss: you may not patch triggerrules" in told
    assert "a-splice" in told
    assert "Fired" in told or "Confirmed" in told


async def test_an_event_is_held_against_a_rule_of_the_cluster(site: Site, tmp_path: Path) -> None:
    await site.add_station("judged", commercials={"minLength": "180s"})
    file = tmp_path / "event.json"
    file.write_text(json.dumps(message(cue_id="recorded"), indent=2))
    told = await run(site, "explain", "judged", "--event", str(file), "-o", "json")
    (event,) = json.loads(told)["events"]
    assert (event["matched"], event["id"]) == (True, "recorded")
    assert event["channels"][0]["verdict"] == "TooShort"
