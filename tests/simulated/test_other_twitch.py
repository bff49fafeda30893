"""The Helix client at a server that has the contract, and none of the simulator's habits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from controller.clients.helix import Credential, Helix, Unauthorized
from controller.clients.http import new_http_client
from controller.clients.identity import authorize_url
from controller.events import AnswerKind
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.other_twitch import CALLBACK, OtherTwitch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

SCOPES = ("channel:edit:commercial", "channel:read:ads", "channel:read:stream_key")


@pytest.fixture
async def other() -> AsyncIterator[OtherTwitch]:
    async with OtherTwitch() as server:
        server.add_app("client", "client-secret-0123456789")
        server.add_broadcaster("mst3k")
        server.add_broadcaster("deck", type="", live=False)
        yield server


@pytest.fixture
async def http(other: OtherTwitch) -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client(Settings(helix_url=other.helix_url)) as client:
        yield client


@pytest.fixture
def helix(http: httpx.AsyncClient, other: OtherTwitch) -> Helix:
    return Helix(http, Settings(helix_url=other.helix_url, call_timeout=5))


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
    assert [await helix.last_ad_at(credential, mst3k) for _ in range(3)] == [None] * 3
    answer = await helix.start_commercial(credential, mst3k, 125)
    assert (answer.kind, answer.retry_after) == (AnswerKind.ACCEPTED, 480)
    assert [(one.login, one.length) for one in other.commercials] == [("mst3k", 125)]
    for _ in range(3):
        assert await helix.last_ad_at(credential, mst3k) == pytest.approx(time.time(), abs=30)
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


async def test_each_grant_has_the_scopes_that_it_was_given(
    other: OtherTwitch, helix: Helix
) -> None:
    whole, bare = signed(other, "mst3k", *SCOPES), signed(other, "mst3k")
    mst3k = (await helix.own_user(whole)).id
    assert (await helix.stream_key(whole, mst3k)).reveal().startswith(f"live_{mst3k}_")
    with pytest.raises(Unauthorized, match="missing scope"):
        await helix.stream_key(bare, mst3k)
    with pytest.raises(Unauthorized, match="missing scope"):
        await helix.last_ad_at(bare, mst3k)
    refused = await helix.start_commercial(bare, mst3k, 30)
    assert refused.kind is AnswerKind.SCOPE_MISSING
    with pytest.raises(Unauthorized, match="not the user of this token"):
        await helix.last_ad_at(signed(other, "deck", *SCOPES), mst3k)


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
