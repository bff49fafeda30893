"""The simulated id.twitch.tv/oauth2, called over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from controller.sandbox.twitch import Refusal, TwitchSimulator
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALLBACK = "http://localhost:3000/auth/twitch/callback"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SCOPES = ["channel:edit:commercial", "channel:read:ads"]


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(clock=clock) as simulator:
        simulator.add_app("confidential", "s3cret")
        simulator.add_app("reusable", "s3cret", one_time_refresh_tokens=False)
        simulator.add_app("public")
        simulator.add_broadcaster("mst3k", broadcaster_id="642998111")
        simulator.add_broadcaster("deck")
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=twitch.identity_url, verify=False, trust_env=False
    ) as client:
        yield client


async def refresh(
    http: httpx.AsyncClient, token: str, client_id: str = "confidential", **fields: str
) -> httpx.Response:
    data = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id}
    return await http.post("/token", data=data | fields)


async def validate(http: httpx.AsyncClient, token: str, scheme: str = "OAuth") -> httpx.Response:
    return await http.get("/validate", headers={"Authorization": f"{scheme} {token}"})


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body == {"status": answer.status_code, "message": body["message"]}
    return answer.status_code, body["message"]


async def test_a_refresh_gives_a_living_token_and_the_next_refresh_token(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    first = twitch.consent("mst3k", "confidential", SCOPES)
    answer = await refresh(http, first.refresh_token, client_secret="s3cret")
    body = answer.json()
    assert answer.status_code == 200
    assert body == {
        "access_token": body["access_token"],
        "expires_in": 14_400,
        "refresh_token": body["refresh_token"],
        "scope": SCOPES,
        "token_type": "bearer",
    }
    assert body["refresh_token"] != first.refresh_token
    assert (await validate(http, body["access_token"])).status_code == 200
    again = await refresh(http, body["refresh_token"], client_secret="s3cret")
    assert again.status_code == 200


async def test_a_used_refresh_token_is_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    token = twitch.consent("mst3k", "public").refresh_token
    assert (await refresh(http, token, "public")).status_code == 200
    assert refused(await refresh(http, token, "public")) == (400, "Invalid refresh token")


async def test_a_confidential_app_may_keep_its_refresh_token(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    token = twitch.consent("mst3k", "reusable").refresh_token
    for _ in range(2):
        answer = await refresh(http, token, "reusable", client_secret="s3cret")
        assert answer.json()["refresh_token"] == token


@pytest.mark.parametrize("one_time", [True, False])
async def test_a_public_client_gets_one_time_refresh_tokens_in_any_case(
    twitch: TwitchSimulator, http: httpx.AsyncClient, one_time: bool
) -> None:
    twitch.add_app("phone", one_time_refresh_tokens=one_time)
    token = twitch.consent("mst3k", "phone").refresh_token
    assert (await refresh(http, token, "phone")).json()["refresh_token"] != token


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"client_id": ""}, 400, "missing client id"),
        ({"client_id": "nobody"}, 400, "invalid client"),
        ({"grant_type": ""}, 400, "missing grant type"),
        ({"grant_type": "password"}, 400, "invalid grant type"),
        ({"client_secret": ""}, 400, "missing client secret"),
        ({"client_secret": "wrong"}, 403, "invalid client secret"),
        ({"refresh_token": ""}, 400, "missing refresh token"),
        ({"refresh_token": "made-up"}, 400, "Invalid refresh token"),
        ({"client_id": "reusable"}, 400, "Invalid refresh token"),
    ],
)
async def test_a_wrong_field_is_told_apart(
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    fields: dict[str, str],
    status: int,
    message: str,
) -> None:
    good = {
        "client_id": "confidential",
        "client_secret": "s3cret",
        "grant_type": "refresh_token",
        "refresh_token": twitch.consent("mst3k", "confidential").refresh_token,
    }
    assert refused(await http.post("/token", data=good | fields)) == (status, message)
    assert (await http.post("/token", data=good)).status_code == 200


async def test_a_json_body_has_no_fields(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    token = twitch.consent("mst3k", "public").refresh_token
    fields = {"client_id": "public", "grant_type": "refresh_token", "refresh_token": token}
    assert refused(await http.post("/token", json=fields)) == (400, "missing client id")


async def test_a_regenerated_secret_refuses_the_old_one(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    token = twitch.consent("mst3k", "confidential").refresh_token
    secret = twitch.regenerate_client_secret("confidential")
    answer = await refresh(http, token, client_secret="s3cret")
    assert refused(answer) == (403, "invalid client secret")
    assert (await refresh(http, token, client_secret=secret)).status_code == 200
    with pytest.raises(Refusal, match="public client"):
        twitch.regenerate_client_secret("public")


async def test_a_changed_password_kills_every_token_of_that_user_alone(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    mine, other = twitch.consent("mst3k", "public"), twitch.consent("deck", "public")
    assert twitch.change_password("mst3k") == 1
    assert refused(await refresh(http, mine.refresh_token, "public"))[0] == 401
    assert refused(await validate(http, mine.access_token)) == (401, "invalid access token")
    headers = {"Authorization": f"Bearer {mine.access_token}", "Client-Id": "public"}
    assert (await http.get(f"{twitch.helix_url}/users", headers=headers)).status_code == 401
    assert (await validate(http, other.access_token)).status_code == 200
    renewed = twitch.consent("mst3k", "public")
    assert (await refresh(http, renewed.refresh_token, "public")).status_code == 200


async def test_disconnecting_one_app_leaves_the_others(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    gone, kept = twitch.consent("mst3k", "public"), twitch.consent("mst3k", "reusable")
    assert twitch.disconnect("mst3k", "public") == 1
    assert refused(await refresh(http, gone.refresh_token, "public"))[0] == 401
    assert (await validate(http, kept.access_token)).status_code == 200


async def test_scope_may_be_absent(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    twitch.options.scope_in_token = False
    token = twitch.consent("mst3k", "public").refresh_token
    assert "scope" not in (await refresh(http, token, "public")).json()


async def test_a_token_without_scopes_has_none(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    tokens = twitch.consent("mst3k", "public", [])
    assert (await validate(http, tokens.access_token)).json()["scopes"] is None
    assert "scope" not in (await refresh(http, tokens.refresh_token, "public")).json()


@pytest.mark.parametrize("scheme", ["OAuth", "Bearer"])
async def test_validate_tells_whose_the_token_is_and_how_long(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock, scheme: str
) -> None:
    token = twitch.consent("mst3k", "public", SCOPES).access_token
    clock.now += 400.5
    assert (await validate(http, token, scheme)).json() == {
        "client_id": "public",
        "login": "mst3k",
        "user_id": "642998111",
        "scopes": SCOPES,
        "expires_in": 13_999,
    }


async def test_a_token_ends_when_its_time_is_over(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.token_lifetime = 60
    token = twitch.consent("mst3k", "public").access_token
    clock.now += 59.9
    assert (await validate(http, token)).status_code == 200
    clock.now += 0.1
    assert (await validate(http, token)).status_code == 401


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "missing authorization token"),
        ({"Authorization": "Basic abc"}, "missing authorization token"),
        ({"Authorization": "OAuth made-up"}, "invalid access token"),
    ],
)
async def test_validate_refuses_what_is_no_token(
    http: httpx.AsyncClient, headers: dict[str, str], message: str
) -> None:
    assert refused(await http.get("/validate", headers=headers)) == (401, message)


async def test_tokens_can_be_ended_early_and_refreshed(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    mine, other = twitch.consent("mst3k", "public"), twitch.consent("deck", "public")
    assert twitch.expire_access_tokens("mst3k") == 1
    assert (await validate(http, mine.access_token)).status_code == 401
    assert (await validate(http, other.access_token)).status_code == 200
    assert (await refresh(http, mine.refresh_token, "public")).status_code == 200
    assert twitch.expire_access_tokens(client_id="confidential") == 0
    assert twitch.expire_access_tokens() == 2


async def test_an_app_token_has_no_refresh_token_and_no_user(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    fields = {"grant_type": "client_credentials", "client_id": "confidential"}
    assert refused(await http.post("/token", data=fields)) == (400, "missing client secret")
    body = (await http.post("/token", data=fields | {"client_secret": "s3cret"})).json()
    assert set(body) == {"access_token", "expires_in", "token_type"}
    seen = (await validate(http, body["access_token"])).json()
    assert seen == {
        "client_id": "confidential",
        "scopes": None,
        "expires_in": twitch.options.app_token_lifetime,
    }
    twitch.change_password("mst3k")
    assert (await validate(http, body["access_token"])).status_code == 200


async def test_a_public_client_cannot_get_an_app_token(http: httpx.AsyncClient) -> None:
    fields = {"grant_type": "client_credentials", "client_id": "public"}
    assert refused(await http.post("/token", data=fields)) == (400, "missing client secret")


async def authorize(http: httpx.AsyncClient, **changes: str) -> httpx.Response:
    query = {
        "client_id": "confidential",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "state": "a&b",
    }
    return await http.get("/authorize", params=query | changes)


def sent_back(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302
    location = urlsplit(answer.headers["Location"])
    assert f"{location.scheme}://{location.netloc}{location.path}" == CALLBACK
    return {name: values[0] for name, values in parse_qs(location.query).items()}


async def test_a_signed_in_broadcaster_is_sent_back_with_a_code_that_is_good_once(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.sign_in("mst3k")
    result = sent_back(await authorize(http))
    assert result == {"code": result["code"], "scope": " ".join(SCOPES), "state": "a&b"}
    body = (await trade(http, result["code"])).json()
    assert body["scope"] == SCOPES
    assert (await validate(http, body["access_token"])).json()["login"] == "mst3k"
    assert refused(await trade(http, result["code"])) == (400, "Invalid authorization code")
    # Twitch does not say that the tokens suffer, so by default they do not.
    assert (await validate(http, body["access_token"])).status_code == 200


async def trade(http: httpx.AsyncClient, code: str, /, **changes: str) -> httpx.Response:
    fields = {
        "grant_type": "authorization_code",
        "client_id": "confidential",
        "client_secret": "s3cret",
        "code": code,
        "redirect_uri": CALLBACK,
    }
    return await http.post("/token", data=fields | changes)


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        (
            {"redirect_uri": "http://localhost:1/"},
            400,
            "Parameter redirect_uri does not match registered URI",
        ),
        ({"redirect_uri": ""}, 400, "missing redirect uri"),
        ({"client_id": "nobody"}, 400, "invalid client"),
        ({"client_id": "reusable"}, 400, "Invalid authorization code"),
        ({"client_secret": "wrong"}, 403, "invalid client secret"),
        ({"client_secret": ""}, 400, "missing client secret"),
        ({"code": "made-up"}, 400, "Invalid authorization code"),
        ({"code": ""}, 400, "missing code"),
    ],
)
async def test_what_is_wrong_with_a_code_is_told_apart_and_does_not_use_it_up(
    http: httpx.AsyncClient, changes: dict[str, str], status: int, message: str
) -> None:
    code = sent_back(await authorize(http, login="mst3k"))["code"]
    assert refused(await trade(http, code, **changes)) == (status, message)
    assert (await trade(http, code)).status_code == 200


async def test_a_code_used_twice_may_end_what_it_was_traded_for(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.reused_code_ends_grant = True
    other = twitch.consent("mst3k", "confidential")
    code = sent_back(await authorize(http, login="mst3k"))["code"]
    first = (await trade(http, code)).json()
    for _ in range(2):
        assert refused(await trade(http, code)) == (400, "Invalid authorization code")
    assert (await validate(http, first["access_token"])).status_code == 401
    answer = await refresh(http, first["refresh_token"], client_secret="s3cret")
    assert refused(answer)[0] == 401
    assert (await validate(http, other.access_token)).status_code == 200


@pytest.mark.parametrize("lifetime", [600, 3])
async def test_a_code_grows_old(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock, lifetime: int
) -> None:
    twitch.options.code_lifetime = lifetime
    codes = [sent_back(await authorize(http, login="deck"))["code"] for _ in range(2)]
    clock.now += lifetime - 0.1
    assert (await trade(http, codes[0])).status_code == 200
    clock.now += 0.1
    assert refused(await trade(http, codes[1])) == (400, "Invalid authorization code")


async def test_nobody_signed_in_means_no(http: httpx.AsyncClient) -> None:
    assert sent_back(await authorize(http)) == {
        "error": "access_denied",
        "error_description": "The user denied you access",
        "state": "a&b",
    }


async def test_another_response_type_is_sent_back(http: httpx.AsyncClient) -> None:
    result = sent_back(await authorize(http, login="mst3k", response_type="token"))
    assert result["error"] == "unsupported_response_type"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_id": "nobody"}, "invalid client"),
        ({"redirect_uri": CALLBACK + "/"}, "Parameter redirect_uri does not match registered URI"),
    ],
)
async def test_a_wrong_app_or_uri_is_not_redirected(
    http: httpx.AsyncClient, changes: dict[str, str], message: str
) -> None:
    assert refused(await authorize(http, **changes)) == (400, message)


async def start_device(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/device", data={"client_id": "public", "scopes": " ".join(SCOPES)})
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


async def poll(http: httpx.AsyncClient, device_code: str) -> httpx.Response:
    fields = {
        "client_id": "public",
        "scopes": " ".join(SCOPES),
        "device_code": device_code,
        "grant_type": DEVICE_GRANT,
    }
    return await http.post("/token", data=fields)


async def test_a_device_polls_until_its_code_is_typed(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    device = await start_device(http)
    assert (device["expires_in"], device["interval"]) == (1800, 5)
    waiting = await poll(http, device["device_code"])
    assert refused(waiting) == (400, "authorization_pending")
    twitch.approve_device(device["user_code"].lower(), "mst3k")
    body = (await poll(http, device["device_code"])).json()
    assert body["scope"] == SCOPES
    assert (await validate(http, body["access_token"])).json()["login"] == "mst3k"
    used = await poll(http, device["device_code"])
    assert refused(used) == (400, "invalid device code")


async def test_the_verification_uri_approves_for_who_is_signed_in(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    device = await start_device(http)
    assert (await http.get(device["verification_uri"])).status_code == 401
    twitch.sign_in("deck")
    assert (await http.get(device["verification_uri"])).status_code == 200
    assert (await poll(http, device["device_code"])).status_code == 200


async def test_a_hasty_poll_is_told_to_slow_down_by_five_seconds_each_time(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    device = await start_device(http)

    async def poll_after(seconds: float) -> tuple[int, str]:
        clock.now += seconds
        return refused(await poll(http, device["device_code"]))

    pending, slow_down = (400, "authorization_pending"), (400, "slow_down")
    assert await poll_after(0) == pending  # the interval lies between two polls
    assert await poll_after(5) == pending
    assert await poll_after(4) == slow_down
    assert await poll_after(9) == slow_down  # 10 by now
    assert await poll_after(14.6) == pending  # 15; a network is no metronome
    twitch.approve_device(device["user_code"], "mst3k")
    assert (await poll(http, device["device_code"])).status_code == 200  # however hasty


async def test_an_interval_can_be_short_and_haste_allowed(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.device_interval = 1
    twitch.options.device_slow_down = False
    device = await start_device(http)
    assert device["interval"] == 1
    for _ in range(3):
        answer = await poll(http, device["device_code"])
        assert refused(answer) == (400, "authorization_pending")


async def test_a_denied_device_is_told_so_until_its_code_runs_out(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    device = await start_device(http)
    twitch.logins.deny_device(device["user_code"].lower(), clock())
    for _ in range(2):
        assert refused(await poll(http, device["device_code"])) == (400, "access_denied")
    with pytest.raises(Refusal, match="ask for a new one"):
        twitch.approve_device(device["user_code"], "mst3k")
    clock.now += 1800
    assert refused(await poll(http, device["device_code"])) == (400, "invalid device code")


@pytest.mark.parametrize("lifetime", [1800, 20])
async def test_a_device_code_grows_old(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock, lifetime: int
) -> None:
    twitch.options.device_lifetime = lifetime
    device = await start_device(http)
    assert device["expires_in"] == lifetime
    clock.now += lifetime - 0.1
    assert refused(await poll(http, device["device_code"])) == (400, "authorization_pending")
    clock.now += 0.1
    assert refused(await poll(http, device["device_code"])) == (400, "invalid device code")
    with pytest.raises(Refusal, match="ask for a new one"):
        twitch.approve_device(device["user_code"], "mst3k")


async def test_a_revoked_access_token_is_dead_and_its_grant_is_not(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    tokens = twitch.consent("mst3k", "public")
    fields = {"client_id": "public", "token": tokens.access_token}
    answer = await http.post("/revoke", data=fields)
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await validate(http, tokens.access_token)).status_code == 401
    assert refused(await http.post("/revoke", data=fields)) == (400, "Invalid token")
    assert (await refresh(http, tokens.refresh_token, "public")).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({}, 400, "missing client id"),
        ({"client_id": "nobody", "token": "x"}, 404, "client does not exist"),
        ({"client_id": "public"}, 400, "missing oauth token"),
        ({"client_id": "public", "token": "made-up"}, 400, "Invalid token"),
    ],
)
async def test_revoke_tells_what_is_wrong(
    http: httpx.AsyncClient, fields: dict[str, str], status: int, message: str
) -> None:
    assert refused(await http.post("/revoke", data=fields)) == (status, message)


async def test_the_oldest_access_tokens_of_a_grant_are_forgotten(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    first = twitch.consent("mst3k", "reusable")
    for _ in range(50):
        await refresh(http, first.refresh_token, "reusable", client_secret="s3cret")
    assert (await validate(http, first.access_token)).status_code == 401
    assert len(twitch.grants._by_access) == 50


async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient) -> None:
    assert refused(await http.get("/token")) == (404, "not found")


def test_tokens_do_not_print() -> None:
    twitch = TwitchSimulator()
    app = twitch.add_app("confidential", "s3cret")
    twitch.add_broadcaster("mst3k")
    tokens = twitch.consent("mst3k", "confidential")
    shown = repr((app, tokens, twitch.grants._user_grants))
    assert "s3cret" not in shown
    assert tokens.access_token not in shown
    assert tokens.refresh_token not in shown
