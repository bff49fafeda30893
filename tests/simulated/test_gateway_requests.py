"""What all routes of the gateway share: ids, CORS, metrics, log lines, and their description."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.extensionapp import EXTENSION
from controller.runtime.resource import Key
from tests.simulated.gateway_world import ORIGIN, World, helper_token, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OTHER_ORIGIN = "https://other.ext-twitch.tv"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as world:
        world.serve(
            replace(
                world.served,
                key=Key(EXTENSION, "others", "other"),
                client_id="other",
                allowed_origins=frozenset({OTHER_ORIGIN}),
            )
        )
        yield world


async def test_a_request_id_is_taken_over(world: World) -> None:
    response = await world.send(X_Request_Id="a.b-C_1")
    assert response.headers["X-Request-Id"] == "a.b-C_1"


@pytest.mark.parametrize("given", [None, "a b", "a\tb", "ä", "x" * 129, "a;b"])
async def test_a_request_id_is_made_where_there_is_no_good_one(
    world: World, given: str | None
) -> None:
    headers = [(b"X-Request-Id", given.encode("latin-1"))] if given else []
    response = await world.client.get("/", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])


async def test_each_request_is_told_in_a_line_without_what_it_carries(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "controller")
    token = helper_token()
    await world.send({"type": "kings", "data": {"ace": "of spades"}}, X_Request_Id="this-one")
    await world.setup(token)
    await world.setup(token + "x")
    [line] = [r.getMessage() for r in caplog.records if "this-one" in r.getMessage()]
    assert re.fullmatch(
        r"POST /send/ 200 in [\d.]+ ms, extension games/deck-tracker, request this-one", line
    )
    for secret in ("good", token, "kings", "spades"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/send/", 405),
        ("PUT", "/setup", 405),
        ("HEAD", "/send/", 405),
        ("OPTIONS", "/send/", 405),
        ("POST", "/", 404),
        ("POST", "/send//", 404),
        ("GET", "/redoc", 404),
    ],
)
async def test_other_paths_and_methods_are_refused_in_json(
    world: World, method: str, path: str, status: int
) -> None:
    response = await world.client.request(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert method == "HEAD" or list(response.json()) == ["detail"]
    if status == 405:
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, True), (OTHER_ORIGIN, False)])
async def test_scripts_of_the_extensions_own_origins_may_see_its_answers(
    world: World, origin: str, allowed: bool
) -> None:
    for response in (await world.send(Origin=origin), await world.setup("bad", Origin=origin)):
        assert response.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in response.headers
        shown = response.headers.get("Access-Control-Allow-Origin")
        assert shown == (origin if allowed else None)


async def test_scripts_of_any_known_origin_may_see_that_the_extension_is_unknown(
    world: World,
) -> None:
    response = await world.send(X_Twitch_Client_Id="x", Origin=OTHER_ORIGIN)
    assert response.headers["Access-Control-Allow-Origin"] == OTHER_ORIGIN
    response = await world.send(X_Twitch_Client_Id="x", Origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_preflight_is_answered_for_known_origins(world: World) -> None:
    wanted = "authorization,content-type,x-twitch-client-id,x-twitch-user-id"
    for origin in (ORIGIN, OTHER_ORIGIN):
        response = await world.client.options(
            "/send/",
            headers={"Origin": origin, "Access-Control-Request-Headers": wanted, **PREFLIGHT},
        )
        assert response.status_code == 200
        assert response.headers.get_list("Access-Control-Allow-Origin") == [origin]
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert "x-twitch-user-id" in response.headers["Access-Control-Allow-Headers"].lower()


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "*", ORIGIN + ":8443"])
async def test_a_preflight_of_another_origin_is_refused(world: World, origin: str) -> None:
    response = await world.client.options("/send/", headers={"Origin": origin, **PREFLIGHT})
    assert response.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers


def samples(world: World, name: str) -> dict[str, float]:
    found = re.findall(rf"^twitch_operator_gateway_{name}\{{(.*)\}} (\S+)$", world.exposed(), re.M)
    return {labels: float(value) for labels, value in found}


async def test_requests_are_counted_by_route_status_and_extension(world: World) -> None:
    await world.send()
    await world.send(b"{")
    await world.setup("bad")
    await world.client.get("/nothing")
    counted = samples(world, "requests_total")
    assert counted['extension="games/deck-tracker",route="/send/",status="503"'] == 0
    assert {labels: value for labels, value in counted.items() if value} == {
        'extension="games/deck-tracker",route="/send/",status="200"': 1,
        'extension="games/deck-tracker",route="/send/",status="400"': 1,
        'extension="games/deck-tracker",route="/setup/",status="403"': 1,
        'extension="unknown",route="other",status="404"': 1,
    }
    assert samples(world, "upstream_seconds_count") == {
        'call="pubsub"': 1,
        'call="required_configuration"': 0,
    }
    assert samples(world, "authorizations_total")['result="Accepted"'] == 2
    assert "twitch_operator_gateway_requests_in_flight 0.0" in world.exposed()


async def test_metrics_do_not_grow_with_client_ids_paths_or_methods(world: World) -> None:
    await world.send(X_Twitch_Client_Id="x")
    await world.client.request("GET", "/first")
    before = len(world.exposed().splitlines())
    for number in range(300):
        await world.send(X_Twitch_Client_Id=f"client-{number}")
        await world.client.request(f"M{number}", f"/path-{number}")
    assert len(world.exposed().splitlines()) <= before + 1  # a method that no route has: 405


async def test_a_fault_of_the_gateway_itself_is_an_answer_in_json(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        msg = "broken"
        raise LookupError(msg)

    world.app.add_api_route("/broken", broken)
    response = await world.client.get("/broken", headers={"X-Request-Id": "this-one"})
    assert response.status_code == 500
    assert "this-one" in response.json()["detail"]
    assert "LookupError" in caplog.text
    assert samples(world, "requests_total")['extension="unknown",route="other",status="500"'] == 1


async def test_a_client_that_goes_before_its_body_came_leaves_no_trace_of_a_fault(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's own
        pytest.fail(f"nobody is there: {message}")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/send/",
        "query_string": b"",
        "headers": [(n.lower().encode(), v.encode()) for n, v in world.good().items()],
    }
    await world.app(scope, receive, send)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    labels = 'extension="games/deck-tracker",route="/send/",status="499"'
    assert samples(world, "requests_total")[labels] == 1


async def test_the_docs_load_nothing_from_elsewhere(world: World) -> None:
    response = await world.client.get("/docs")
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "<script" not in response.text
    assert "//" not in response.text.replace("<!doctype html>", "")
    for text in ("/send/", "/setup/", "X-Twitch-User-Id", "channel_not_allowed", "429"):
        assert text in response.text


async def test_openapi_names_every_header_and_answer(world: World) -> None:
    document = (await world.client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/send/", "/setup/"}
    send, setup = (document["paths"][path]["post"] for path in ("/send/", "/setup/"))
    assert set(send["responses"]) == {
        "200", "400", "401", "403", "413", "429", "502", "503", "504"
    }  # fmt: skip
    assert set(setup["responses"]) == {"200", "400", "403", "502", "503", "504"}
    assert {each["name"] for each in setup["parameters"]} == {
        "X-Twitch-Client-Id",
        "X-Twitch-User-Id",
        "X-Twitch-Extension-Version",
    }
    assert set(document["components"]["securitySchemes"]) == {"oauth2Token", "helperToken"}
    body = send["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["type", "data"]
