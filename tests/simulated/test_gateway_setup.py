"""POST /setup/: the order of its checks, whose JWTs it takes, and what it sets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.simulated.gateway_world import (
    CHANNEL,
    CLIENT_ID,
    KEY,
    World,
    a_secret,
    helper_token,
    open_world,
)
from tests.simulated.harness import MOMENT, NEVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

OTHER = b"another key of thirty-two bytes!"
DAY = 86_400


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as world:
        yield world


def signed(payload: bytes, header: dict[str, Any] | None = None, key: bytes = KEY) -> str:
    """A JWT made by hand: with what a library would refuse to write."""

    def segment(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = json.dumps({"alg": "HS256", "typ": "JWT"} | (header or {})).encode()
    text = f"{segment(head)}.{segment(payload)}"
    return f"{text}.{segment(hmac.digest(key, text.encode(), hashlib.sha256))}"


def raw(**claims: str) -> bytes:
    """Claims whose values are JSON text already."""
    all_of_them = {
        "exp": str(int(time.time()) + 600),
        "user_id": f'"{CHANNEL}"',
        "channel_id": f'"{CHANNEL}"',
        "role": '"broadcaster"',
    } | claims
    return ("{" + ",".join(f'"{name}":{text}' for name, text in all_of_them.items()) + "}").encode()


async def test_the_required_configuration_is_set_for_the_channel(world: World) -> None:
    response = await world.setup()
    assert response.status_code == 200
    [call] = world.upstream.calls
    assert call.path == "/helix/extensions/required_configuration"
    assert call.query == {"broadcaster_id": CHANNEL}
    assert call.claims["user_id"] == "27419011"
    assert call.body == {
        "extension_id": CLIENT_ID,
        "extension_version": "1.2.3",
        "required_configuration": "COMPLETE",
    }


async def test_where_none_is_declared_nothing_is_set(world: World) -> None:
    world.serve(required_configuration=None)
    assert (await world.setup()).status_code == 200
    assert world.upstream.calls == []


async def test_the_slash_at_the_end_may_be_missing(world: World) -> None:
    headers = world.good(
        Authorization=f"Bearer {helper_token()}", X_Twitch_Extension_Version="1.2.3"
    )
    assert (await world.client.post("/setup", headers=headers)).status_code == 200


BARE = {"X_Twitch_User_Id": None, "X_Twitch_Extension_Version": None}


@pytest.mark.parametrize(
    ("token", "headers", "status", "told"),
    [
        (str, {"Authorization": None, "X_Twitch_Client_Id": None}, 403, "invalid_authorization"),
        (
            str,
            {"Authorization": "Basic a", "X_Twitch_Client_Id": None},
            403,
            "invalid_authorization",
        ),
        (
            partial(str, "bad"),
            {"X_Twitch_Client_Id": None, **BARE},
            400,
            "Missing X-Twitch-Client-Id header",
        ),
        (
            partial(str, "bad"),
            {"X_Twitch_Client_Id": "x", **BARE},
            400,
            "Invalid Twitch Client ID: x",
        ),
        (partial(helper_token, OTHER, exp=1), BARE, 403, "invalid_jwt"),
        (partial(helper_token, exp=1, without=("user_id",)), BARE, 403, "expired_signature"),
        (
            partial(helper_token, role="viewer", without=("user_id",)),
            BARE,
            403,
            "missing_payload_key",
        ),
        (partial(helper_token, without=("channel_id",)), BARE, 403, "missing_payload_key"),
        (partial(helper_token, without=("role",)), BARE, 403, "missing_payload_key"),
        (partial(helper_token, role="moderator", is_unlinked=True), BARE, 403, "unauthorized_role"),
        (partial(helper_token, role="external", is_unlinked=True), BARE, 403, "unauthorized_role"),
        (partial(helper_token, is_unlinked=True), BARE, 403, "account_not_linked"),
        (partial(helper_token, is_unlinked="yes"), BARE, 403, "account_not_linked"),
        (partial(helper_token, user_id=" "), BARE, 403, "account_not_linked"),
        (helper_token, BARE, 400, "Missing X-Twitch-User-Id header"),
        (
            helper_token,
            {"X_Twitch_User_Id": "999", "X_Twitch_Extension_Version": None},
            403,
            "channel_not_allowed",
        ),
        (
            helper_token,
            {"X_Twitch_Extension_Version": None},
            400,
            "Missing X-Twitch-Extension-Version header",
        ),
        (
            helper_token,
            {"X_Twitch_Extension_Version": "1/../2"},
            400,
            "Invalid X-Twitch-Extension-Version header",
        ),
        (
            helper_token,
            {"X_Twitch_Extension_Version": "1" * 33},
            400,
            "Invalid X-Twitch-Extension-Version header",
        ),
    ],
)
async def test_the_first_check_that_fails_is_told(
    world: World, token: Callable[[], str], headers: dict[str, str | None], status: int, told: str
) -> None:
    response = await world.setup(token(), **headers)
    assert response.status_code == status
    answer = response.json()
    if status == 400:
        assert answer == {"detail": told}
    else:
        assert answer["error"] == told
        assert answer["detail"]
    assert world.upstream.calls == []


async def test_another_channel_than_the_jwts_is_refused(world: World) -> None:
    response = await world.setup(X_Twitch_User_Id="999")
    assert response.json() == {
        "error": "channel_not_allowed",
        "detail": "No permission for channel '999'",
        "available_channels": [CHANNEL],
    }


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwts_that_twitch_would_not_make(now: int) -> list[str]:
    """Made when the test runs: a suite may take longer than a JWT lives."""
    return [
        "x",
        "a.b.c",
        "a" * 9000,
        "ä.ö.ü".encode().decode("latin-1"),
        jwt.encode({"exp": now + 600}, "", algorithm="none"),
        jwt.encode({"exp": now + 600}, RSA, algorithm="RS256"),
        jwt.encode(json.loads(raw()), KEY * 2, algorithm="HS512"),
        signed(raw(), {"alg": "hs256"}),
        signed(raw(), {"alg": ["HS256"]}),
        signed(raw(), {"alg": None}),
        signed(raw(), {"kid": 7}),
        signed(raw(), {"crit": ["exp"]}),
        signed(raw(), {"b64": False, "crit": ["b64"]}),
        signed(raw(), key=OTHER),
        signed(b"[" * 4000),
        signed(b"[]"),
        signed(b"\xff"),
        signed(b"null"),
        helper_token(without=("exp",)),
        signed(raw(exp='"9999999999"')),
        signed(raw(exp="true")),
        signed(raw(exp="null")),
        signed(raw(exp="NaN")),
        signed(raw(exp="1e400")),
        signed(raw(exp="9" * 400)),
        signed(raw(exp="9" * 4400)),
        signed(raw(exp=str(now + 8 * DAY))),
        signed(raw(iat=str(now + 300))),
        signed(raw(iat="1e400")),
        signed(raw(iat='"now"')),
        signed(raw(nbf=str(now + 300))),
        signed(raw(user_id="123456")),
        signed(raw(user_id="null")),
        signed(raw(channel_id="123456")),
        signed(raw(channel_id="[]")),
        signed(raw(role="{}")),
    ]


@pytest.mark.parametrize("number", range(36))
async def test_a_jwt_that_twitch_would_not_make_is_invalid(world: World, number: int) -> None:
    token = jwts_that_twitch_would_not_make(int(time.time()))[number]
    response = await world.client.post(
        "/setup/",
        headers=[
            (b"Authorization", f"Bearer {token}".encode("latin-1")),
            (b"X-Twitch-Client-Id", CLIENT_ID.encode()),
        ],
    )
    assert response.status_code == 403
    assert response.json()["error"] == "invalid_jwt"


async def test_an_end_long_ago_has_passed_however_it_is_written(world: World) -> None:
    for exp in ("0", "-1", "1.5", "-1e400", "-" + "9" * 400):
        response = await world.setup(signed(raw(exp=exp)))
        assert response.json()["error"] == "expired_signature"


async def test_a_clock_that_is_off_by_seconds_is_forgiven(world: World) -> None:
    assert (await world.setup(helper_token(exp=int(time.time()) - 2))).status_code == 200
    assert (await world.setup(helper_token(iat=int(time.time()) + 20))).status_code == 200


async def test_each_secret_that_has_not_expired_verifies(world: World) -> None:
    world.serve(secrets=(a_secret(), a_secret(OTHER, begin=60)))
    assert (await world.setup(helper_token(OTHER))).status_code == 200
    world.serve(secrets=(a_secret(), a_secret(OTHER, end=-1)))
    assert (await world.setup(helper_token(OTHER))).json()["error"] == "invalid_jwt"


async def test_a_revoked_secret_verifies_nothing_and_may_sign(world: World) -> None:
    [secret] = world.served.secrets
    world.serve(secrets=(type(secret)(secret.content, secret.active, secret.expires, True),))
    assert (await world.setup()).json()["error"] == "invalid_jwt"
    assert (await world.send()).status_code == 200


async def test_without_a_secret_it_is_not_ready(world: World) -> None:
    world.serve(secrets=())
    response = await world.setup()
    assert response.status_code == 503
    assert response.json()["error"] == "extension_not_ready"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"message":"no"}', {"message": "no"}),
        ('{"message":"\\ud800"}', {"message": "\ud800"}),
        ("no", "no"),
        ("", ""),
        ('{"n": NaN}', '{"n": NaN}'),
        ('{"n": 1e400}', '{"n": 1e400}'),
        ("[1]", "[1]"),
    ],
)
async def test_a_refusal_of_twitch_is_handed_on(world: World, text: str, data: object) -> None:
    world.upstream.status, world.upstream.text = 400, text
    response = await world.setup()
    assert response.status_code == 502
    assert response.json() == {
        "error": "bad_upstream",
        "detail": "Unexpected response from Twitch API.",
        "upstream_status_code": 400,
        "upstream_data": data,
    }


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_any_success_of_twitch_will_do(world: World, status: int) -> None:
    world.upstream.status = status
    assert (await world.setup()).status_code == 200


async def test_a_redirect_of_twitch_is_none(world: World) -> None:
    world.upstream.status = 302
    response = await world.setup()
    assert response.status_code == 502
    assert response.json()["upstream_status_code"] == 302


async def test_no_answer_in_time_is_504() -> None:
    async with open_world(twitch_within=MOMENT) as world:
        world.upstream.delay = NEVER
        response = await world.setup()
    assert response.status_code == 504
    assert response.json() == {"detail": "The Twitch API timed out."}


async def test_a_broken_connection_is_502(world: World) -> None:
    world.upstream.broken = True
    response = await world.setup()
    assert response.status_code == 502
    assert response.json()["upstream_status_code"] is None
