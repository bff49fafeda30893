"""Faults ordered from the simulated Twitch strike the calls they name, and no others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

import httpx
import pytest
from pydantic import ValidationError

from controller.sandbox.twitch import Fault, Refusal, TwitchSimulator
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMMERCIAL = "/helix/channels/commercial"

When = Literal["before", "after"]


@pytest.fixture
async def twitch() -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator() as simulator:
        simulator.options.cooldown = 0
        simulator.add_app("client")
        simulator.add_broadcaster("mst3k")
        simulator.add_broadcaster("deck")
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Client-Id": "client"}
    async with httpx.AsyncClient(
        base_url=twitch.url, headers=headers, verify=False, trust_env=False
    ) as client:
        yield client


async def start(
    twitch: TwitchSimulator, http: httpx.AsyncClient, login: str = "mst3k", patience: float = 60
) -> httpx.Response:
    token = twitch.consent(login, "client").access_token
    return await http.post(
        COMMERCIAL,
        json={"broadcaster_id": twitch.channels.named(login).id, "length": 30},
        headers={"Authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(60, read=patience),
    )


async def test_a_status_comes_in_place_of_the_action_so_often(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    fault = Fault(path=COMMERCIAL, times=2, status=503, headers={"Retry-After": "7"})
    twitch.order_fault(fault)
    for _ in range(2):
        answer = await start(twitch, http)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "7"
        assert answer.json() == {"error": "Service Unavailable", "status": 503, "message": ""}
    assert twitch.commercials == []
    assert (await start(twitch, http)).status_code == 200
    assert twitch.faults.pending() == []


async def test_a_status_after_the_action_hides_that_it_was_done(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, status=500, when="after"))
    assert (await start(twitch, http)).status_code == 500
    assert len(twitch.commercials) == 1


@pytest.mark.parametrize(
    ("body", "sent"), [("<html>", "<html>"), ({"data": []}, '{"data": []}'), ([1], "[1]")]
)
async def test_a_body_is_sent_as_ordered(
    twitch: TwitchSimulator, http: httpx.AsyncClient, body: object, sent: str
) -> None:
    twitch.order_fault(Fault(status=200, body=body, headers={"content-type": "text/x"}))
    answer = await start(twitch, http)
    assert (answer.status_code, answer.text) == (200, sent)
    assert answer.headers.get_list("Content-Type") == ["text/x"]


@pytest.mark.parametrize(("when", "started"), [("before", 0), ("after", 1)])
async def test_a_connection_is_dropped_before_or_after_the_action(
    twitch: TwitchSimulator, http: httpx.AsyncClient, when: When, started: int
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, drop=True, when=when))
    with pytest.raises(httpx.RemoteProtocolError):
        await start(twitch, http)
    assert len(twitch.commercials) == started
    (call,) = twitch.calls()
    assert call.status is None
    assert (await start(twitch, http)).status_code == 200


async def test_a_refresh_whose_answer_is_lost_has_used_up_the_token(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    token = twitch.consent("mst3k", "client").refresh_token
    fields = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "client"}
    twitch.order_fault(Fault(path="/oauth2/token", login="mst3k", drop=True, when="after"))
    with pytest.raises(httpx.RemoteProtocolError):
        await http.post("/oauth2/token", data=fields)
    assert (await http.post("/oauth2/token", data=fields)).status_code == 400


@pytest.mark.parametrize(("when", "started"), [("before", 0), ("after", 1)])
async def test_a_client_that_gives_up_on_a_delay_cannot_know(
    twitch: TwitchSimulator, http: httpx.AsyncClient, when: When, started: int
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, delay=30, when=when))
    with pytest.raises(httpx.ReadTimeout):
        await start(twitch, http, patience=0.2)
    await eventually(lambda: len(twitch.commercials) == started)


async def test_a_slow_call_acts_though_its_client_has_left(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, delay=0.3))
    with pytest.raises(httpx.ReadTimeout):
        await start(twitch, http, patience=0.1)
    await eventually(lambda: twitch.commercials)


async def test_a_delay_lets_the_call_act(twitch: TwitchSimulator, http: httpx.AsyncClient) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, delay=0.2))
    begin = time.monotonic()
    assert (await start(twitch, http)).status_code == 200
    assert time.monotonic() - begin >= 0.2


async def test_headers_alone_are_added_to_the_real_answer(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.order_fault(Fault(headers={"ratelimit-remaining": "0"}))
    answer = await start(twitch, http)
    assert answer.status_code == 200
    assert answer.headers.get_list("Ratelimit-Remaining") == ["0"]


async def test_a_fault_strikes_only_what_it_names(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    twitch.order_fault(Fault(method="GET", path=COMMERCIAL, status=500))
    twitch.order_fault(Fault(path="/oauth2/*", status=501))
    twitch.order_fault(Fault(path=COMMERCIAL, login="Deck", status=502))
    assert (await start(twitch, http, "mst3k")).status_code == 200
    assert (await start(twitch, http, "deck")).status_code == 502
    assert (await http.get("/oauth2/validate")).status_code == 501


async def test_a_fault_lasts_until_it_is_taken_back(
    twitch: TwitchSimulator, http: httpx.AsyncClient
) -> None:
    lasting = twitch.order_fault(Fault(times=None, status=500))
    later = twitch.order_fault(Fault(status=502))
    for _ in range(3):
        assert (await start(twitch, http)).status_code == 500
    assert [order.hits for order in twitch.faults.pending()] == [3, 0]
    assert twitch.clear_faults(lasting) == 1
    assert (await start(twitch, http)).status_code == 502
    assert twitch.clear_faults(later) == 0


def test_a_fault_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="does nothing"):
        Fault(path=COMMERCIAL)
    with pytest.raises(ValidationError, match="needs a status"):
        Fault(delay=1, body="x")
    with pytest.raises(ValidationError, match="sends no answer"):
        Fault(drop=True, status=500)
    with pytest.raises(Refusal, match="'typo'"):
        TwitchSimulator().order_fault(Fault(login="typo", status=500))
