"""The simulated OAuth2 provider, asked about tokens as RFC 7662 has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from controller.sandbox.oauth import OAuthSimulator
from tests.sandbox.plain import PLAIN, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATH = "/oauth2/introspect"
CLIENT = ("gateway", "hush")
# No proxies and no CA store: loading that takes longer than a whole test.


@pytest.fixture
async def oauth(clock: Clock) -> AsyncIterator[OAuthSimulator]:
    async with OAuthSimulator(clock=clock) as simulator:
        simulator.add_client(*CLIENT)
        yield simulator


@pytest.fixture
async def http(oauth: OAuthSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=oauth.url, auth=CLIENT, **PLAIN) as client:
        yield client


async def ask(http: httpx.AsyncClient, token: str) -> dict[str, Any]:
    answer = await http.post(PATH, data={"token": token, "token_type_hint": "access_token"})
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


@pytest.mark.parametrize("form", ["opaque", "jwt"])
async def test_a_good_token_is_described(
    oauth: OAuthSimulator, http: httpx.AsyncClient, clock: Clock, form: Literal["opaque", "jwt"]
) -> None:
    token = oauth.token("deck", channels=["123", "456"], lifetime=60, form=form, audience="ebs")
    described = await ask(http, token)
    assert described.pop("jti")
    assert described == {
        "active": True,
        "token_type": "Bearer",
        "username": "deck",
        "sub": "deck",
        "iss": oauth.issuer,
        "aud": "ebs",
        "iat": int(clock.now),
        "exp": int(clock.now) + 60,
        "twitch_channels": ["123", "456"],
    }


async def test_an_unknown_token_is_inactive_and_nothing_more(http: httpx.AsyncClient) -> None:
    assert await ask(http, "made-up") == {"active": False}


async def test_a_token_ends_with_its_lifetime(
    oauth: OAuthSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    token = oauth.token(lifetime=60)
    clock.now += 59.9
    assert (await ask(http, token))["active"] is True
    clock.now += 0.1
    assert await ask(http, token) == {"active": False}


async def test_a_revoked_token_is_inactive_and_others_are_not(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    gone, kept = oauth.token("deck"), oauth.token("deck")
    assert oauth.revoke(token=gone) == 1
    assert oauth.revoke(token=gone) == 0
    assert await ask(http, gone) == {"active": False}
    assert (await ask(http, kept))["active"] is True


async def test_all_tokens_of_an_account_are_revoked_at_once(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    gone = [oauth.token("deck"), oauth.token("deck", form="jwt")]
    kept = oauth.token("other")
    assert oauth.revoke(account="deck") == 2
    assert [await ask(http, token) for token in gone] == [{"active": False}] * 2
    assert (await ask(http, kept))["active"] is True


async def test_claims_may_be_missing_or_odd(oauth: OAuthSimulator, http: httpx.AsyncClient) -> None:
    bare = await ask(http, oauth.token(channels=None, lifetime=None))
    assert not bare.keys() & {"twitch_channels", "exp"}
    odd = {"active": "yes", "exp": "soon", "twitch_channels": {"123": True}, "iss": None}
    assert odd.items() <= (await ask(http, oauth.token(claims=odd))).items()


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer token",
        "Basic",
        "Basic ???",
        "Basic gICA",  # bytes that are no UTF-8
        "Basic " + "Og==",  # neither id nor secret
        "Basic Z2F0ZXdheTp3cm9uZw==",  # gateway:wrong
        "Basic bm9ib2R5Omh1c2g=",  # nobody:hush
    ],
)
async def test_who_does_not_log_in_learns_nothing(
    oauth: OAuthSimulator, authorization: str | None
) -> None:
    token = oauth.token()
    headers = {} if authorization is None else {"Authorization": authorization}
    async with httpx.AsyncClient(base_url=oauth.url, **PLAIN) as stranger:
        answer = await stranger.post(PATH, data={"token": token}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_ids_and_secrets_arrive_form_encoded(oauth: OAuthSimulator) -> None:
    oauth.add_client("a:b", "s%c+t é")
    async with httpx.AsyncClient(
        base_url=oauth.url, auth=("a%3Ab", "s%25c%2Bt+%C3%A9"), **PLAIN
    ) as client:
        assert await ask(client, oauth.token())


async def test_a_client_added_again_has_its_new_secret_only(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    oauth.add_client("gateway", "another")
    assert (await http.post(PATH, data={"token": "x"})).status_code == 401


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"data": {"tokens": "x"}},
        {"data": {"token": ""}},
        {"json": {"token": "x"}},
        {"params": {"token": "x"}},
        {"content": b"\xff\xfe", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ],
)
async def test_a_request_without_a_token_in_its_form_is_told_so(
    http: httpx.AsyncClient, request_: dict[str, Any]
) -> None:
    answer = await http.post(PATH, **request_)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_only_post_introspects(http: httpx.AsyncClient) -> None:
    assert (await http.get(PATH)).status_code == 405
    assert (await http.get("/nothing")).status_code == 404


async def test_answers_are_not_to_be_stored(oauth: OAuthSimulator, http: httpx.AsyncClient) -> None:
    answer = await http.post(PATH, data={"token": oauth.token()})
    assert answer.headers["Cache-Control"] == "no-store"


async def test_requests_are_remembered_without_what_they_carried(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    token = oauth.token()
    await ask(http, token)
    await http.get("/nothing")
    asked, other = oauth.requests
    assert (asked.method, asked.path, asked.client, asked.status) == ("POST", PATH, "gateway", 200)
    assert len(asked.token) == 12
    assert (other.path, other.token, other.status) == ("/nothing", "", 404)
    assert token not in str(oauth.requests)
    assert "hush" not in str(oauth.requests)


async def test_it_keeps_its_port_and_its_tokens_over_a_stop(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    token, url = oauth.token(), oauth.url
    await oauth.stop()
    with pytest.raises(httpx.ConnectError):
        await http.post(PATH, data={"token": token})
    await oauth.start()
    assert oauth.url == url
    assert (await ask(http, token))["active"] is True


async def test_made_tokens_fill_no_memory(
    oauth: OAuthSimulator, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.sandbox.oauth.tokens._KEPT", 3)
    made = [oauth.token() for _ in range(5)]
    assert [(await ask(http, token))["active"] for token in made] == [False] * 2 + [True] * 3
