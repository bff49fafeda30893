"""The /_sandbox endpoints do for another process what the Python methods do for this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.sandbox.twitch import TwitchSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def twitch() -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator() as simulator:
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{twitch.url}/_sandbox", verify=False, trust_env=False
    ) as client:
        await ask(client, "/apps", client_id="client", client_secret="s3cret")
        await ask(client, "/broadcasters", login="MST3K", broadcaster_id="642998111")
        yield client


async def ask(http: httpx.AsyncClient, path: str, /, **body: Any) -> Any:  # noqa: ANN401
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def helix(
    twitch: TwitchSimulator, http: httpx.AsyncClient, token: str, length: int = 30
) -> httpx.Response:
    return await http.post(
        f"{twitch.helix_url}/channels/commercial?token=in-the-query",
        json={"broadcaster_id": "642998111", "length": length, "refresh_token": ["in-the-body"]},
        headers={"Authorization": f"Bearer {token}", "Client-Id": "client"},
    )


async def test_the_index_lists_every_endpoint_with_its_fields(http: httpx.AsyncClient) -> None:
    index = (await http.get("")).json()
    listed = {(one["method"], one["path"]): one for one in index["endpoints"]}
    assert ("GET", "/_sandbox/requests") in listed
    fault = listed["POST", "/_sandbox/faults"]
    assert {"path", "status", "drop", "when"} <= set(fault["body"])
    assert all(one["does"] for one in index["endpoints"])
    assert index["options"]["cooldown"] == 480


async def test_commercials_are_listed(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    consent = await ask(http, "/broadcasters/mst3k/consent", client_id="client")
    await helix(twitch, http, consent["access_token"], 200)
    await ask(http, "/ads", login="mst3k", length=60)
    listed = (await http.get("/commercials", params={"login": "mst3k"})).json()
    assert listed["total"] == 2
    shown = [(one["requested"], one["ran"], one["source"]) for one in listed["commercials"]]
    assert shown == [(200, 180, "api"), (60, 60, "twitch")]
    assert listed["commercials"][0]["start"] == twitch.commercials[0].start
    one = (await http.get("/commercials", params={"limit": 1})).json()
    assert [commercial["ran"] for commercial in one["commercials"]] == [60]
    assert (await http.get("/commercials", params={"login": "x"})).json()["commercials"] == []


async def test_requests_are_shown_without_credentials(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    consent = await ask(http, "/broadcasters/mst3k/consent", client_id="client")
    await helix(twitch, http, consent["access_token"])
    fields = {
        "client_id": "client",
        "client_secret": "s3cret",
        "grant_type": "refresh_token",
        "refresh_token": consent["refresh_token"],
    }
    await http.post(f"{twitch.identity_url}/token", data=fields)
    await http.post(f"{twitch.identity_url}/token", content=b"client_secret=s3cret")
    answer = await http.get("/requests")
    shown = answer.json()
    assert shown["total"] == 3
    commercial, refresh, unreadable = shown["requests"]
    assert commercial["headers"]["authorization"] == "Bearer ***"
    assert commercial["headers"]["client-id"] == "client"
    assert commercial["query"] == [["token", "***"]]
    assert commercial["body"] == {
        "broadcaster_id": "642998111",
        "length": 30,
        "refresh_token": "***",
    }
    assert (commercial["login"], commercial["status"]) == ("mst3k", 200)
    assert refresh["body"] == fields | {"client_secret": "***", "refresh_token": "***"}
    assert refresh["login"] == "mst3k"
    assert unreadable["body"] == "(20 bytes that are neither a form nor JSON)"
    for secret in ("s3cret", "in-the", consent["access_token"], consent["refresh_token"]):
        assert secret not in answer.text
    assert b"s3cret" in twitch.calls(path="/oauth2/token")[0].body


async def test_requests_can_be_chosen_and_forgotten(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    await http.get(f"{twitch.identity_url}/validate")
    await http.get(f"{twitch.helix_url}/users")
    found = (await http.get("/requests", params={"path": "/helix/users"})).json()
    assert [one["status"] for one in found["requests"]] == [401]
    assert (await http.get("/requests", params={"method": "POST"})).json()["requests"] == []
    assert (await http.get("/requests", params={"limit": "all"})).status_code == 400
    assert (await http.delete("/requests")).json() == {"forgotten": 2}
    assert (await http.get("/requests")).json() == {"total": 0, "requests": []}


async def test_faults_are_ordered_listed_and_taken_back(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    first = await ask(http, "/faults", path="/helix/users", status=500, times=None)
    await ask(http, "/faults", path="/helix/streams", drop=True)
    assert (await http.get(f"{twitch.helix_url}/users")).status_code == 500
    listed = (await http.get("/faults")).json()
    assert [(one["path"], one["hits"]) for one in listed] == [
        ("/helix/users", 1),
        ("/helix/streams", 0),
    ]
    assert (await http.delete(f"/faults/{first['id']}")).json() == {"cleared": 1}
    assert (await http.delete(f"/faults/{first['id']}")).status_code == 404
    assert (await http.delete("/faults")).json() == {"cleared": 1}
    assert (await http.get(f"{twitch.helix_url}/users")).status_code == 401


async def test_a_fault_never_strikes_the_control_endpoints(http: httpx.AsyncClient) -> None:
    await ask(http, "/faults", status=500, times=None)
    assert (await http.get("/faults")).status_code == 200


async def test_a_broadcasters_life_can_be_played(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    one = "/broadcasters/mst3k"
    consent = await ask(http, f"{one}/consent", client_id="client", scopes=["channel:read:ads"])
    assert consent["scopes"] == ["channel:read:ads"]
    assert await ask(http, f"{one}/expire") == {"access_tokens_ended": 1}
    assert await ask(http, f"{one}/disconnect", client_id="client") == {"grants_ended": 1}
    await ask(http, f"{one}/consent", client_id="client")
    assert await ask(http, f"{one}/password") == {"grants_ended": 1}
    assert (await ask(http, f"{one}/live", live=False))["live"] is False
    assert (await ask(http, f"{one}/type", broadcaster_type=""))["broadcaster_type"] == ""
    key = (await ask(http, f"{one}/stream-key"))["stream_key"]
    assert (await ask(http, f"{one}/schedule", next_ad_at=1.7e9))["next_ad_at"] == 1.7e9
    assert (await ask(http, f"{one}/rename", login="mst4k"))["login"] == "mst4k"
    assert await ask(http, "/broadcasters/mst4k/sign-in") == {"signed_in": "mst4k"}
    assert await ask(http, "/sign-out") == {"signed_in": None}
    listing = await http.get("/broadcasters")
    assert key not in listing.text
    listed = listing.json()
    assert [(user["login"], user["display_name"]) for user in listed] == [("mst4k", "MST3K")]
    assert twitch.channels.named("mst4k").live_since is None


async def test_apps_are_listed_without_their_secret(http: httpx.AsyncClient) -> None:
    answer = await http.get("/apps")
    assert [(app["client_id"], app["public"]) for app in answer.json()] == [("client", False)]
    assert "s3cret" not in answer.text
    renewed = await ask(http, "/apps/client/secret")
    assert renewed["client_secret"] != "s3cret"


@pytest.mark.parametrize(
    ("order", "body", "message"),
    [("", {"login": "mst3k"}, None), ("/deny", {}, "access_denied")],
)
async def test_a_device_is_approved_or_denied_once(
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    order: str,
    body: dict[str, str],
    message: str | None,
) -> None:
    device = await http.post(f"{twitch.identity_url}/device", data={"client_id": "client"})
    path = f"/devices/{device.json()['user_code']}{order}"
    assert await ask(http, path, **body) == {"login": body.get("login")}
    assert (await http.post(path, json=body)).status_code == 404
    fields = {
        "client_id": "client",
        "device_code": device.json()["device_code"],
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    }
    answer = await http.post(f"{twitch.identity_url}/token", data=fields)
    assert answer.json().get("message") == message


async def test_options_change_while_it_runs(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    changed = await ask(http, "/options", cooldown=2, ad_times="rfc3339")
    assert (changed["cooldown"], changed["ad_times"], changed["rate_limit"]) == (2, "rfc3339", 800)
    assert twitch.options.cooldown == 2
    assert (await http.get("/options")).json() == changed


@pytest.mark.parametrize(
    ("path", "body", "status", "names"),
    [
        ("/faults", {}, 400, "does nothing"),
        ("/faults", {"status": 500, "colour": 1}, 400, "colour"),
        ("/options", {"cooldown": -1}, 400, "cooldown"),
        ("/broadcasters", {"login": "mst3k"}, 409, "mst3k"),
        ("/broadcasters", {"login": "new", "broadcaster_id": "642998111"}, 409, "642998111"),
        ("/broadcasters", {"login": "new", "broadcaster_type": "star"}, 400, "broadcaster_type"),
        ("/apps", {"client_id": "client"}, 409, "client"),
        ("/broadcasters/nobody/live", {}, 404, "nobody"),
        ("/broadcasters/mst3k/consent", {"client_id": "nobody"}, 404, "nobody"),
        ("/broadcasters/mst3k/consent", {}, 400, "client_id"),
        ("/broadcasters/a/b/live", {}, 404, "GET /_sandbox lists"),
        ("/devices/ABCDEFGH", {"login": "mst3k"}, 404, "ABCDEFGH"),
        ("/devices/ABCDEFGH/deny", {}, 404, "ABCDEFGH"),
        ("/options", {"device_interval": 0}, 400, "device_interval"),
        (
            "/broadcasters/mst3k/password",
            {"colour": 1},
            400,
            "colour: unknown; this order takes no",
        ),
        ("/broadcasters/mst3k/live?colour=1", {}, 400, "query parameter colour: unknown; this"),
    ],
)
async def test_a_mistake_is_named(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], status: int, names: str
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == status
    assert names in answer.json()["error"]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 10_000, b"[]"])
async def test_a_body_that_is_no_json_object_is_named(
    http: httpx.AsyncClient, content: bytes
) -> None:
    answer = await http.post("/faults", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_a_query_parameter_that_is_not_known_is_named(http: httpx.AsyncClient) -> None:
    answer = await http.get("/commercials?logn=mst3k&limit=1")
    assert answer.status_code == 400
    assert answer.json()["error"] == "query parameter logn: unknown; there are login, limit"
    assert (await http.get("/commercials?login=mst3k&limit=1")).status_code == 200


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({"cooldown": "x"}, "cooldown: must be a number"),
        ({"cooldown": -1}, "cooldown: must be greater than or equal to 0"),
        ({"cooldown_status": 401}, "cooldown_status: must be 400, 403 or 429"),
        ({"token_lifetime": []}, "token_lifetime: must be a whole number"),
    ],
)
async def test_a_wrong_value_is_told_without_words_of_the_library(
    http: httpx.AsyncClient, order: dict[str, Any], told: str
) -> None:
    answer = await http.post("/options", json=order)
    assert (answer.status_code, answer.json()["error"]) == (400, told)
