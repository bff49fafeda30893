"""The simulated api.twitch.tv/helix, called over HTTP: headers, limits, users, streams, ads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from controller.sandbox.twitch import TwitchSimulator
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 1_700_000_000.0


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(clock=clock) as simulator:
        simulator.add_app("client", "s3cret")
        simulator.add_app("other")
        simulator.add_broadcaster("mst3k", broadcaster_id="642998111", display_name="MST3K")
        simulator.add_broadcaster("deck", broadcaster_type="affiliate", live=False)
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    token = twitch.consent("mst3k", "client").access_token
    headers = {"Authorization": f"Bearer {token}", "Client-Id": "client"}
    async with httpx.AsyncClient(
        base_url=twitch.helix_url, headers=headers, verify=False, trust_env=False
    ) as client:
        yield client


async def app_token(twitch: TwitchSimulator) -> dict[str, str]:
    app = twitch.grants.named_app("client")
    return {"Authorization": f"Bearer {twitch.grants.app_token(app, twitch.clock()).access_token}"}


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "status", "message"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["message"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Authorization": ""}, "OAuth token is missing"),
        ({"Authorization": "OAuth abc"}, "OAuth token is missing"),
        ({"Client-Id": ""}, "Client ID is missing"),
        ({"Authorization": "Bearer made-up"}, "Invalid OAuth token"),
        ({"Client-Id": "other"}, "Client ID and OAuth token do not match"),
    ],
)
async def test_both_headers_are_checked(
    http: httpx.AsyncClient, changes: dict[str, str], message: str
) -> None:
    answer = await http.get("/users", headers=changes)
    assert refused(answer) == (401, message)
    assert answer.json()["error"] == "Unauthorized"
    assert answer.headers["Ratelimit-Limit"] == "800"


async def test_an_unknown_path_is_not_found(http: httpx.AsyncClient) -> None:
    assert refused(await http.get("/channels/commercial")) == (404, "")
    assert refused(await http.get("/users/")) == (404, "")


async def test_every_answer_counts_down_the_points(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.rate_limit = 3
    for left in ("2", "1", "0"):
        answer = await http.get("/users")
        assert answer.status_code == 200
        assert answer.headers["Ratelimit-Limit"] == "3"
        assert answer.headers["Ratelimit-Remaining"] == left
    empty = await http.get("/users")
    assert refused(empty)[0] == 429
    assert empty.headers["Ratelimit-Remaining"] == "0"
    assert int(empty.headers["Ratelimit-Reset"]) == START + 60
    clock.now += 20
    assert (await http.get("/users")).status_code == 200
    assert (await http.get("/users")).status_code == 429


async def test_users_and_the_app_have_buckets_of_their_own(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.rate_limit = 1
    other = {"Authorization": f"Bearer {twitch.consent('deck', 'client').access_token}"}
    assert (await http.get("/users")).status_code == 200
    assert (await http.get("/users")).status_code == 429
    assert (await http.get("/users", headers=other)).status_code == 200
    app = await app_token(twitch)
    assert (await http.get("/streams", headers=app)).status_code == 200


async def test_users_without_a_query_is_the_tokens_own_user(http: httpx.AsyncClient) -> None:
    answer = await http.get("/users")
    (user,) = answer.json()["data"]
    assert (user["id"], user["login"], user["display_name"]) == ("642998111", "mst3k", "MST3K")
    assert (user["type"], user["broadcaster_type"]) == ("", "partner")


async def test_users_are_found_by_id_and_login_once_each(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    query = {"login": ["DECK", "mst3k"], "id": ["642998111", "1"]}
    answer = await http.get("/users", params=query)
    assert [user["login"] for user in answer.json()["data"]] == ["mst3k", "deck"]
    twitch.rename("deck", "deck_tracker")
    assert (await http.get("/users", params={"login": "deck"})).json() == {"data": []}


async def test_users_takes_at_most_100_names(http: httpx.AsyncClient) -> None:
    assert (await http.get("/users", params={"id": ["1"] * 100})).status_code == 200
    assert refused(await http.get("/users", params={"id": ["1"] * 101}))[0] == 400


async def test_an_app_token_has_no_own_user(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    app = await app_token(twitch)
    assert refused(await http.get("/users", headers=app))[0] == 400
    named = await http.get("/users", headers=app, params={"login": "deck"})
    assert named.json()["data"][0]["broadcaster_type"] == "affiliate"


async def test_a_broadcaster_of_neither_kind_has_an_empty_type(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.set_type("mst3k", "")
    assert (await http.get("/users")).json()["data"][0]["broadcaster_type"] == ""


async def test_streams_lists_who_is_live(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    off_air = await http.get("/streams", params={"user_login": "deck"})
    assert off_air.json() == {"data": [], "pagination": {}}
    clock.now += 90
    twitch.set_live("deck")
    (stream,) = (await http.get("/streams", params={"user_login": "deck"})).json()["data"]
    assert stream["type"] == "live"
    assert stream["started_at"] == "2023-11-14T22:14:50Z"
    clock.now += 90
    twitch.set_live("deck")
    (same,) = (await http.get("/streams", params={"user_login": "deck"})).json()["data"]
    assert same == stream
    twitch.set_live("deck", False)
    everyone = (await http.get("/streams")).json()["data"]
    assert [one["user_login"] for one in everyone] == ["mst3k"]


async def test_a_new_stream_has_a_new_id(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    first = (await http.get("/streams")).json()["data"][0]["id"]
    twitch.set_live("mst3k", False)
    twitch.set_live("mst3k", True)
    assert (await http.get("/streams")).json()["data"][0]["id"] != first


async def test_a_hundred_ids_come_in_pages_of_twenty_unless_told(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    ids = [twitch.add_broadcaster(f"channel{n}").id for n in range(100)]
    assert len((await http.get("/streams", params={"user_id": ids})).json()["data"]) == 20
    whole = (await http.get("/streams", params={"user_id": ids, "first": 100})).json()
    assert [stream["user_id"] for stream in whole["data"]] == ids
    assert whole["pagination"] == {}
    seen: list[str] = []
    query: dict[str, str | int | list[str]] = {"user_id": ids, "first": 30}
    while True:
        page = (await http.get("/streams", params=query)).json()
        seen += [stream["user_id"] for stream in page["data"]]
        if not page["pagination"]:
            break
        query["after"] = page["pagination"]["cursor"]
    assert seen == ids


@pytest.mark.parametrize(
    "query", [{"user_id": ["1"] * 101}, {"first": "0"}, {"first": "101"}, {"first": "x"}]
)
async def test_streams_refuses_what_is_too_many(
    http: httpx.AsyncClient, query: dict[str, str | list[str]]
) -> None:
    assert refused(await http.get("/streams", params=query))[0] == 400


ADS = {"broadcaster_id": "642998111"}


async def test_ads_before_any_ad_are_zeros(http: httpx.AsyncClient) -> None:
    assert (await http.get("/channels/ads", params=ADS)).json() == {
        "data": [
            {
                "snooze_count": 3,
                "snooze_refresh_at": 0,
                "next_ad_at": 0,
                "duration": 0,
                "last_ad_at": 0,
                "preroll_free_time": 0,
            }
        ]
    }


async def test_ads_tell_the_last_ad_and_the_plan(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    clock.now += 10.7
    twitch.start_ad("mst3k", 30)
    twitch.schedule_ad(
        "mst3k", START + 900, duration=60, snooze_count=2, snooze_refresh_at=START + 300
    )
    clock.now += 100
    (data,) = (await http.get("/channels/ads", params=ADS)).json()["data"]
    assert data == {
        "snooze_count": 2,
        "snooze_refresh_at": START + 300,
        "next_ad_at": START + 900,
        "duration": 60,
        "last_ad_at": START + 10,
        "preroll_free_time": 500,
    }
    assert all(isinstance(value, int) for value in data.values())


async def test_ads_of_a_channel_off_air_have_no_times(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.start_ad("mst3k", 30)
    twitch.set_live("mst3k", False)
    (data,) = (await http.get("/channels/ads", params=ADS)).json()["data"]
    assert data["last_ad_at"] == 0


async def test_ad_times_may_be_text(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    twitch.options.ad_times = "rfc3339"
    twitch.start_ad("mst3k", 30)
    (data,) = (await http.get("/channels/ads", params=ADS)).json()["data"]
    assert data["last_ad_at"] == "2023-11-14T22:13:20Z"
    assert data["next_ad_at"] == ""


async def test_ads_need_their_scope_and_the_own_channel(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    assert refused(await http.get("/channels/ads")) == (
        400,
        'Missing required parameter "broadcaster_id"',
    )
    assert refused(await http.get("/channels/ads", params={"broadcaster_id": "1"}))[0] == 401
    narrow = twitch.consent("mst3k", "client", ["channel:edit:commercial"]).access_token
    answer = await http.get(
        "/channels/ads", params=ADS, headers={"Authorization": f"Bearer {narrow}"}
    )
    assert refused(answer) == (401, "Missing scope: channel:read:ads")


async def test_an_app_token_reads_ads_where_the_user_agreed(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    app = await app_token(twitch)
    assert (await http.get("/channels/ads", params=ADS, headers=app)).status_code == 200
    twitch.disconnect("mst3k", "client")
    answer = await http.get("/channels/ads", params=ADS, headers=app)
    assert refused(answer) == (401, "Missing scope: channel:read:ads")


def key_reader(twitch: TwitchSimulator, login: str = "mst3k") -> dict[str, str]:
    token = twitch.consent(login, "client", ["channel:read:stream_key"]).access_token
    return {"Authorization": f"Bearer {token}"}


async def test_a_stream_key_is_good_until_it_is_reset(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    headers = key_reader(twitch)
    first = (await http.get("/streams/key", params=ADS, headers=headers)).json()
    assert first == {"data": [{"stream_key": twitch.channels.named("mst3k").stream_key}]}
    assert first["data"][0]["stream_key"].startswith("live_642998111_")
    again = (await http.get("/streams/key", params=ADS, headers=headers)).json()
    assert again == first
    reset = twitch.reset_stream_key("mst3k")
    after = (await http.get("/streams/key", params=ADS, headers=headers)).json()
    assert after == {"data": [{"stream_key": reset}]} != first


async def test_a_stream_key_needs_its_scope_and_the_own_channel(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    headers = key_reader(twitch)
    assert refused(await http.get("/streams/key", headers=headers)) == (
        400,
        'Missing required parameter "broadcaster_id"',
    )
    other = key_reader(twitch, "deck")
    assert refused(await http.get("/streams/key", params=ADS, headers=other))[0] == 401
    assert refused(await http.get("/streams/key", params=ADS)) == (
        401,
        "Missing scope: channel:read:stream_key",
    )
    app = await app_token(twitch)
    assert refused(await http.get("/streams/key", params=ADS, headers=app))[0] == 401


async def test_no_repr_shows_a_stream_key(twitch: TwitchSimulator) -> None:
    broadcaster = twitch.channels.named("mst3k")
    assert broadcaster.stream_key not in repr(broadcaster)
