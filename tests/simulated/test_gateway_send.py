"""POST /send/: the order of its checks, what it sends, and what it answers."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from tests.simulated.gateway_world import CHANNEL, CLIENT_ID, World, a_secret, open_world
from tests.simulated.harness import MOMENT, NEVER, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as world:
        yield world


async def test_a_message_is_signed_and_sent_as_a_broadcast(world: World) -> None:
    response = await world.send({"type": "déck", "data": {"cards": [1, None]}, "version": 3})
    assert response.status_code == 200
    assert response.json() == {"status": 204, "content_type": "", "content": ""}
    [call] = world.upstream.calls
    assert call.path == "/helix/extensions/pubsub"
    assert call.client_id == CLIENT_ID
    assert call.claims["user_id"] == "27419011"
    assert call.claims["role"] == "external"
    assert call.claims["channel_id"] == CHANNEL
    assert call.claims["pubsub_perms"] == {"send": ["broadcast"]}
    assert call.body["target"] == ["broadcast"]
    assert call.body["broadcaster_id"] == CHANNEL
    assert call.body["message"] == '{"type":"déck","data":{"cards":[1,null]},"version":3}'


async def test_the_version_is_0_where_none_is_given(world: World) -> None:
    await world.send({"type": "deck", "data": {}, "more": "is ignored"})
    assert json.loads(world.upstream.calls[0].body["message"])["version"] == 0


async def test_the_slash_at_the_end_may_be_missing(world: World) -> None:
    response = await world.client.post(
        "/send", json={"type": "deck", "data": {}}, headers=world.good()
    )
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "answer"),
    [
        # Each has all the faults of those that follow, too.
        ({"Authorization": None, "X_Twitch_User_Id": None, "X_Twitch_Client_Id": None}, 401, None),
        ({"Authorization": "Basic Z29vZA==", "X_Twitch_User_Id": None}, 401, None),
        ({"Authorization": "Bearer", "X_Twitch_User_Id": None}, 401, None),
        ({"Authorization": "Bearer two words", "X_Twitch_User_Id": None}, 401, None),
        ({"Authorization": "Bearer bad", "X_Twitch_User_Id": None}, 401, None),
        ({"Authorization": "Bearer bad", "X_Twitch_Client_Id": None}, 401, None),
        (
            {"X_Twitch_User_Id": None, "X_Twitch_Client_Id": None},
            400,
            {"detail": "Missing X-Twitch-User-Id header"},
        ),
        ({"X_Twitch_User_Id": " "}, 400, {"detail": "Missing X-Twitch-User-Id header"}),
        (
            {"X_Twitch_User_Id": "1111111", "X_Twitch_Client_Id": None},
            403,
            {
                "error": "channel_not_allowed",
                "detail": "No permission for channel '1111111'",
                "available_channels": [CHANNEL, "123654"],
            },
        ),
        ({"X_Twitch_Client_Id": None}, 400, {"detail": "Missing X-Twitch-Client-Id header"}),
        ({"X_Twitch_Client_Id": "x"}, 400, {"detail": "Invalid Twitch Client ID: x"}),
        (
            {"Authorization": "Bearer bad", "X_Twitch_Client_Id": "x"},
            400,
            {"detail": "Invalid Twitch Client ID: x"},
        ),
    ],
)
async def test_the_first_check_that_fails_is_told(
    world: World, headers: dict[str, str | None], status: int, answer: dict[str, Any] | None
) -> None:
    response = await world.send(b"{", **headers)
    assert response.status_code == status
    if answer is None:
        assert list(response.json()) == ["detail"]
        assert response.headers["WWW-Authenticate"] == "Bearer"
    else:
        assert response.json() == answer
    assert world.upstream.calls == []


async def test_the_scheme_may_be_written_in_small_letters(world: World) -> None:
    assert (await world.send(Authorization="bearer good")).status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"type", "data"}),
        ({"type": " \t", "data": {}}, {"type"}),
        ({"type": 1, "data": {}}, {"type"}),
        ({"type": None, "data": None}, {"type", "data"}),
        ({"type": "a", "data": []}, {"data"}),
        ({"type": "a", "data": "{}"}, {"data"}),
        ({"type": "a", "data": {}, "version": "1"}, {"version"}),
        ({"type": "a", "data": {}, "version": 1.5}, {"version"}),
        ({"type": "a", "data": {}, "version": True}, {"version"}),
        ({"type": "a", "data": {}, "version": None}, {"version"}),
        ([], {"non_field_errors"}),
        (b'{"type": "\\ud800", "data": {}}', {"non_field_errors"}),
        (b'{"type": "a", "data": {"n": 1e400}}', {"non_field_errors"}),
        (b'{"type": "a", "data": {"\\udfff": 1}}', {"non_field_errors"}),
    ],
)
async def test_each_faulty_field_is_told_with_messages(
    world: World, body: object, fields: set[str]
) -> None:
    response = await world.send(body)
    assert response.status_code == 400
    faults = response.json()
    assert set(faults) == fields
    assert all(isinstance(fault, str) for texts in faults.values() for fault in texts)
    assert world.upstream.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        '{"type": "ä", "data": {}}'.encode("latin-1"),
        '{"type": "a", "data": {}}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"type": "a", "data": {"n": NaN}}',
        b'{"type": "a", "data": {"n": -Infinity}}',
        b"[" * 60_000,
        b'{"type": "a", "data": {"n": ' + b"9" * 5000 + b"}}",
    ],
    ids=range(10),
)
async def test_what_cannot_be_parsed_is_a_fault_of_the_body(world: World, body: bytes) -> None:
    response = await world.send(body)
    assert response.status_code == 400
    assert response.json()["detail"].startswith("JSON parse error: ")


@pytest.mark.parametrize(("letters", "size"), [("x", 5120), ("ä", 5120)])
async def test_the_whole_envelope_must_fit(world: World, letters: str, size: int) -> None:
    around = len('{"type":"a","data":{"t":""},"version":0}')
    text = letters * ((size - around) // len(letters.encode()))
    assert (await world.send({"type": "a", "data": {"t": text}})).status_code == 200
    response = await world.send({"type": "a", "data": {"t": text + letters}})
    assert response.status_code == 413
    answer = response.json()
    assert answer["error"] == "message_too_large"
    assert answer["limit"] == 5120
    assert answer["size"] == around + len((text + letters).encode())
    assert len(world.upstream.calls) == 1


async def test_a_large_body_is_not_read(world: World) -> None:
    response = await world.send(b" " * 10_000_000)
    assert response.status_code == 413
    assert response.json()["error"] == "body_too_large"
    assert response.json()["size"] == 10_000_000
    assert response.json()["limit"] == 65_536


async def test_a_large_body_without_a_length_is_not_read_to_its_end(world: World) -> None:
    read = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b" " * 1024

    response = await world.client.post("/send/", content=long(), headers=world.good())
    assert response.status_code == 413
    assert 65_536 < response.json()["size"] <= 2 * 65_536
    assert read <= 128


async def test_a_bucket_of_100_lets_no_more_through(world: World) -> None:
    begin, sent = time.monotonic(), 0
    while (response := await world.send()).status_code == 200:
        sent += 1
        assert sent <= 101 + time.monotonic() - begin, "one comes back each second"
    assert sent >= 100
    assert response.status_code == 429
    assert response.json()["error"] == "rate_limited"
    assert int(response.headers["Retry-After"]) >= 1
    other = await world.send(X_Twitch_User_Id="123654")
    assert other.status_code == 200


async def test_what_is_refused_before_costs_nothing_of_the_bucket(world: World) -> None:
    for _ in range(110):
        assert (await world.send({"type": "a", "data": {"t": "x" * 6000}})).status_code == 413
    assert (await world.send()).status_code == 200


async def test_twitchs_own_limit_empties_the_bucket(world: World) -> None:
    world.upstream.status, world.upstream.text = 429, "too many"
    assert (await world.send()).status_code == 502
    assert (await world.send()).status_code == 429
    assert len(world.upstream.calls) == 1


async def test_another_answer_of_twitch_is_handed_on(world: World) -> None:
    world.upstream.status = 422
    world.upstream.text = '{"message":"too large"}'
    world.upstream.content_type = "application/json"
    response = await world.send()
    assert response.status_code == 502
    assert response.json() == {
        "status": 422,
        "content_type": "application/json",
        "content": '{"message":"too large"}',
    }


async def test_twitchs_200_is_as_good_as_its_204(world: World) -> None:
    world.upstream.status, world.upstream.text = 200, "fine"
    response = await world.send()
    assert response.status_code == 200
    assert response.json()["status"] == 200
    assert response.json()["content"] == "fine"


async def test_a_long_answer_of_twitch_is_cut(world: World) -> None:
    world.upstream.status, world.upstream.text = 500, "x" * 100_000
    assert len((await world.send()).json()["content"]) == 4096


@pytest.mark.parametrize("charset", ["hex", "rot13", "utf-7", "undefined", "no-such"])
async def test_an_odd_charset_of_twitch_does_no_harm(world: World, charset: str) -> None:
    world.upstream.status, world.upstream.text = 400, "+2AA- ä"
    world.upstream.content_type = f"text/plain; charset={charset}"
    response = await world.send()
    assert response.status_code == 502
    assert response.json()["content"] == "+2AA- ä"


async def test_no_answer_in_time_is_504() -> None:
    async with open_world(twitch_within=MOMENT) as world:
        world.upstream.delay = NEVER
        response = await world.send()
        await eventually(lambda: world.upstream.calls)
    assert response.status_code == 504
    assert response.json() == {"detail": "The Twitch API timed out."}
    assert len(world.upstream.calls) == 1


async def test_a_broken_connection_is_502_and_nothing_is_sent_again(world: World) -> None:
    world.upstream.broken = True
    response = await world.send()
    assert response.status_code == 502
    answer = response.json()
    assert answer["error"] == "bad_upstream"
    assert answer["upstream_status_code"] is None
    assert answer["upstream_data"] is None
    assert len(world.upstream.calls) == 1


async def test_a_provider_that_is_down_lets_nobody_in(world: World) -> None:
    world.upstream.provider_down = True
    response = await world.send()
    assert response.status_code == 503
    assert response.json()["error"] == "authorization_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert world.upstream.calls == []


async def test_without_a_provider_nobody_is_let_in(world: World) -> None:
    world.serve(oauth=None)
    assert (await world.send()).status_code == 401


async def test_without_a_secret_in_force_nothing_is_sent(world: World) -> None:
    for secrets in ((), (a_secret(begin=60),), (a_secret(end=-1),)):
        world.serve(secrets=secrets)
        response = await world.send()
        assert response.status_code == 503
        assert response.json()["error"] == "extension_not_ready"
        assert int(response.headers["Retry-After"]) >= 1


async def test_the_secret_that_expires_last_signs(world: World) -> None:
    world.serve(secrets=(a_secret(b"other" * 8, end=600), a_secret(), a_secret(begin=60)))
    assert (await world.send()).status_code == 200  # the upstream knows no other


async def test_a_client_id_that_is_not_served_is_400_and_no_provider_sees_the_token(
    world: World,
) -> None:
    """The one provider that is left is another tenant's."""
    for headers in ({}, {"X_Twitch_User_Id": "999"}):
        response = await world.send(X_Twitch_Client_Id="x", **headers)
        assert response.status_code == 400
        assert response.json() == {"detail": "Invalid Twitch Client ID: x"}
    assert (await world.send(X_Twitch_Client_Id="x", Authorization=None)).status_code == 401
    assert (await world.send(X_Twitch_Client_Id="x", Authorization="Basic x")).status_code == 401
    world.catalog.replace([])
    assert (await world.send(X_Twitch_Client_Id="x")).status_code == 400
    assert world.upstream.asked == []


