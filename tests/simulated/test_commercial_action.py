"""Cues of one channel at the simulated Twitch, whatever dialect that speaks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from controller.arbiter.arbiter import Arbiter
from controller.arbiter.steps import Cue
from controller.channels.airtime import Airtime
from controller.clients.helix import Credential, Helix
from controller.events import Progress, Ruling, Verdict
from controller.resources.commercials import CommercialPolicy
from controller.sandbox.twitch import Fault
from controller.sensitive import Sensitive
from controller.term import Term

if TYPE_CHECKING:
    import httpx

    from controller.sandbox.twitch import TwitchSimulator
    from controller.settings import Settings

COMMERCIAL = "/helix/channels/commercial"
SCOPES = ("channel:edit:commercial", "channel:read:ads")
DIALECTS = ["api", "mock-api", "strange"]
SKIP = CommercialPolicy(min_length=0, on_cooldown="Skip", max_per_hour=2, max_seconds_per_hour=400)


class Channel:
    """Signs with a grant of these scopes, and takes cues."""

    def __init__(
        self, twitch: TwitchSimulator, http: httpx.AsyncClient, settings: Settings, *scopes: str
    ) -> None:
        self._scopes = scopes
        token = twitch.consent("mst3k", "client", scopes).access_token
        self._credential = Credential("client", Sensitive(token))
        self.doubts = 0
        broadcaster_id = twitch.channels.named("mst3k").id
        self.airtime = Airtime(
            "mst3k",
            helix=Helix(http, settings),
            signer=self,
            broadcaster_id=lambda: broadcaster_id,
            arbiter=Arbiter(SKIP, Term(time.time() - 1000), settings.call_timeout),
        )
        self.airtime.settle(SKIP, None)

    def credential(self) -> Credential:
        return self._credential

    def may(self, scope: str) -> bool:
        return scope in self._scopes

    async def renew(self, refused: Sensitive | None) -> bool:  # noqa: ARG002 - of the protocol
        return False

    def doubt(self) -> None:
        self.doubts += 1

    async def cue(self, length: float = 120.0, name: str = "break-1") -> Ruling:
        done: asyncio.Future[Ruling] = asyncio.get_running_loop().create_future()
        cue = Cue(name, time.time(), length, 30.0, rule="rule")

        def follow(progress: Progress) -> None:
            if progress.final:
                done.set_result(progress.ruling)

        self.airtime.submit(cue, follow)
        return await asyncio.wait_for(done, 20)


@pytest.fixture
def channel(twitch: TwitchSimulator, http: httpx.AsyncClient, settings: Settings) -> Channel:
    return Channel(twitch, http, settings, *SCOPES)


@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_cooldown_in_any_words_counts_nothing_and_sets_the_clock(
    twitch: TwitchSimulator, channel: Channel, dialect: str, status: int
) -> None:
    twitch.options.dialect, twitch.options.cooldown_status = dialect, status  # type: ignore[assignment]
    ran = twitch.start_ad("mst3k", 30).start
    ruling = await channel.cue()
    assert ruling.verdict is Verdict.COOLING_DOWN, ruling
    memory = channel.airtime.arbiter.memory
    assert memory.next_eligible == pytest.approx(ran + 480, abs=3)
    assert (memory.recent, memory.ads(time.time())) == ((), [])
    assert not channel.airtime.arbiter.ads.waits
    assert len(twitch.calls("POST", COMMERCIAL)) == 1
    assert [one.source for one in twitch.commercials] == ["twitch"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_lost_answer_and_then_a_cooldown_in_any_words_is_fired(
    twitch: TwitchSimulator, channel: Channel, dialect: str
) -> None:
    twitch.options.dialect = dialect  # type: ignore[assignment]
    twitch.order_fault(Fault(path=COMMERCIAL, status=503, when="after"))
    twitch.order_fault(Fault(path="/helix/channels/ads", status=500))
    ruling = await channel.cue()
    assert ruling.verdict is Verdict.FIRED, ruling
    assert twitch.starts("mst3k") == 1
    assert len(twitch.calls("POST", COMMERCIAL)) == 2


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_channel_off_air_is_not_live_in_any_words(
    twitch: TwitchSimulator, channel: Channel, dialect: str
) -> None:
    twitch.options.dialect = dialect  # type: ignore[assignment]
    twitch.set_live("mst3k", False)
    assert (await channel.cue()).verdict is Verdict.NOT_LIVE
    assert channel.airtime.arbiter.memory.recent == ()


async def test_the_mock_apis_lengths_lead_to_the_standard_one_below(
    twitch: TwitchSimulator, channel: Channel
) -> None:
    twitch.options.dialect = "mock-api"
    assert await channel.cue(125.0) == Ruling(Verdict.FIRED, "commercial of 120 s")
    assert [one.requested for one in twitch.commercials] == [120]


async def test_a_refusal_that_nothing_explains_is_failed_in_twitchs_words(
    twitch: TwitchSimulator, channel: Channel
) -> None:
    body = {"message": "The stars stand ill"}
    twitch.order_fault(Fault(path=COMMERCIAL, status=409, body=body))
    ruling = await channel.cue()
    assert ruling == Ruling(Verdict.FAILED, "Twitch answered 409: The stars stand ill")


async def test_a_refusal_says_that_the_scope_to_know_more_is_missing(
    twitch: TwitchSimulator, http: httpx.AsyncClient, settings: Settings
) -> None:
    blind = Channel(twitch, http, settings, "channel:edit:commercial")
    twitch.options.dialect = "strange"
    twitch.start_ad("mst3k", 30)
    ruling = await blind.cue()
    assert ruling.verdict is Verdict.FAILED
    assert ruling.detail.endswith("not known: the grant lacks the scope channel:read:ads")


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("path", [COMMERCIAL, "/helix/channels/ads", "/helix/streams"])
async def test_a_missing_scope_has_the_grant_validated_wherever_it_is_told(
    twitch: TwitchSimulator, channel: Channel, path: str, status: int
) -> None:
    if path != COMMERCIAL:  # what is not understood makes it look at the schedule and the stream
        twitch.order_fault(Fault(path=COMMERCIAL, status=409))
    body = {"status": status, "message": "Missing scope: channel:read:ads"}
    twitch.order_fault(Fault(path=path, status=status, body=body))
    assert (await channel.cue()).verdict is Verdict.FAILED
    assert channel.doubts == 1


async def test_what_is_accepted_counts_in_the_budget_and_for_the_break(
    twitch: TwitchSimulator, channel: Channel
) -> None:
    twitch.options.accept_at_most = 90
    ruling = await channel.cue(120.0)
    assert ruling == Ruling(Verdict.FIRED, "commercial of 90 s (120 s were asked for)")
    assert [ad.length for ad in channel.airtime.arbiter.memory.ads(time.time())] == [90]
    (brk,) = channel.airtime.arbiter.breaks
    assert (brk.asked, brk.accepted) == (120, 90)


async def test_no_cooldown_is_longer_because_the_clock_was_set_back(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await channel.cue()).verdict is Verdict.FIRED
    memory, now, real = channel.airtime.arbiter.memory, time.time(), time.time
    assert memory.next_eligible is not None
    left = memory.next_eligible - now
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    channel.airtime.set_back(3600.0)
    assert memory.next_eligible - time.time() == pytest.approx(left, abs=5.0)
