"""The simulator's extension endpoints: what Twitch takes, and what it refuses."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from controller.sandbox.twitch import Fault, Options, TwitchSimulator
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT_ID, OWNER = "d72hk844mgvex3kbfhrgjtdoeqrh0t", "27419011"
CHANNEL = "642998111"


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(Options(), clock=clock) as simulator:
        simulator.add_extension(CLIENT_ID, OWNER)
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=twitch.helix_url + "/extensions", verify=False) as client:
        yield client


def signed(twitch: TwitchSimulator, which: int = 0, **changes: object) -> dict[str, str]:
    claims = {"exp": int(twitch.clock()) + 120, "user_id": OWNER, "role": "external"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    extension = twitch.extensions.named(CLIENT_ID)
    token = jwt.encode(claims, extension.secrets[which].key, algorithm="HS256")
    return {"Authorization": f"Bearer {token}", "Client-Id": CLIENT_ID}


def messaging(
    twitch: TwitchSimulator, send: str = "broadcast", channel: str = CHANNEL
) -> dict[str, str]:
    return signed(twitch, channel_id=channel, pubsub_perms={"send": [send]})


def message(text: str = "{}", target: str = "broadcast", **changes: object) -> dict[str, Any]:
    body = {"target": [target], "message": text, "broadcaster_id": CHANNEL}
    return body | {"is_global_broadcast": False} | changes


async def secrets(http: httpx.AsyncClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = await http.get("/jwt/secrets", params={"extension_id": CLIENT_ID}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"][0]["secrets"]
    return found


async def test_a_new_secret_retires_the_others_within_an_hour(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    query = {"extension_id": CLIENT_ID, "delay": "600"}
    answer = await http.post("/jwt/secrets", params=query, headers=signed(twitch))
    assert answer.status_code == 200
    assert answer.json()["data"][0]["format_version"] == 1
    assert len(await secrets(http, signed(twitch))) == 2

    pending = await http.get("/jwt/secrets", params=query, headers=signed(twitch, 1))
    assert pending.status_code == 401, "it is not active yet"
    clock.now += 601
    assert len(await secrets(http, signed(twitch, 1))) == 2
    assert len(await secrets(http, signed(twitch, 0))) == 2, "the former lives on"
    clock.now += 3000
    assert len(await secrets(http, signed(twitch, 1))) == 1
    gone = await http.get("/jwt/secrets", params=query, headers=signed(twitch, 0))
    assert gone.status_code == 401


async def test_a_delay_below_the_least_is_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    for delay in ("299", "-1", "soon", "1e9"):
        query = {"extension_id": CLIENT_ID, "delay": delay}
        answer = await http.post("/jwt/secrets", params=query, headers=signed(twitch))
        assert answer.status_code == 400, delay
    answer = await http.post(
        "/jwt/secrets", params={"extension_id": CLIENT_ID}, headers=signed(twitch)
    )
    assert answer.status_code == 200
    assert twitch.extensions.named(CLIENT_ID).created == 1
    twitch.options.min_secret_delay = 2
    query = {"extension_id": CLIENT_ID, "delay": "2"}
    answer = await http.post("/jwt/secrets", params=query, headers=signed(twitch))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"user_id": 27419011},
        {"user_id": "1"},
        {"user_id": None},
        {"role": "broadcaster"},
        {"role": None},
    ],
)
async def test_a_jwt_that_is_not_the_owners_is_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    claims = {"exp": int(twitch.clock()) + 120, "user_id": OWNER, "role": "external"} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    key = twitch.extensions.named(CLIENT_ID).secrets[0].key
    token = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), key, algorithm="HS256")
    for each in (token, f"eyJhbGciOiJub25lIn0.{payload}."):
        headers = {"Authorization": f"Bearer {each}", "Client-Id": CLIENT_ID}
        query = {"extension_id": CLIENT_ID}
        answer = await http.get("/jwt/secrets", params=query, headers=headers)
        assert answer.status_code == 401


async def test_another_client_id_gets_401_and_from_pubsub_500(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    headers = messaging(twitch) | {"Client-Id": "another"}
    query = {"extension_id": CLIENT_ID}
    assert (await http.get("/jwt/secrets", params=query, headers=headers)).status_code == 401
    assert (await http.post("/pubsub", json=message(), headers=headers)).status_code == 500


async def test_a_slash_at_the_end_of_pubsub_gets_403(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    answer = await http.post("/pubsub/", json=message(), headers=messaging(twitch))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("target", "channel", "body"),
    [
        ("broadcast", CHANNEL, {}),
        ("whisper-U123", CHANNEL, {}),
        ("global", "all", {"is_global_broadcast": True, "broadcaster_id": None}),
    ],
)
async def test_a_message_that_the_jwt_allows_is_taken(
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    target: str,
    channel: str,
    body: dict[str, Any],
) -> None:
    headers = messaging(twitch, target, channel)
    answer = await http.post("/pubsub", json=message("hi", target, **body), headers=headers)
    assert answer.status_code == 204, answer.text
    (taken,) = twitch.extensions.named(CLIENT_ID).messages
    assert (taken.channel, taken.target, taken.message) == (channel, target, "hi")


@pytest.mark.parametrize(
    ("send", "channel", "body", "status"),
    [
        ("broadcast", "1", {}, 403),
        ("broadcast", CHANNEL, {"target": ["global"], "is_global_broadcast": True}, 403),
        ("broadcast", CHANNEL, {"target": ["whisper-U1"]}, 403),
        ("broadcast", CHANNEL, {"target": []}, 400),
        ("broadcast", CHANNEL, {"target": "broadcast"}, 400),
        ("broadcast", CHANNEL, {"is_global_broadcast": True}, 400),
        ("broadcast", CHANNEL, {"message": {"a": 1}}, 400),
        ("broadcast", CHANNEL, {"broadcaster_id": None}, 400),
        ("broadcast", CHANNEL, {"message": "ö" * 2561}, 422),
    ],
)
async def test_a_message_that_the_jwt_does_not_allow_is_refused(
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    *,
    send: str,
    channel: str,
    body: dict[str, Any],
    status: int,
) -> None:
    headers = messaging(twitch, send, channel)
    answer = await http.post("/pubsub", json=message() | body, headers=headers)
    assert answer.status_code == status
    assert not twitch.extensions.named(CLIENT_ID).messages


async def test_a_channel_takes_a_hundred_messages_and_one_more_a_second(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    async def send() -> int:
        headers = messaging(twitch)
        return (await http.post("/pubsub", json=message(), headers=headers)).status_code

    assert {await send() for _ in range(100)} == {204}
    assert await send() == 429
    clock.now += 2
    assert [await send() for _ in range(3)] == [204, 204, 429]


async def test_configuration_is_kept_by_segment_and_channel(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    base = {"extension_id": CLIENT_ID, "version": "1"}
    for body in (
        base | {"segment": "global", "content": "g"},
        base | {"segment": "developer", "broadcaster_id": CHANNEL, "content": "d"},
        base | {"segment": "broadcaster", "broadcaster_id": CHANNEL, "content": "b"},
    ):
        answer = await http.put("/configurations", json=body, headers=signed(twitch))
        assert answer.status_code == 204
    query: list[tuple[str, str | int | float | bool | None]] = [
        ("extension_id", CLIENT_ID),
        ("broadcaster_id", CHANNEL),
        ("segment", "developer"),
        ("segment", "broadcaster"),
    ]
    answer = await http.get("/configurations", params=query, headers=signed(twitch))
    assert [(e["segment"], e["content"]) for e in answer.json()["data"]] == [
        ("developer", "d"),
        ("broadcaster", "b"),
    ]
    query[1] = ("broadcaster_id", "1")
    answer = await http.get("/configurations", params=query, headers=signed(twitch))
    assert answer.json() == {"data": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": "other"},
        {"broadcaster_id": CHANNEL},
        {"segment": "developer"},
        {"content": "x" * 5121},
        {"content": {"a": 1}},
    ],
)
async def test_a_configuration_that_cannot_be_is_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    body = {"extension_id": CLIENT_ID, "segment": "global", "content": "x", "version": "1"}
    answer = await http.put("/configurations", json=body | changes, headers=signed(twitch))
    assert answer.status_code == 400
    assert not twitch.extensions.named(CLIENT_ID).segments


async def test_twenty_configuration_calls_a_minute_are_taken(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    body = {"extension_id": CLIENT_ID, "segment": "global", "content": "x", "version": "1"}

    async def put() -> int:
        return (await http.put("/configurations", json=body, headers=signed(twitch))).status_code

    assert {await put() for _ in range(20)} == {204}
    clock.now += 59
    assert await put() == 429
    clock.now += 1
    assert await put() == 204


async def test_the_required_configuration_is_noted(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    body = {
        "extension_id": CLIENT_ID,
        "extension_version": "1.3.0",
        "required_configuration": "COMPLETE",
    }
    url = f"/required_configuration?broadcaster_id={CHANNEL}"
    assert (await http.put(url, json=body, headers=signed(twitch))).status_code == 204
    assert twitch.extensions.named(CLIENT_ID).required == {CHANNEL: ("1.3.0", "COMPLETE")}
    del body["extension_version"]
    assert (await http.put(url, json=body, headers=signed(twitch))).status_code == 400


async def test_an_answer_that_is_lost_leaves_the_secret_made(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.order_fault(
        Fault(method="POST", path="/helix/extensions/jwt/secrets", drop=True, when="after")
    )
    query = {"extension_id": CLIENT_ID}
    with pytest.raises(httpx.HTTPError):
        await http.post("/jwt/secrets", params=query, headers=signed(twitch))
    assert len(await secrets(http, signed(twitch))) == 2


async def test_the_console_and_the_helper_are_at_hand_over_http(
    twitch: TwitchSimulator, clock: Clock
) -> None:
    async with httpx.AsyncClient(base_url=twitch.url + "/_sandbox", verify=False) as http:
        made = await http.post("/extensions", json={"client_id": "b", "owner_id": "1"})
        secret = made.json()["secret"]
        again = await http.post("/extensions", json={"client_id": "b", "owner_id": "1"})
        assert again.status_code == 409
        wrong = {"client_id": "c", "owner_id": "1", "secret": "no base64!"}
        assert (await http.post("/extensions", json=wrong)).status_code == 400
        token = await http.post(
            "/extensions/b/helper-token",
            json={"channel_id": CHANNEL, "role": "viewer", "lifetime": 60},
        )
        claims = jwt.decode(token.json()["token"], base64.b64decode(secret), algorithms=["HS256"])
        assert (claims["role"], claims["channel_id"]) == ("viewer", CHANNEL)
        assert "user_id" not in claims
        assert claims["exp"] == int(clock.now + 60)
        new = await http.post("/extensions/b/create-secret", json={"delay": 300})
        shown = (await http.get("/extensions/b")).json()
        assert [one["state"] for one in shown["secrets"]] == ["Active", "Pending"]
        assert secret not in json.dumps(shown)
        gone = {"fingerprint": new.json()["fingerprint"]}
        assert (await http.post("/extensions/b/delete-secret", json=gone)).status_code == 200
        assert (await http.post("/extensions/b/delete-secret", json=gone)).status_code == 404
        assert [each["client_id"] for each in (await http.get("/extensions")).json()] == [
            CLIENT_ID,
            "b",
        ]
