"""The Helix client at a server that has the contract, and none of the simulator's habits."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from controller.clients.helix import Credential, Helix, Unauthorized
from controller.clients.http import new_http_client
from controller.clients.identity import authorize_url
from controller.errors import RateLimited
from controller.events import AdSchedule, AnswerKind
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.other_twitch import CALLBACK, OtherTwitch
from tests.simulated.harness import MOMENT, NEVER, PATIENCE, eventually, hurried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.other_ads import Outcome

SCOPES = ("channel:edit:commercial", "channel:read:ads", "channel:read:stream_key")


@pytest.fixture
async def other() -> AsyncIterator[OtherTwitch]:
    async with OtherTwitch() as server:
        server.add_app("client", "client-secret-0123456789")
        server.add_broadcaster("mst3k")
        server.add_broadcaster("deck", type="", live=False)
        yield server


@pytest.fixture
def settings(other: OtherTwitch) -> Settings:
    return Settings(helix_url=other.helix_url, call_timeout=PATIENCE)


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client(settings) as client:
        yield client


@pytest.fixture
def helix(http: httpx.AsyncClient, settings: Settings) -> Helix:
    return Helix(http, settings)


@pytest.fixture
def hasty(http: httpx.AsyncClient, settings: Settings) -> Helix:
    return Helix(http, hurried(settings))


def signed(other: OtherTwitch, login: str, *scopes: str) -> Credential:
    return Credential("client", Sensitive(other.consent(login, "client", scopes).access_token))


async def test_users_and_streams_are_read(other: OtherTwitch, helix: Helix) -> None:
    mine, their = signed(other, "mst3k", *SCOPES), signed(other, "deck")
    user, neither = await helix.own_user(mine), await helix.own_user(their)
    assert (user.login, user.broadcaster_type) == ("mst3k", "partner")
    assert (neither.login, neither.broadcaster_type) == ("deck", "")
    assert await helix.live_user_ids(their, [user.id, neither.id]) == {user.id}
    assert await helix.live_user_ids(their, [neither.id]) == set()


async def test_a_commercial_runs_once_and_is_seen_whatever_the_form_of_its_time(
    other: OtherTwitch, helix: Helix
) -> None:
    credential = signed(other, "mst3k", *SCOPES)
    mst3k = (await helix.own_user(credential)).id
    before = [await helix.ad_schedule(credential, mst3k) for _ in range(3)]
    assert before == [AdSchedule(snooze_count=3, preroll_free=0)] * 3
    answer = await helix.start_commercial(credential, mst3k, 125)
    assert (answer.kind, answer.retry_after, answer.length) == (AnswerKind.ACCEPTED, 480, 125)
    assert [(one.login, one.length) for one in other.commercials] == [("mst3k", 125)]
    for _ in range(3):
        seen = (await helix.ad_schedule(credential, mst3k)).last_ad
        assert seen == pytest.approx(time.time(), abs=30)
    assert (await helix.start_commercial(credential, mst3k, 30)).kind is AnswerKind.COOLDOWN
    other.clock = lambda: time.time() + 480
    other.set_live("mst3k", live=False)
    assert (await helix.start_commercial(credential, mst3k, 30)).kind is AnswerKind.NOT_LIVE
    assert len(other.commercials) == 1


async def test_a_commercial_of_nobodys_is_accepted_and_does_not_run(
    other: OtherTwitch, helix: Helix
) -> None:
    credential = signed(other, "deck", *SCOPES)
    other.set_live("deck", live=True)
    deck = (await helix.own_user(credential)).id
    assert (await helix.start_commercial(credential, deck, 30)).kind is AnswerKind.ACCEPTED
    assert other.commercials == []


OUTCOMES: list[tuple[Outcome, str, int]] = [
    ("cooldown-400", "Cooldown", 0),
    ("cooldown-429", "Cooldown", 0),
    ("not-live", "NotLive", 0),
    ("not-eligible", "NotEligible", 0),
    ("length", "LengthRefused", 0),
    ("unauthorized", "Unauthorized", 0),
    ("scope", "ScopeMissing", 0),
    ("down", "Unavailable", 0),
    ("unknown", "Refused", 0),
    ("error", "Error", 0),
    ("error-ran", "Error", 1),
    ("lost", "NoAnswer", 0),
    ("lost-ran", "NoAnswer", 1),
    ("slow-ran", "NoAnswer", 1),
]


@pytest.mark.parametrize(("outcome", "kind", "ran"), OUTCOMES)
async def test_each_class_of_outcome_can_be_ordered(
    other: OtherTwitch, helix: Helix, hasty: Helix, outcome: Outcome, kind: str, ran: int
) -> None:
    other.cooldown = 0
    other.slowness = NEVER
    credential = signed(other, "mst3k", *SCOPES)
    mst3k = (await helix.own_user(credential)).id
    other.order("mst3k", outcome)
    caller = hasty if outcome == "slow-ran" else helix
    assert (await caller.start_commercial(credential, mst3k, 30)).kind == kind
    assert len(other.commercials) == ran
    assert (await helix.start_commercial(credential, mst3k, 30)).kind is AnswerKind.ACCEPTED
    first, second = other.commercial_calls
    assert (first.login, first.length, second.status) == ("mst3k", 30, 200)
    assert (first.status is None) == (kind == "NoAnswer")


async def test_a_slow_call_acts_though_its_client_has_left(
    other: OtherTwitch, helix: Helix, hasty: Helix
) -> None:
    other.slowness = 2 * MOMENT
    credential = signed(other, "mst3k", *SCOPES)
    mst3k = (await helix.own_user(credential)).id  # it is connected
    other.order("mst3k", "slow")
    assert (await hasty.start_commercial(credential, mst3k, 30)).kind is AnswerKind.NO_ANSWER
    await eventually(lambda: other.commercials)
    assert other.commercials[0].time >= other.commercial_calls[0].time + other.slowness


async def test_a_rate_limit_holds_until_its_reset(other: OtherTwitch, helix: Helix) -> None:
    now = math.floor(time.time())
    other.clock = lambda: now
    credential = signed(other, "mst3k", *SCOPES)
    other.order("mst3k", "rate-limit")
    mst3k = other.user_id("mst3k")
    for _ in range(2):
        answer = await helix.start_commercial(credential, mst3k, 30)
        assert answer.kind is AnswerKind.RATE_LIMITED
        assert answer.retry_after == pytest.approx(2, abs=1.5)
    with pytest.raises(RateLimited):
        await helix.own_user(credential)
    other.clock = lambda: now + 2
    assert (await helix.start_commercial(credential, mst3k, 30)).kind is AnswerKind.ACCEPTED


async def test_standard_lengths_both_cooldowns_and_ads_of_others(
    other: OtherTwitch, helix: Helix
) -> None:
    credential, mst3k = signed(other, "mst3k", *SCOPES), other.user_id("mst3k")
    other.standard_only = {"mst3k"}
    answer = await helix.start_commercial(credential, mst3k, 125)
    assert answer.kind is AnswerKind.LENGTH_REFUSED
    other.run_ad("mst3k", 60)
    for status in (400, 429):
        other.cooldown_status = status
        answer = await helix.start_commercial(credential, mst3k, 120)
        assert answer.kind is AnswerKind.COOLDOWN
        assert answer.message.startswith(f"Twitch answered {status}")
    base = time.time()
    other.plan_ad("mst3k", base + 500, 90)
    told = await helix.ad_schedule(credential, mst3k)
    assert told.next_ad == pytest.approx(base + 500, abs=1)
    assert told.duration == 90
    other.clock = lambda: base + 600
    told = await helix.ad_schedule(credential, mst3k)
    assert told.last_ad == pytest.approx(base + 500, abs=1)
    assert told.next_ad is None
    assert [(one.length, one.by_api) for one in other.commercials] == [(60, False), (90, False)]


async def test_an_ad_may_be_told_late_or_never(other: OtherTwitch, helix: Helix) -> None:
    credential, mst3k = signed(other, "mst3k", *SCOPES), other.user_id("mst3k")
    base = time.time()
    for lag, seen in ((30.0, True), (math.inf, False)):
        other.ad_lag, other.cooldown = lag, 0
        other.clock = lambda: base
        await helix.start_commercial(credential, mst3k, 30)
        assert (await helix.ad_schedule(credential, mst3k)).last_ad is None
        other.clock = lambda: base + 30
        assert ((await helix.ad_schedule(credential, mst3k)).last_ad is not None) == seen
        other.forget_ads("mst3k")


async def test_each_grant_has_the_scopes_that_it_was_given(
    other: OtherTwitch, helix: Helix
) -> None:
    whole, bare = signed(other, "mst3k", *SCOPES), signed(other, "mst3k")
    mst3k = (await helix.own_user(whole)).id
    assert (await helix.stream_key(whole, mst3k)).reveal().startswith(f"live_{mst3k}_")
    with pytest.raises(Unauthorized, match="missing scope"):
        await helix.stream_key(bare, mst3k)
    with pytest.raises(Unauthorized, match="missing scope"):
        await helix.ad_schedule(bare, mst3k)
    refused = await helix.start_commercial(bare, mst3k, 30)
    assert refused.kind is AnswerKind.SCOPE_MISSING
    with pytest.raises(Unauthorized, match="not the user of this token"):
        await helix.ad_schedule(signed(other, "deck", *SCOPES), mst3k)


async def test_a_dead_token_is_refused(other: OtherTwitch, helix: Helix) -> None:
    mine, later = signed(other, "mst3k", *SCOPES), signed(other, "deck")
    other.change_password("mst3k")
    with pytest.raises(Unauthorized):
        await helix.own_user(mine)
    assert (await helix.own_user(later)).login == "deck"
    other.clock = lambda: time.time() + other.token_lifetime
    with pytest.raises(Unauthorized):
        await helix.own_user(later)


@pytest.mark.parametrize(("user", "expected"), [("mst3k", "code"), (None, "error")])
async def test_the_browser_comes_back_with_an_answer(
    other: OtherTwitch, http: httpx.AsyncClient, user: str | None, expected: str
) -> None:
    other.signed_in = user
    url = authorize_url(other.identity_url, "client", CALLBACK, SCOPES, "a&b")
    answer = await http.get(url)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    result = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert result["state"] == ["a&b"]
    assert expected in result
    assert (await http.get(url.replace("callback", "elsewhere"))).status_code == 400


async def test_token_calls_are_kept(other: OtherTwitch, http: httpx.AsyncClient) -> None:
    token = other.consent("mst3k", "client", SCOPES).refresh_token
    fields = {"client_id": "client", "grant_type": "refresh_token", "refresh_token": token}
    for secret in ("wrong", "client-secret-0123456789"):
        await http.post(f"{other.identity_url}/token", data=fields | {"client_secret": secret})
    assert [(one.kind, one.login, one.status) for one in other.token_calls] == [
        ("refresh_token", "mst3k", 403),
        ("refresh_token", "mst3k", 200),
    ]
