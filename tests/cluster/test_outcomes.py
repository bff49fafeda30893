"""Each thing that can come of a call for a commercial, told apart in what kubectl shows.

The Twitch is the one that is not the project's own. All cases are played at once, each on its own
channel; the tests then look at what became of theirs.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from controller.resources.common import parse_instant
from tests.cluster.kubectl import eventually
from tests.cluster.manifests import message, rule
from tests.cluster.operator_harness import SCOPES
from tests.cluster.studio import BLIND, Look, Studio, new_studio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site
    from tests.other_ads import Outcome

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

CALL_TIMEOUT = 6.0  # a busy machine must answer within it
LENGTH = 125


@dataclass(frozen=True)
class Case:
    """A cue, what Twitch does with it, and what must come of it.

    Attributes:
        verdict: The last one.
        detail: A pattern of the decision's detail.
        orders: What Twitch does with the calls, one after the other; then it takes them.
        asked: Seconds of each call; None: about what is left of the break then.
        runs: Whether a commercial began: never more than one.
        scopes: Of the grant.
    """

    name: str
    verdict: str
    detail: str
    orders: tuple[Outcome, ...] = ()
    asked: tuple[int | None, ...] = (LENGTH,)
    runs: bool = True
    scopes: tuple[str, ...] = SCOPES

    def __str__(self) -> str:
        return self.name


LATER = (LENGTH, None)
# A second call asks for what is left of the break then, which depends on the machine.
REST = r"^commercial of 1[0-2]\d s"
LOST = "whether the commercial ran is not known"
CASES = [
    Case("accepted", "Confirmed", "^commercial of 125 s$"),
    Case("blind", "Fired", "^commercial of 125 s$", scopes=BLIND),
    Case("cools-400", "CoolingDown", "^not before .*recently ran", ("cooldown-400",), runs=False),
    Case("cools-429", "CoolingDown", "^not before .*Too soon", ("cooldown-429",), runs=False),
    Case("off-air", "NotLive", "STREAMING LIVE", runs=False),
    Case("no-affiliate", "NotEligible", "Affiliates", ("not-eligible",), runs=False),
    Case("standard", "Confirmed", "^commercial of 120 s$", asked=(LENGTH, 120)),
    Case("no-scope", "Failed", "missing scope", ("scope",), runs=False),
    Case("new-token", "Confirmed", REST, ("unauthorized",), LATER),
    Case("limited", "Confirmed", REST, ("rate-limit",), LATER),
    Case("down", "Confirmed", REST, ("down",), LATER),
    Case("failing", "Confirmed", REST, ("error",), LATER),
    Case("failed-late", "Confirmed", "last_ad_at shows that it ran", ("error-ran",)),
    Case("lost", "Confirmed", REST, ("lost",), LATER),
    Case("lost-late", "Confirmed", "last_ad_at shows that it ran", ("lost-ran",)),
    Case("slow-late", "Confirmed", "last_ad_at shows that it ran", ("slow-ran",)),
    Case("slow", "Confirmed", REST, ("slow",), LATER),
    Case("blind-lost", "Fired", REST, ("lost",), LATER, scopes=BLIND),
    Case(
        "blind-late", "Fired", "cools down from the earlier call", ("lost-ran",), LATER,
        scopes=BLIND,
    ),
    Case("blind-open", "Unknown", LOST, ("lost", "lost"), LATER, runs=False, scopes=BLIND),
    Case("mysterious", "Failed", ": The stars stand ill$", ("unknown",), runs=False),
    Case("revoked", "Failed", "not, or no longer, valid", asked=(), runs=False),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(site: Site) -> AsyncIterator[Studio]:
    # The looks that are not about the cue stay away, or they would find the dead grant first.
    quiet = {"LIVE_CHECK_INTERVAL": "60s", "ADS_CHECK_INTERVAL": "30s"}
    async with new_studio(site, quiet | {"CALL_TIMEOUT": f"{CALL_TIMEOUT}s"}) as studio:
        studio.twitch.slowness = 3 * CALL_TIMEOUT
        yield studio


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(studio: Studio) -> Look:
    """All cases played, to their ends."""
    manifests = []
    for case in CASES:
        manifests += studio.channel(case.name, case.scopes)
        manifests.append(rule(case.name))
        studio.twitch.order(case.name, *case.orders)
    await _unconfirmed(studio)
    await studio.start()
    await studio.add(*manifests)
    studio.twitch.standard_only.add("standard")
    studio.twitch.set_live("off-air", live=False)
    studio.twitch.change_password("revoked")
    for case in CASES:
        studio.publish(case.name, message(cue_id=f"cue-of-{case.name}"))
    return await studio.until(
        lambda look: (
            all(_has_ended(look, case) for case in CASES)
            and look.results("unconfirmed") == ["Unconfirmed"]
        )
    )


def _has_ended(look: Look, case: Case) -> bool:
    """Whether rule and channel tell what they will tell; each has a status of its own."""
    remembered = case.runs or case.verdict == "Unknown"
    told = look.verdict(case.name) == case.verdict
    return told and (not remembered or look.results(case.name) == [case.verdict])


async def _unconfirmed(studio: Studio) -> None:
    """A channel whose status tells that a commercial was accepted 90 s ago; Twitch shows none."""
    await studio.add(*studio.channel("unconfirmed"), ready=False)
    instant = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 90))
    cue = {
        "cueId": "accepted-before", "publishTime": instant, "startTime": instant,
        "dueTime": instant, "lengthSeconds": 60, "breakSeconds": 60, "result": "Fired",
    }  # fmt: skip
    told = {"status": {"commercials": {"recentCues": [cue]}}}
    await studio.site.kubectl.patch("tch", "unconfirmed", told, "status")


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_each_outcome_is_told_apart(studio: Studio, outcome: Look, case: Case) -> None:
    (decision,) = outcome.decisions(case.name)
    assert re.search(case.detail, decision["detail"]), decision
    asked = studio.asked(case.name)
    if case.detail == REST:  # what is left of the break depends on the machine, not what is told
        assert decision["detail"].startswith(f"commercial of {asked[-1]} s"), (decision, asked)
    assert len(asked) == len(case.asked), asked
    left = range(LENGTH - 25, LENGTH + 1)
    assert all(
        got == wanted or (wanted is None and got in left)
        for got, wanted in zip(asked, case.asked, strict=True)
    ), asked
    assert len(studio.starts(case.name)) == case.runs
    results = outcome.results(case.name)
    if case.runs or case.verdict == "Unknown":
        assert results == [case.verdict]
    counts = outcome.rules[case.name]["counts"]
    assert (counts["matched"], counts["fired"]) == (1, int(case.runs))


async def test_a_rate_limit_is_waited_for(studio: Studio, outcome: Look) -> None:
    assert outcome.verdict("limited") == "Confirmed"
    refused, taken = (c for c in studio.twitch.commercial_calls if c.login == "limited")
    assert (refused.status, taken.status) == (429, 200)
    assert taken.time >= studio.twitch.limited_until("limited") - 0.5  # its header is in seconds


async def test_a_dead_grant_is_told_with_its_remedy(studio: Studio, outcome: Look) -> None:
    assert outcome.verdict("revoked") == "Failed"
    look = await studio.until(
        lambda look: look.condition("revoked", "Ready")["reason"] == "AuthorizationRevoked"
    )
    assert "kubectl twitch authorize" in look.condition("revoked", "Ready")["message"]
    assert look.condition("revoked", "Stalled")["status"] == "True"


async def test_what_twitch_did_not_understand_is_not_asked_again(
    studio: Studio, outcome: Look
) -> None:
    assert outcome.results("mysterious") == ["Failed"]
    studio.publish("mysterious", message(cue_id="cue-of-mysterious"))
    decision = await studio.until_verdict("mysterious", "Duplicate")
    assert decision["detail"] == "the cue was refused before"
    assert studio.asked("mysterious") == [LENGTH]


async def test_what_was_accepted_and_never_ran_is_unconfirmed(
    studio: Studio, outcome: Look
) -> None:
    assert outcome.results("unconfirmed") == ["Unconfirmed"]
    assert "lastConfirmedTime" not in outcome.channels["unconfirmed"]["commercials"]
    metrics = (await studio.operator.get("/metrics")).text
    assert 'twitch_operator_decisions_total{verdict="Unconfirmed"} 1.0' in metrics
    assert studio.asked("unconfirmed") == []


async def test_a_confirmed_commercial_is_told_with_the_time_that_twitch_tells(
    studio: Studio, outcome: Look
) -> None:
    told = outcome.channels["accepted"]["commercials"]["lastConfirmedTime"]
    (start,) = studio.starts("accepted")
    assert abs(parse_instant(told) - start) <= 1


async def test_a_cue_waits_for_a_cooldown_that_ends_while_it_is_young(studio: Studio) -> None:
    await studio.add(*studio.channel("patient"), rule("patient"))
    studio.ran_before("patient", 480 - 6)
    eligible = studio.twitch._channels["patient"].free_from
    studio.publish("patient", message())
    waiting = await studio.until_verdict("patient", "Waiting")
    assert waiting["detail"].startswith("cooling down until ")
    await studio.until_verdict("patient", "Fired", "Confirmed")
    (start,) = studio.starts("patient")
    assert eligible <= start < eligible + 2


async def test_a_refused_connection_is_tried_again(studio: Studio) -> None:
    await studio.station("unplugged")
    await studio.unplug()
    published = time.time()
    studio.publish("unplugged", message())
    await studio.until_verdict("unplugged", "Waiting")
    await studio.plug()
    await eventually(lambda: studio.starts("unplugged"))
    decision = await studio.until_verdict("unplugged", "Fired", "Confirmed")
    (asked,) = studio.asked("unplugged")
    assert decision["detail"] == f"commercial of {asked} s"
    assert abs(asked - (LENGTH - (studio.starts("unplugged")[0] - published))) <= 2
