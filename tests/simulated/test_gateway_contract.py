"""The gateway by each row of its contract, over HTTP, at a Twitch that is not the simulator."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio

from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from tests.other_extensions import Answer
from tests.simulated.gateway_stand import (
    CHANNEL,
    CLIENT_ID,
    ORIGIN,
    REQUIRED,
    VERSION,
    Stand,
    new_stand,
    new_text,
)
from tests.simulated.harness import MOMENT, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import httpx

    from controller.gateway.catalog import Endpoint

LIMIT = 5 * 1024
NO_TEXTS: list[object] = ["", " \t", 1, None, [], True, {}]
NO_OBJECTS: list[object] = [[], [{}], "x", None, 1, False, True]
NO_INTEGERS: list[object] = ["1", 1.5, True, None, [], {}]


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Stand]:
    async with new_stand() as stand:
        yield stand


@pytest.fixture
def stand(shared: Stand) -> Iterator[Stand]:
    """One stand for all tests; what one test did is nothing to the next."""
    shared.forget()
    yield shared
    assert shared.twitch.wrong == []


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[Stand]:
    """A stand of its own, for a test that uses it up."""
    async with new_stand() as stand:
        yield stand


def told(answer: httpx.Response) -> tuple[int, Any]:
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()


def error(answer: httpx.Response) -> tuple[int, str]:
    status, body = told(answer)
    assert isinstance(body["detail"], str)
    return status, body["error"]


def missing(name: str) -> tuple[int, dict[str, str]]:
    return 400, {"detail": f"Missing {name} header"}


# /send/


async def test_a_message_is_sent(stand: Stand) -> None:
    body = {"type": "card", "data": {"name": "Insel ä", "cost": [1, 2.5, None]}}
    assert told(await stand.send(body)) == (200, {"status": 204, "content_type": "", "content": ""})
    (arrived,) = stand.arrived
    assert (arrived.channel, arrived.target) == (CHANNEL, "broadcast")
    assert json.loads(arrived.text) == {**body, "version": 0}
    await stand.send({**body, "version": 7, "more": "than asked for"}, version="1.0.0")
    assert json.loads(stand.arrived[1].text) == {**body, "version": 7}


async def test_the_checks_of_send_have_their_order(stand: Stand) -> None:
    wrong: dict[str, str | None] = {"authorization": None, "user_id": None, "client_id": None}
    answers: list[Any] = []
    stranger = f"Bearer {stand.book.token(twitch_channels=['123456', 123654])}"
    mine = f"Bearer {stand.book.token()}"
    for change in (
        {}, {"authorization": "Bearer unknown"}, {"authorization": stranger},
        {"user_id": "1111111"}, {"authorization": mine, "user_id": CHANNEL}, {"client_id": "zzz"},
        {"client_id": CLIENT_ID},
    ):  # fmt: skip
        wrong |= change
        answer = await stand.send(raw=b"no JSON", **wrong)
        answers.append(told(answer))
        assert ("WWW-Authenticate" in answer.headers) is (answer.status_code == 401)
    assert [status for status, _ in answers] == [401, 401, 400, 403, 400, 400, 400]
    assert answers[2] == missing("X-Twitch-User-Id")
    assert answers[3][1] == {
        "error": "channel_not_allowed",
        "detail": "No permission for channel '1111111'",
        "available_channels": ["123456", "123654"],
    }
    assert answers[4] == missing("X-Twitch-Client-Id")
    assert answers[5][1] == {"detail": "Invalid Twitch Client ID: zzz"}
    assert list(answers[6][1]) == ["detail"]
    assert stand.arrived == []


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Basic dXNlcjpwdw==", "Bearer a b", "Bearer é", "x"],
)
async def test_what_is_no_bearer_token_is_refused_and_shown_to_nobody(
    stand: Stand, authorization: str
) -> None:
    headers: dict[Any, Any] = stand.headers() | {"Authorization": authorization.encode()}
    answer = await stand.http.post("/send/", headers=headers)
    assert (answer.status_code, stand.book.asked) == (401, [])


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_name_of_the_scheme_has_no_case(stand: Stand, scheme: str) -> None:
    answer = await stand.send(authorization=f"{scheme} {stand.book.token()}")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"more": 1}, {"type", "data"}),
        *(({"type": each, "data": {}}, {"type"}) for each in NO_TEXTS),
        *(({"type": "a", "data": each}, {"data"}) for each in NO_OBJECTS),
        *(({"type": "a", "data": {}, "version": each}, {"version"}) for each in NO_INTEGERS),
        ({"type": 1, "data": 1, "version": "x"}, {"type", "data", "version"}),
        *((each, {"non_field_errors"}) for each in NO_OBJECTS if each),
    ],
)
async def test_a_faulty_field_is_named_with_its_messages(
    stand: Stand, body: object, fields: set[str]
) -> None:
    status, found = told(await stand.send(body))
    assert status == 400
    assert found.keys() == fields
    for messages in found.values():
        assert messages
        assert all(isinstance(each, str) for each in messages)
    assert stand.arrived == []


@pytest.mark.parametrize("filler", ["x", "é", "𝄞", '"', "\\u0000"])
async def test_the_whole_envelope_has_five_kilobytes_of_utf8(stand: Stand, filler: str) -> None:
    fixed = len(json.dumps({"type": "t", "data": {"a": ""}, "version": 0}, separators=(",", ":")))
    text = json.loads(f'"{filler}"') if filler.startswith("\\") else filler
    each = len(json.dumps(text, ensure_ascii=False).encode()) - 2
    count, rest = divmod(LIMIT - fixed, each)
    fits = {"type": "t", "data": {"a": text * count + "." * rest}}
    assert (await stand.send(fits)).status_code == 200
    assert len(stand.arrived[0].text.encode()) == LIMIT
    fits["data"]["a"] += "."  # type: ignore[index]
    status, body = told(await stand.send(fits))
    assert (status, body["error"]) == (413, "message_too_large")
    assert (body["size"], body["limit"]) == (LIMIT + 1, LIMIT)
    assert len(stand.arrived) == 1


@pytest.mark.parametrize("status", [201, 202, 302, 304, 400, 401, 403, 404, 422, 500, 503])
async def test_whatever_else_twitch_answers_is_handed_on(stand: Stand, status: int) -> None:
    body = b"" if status == 304 else b'{"message": "no"}'
    order = Answer(status, body, {"Content-Type": "application/json;charset=UTF-8"})
    stand.twitch.spoil(CLIENT_ID, "message", order)
    assert told(await stand.send()) == (
        502,
        {
            "status": status,
            "content_type": "application/json;charset=UTF-8",
            "content": body.decode(),
        },
    )


async def test_an_answer_of_200_is_handed_on_as_such(stand: Stand) -> None:
    stand.twitch.spoil(CLIENT_ID, "message", Answer(200, b"done", {"Content-Type": "text/plain"}))
    assert told(await stand.send()) == (
        200,
        {"status": 200, "content_type": "text/plain", "content": "done"},
    )


async def test_no_answer_in_time_is_told_and_nothing_is_sent_again() -> None:
    async with new_stand(twitch_within=MOMENT) as stand:
        stand.twitch.spoil(CLIENT_ID, "message", "slow-done")
        assert told(await stand.send()) == (504, {"detail": "The Twitch API timed out."})
        await eventually(lambda: stand.arrived)
        stand.twitch.spoil(CLIENT_ID, "require", "slow-done")
        assert told(await stand.set_up()) == (504, {"detail": "The Twitch API timed out."})
        assert len(stand.arrived) == 1


@pytest.mark.parametrize("trouble", ["lost", "lost-done"])
async def test_a_connection_that_breaks_is_a_bad_upstream(stand: Stand, trouble: Any) -> None:  # noqa: ANN401
    stand.twitch.spoil(CLIENT_ID, "message", trouble)
    assert error(await stand.send()) == (502, "bad_upstream")
    assert len(stand.arrived) == (trouble == "lost-done")
    stand.twitch.spoil(CLIENT_ID, "require", trouble)
    assert error(await stand.set_up()) == (502, "bad_upstream")


async def test_a_twitch_that_is_not_there_is_a_bad_upstream(fresh: Stand) -> None:
    await fresh.twitch.__aexit__()
    assert error(await fresh.send()) == (502, "bad_upstream")
    assert error(await fresh.set_up()) == (502, "bad_upstream")


async def test_a_hundred_messages_are_sent_and_the_next_ones_when_there_is_room(
    fresh: Stand,
) -> None:
    good = f"Bearer {fresh.book.token(twitch_channels=[CHANNEL, '2222'])}"
    begin = time.monotonic()
    answers = [await fresh.send(authorization=good) for _ in range(110)]
    allowed = 100 + int(time.monotonic() - begin)
    assert 100 <= sum(each.status_code == 200 for each in answers) <= allowed
    assert answers[99].status_code == 200
    refused = [each for each in answers if each.status_code != 200]
    assert {error(each) for each in refused} == {(429, "rate_limited")}
    assert {each.headers["Retry-After"] for each in refused} == {"1"}
    assert (await fresh.send(authorization=good, user_id="2222")).status_code == 200
    assert len(fresh.book.asked) == 1
    assert all(call.status == 204 for call in fresh.twitch.calls)


async def test_a_limit_that_twitch_has_reached_holds_here_too(fresh: Stand) -> None:
    fresh.twitch.spoil(CLIENT_ID, "message", Answer(429))
    assert (await fresh.send()).status_code == 502
    assert error(await fresh.send()) == (429, "rate_limited")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"active": False}, 401),
        ({"active": "true"}, 401),
        ({"active": 1}, 401),
        ({"active": None}, 401),
        ({"exp": 1}, 401),
        ({"exp": None}, 200),
        ({"exp": "soon"}, 200),
        ({"exp": 10**400}, 200),
        ({"twitch_channels": None}, 403),
        ({"twitch_channels": []}, 403),
        ({"twitch_channels": {}}, 403),
        ({"twitch_channels": {CHANNEL: 1}}, 403),
        ({"twitch_channels": True}, 403),
        ({"twitch_channels": 1111}, 403),
        ({"twitch_channels": [True, None, [CHANNEL], {"id": CHANNEL}, 1111.0]}, 403),
        ({"twitch_channels": "11112 x1111"}, 403),
        ({"twitch_channels": ["11112", "111"]}, 403),
        ({"twitch_channels": "2222 1111"}, 200),
        ({"twitch_channels": [1111]}, 200),
    ],
)
async def test_a_token_is_worth_what_its_provider_says(
    stand: Stand, claims: dict[str, Any], status: int
) -> None:
    answer = await stand.send(authorization=f"Bearer {stand.book.token(**claims)}")
    assert told(answer)[0] == status
    assert len(stand.arrived) == (status == 200)


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 500, "raw": b"{}"},
        {"status": 401, "raw": b"{}"},
        {"status": 404, "raw": b"{}"},
        {"status": 302, "raw": b'{"active": true}'},
        {"status": 0, "raw": b"x"},
        {"raw": b"<html>"},
        {"raw": b"[]"},
        {"raw": b"\xff"},
        {"raw": b"[" * 60_000},
        {"raw": b'{"active": true, "twitch_channels": ["1111"], "x": "' + b"x" * 200_000 + b'"}'},
    ],
)
async def test_a_provider_that_cannot_tell_lets_nobody_in(
    stand: Stand, trouble: dict[str, Any]
) -> None:
    answer = await stand.send(authorization=f"Bearer {stand.book.token(**trouble)}")
    assert error(answer) == (503, "authorization_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert stand.arrived == []
    assert (await stand.send()).status_code == 200


async def test_a_provider_that_does_not_answer_in_time_lets_nobody_in() -> None:
    async with new_stand(provider_within=MOMENT) as stand:
        silent = stand.book.token(raw=b"")
        answer = await stand.send(authorization=f"Bearer {silent}")
        assert error(answer) == (503, "authorization_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert stand.arrived == []


async def test_a_good_token_is_asked_about_once_and_counts_as_long_as_it_lives(
    stand: Stand,
) -> None:
    token = stand.book.token(exp=int(time.time()) + 2)
    for _ in range(3):
        assert (await stand.send(authorization=f"Bearer {token}")).status_code == 200
    assert stand.book.asked == [token]
    while (answer := await stand.send(authorization=f"Bearer {token}")).status_code == 200:
        assert time.time() < json.loads(stand.book.told[token][1])["exp"] + 1
        await asyncio.sleep(0.1)  # within the rate limit
    assert answer.status_code == 401


async def test_who_has_no_secret_is_not_ready(stand: Stand) -> None:
    stand.serve(stand.secret(ends=-1))
    for answer in (await stand.send(), await stand.set_up()):
        assert error(answer) == (503, "extension_not_ready")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_an_extension_without_a_provider_lets_nobody_in(stand: Stand) -> None:
    stand.serve(oauth=None)
    assert (await stand.send()).status_code == 401
    assert (await stand.set_up()).status_code == 200


# /setup/


async def test_a_setup_marks_the_channel(stand: Stand) -> None:
    answer = await stand.set_up(version="2.0.1")
    assert answer.status_code == 200
    assert stand.required == {CHANNEL: ("2.0.1", REQUIRED)}


async def test_the_checks_of_setup_have_their_order(stand: Stand) -> None:
    headers: dict[str, str | None] = {"user_id": None, "client_id": None, "version": None}
    claims: dict[str, Any] = {
        "exp": int(time.time()) - 60, "user_id": None, "role": None, "is_unlinked": True,
    }  # fmt: skip
    found: list[Any] = []

    async def ask(authorization: str | None) -> None:
        headers["authorization"] = authorization
        answer = await stand.http.post("/setup/", headers=stand.headers(**headers))
        status, body = told(answer)
        found.append((status, body.get("error") or body["detail"]))

    await ask(None)
    await ask("Basic x")
    await ask("Bearer junk")
    for client_id in ("zzz", CLIENT_ID):
        headers["client_id"] = client_id
        await ask("Bearer junk")
    for change in (
        {}, {"exp": int(time.time()) + 60}, {"role": "viewer"}, {"user_id": CHANNEL},
        {"role": "broadcaster"}, {"is_unlinked": False},
    ):  # fmt: skip
        claims |= change
        await ask(f"Bearer {stand.helper(**claims)}")
    for user_id in ("2222", CHANNEL):
        headers["user_id"] = user_id
        await ask(f"Bearer {stand.helper(**claims)}")
    headers["version"] = VERSION
    assert found == [
        (403, "invalid_authorization"),
        (403, "invalid_authorization"),
        (400, "Missing X-Twitch-Client-Id header"),
        (400, "Invalid Twitch Client ID: zzz"),
        (403, "invalid_jwt"),
        (403, "expired_signature"),
        (403, "missing_payload_key"),
        (403, "missing_payload_key"),
        (403, "unauthorized_role"),
        (403, "account_not_linked"),
        (400, "Missing X-Twitch-User-Id header"),
        (403, "channel_not_allowed"),
        (400, "Missing X-Twitch-Extension-Version header"),
    ]
    assert stand.required == {}


@pytest.mark.parametrize("name", ["user_id", "channel_id", "role"])
async def test_each_key_of_the_payload_is_needed(stand: Stand, name: str) -> None:
    assert error(await stand.set_up(jwt=stand.helper(**{name: None}))) == (
        403,
        "missing_payload_key",
    )


@pytest.mark.parametrize("role", ["moderator", "viewer", "external", "", "Broadcaster"])
async def test_nobody_but_the_broadcaster_sets_it_up(stand: Stand, role: str) -> None:
    assert error(await stand.set_up(jwt=stand.helper(role=role))) == (403, "unauthorized_role")


async def test_another_channel_than_the_tokens_is_not_allowed(stand: Stand) -> None:
    assert told(await stand.set_up(user_id="2222")) == (
        403,
        {
            "error": "channel_not_allowed",
            "detail": "No permission for channel '2222'",
            "available_channels": [CHANNEL],
        },
    )


@pytest.mark.parametrize("status", [300, 302, 400, 401, 404, 500])
@pytest.mark.parametrize("content", [b'{"message": "no", "n": [1]}', b"<p>no</p>", b""])
async def test_a_twitch_that_does_not_take_it_is_a_bad_upstream(
    stand: Stand, status: int, content: bytes
) -> None:
    stand.twitch.spoil(CLIENT_ID, "require", Answer(status, content))
    data = json.loads(content) if content.startswith(b"{") else content.decode()
    assert told(await stand.set_up()) == (
        502,
        {
            "error": "bad_upstream",
            "detail": "Unexpected response from Twitch API.",
            "upstream_status_code": status,
            "upstream_data": data,
        },
    )


async def test_helper_tokens_count_by_any_secret_that_has_not_ended_and_was_not_revoked(
    stand: Stand,
) -> None:
    current, previous, pending, ended = (stand.secret(new_text()) for _ in range(4))
    revoked = stand.secret(new_text())
    now = time.time()
    pending = replace(pending, active=now + 300)
    ended = replace(ended, expires=now - 1)
    previous = replace(previous, expires=now + 60)
    revoked = replace(revoked, revoked=True)
    stand.serve(stand.secret(ends=2e6), current, previous, pending, ended, revoked)
    claims = {"exp": now + 60, "user_id": CHANNEL, "channel_id": CHANNEL, "role": "broadcaster"}
    found = []
    for secret in (current, previous, pending, ended, revoked):
        key = base64.b64decode(secret.content.reveal())
        answer = await stand.set_up(jwt=jwt.encode(claims, key, algorithm="HS256"))
        found.append(answer.status_code)
    assert found == [200, 200, 200, 403, 403]


# Both


@pytest.mark.parametrize("path", ["/send", "/setup"])
async def test_a_path_does_without_the_slash_at_its_end(stand: Stand, path: str) -> None:
    token = stand.helper() if path == "/setup" else stand.book.token()
    headers = stand.headers(authorization=f"Bearer {token}", version=VERSION)
    for form in (path, f"{path}/", f"{path}?x=1"):
        answer = await stand.http.post(form, headers=headers, json={"type": "t", "data": {}})
        assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/SEND/", "/send/x", "//send/", "/send//", "/setup.php"])
async def test_other_paths_are_not_found(stand: Stand, path: str) -> None:
    answer = await stand.http.post(stand.url + path, headers=stand.headers(), json={})
    assert told(answer)[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods_are_not_allowed(stand: Stand, method: str) -> None:
    for path in ("/send/", "/send", "/setup/"):
        answer = await stand.http.request(method, path, headers=stand.headers())
        assert told(answer)[0] == 405
        assert "POST" in answer.headers["Allow"]
    assert (await stand.http.head("/send/")).status_code == 405


async def test_scripts_of_the_allowed_origins_may_call_and_no_others(stand: Stand) -> None:
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-twitch-client-id",
    }
    for path in ("/send/", "/setup"):
        may = await stand.http.options(path, headers={"Origin": ORIGIN, **asks})
        assert may.is_success
        assert may.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in may.headers["Vary"]
        allowed = may.headers["Access-Control-Allow-Headers"].lower()
        assert all(name in allowed for name in asks["Access-Control-Request-Headers"].split(","))
        for origin in ("https://evil.example", "null", ORIGIN + ".evil.example", ORIGIN + ":1"):
            other = await stand.http.options(path, headers={"Origin": origin, **asks})
            assert "Access-Control-Allow-Origin" not in other.headers
            headers = stand.headers() | {"Origin": origin}
            answer = await stand.http.post(path, headers=headers)
            assert "Access-Control-Allow-Origin" not in answer.headers
    headers = stand.headers() | {"Origin": ORIGIN}
    for changes in ({}, {"Authorization": "none"}):
        answer = await stand.http.post("/send/", headers=headers | changes)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def another(stand: Stand, **fields: Any) -> Endpoint:  # noqa: ANN401 - of any field
    """A second extension beside the first."""
    first = stand.catalog.find(CLIENT_ID)
    assert first is not None
    second = replace(first, key=Key(EXTENSION, "tv", "other"), client_id="second", **fields)
    stand.catalog.replace([first, second])
    return second


async def test_an_origin_counts_for_its_own_extension_alone(stand: Stand) -> None:
    theirs = "https://second.ext-twitch.tv"
    another(stand, allowed_origins=frozenset({theirs}))
    for client_id, origin, allowed in (
        (CLIENT_ID, ORIGIN, True), (CLIENT_ID, theirs, False),
        ("second", theirs, True), ("second", ORIGIN, False),
    ):  # fmt: skip
        headers = stand.headers(client_id=client_id) | {"Origin": origin}
        answer = await stand.http.post("/send/", headers=headers, json={})
        assert ("Access-Control-Allow-Origin" in answer.headers) is allowed


async def test_a_token_is_shown_to_the_provider_of_its_extension_alone(stand: Stand) -> None:
    elsewhere = replace(stand.provider, introspection_url="http://127.0.0.1:9/nobody")
    another(stand, oauth=elsewhere)
    assert (await stand.send(client_id="second")).status_code == 503
    for client_id in ("third", None):
        answer = await stand.send(client_id=client_id)
        assert answer.status_code == 400
        assert "Client" in answer.json()["detail"]
    assert (await stand.send(client_id="third", authorization=None)).status_code == 401
    assert stand.book.asked == []
    assert (await stand.send()).status_code == 200


async def test_a_request_keeps_its_id_or_gets_one(stand: Stand) -> None:
    for wanted in ("abc-1.2_3", "x" * 128):
        answer = await stand.http.post("/send/", headers={"X-Request-Id": wanted})
        assert answer.headers["X-Request-Id"] == wanted
    made = set()
    for wanted in ("x" * 129, "a b", "a;b", "<x>", ""):
        answer = await stand.http.get("/nowhere", headers={"X-Request-Id": wanted})
        assert answer.headers["X-Request-Id"] not in {wanted, ""}
        made.add(answer.headers["X-Request-Id"])
    assert len(made) == 5
