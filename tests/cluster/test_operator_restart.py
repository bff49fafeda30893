"""An operator that ends, by a signal or without one, and what the next one makes of it."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.sandbox.twitch import Fault
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

CALL_TIMEOUT = 2.0  # as the operators here are told; by default 5 s


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _no_operator_outlives_its_test(site: Site) -> AsyncIterator[None]:
    yield
    await site.close()


async def versions(site: Site) -> dict[str, str]:
    """Kind and name → resourceVersion of all that the operator writes."""
    kinds = ("tch", "trule", "secrets")
    listed: list[str] = []
    for kind in kinds:
        form = "-o=custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion"
        listed += (await site.kubectl("get", kind, form, "--no-headers")).splitlines()
    return {f"{kind}/{name}": version for kind, name, version in map(str.split, listed)}


async def test_a_restart_loses_no_young_cue_and_repeats_no_fired_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What ran is not confirmed meanwhile: that would be news for a status.
    monkeypatch.setattr(site.twitch.options, "ad_lag", 600)
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    fired = await site.add_station("fired")
    missed, late = await asyncio.gather(site.add_station("missed"), site.add_station("late"))
    # A second rule on the same topic wants more of the past, and so brings the first an old cue.
    strict = await site.prepare("strict")
    feed = late.rule()["spec"]["feed"]
    await site.kubectl.apply(strict.channel(), strict.rule(maxAge="1s", feed=feed))
    await site.kubectl.ready("tch/strict", "trule/strict")
    fired.publish(message("scte35", "before-the-end"))
    assert await fired.verdicts() == ["Fired"]
    await site.kubectl.until("tch", "fired", lambda s: "commercials" in s)
    await operator.kill()

    missed.publish(message("scte35", "while-down"))
    late.publish(message("scte35", "soon-old"))
    began = time.time()
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    assert await missed.verdicts() == ["Fired"]
    assert await late.verdicts() == ["Fired"]
    (commercial,) = missed.commercials
    # Another process might have called just before it died: its call is given time to act.
    assert commercial.start - began >= CALL_TIMEOUT
    # A late start asks for what is left of the break.
    assert abs(commercial.requested - (125.1 - (commercial.start - began))) < 1.5
    (decision,) = await strict.decisions()
    assert decision["verdict"] == "Expired"
    assert decision["detail"].endswith("s old, maxAge is 1s")
    assert strict.calls() == 0
    assert (len(fired.commercials), fired.calls()) == (1, 1)

    # What the next one hears again is known to it: no call, no decision, no write.
    assert await operator.end() == 0
    before = await versions(site)
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    heard = await site.add_station("heard")
    heard.publish(message())
    assert await heard.verdicts() == ["Fired"]
    after = await versions(site)
    assert {name: after[name] for name in before} == before
    assert [each.calls() for each in (fired, missed, late)] == [1, 1, 1]
    assert await operator.end() == 0


async def test_a_one_time_refresh_token_is_used_once_over_all_restarts(site: Site) -> None:
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    station = await site.add_station("thrifty")
    await operator.kill()
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    await site.kubectl.ready("tch/thrifty", "trule/thrifty")
    assert station.refreshes == 1
    site.twitch.expire_access_tokens("thrifty")
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    assert station.refreshes == 2
    await operator.kill()


async def test_a_call_that_a_kill_cuts_off_is_not_made_again(site: Site) -> None:
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    station = await site.add_station("cut_off")
    site.twitch.order_fault(
        Fault(path="/helix/channels/commercial", login="cut_off", delay=60, when="after")
    )
    station.publish(message())
    await eventually(lambda: station.commercials)
    await operator.kill()
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    (decision,) = await station.decisions()
    assert decision["verdict"] == "Fired"
    assert "last_ad_at shows that it ran" in decision["detail"]
    assert (len(station.commercials), station.calls()) == (1, 1)
    await operator.kill()


async def test_sigterm_awaits_the_call_under_way_and_writes_its_outcome(site: Site) -> None:
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    station = await site.add_station("orderly")
    site.twitch.order_fault(
        Fault(path="/helix/channels/commercial", login="orderly", delay=1, when="after")
    )
    station.publish(message())
    await eventually(lambda: station.commercials)
    assert await operator.end(signal.SIGTERM) == 0  # within half a minute
    rule: dict[str, Any] = await site.kubectl.status("trule", "orderly")
    assert [each["verdict"] for each in rule["recentDecisions"]] == ["Fired"]
    channel = await site.kubectl.status("tch", "orderly")
    assert [each["result"] for each in channel["commercials"]["recentCues"]] == ["Fired"]


async def test_sigterm_during_a_refresh_loses_no_one_time_refresh_token(site: Site) -> None:
    operator = await site.start_operator()
    station = await site.prepare("in_exchange")
    site.twitch.order_fault(Fault(path="/oauth2/token", login="in_exchange", delay=2, when="after"))
    await site.kubectl.apply(station.channel())
    await eventually(lambda: station.refreshes)
    assert await operator.end(signal.SIGTERM) == 0
    await site.kubectl("get", "secret", "in-exchange-twitch-token")
    operator = await site.start_operator()
    await site.kubectl.ready("tch/in-exchange")
    assert station.refreshes == 1
    await operator.kill()


async def test_a_restart_while_twitch_ails_loses_no_young_cue(site: Site) -> None:
    operator = await site.start_operator(CALL_TIMEOUT="1s")
    station = await site.add_station("undaunted")
    await operator.kill()
    station.publish(message())
    fault = Fault(path="/oauth2/validate", login="undaunted", status=503)
    site.twitch.order_fault(fault)
    operator = await site.start_operator(CALL_TIMEOUT="1s")
    assert await station.verdicts() == ["Fired"]
    assert not site.twitch.faults.pending()
    assert len(station.commercials) == 1
    await operator.kill()


async def test_a_deletion_ends_at_once_while_no_operator_runs(site: Site) -> None:
    operator = await site.start_operator(CALL_TIMEOUT="2s")
    await site.add_station("orphan")
    await operator.kill()
    await site.kubectl("delete", "tch/orphan", "trule/orphan", "--timeout=60s")
