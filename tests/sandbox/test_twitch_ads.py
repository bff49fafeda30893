"""Ads of the simulated Twitch that nobody asked for, that come late, or that never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.sandbox.twitch import TwitchSimulator
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 1_700_000_000.0
COMMERCIAL = "/helix/channels/commercial"
ONE = "/_sandbox/broadcasters/mst3k"


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(clock=clock) as simulator:
        simulator.add_app("client")
        for login in ("mst3k", "deck"):
            simulator.add_broadcaster(login)
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=twitch.url, headers={"Client-Id": "client"}, verify=False, trust_env=False
    ) as client:
        yield client


def bearer(twitch: TwitchSimulator, login: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {twitch.consent(login, 'client').access_token}"}


async def start(
    twitch: TwitchSimulator, http: httpx.AsyncClient, login: str = "mst3k", length: int = 30
) -> httpx.Response:
    body = {"broadcaster_id": twitch.channels.named(login).id, "length": length}
    return await http.post(COMMERCIAL, json=body, headers=bearer(twitch, login))


async def ads(
    twitch: TwitchSimulator, http: httpx.AsyncClient, login: str = "mst3k"
) -> dict[str, Any]:
    query = {"broadcaster_id": twitch.channels.named(login).id}
    answer = await http.get("/helix/channels/ads", params=query, headers=bearer(twitch, login))
    (data,) = answer.json()["data"]
    return dict(data)


async def order(http: httpx.AsyncClient, path: str, /, **body: object) -> Any:  # noqa: ANN401
    answer = await http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_ad_is_told_of_when_its_lag_is_over(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.ad_lag = 12
    assert (await start(twitch, http)).status_code == 200
    clock.now += 11.9
    assert (await ads(twitch, http))["last_ad_at"] == 0
    clock.now += 0.1
    assert (await ads(twitch, http))["last_ad_at"] == START
    assert twitch.starts("mst3k") == 1


async def test_an_ad_that_never_runs_is_accepted_and_cools_down_all_the_same(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    await order(http, f"{ONE}/ad-habits", ad_lag=None)
    answer = (await start(twitch, http)).json()["data"][0]
    assert (answer["length"], answer["retry_after"]) == (30, 480)
    clock.now += 479
    assert (await start(twitch, http)).status_code == 400
    assert (await ads(twitch, http))["last_ad_at"] == 0
    assert [one.ran for one in twitch.commercials] == [0]
    assert twitch.starts("mst3k") == 0


async def test_who_is_not_eligible_may_be_told_so(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.set_type("mst3k", "")
    twitch.options.refuse_ineligible = True
    answer = await start(twitch, http)
    assert answer.status_code == 400
    assert "affiliate or partner" in answer.json()["message"]
    assert twitch.commercials == []


async def test_a_channel_may_have_habits_of_its_own(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    shown = await order(
        http, f"{ONE}/ad-habits", cooldown=0, cooldown_covers_ad=False, standard_lengths_only=True
    )
    assert shown["ad_habits"]["standard_lengths_only"] is True
    assert (await start(twitch, http, length=125)).status_code == 400
    for _ in range(2):
        assert (await start(twitch, http, length=120)).json()["data"][0]["retry_after"] == 0
    assert (await start(twitch, http, "deck", 125)).json()["data"][0]["retry_after"] == 480
    await order(http, f"{ONE}/ad-habits")
    assert (await start(twitch, http, length=125)).status_code == 200
    assert (await start(twitch, http, length=125)).status_code == 400


async def test_a_planned_ad_runs_by_itself_and_cools_the_channel_down(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    await order(
        http,
        f"{ONE}/schedule",
        next_ad_at=START + 100,
        duration=90,
        snooze_count=1,
        preroll_free_time=77,
    )
    told = await ads(twitch, http)
    assert (told["next_ad_at"], told["duration"], told["last_ad_at"]) == (START + 100, 90, 0)
    assert (told["snooze_count"], told["preroll_free_time"]) == (1, 77)
    clock.now += 110
    assert (await start(twitch, http)).status_code == 400
    told = await ads(twitch, http)
    assert (told["next_ad_at"], told["duration"], told["last_ad_at"]) == (0, 0, START + 100)
    (ad,) = twitch.commercials
    assert (ad.source, ad.start, ad.ran) == ("manager", START + 100, 90)
    clock.now = START + 580
    assert (await start(twitch, http)).status_code == 200
    assert twitch.starts("mst3k") == 1


async def test_a_planned_ad_is_counted_though_nobody_looked_in_time(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.schedule_ad("mst3k", START + 10)
    clock.now += 20
    await start(twitch, http, "deck")
    assert [(one.login, one.source) for one in twitch.commercials] == [
        ("mst3k", "manager"),
        ("deck", "api"),
    ]


@pytest.mark.parametrize(("off_at", "ran"), [(5, []), (15, [60])])
async def test_a_plan_lapses_off_air(
    twitch: TwitchSimulator, clock: Clock, off_at: float, ran: list[int]
) -> None:
    twitch.schedule_ad("mst3k", START + 10)
    clock.now = START + off_at
    twitch.set_live("mst3k", False)
    clock.now = START + 20
    twitch.set_live("mst3k", True)
    clock.now = START + 30
    assert [one.ran for one in twitch.commercials] == ran


async def test_a_plan_can_be_taken_back(twitch: TwitchSimulator, clock: Clock) -> None:
    twitch.schedule_ad("mst3k", START + 10)
    twitch.schedule_ad("mst3k", None)
    clock.now += 20
    assert twitch.commercials == []


async def test_an_ad_by_hand_moves_the_last_ad_and_is_no_start_of_a_client(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    clock.now += 5
    await order(http, "/_sandbox/ads", login="mst3k", length=60)
    assert (await ads(twitch, http))["last_ad_at"] == START + 5
    assert (await start(twitch, http)).status_code == 400
    listed = (await http.get("/_sandbox/broadcasters")).json()
    assert [user["starts"] for user in listed] == [0, 0]


async def test_starts_are_counted_by_broadcaster(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.cooldown = 0
    for login in ("mst3k", "deck", "mst3k"):
        await start(twitch, http, login)
    listed = (await http.get("/_sandbox/broadcasters")).json()
    assert {user["login"]: user["starts"] for user in listed} == {"mst3k": 2, "deck": 1}


async def test_points_can_be_used_up_until_a_given_moment(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    assert await order(http, f"{ONE}/points", seconds=7) == {"reset": START + 7}
    for _ in range(2):
        refused = await start(twitch, http)
        assert refused.status_code == 429
        assert refused.headers["Ratelimit-Remaining"] == "0"
        assert refused.headers["Ratelimit-Reset"] == str(int(START + 7))
    assert (await start(twitch, http, "deck")).status_code == 200
    clock.now += 7
    answer = await start(twitch, http)
    assert answer.status_code == 200
    assert answer.headers["Ratelimit-Remaining"] == "799"


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        (f"{ONE}/points", {"seconds": 0}, "seconds"),
        (f"{ONE}/points", {"client_id": "nobody"}, "nobody"),
        (f"{ONE}/ad-habits", {"ad_lag": -1}, "ad_lag"),
        (f"{ONE}/ad-habits", {"rate_limit": 1}, "rate_limit"),
        (f"{ONE}/schedule", {"next_ad_at": START, "duration": 0}, "duration"),
    ],
)
async def test_a_mistake_is_named(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], names: str
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code in {400, 404}
    assert names in answer.json()["error"]
