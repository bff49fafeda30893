"""Twitch's OAuth over HTTP: tokens are got, refreshed, validated and revoked, and never told.

What must hold at any server with the contract is asked of two: the simulator, and another one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from controller.clients.identity import Application, Identity
from controller.errors import (
    ClientRejected,
    GrantDoubted,
    GrantRevoked,
    OperatorError,
    RateLimited,
    TransientError,
)
from controller.sandbox.twitch import Fault, TwitchSimulator
from controller.sensitive import Sensitive
from tests.simulated.harness import NEVER, hurried
from tests.simulated.identity_calls import (
    APP,
    SCOPES,
    SECRET,
    TOKEN,
    VALIDATE,
    assert_tells_nothing,
    refresh_token,
    short,
)

if TYPE_CHECKING:
    import httpx

    from controller.settings import Settings


@pytest.fixture
def hasty(http: httpx.AsyncClient, settings: Settings) -> Identity:
    return Identity(http, hurried(settings))


# Refreshing


async def test_a_refresh_gives_new_tokens_and_uses_the_old_one_up(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    old = refresh_token(twitch)
    tokens = await identity.refresh(APP, old)
    assert tokens.refresh is not None
    assert tokens.refresh != old
    assert (tokens.expires_in, tokens.scopes) == (14_400, SCOPES)
    assert await identity.validate(tokens.access) is not None
    with pytest.raises(GrantRevoked, match="Invalid refresh token"):
        await identity.refresh(APP, old)


async def test_a_public_client_refreshes_without_a_secret(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    twitch.add_app("public")
    tokens = await identity.refresh(Application("public", None), refresh_token(twitch, "public"))
    assert tokens.refresh is not None
    assert "client_secret" not in twitch.calls("POST", TOKEN)[0].form()


async def test_scopes_that_twitch_leaves_out_are_not_known(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    twitch.options.scope_in_token = False
    assert (await identity.refresh(APP, refresh_token(twitch))).scopes is None


@pytest.mark.parametrize(
    ("body", "scopes"),
    [
        ({"scope": "b a"}, ("a", "b")),
        ({"scope": ["b", "a", "b"]}, ("a", "b")),
        ({"scope": []}, ()),
        ({"scope": None}, ()),
        ({}, None),
    ],
)
async def test_scopes_come_in_several_forms_and_a_refresh_token_may_be_left_out(
    identity: Identity, twitch: TwitchSimulator, body: dict[str, Any], scopes: object
) -> None:
    twitch.order_fault(Fault(path=TOKEN, status=200, body={"access_token": "x" * 30, **body}))
    tokens = await identity.refresh(APP, Sensitive("r" * 30))
    assert (tokens.refresh, tokens.scopes) == (None, scopes)
    assert tokens.expires_in > 0


async def test_a_dead_grant_is_revoked(identity: Identity, twitch: TwitchSimulator) -> None:
    token = refresh_token(twitch)
    twitch.change_password("mst3k")
    with pytest.raises(GrantRevoked):
        await identity.refresh(APP, token)


async def test_a_client_that_is_refused_is_told_apart_from_a_dead_grant(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    token = refresh_token(twitch)
    with pytest.raises(ClientRejected, match="invalid client secret"):
        await identity.refresh(Application("client", Sensitive("wrong-0123456789")), token)
    with pytest.raises(ClientRejected, match="missing client secret"):
        await identity.refresh(Application("client", None), token)
    with pytest.raises(ClientRejected, match="invalid client"):
        await identity.refresh(Application("other", None), token)
    assert (await identity.refresh(APP, token)).refresh is not None


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400, body={"message": "Invalid refresh token"}), GrantRevoked),
        (Fault(status=401, body={"message": ""}), GrantRevoked),
        (Fault(status=401, body="<html>"), TransientError),
        (Fault(status=403, body=""), TransientError),
        (Fault(status=403, body={"message": "forbidden"}), ClientRejected),
        (Fault(status=400, body={"message": "missing client secret"}), ClientRejected),
        (Fault(status=400, body=""), TransientError),
        (Fault(status=400, body={"message": "try later"}), TransientError),
        (Fault(status=400, body={"message": "Invalid grant"}), GrantDoubted),
        (Fault(status=400, body={"message": "invalid_grant."}), GrantDoubted),
        (Fault(status=400, body={"message": "invalid grant type"}), TransientError),
        (Fault(status=404), TransientError),
        (Fault(status=302, headers={"Location": "/elsewhere"}), TransientError),
        (Fault(status=500), TransientError),
        (Fault(status=503, body="[" * 5000), TransientError),
        (Fault(drop=True), TransientError),
        (Fault(drop=True, when="after"), TransientError),
        (Fault(delay=NEVER), TransientError),
    ],
    ids=short,
)
async def test_each_failure_is_what_it_means_and_tells_no_credential(
    identity: Identity,
    hasty: Identity,
    twitch: TwitchSimulator,
    fault: Fault,
    error: type[OperatorError],
) -> None:
    token = refresh_token(twitch)
    twitch.order_fault(fault.model_copy(update={"path": TOKEN}))
    with pytest.raises(OperatorError) as failure:
        await (hasty if fault.delay else identity).refresh(APP, token)
    assert type(failure.value) is error
    assert not twitch.calls(path="/elsewhere")
    assert_tells_nothing(failure.value, token.reveal(), SECRET)


@pytest.mark.parametrize(
    "body",
    [
        "no JSON", "[]", "null", "5", {}, {"access_token": None}, {"access_token": 5},
        {"access_token": ["x"]}, {"access_token": "a", "refresh_token": 5},
        {"access_token": "a", "scope": 5}, {"access_token": "a", "scope": [5]},
        "[" * 5000 + "]" * 5000,
    ],
    ids=short,
)  # fmt: skip
async def test_a_token_answer_that_lacks_something_passes(
    identity: Identity, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path=TOKEN, status=200, body=body))
    with pytest.raises(TransientError, match="lacks what the contract promises"):
        await identity.refresh(APP, Sensitive("r" * 30))


@pytest.mark.parametrize("lifetime", ["NaN", "1e999", "-1", "0", '"soon"', "null", "9" * 400])
async def test_a_lifetime_that_is_none_does_not_make_tokens_immortal_or_dead(
    identity: Identity, twitch: TwitchSimulator, lifetime: str
) -> None:
    body = f'{{"access_token": "a", "expires_in": {lifetime}}}'
    twitch.order_fault(Fault(path=TOKEN, status=200, body=body))
    tokens = await identity.refresh(APP, Sensitive("r" * 30))
    assert 0 < tokens.expires_in <= 86_400 * 366


async def test_a_token_in_a_broken_answer_is_not_told(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    secret = "access-0123456789abcdef"
    for body in (f'{{"access_token": "{secret}", "scope": ', {"access_token": [secret]}):
        twitch.order_fault(Fault(path=TOKEN, status=200, body=body))
        with pytest.raises(TransientError) as failure:
            await identity.refresh(APP, Sensitive("r" * 30))
        assert_tells_nothing(failure.value, secret)


async def test_a_rate_limit_tells_when_to_come_back(
    identity: Identity, twitch: TwitchSimulator
) -> None:
    for told, seconds in (("7", 7.0), ("soon", None), ("-1", None)):
        twitch.order_fault(Fault(path=TOKEN, status=429, headers={"Retry-After": told}))
        with pytest.raises(RateLimited) as limited:
            await identity.refresh(APP, Sensitive("r" * 30))
        assert limited.value.retry_after == seconds


# Validating


async def test_a_token_tells_whose_it_is(identity: Identity, twitch: TwitchSimulator) -> None:
    access = Sensitive(twitch.consent("mst3k", "client").access_token)
    told = await identity.validate(access)
    assert told is not None
    assert (told.client_id, told.login, told.scopes) == ("client", "mst3k", SCOPES)
    assert told.user_id == twitch.channels.named("mst3k").id
    assert told.expires_in == pytest.approx(14_400, abs=5)


@pytest.mark.parametrize("lifetime", ["null", "0", "NaN", "1e999", '"soon"', "[]", "9" * 400])
async def test_a_lifetime_that_is_none_does_not_make_a_token_invalid(
    identity: Identity, twitch: TwitchSimulator, lifetime: str
) -> None:
    body = f'{{"client_id": "client", "expires_in": {lifetime}}}'
    twitch.order_fault(Fault(path=VALIDATE, status=200, body=body))
    told = await identity.validate(Sensitive("a" * 30))
    assert told is not None
    assert told.expires_in == 0


async def test_a_token_without_scopes_is_valid(identity: Identity, twitch: TwitchSimulator) -> None:
    access = Sensitive(twitch.consent("mst3k", "client", []).access_token)
    told = await identity.validate(access)
    assert told is not None
    assert told.scopes == ()


async def test_a_dead_token_is_not_valid(identity: Identity, twitch: TwitchSimulator) -> None:
    access = Sensitive(twitch.consent("mst3k", "client").access_token)
    twitch.expire_access_tokens()
    assert await identity.validate(access) is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500), Fault(status=404), Fault(drop=True), Fault(delay=NEVER),
        Fault(status=200, body="no JSON"), Fault(status=200, body={}),
        Fault(status=200, body={"client_id": 5}), Fault(status=200, body="[" * 5000),
        Fault(status=200, body={"client_id": "a", "scopes": 5}),
    ],
    ids=short,
)  # fmt: skip
async def test_a_validation_that_fails_says_nothing_about_the_token(
    identity: Identity, hasty: Identity, twitch: TwitchSimulator, fault: Fault
) -> None:
    access = twitch.consent("mst3k", "client").access_token
    twitch.order_fault(fault.model_copy(update={"path": VALIDATE}))
    with pytest.raises(TransientError) as failure:
        await (hasty if fault.delay else identity).validate(Sensitive(access))
    assert_tells_nothing(failure.value, access)


async def test_no_more_calls_are_under_way_than_the_setting_says(
    http: httpx.AsyncClient, settings: Settings, twitch: TwitchSimulator
) -> None:
    few = settings.model_copy(update={"identity_concurrency": 2})
    identity = Identity(http, few)
    access = Sensitive(twitch.consent("mst3k", "client").access_token)
    twitch.order_fault(Fault(path=VALIDATE, delay=0.1, times=6))
    await asyncio.gather(*(identity.validate(access) for _ in range(6)))
    times = sorted(call.time for call in twitch.calls("GET", VALIDATE))
    assert times[2] - times[0] >= 0.09
    assert times[4] - times[2] >= 0.09