async def test_without_a_client_id_a_provider_is_asked_only_where_there_is_no_other_extension(
    world: World,
) -> None:
    response = await world.send(X_Twitch_Client_Id=None, X_Twitch_User_Id="999")
    assert response.status_code == 403
    assert world.upstream.asked == ["good"]
    world.catalog.unserved = 1
    response = await world.send(X_Twitch_Client_Id=None, Authorization="Bearer another")
    assert response.json() == {"detail": "Missing X-Twitch-Client-Id header"}
    assert world.upstream.asked == ["good"]


async def test_a_token_is_shown_to_no_providers_but_the_extensions_own(world: World) -> None:
    other = replace(
        world.served,
        key=Key(EXTENSION, "others", "other"),
        client_id="other",
        oauth=world.provider("other"),
    )
    world.serve(other)
    response = await world.send(X_Twitch_Client_Id="x", X_Twitch_User_Id="999")
    assert response.json() == {"detail": "Invalid Twitch Client ID: x"}
    response = await world.send(X_Twitch_Client_Id=None)
    assert response.json() == {"detail": "Missing X-Twitch-Client-Id header"}
    response = await world.send(X_Twitch_Client_Id=None, X_Twitch_User_Id=None)
    assert response.json() == {"detail": "Missing X-Twitch-User-Id header"}
    assert (await world.send(Authorization=None, X_Twitch_Client_Id="x")).status_code == 401
    assert world.upstream.asked == []


async def test_an_extension_without_a_provider_lets_nobody_in_whatever_others_have(
    world: World,
) -> None:
    others = [
        replace(
            world.served,
            key=Key(EXTENSION, "others", name),
            client_id=name,
            oauth=world.provider(name),
        )
        for name in ("first", "second")
    ]
    for some in (others[:1], others):
        world.serve(*some, oauth=None)
        assert (await world.send()).status_code == 401
    assert world.upstream.asked == []


async def test_an_extension_that_is_not_learned_yet_is_not_unknown(world: World) -> None:
    world.catalog.ready = False
    response = await world.send(X_Twitch_Client_Id="later")
    assert response.status_code == 503
    assert response.json()["error"] == "extension_not_ready"
    assert (await world.send()).status_code == 200


async def test_long_headers_are_told_back_in_part(world: World) -> None:
    response = await world.send(X_Twitch_Client_Id="x" * 8000)
    assert response.status_code == 400
    assert len(response.json()["detail"]) < 200
    response = await world.send(X_Twitch_User_Id="1" * 8000)
    assert response.status_code == 403
    assert len(response.json()["detail"]) < 200
