"""POST /channels/commercial of the simulated Twitch: what it takes, refuses and pretends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.sandbox.twitch import Refusal, TwitchSimulator
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

START = 1_700_000_000.0
MST3K = "642998111"
STARTING = (
    "Starting commercial break. Keep in mind you are still live and not all viewers will receive "
    "a commercial."
)
NO_LENGTH = (400, 'Missing required parameter "length"')
RECENTLY = f'channel for id "{MST3K}" has recently ran a commercial'


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(clock=clock) as simulator:
        simulator.add_app("client")
        simulator.add_broadcaster("mst3k", broadcaster_id=MST3K)
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    token = twitch.consent("mst3k", "client").access_token
    headers = {"Authorization": f"Bearer {token}", "Client-Id": "client"}
    async with httpx.AsyncClient(
        base_url=twitch.helix_url, headers=headers, verify=False, trust_env=False
    ) as client:
        yield client


async def start(http: httpx.AsyncClient, length: Any = 30, **changes: Any) -> httpx.Response:  # noqa: ANN401
    body = {"broadcaster_id": MST3K, "length": length} | changes
    return await http.post("/channels/commercial", json=body)


def refused(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "status", "message"}
    return answer.status_code, body["message"]


async def test_a_commercial_starts_and_moves_the_last_ad(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    answer = await start(http, 125)
    assert answer.status_code == 200
    assert answer.json() == {"data": [{"length": 125, "message": STARTING, "retry_after": 480}]}
    assert type(answer.json()["data"][0]["retry_after"]) is int
    (commercial,) = twitch.commercials
    assert (commercial.login, commercial.broadcaster_id) == ("mst3k", MST3K)
    assert (commercial.requested, commercial.ran, commercial.start) == (125, 125, START)
    ads = await http.get("/channels/ads", params={"broadcaster_id": MST3K})
    assert ads.json()["data"][0]["last_ad_at"] == START


@pytest.mark.parametrize("length", [125.0, 125.1, "125", None, True, 0, -30, [30]])
async def test_a_length_that_is_no_positive_integer_is_missing(
    twitch: TwitchSimulator, http: httpx.AsyncClient, length: object
) -> None:
    assert refused(await start(http, length)) == NO_LENGTH
    assert twitch.commercials == []


@pytest.mark.parametrize("content", [b"", b"[1]", b"length=30", b"[" * 10_000, b"\xff"])
async def test_a_body_that_is_no_json_object_lacks_its_fields(
    http: httpx.AsyncClient, content: bytes
) -> None:
    answer = await http.post("/channels/commercial", content=content)
    assert refused(answer) == (400, 'Missing required parameter "broadcaster_id"')


async def test_the_broadcaster_must_be_text_and_the_tokens_own_user(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    other = twitch.add_broadcaster("deck").id
    status, message = refused(await start(http, broadcaster_id=other))
    assert status == 401
    assert "must match the user ID" in message
    assert refused(await start(http, broadcaster_id=int(MST3K)))[0] == 400
    assert twitch.commercials == []


async def test_the_scope_is_needed(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    token = twitch.consent("mst3k", "client", ["channel:read:ads"]).access_token
    http.headers["Authorization"] = f"Bearer {token}"
    assert refused(await start(http)) == (401, "Missing scope: channel:edit:commercial")


async def test_an_app_token_starts_nothing(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    token = twitch.grants.app_token(twitch.grants.named_app("client"), START).access_token
    http.headers["Authorization"] = f"Bearer {token}"
    assert refused(await start(http))[0] == 401


async def test_a_channel_off_air_is_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.set_live("mst3k", False)
    live = "To start a commercial, the broadcaster must be streaming live."
    assert refused(await start(http)) == (400, live)


async def test_the_cooldown_refuses_until_its_last_second_without_saying_how_long(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    await start(http)
    clock.now += 479.9
    answer = await start(http)
    assert refused(answer) == (400, RECENTLY)
    assert "retry_after" not in answer.text
    assert "Retry-After" not in answer.headers
    clock.now += 0.1
    assert (await start(http)).status_code == 200


async def test_the_cooldown_may_be_a_429_with_points_left(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.cooldown_status = 429
    await start(http)
    answer = await start(http)
    assert refused(answer) == (429, RECENTLY)
    assert answer.json()["error"] == "Too Many Requests"
    assert int(answer.headers["Ratelimit-Remaining"]) > 0


async def test_channels_cool_down_by_themselves(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    await start(http)
    other = twitch.add_broadcaster("deck").id
    token = twitch.consent("deck", "client").access_token
    http.headers["Authorization"] = f"Bearer {token}"
    assert (await start(http, broadcaster_id=other)).status_code == 200


async def test_more_than_180_seconds_run_180_and_the_reply_hides_it(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    assert (await start(http, 300)).json()["data"][0]["length"] == 300
    assert (twitch.commercials[0].requested, twitch.commercials[0].ran) == (300, 180)


async def test_length_1_is_taken_and_burns_the_cooldown(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    assert (await start(http, 1)).json()["data"][0]["retry_after"] == 480
    clock.now += 60
    assert refused(await start(http, 30)) == (400, RECENTLY)


async def test_neither_affiliate_nor_partner_gets_a_perfect_answer_and_nothing_runs(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.set_type("mst3k", "")
    answer = await start(http, 60)
    assert answer.json() == {"data": [{"length": 60, "message": STARTING, "retry_after": 480}]}
    assert [commercial.ran for commercial in twitch.commercials] == [0]
    ads = await http.get("/channels/ads", params={"broadcaster_id": MST3K})
    assert ads.json()["data"][0]["last_ad_at"] == 0


@pytest.mark.parametrize(("length", "status"), [(30, 200), (180, 200), (125, 400), (210, 400)])
async def test_odd_lengths_may_be_refused(
    twitch: TwitchSimulator, http: httpx.AsyncClient, length: int, status: int
) -> None:
    twitch.options.standard_lengths_only = True
    answer = await start(http, length)
    assert answer.status_code == status
    if status == 400:
        assert refused(answer) == NO_LENGTH


@pytest.mark.parametrize(
    ("cooldown", "covers_ad", "retry_after"),
    [(60, True, 90), (60, False, 60), (0.5, False, 1), (0, True, 0)],
)
async def test_the_cooldown_is_as_long_as_told_and_as_the_ad(
    twitch: TwitchSimulator,
    http: httpx.AsyncClient,
    cooldown: float,
    covers_ad: bool,
    retry_after: int,
) -> None:
    twitch.options.cooldown = cooldown
    twitch.options.cooldown_covers_ad = covers_ad
    assert (await start(http, 90)).json()["data"][0]["retry_after"] == retry_after


async def test_without_a_cooldown_commercials_follow_each_other(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.cooldown = 0
    for _ in range(3):
        assert (await start(http)).status_code == 200
    assert len(twitch.commercials) == 3


async def test_an_ad_that_is_not_the_clients_cools_down_too(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    assert twitch.start_ad("mst3k", 60).source == "twitch"
    assert refused(await start(http)) == (400, RECENTLY)
    twitch.set_live("mst3k", False)
    with pytest.raises(Refusal, match="off air"):
        twitch.start_ad("mst3k", 60)


# Other dialects

LATER = "Please try again later"


async def test_the_mock_api_answers_a_cooldown_with_length_0_and_what_is_left_of_it(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.dialect = "mock-api"
    assert (await start(http, 120)).json()["data"][0]["length"] == 120
    clock.now += 48
    answer = await start(http, 30)
    assert answer.status_code == 200
    assert answer.json() == {"data": [{"length": 0, "message": LATER, "retry_after": 432}]}
    assert [one.requested for one in twitch.commercials] == [120]
    clock.now += 432
    assert (await start(http, 30)).json()["data"][0]["length"] == 30


async def test_the_mock_api_has_words_of_its_own(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.dialect = "mock-api"
    assert refused(await start(http, 125)) == (400, "Length is an invalid value")
    other = twitch.add_broadcaster("deck").id
    mismatch = (400, "broadcaster_id and user_id do not match.")
    assert refused(await start(http, broadcaster_id=other)) == mismatch
    twitch.set_live("mst3k", False)
    off_air = "User is not currently live and must be to run commercials"
    assert refused(await start(http, 30)) == (400, off_air)
    assert twitch.commercials == []


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_strange_words_tell_no_client_what_is_wrong(
    twitch: TwitchSimulator, http: httpx.AsyncClient, status: int
) -> None:
    twitch.options.dialect, twitch.options.standard_lengths_only = "strange", True
    twitch.options.cooldown_status = status  # type: ignore[assignment]
    said = [refused(await start(http, 125))]
    await start(http, 120)
    said.append(refused(await start(http, 120)))
    twitch.set_live("mst3k", False)
    said.append(refused(await start(http, 120)))
    assert [code for code, _ in said] == [400, status, 400]
    known = ("recently", "cooldown", "later", "live", "offline", "length")
    assert not [text for _, text in said for word in known if word in text.lower()]


async def test_a_shorter_commercial_than_asked_for_may_be_accepted(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.options.accept_at_most = 90
    assert (await start(http, 125)).json()["data"][0]["length"] == 90
    (commercial,) = twitch.commercials
    assert (commercial.requested, commercial.ran) == (125, 90)
