"""The simulated Twitch as a server: its port, its memory, its speed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from controller.sandbox.twitch import Fault, Options, TwitchSimulator

if TYPE_CHECKING:
    import logging


def client(twitch: TwitchSimulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=twitch.url, verify=False, trust_env=False)


async def test_it_listens_on_loopback_only_and_stops() -> None:
    async with TwitchSimulator() as twitch:
        assert twitch.helix_url == f"{twitch.url}/helix"
        assert twitch.identity_url == f"{twitch.url}/oauth2"
        assert twitch.url.startswith("http://127.0.0.1:")
        async with client(twitch) as http:
            assert (await http.get("/anything")).status_code == 404
    async with client(twitch) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/anything")


async def test_two_run_side_by_side() -> None:
    async with TwitchSimulator() as one, TwitchSimulator() as other:
        assert one.url != other.url


async def test_it_comes_back_on_its_port_with_what_it_knew() -> None:
    async with TwitchSimulator() as twitch:
        twitch.add_app("client")
        twitch.add_broadcaster("mst3k")
        token = twitch.consent("mst3k", "client").access_token
        url = twitch.url
        await twitch.stop()
        await twitch.start()
        assert twitch.url == url
        async with client(twitch) as http:
            headers = {"Authorization": f"OAuth {token}"}
            assert (await http.get("/oauth2/validate", headers=headers)).status_code == 200


async def test_a_taken_port_is_an_error() -> None:
    async with TwitchSimulator() as twitch:
        port = int(twitch.url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await TwitchSimulator(port=port).start()


async def test_stopping_drops_calls_that_a_delay_holds(caplog: pytest.LogCaptureFixture) -> None:
    async with TwitchSimulator() as twitch, client(twitch) as http:
        twitch.order_fault(Fault(delay=600))
        held = asyncio.create_task(http.get("/helix/users"))
        async with asyncio.timeout(60):
            while not twitch.calls():  # noqa: ASYNC110 - the simulator offers nothing to wait for
                await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            await twitch.stop()
        with pytest.raises(httpx.TransportError):
            await held
    assert _problems(caplog) == []


async def test_dropping_a_connection_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with TwitchSimulator() as twitch, client(twitch) as http:
        twitch.order_fault(Fault(drop=True))
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/helix/users")
    assert _problems(caplog) == []


def _problems(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith(("aiohttp", "asyncio"))]


async def test_it_remembers_the_last_calls_and_counts_all() -> None:
    async with TwitchSimulator(Options(cooldown=0), keep=3) as twitch, client(twitch) as http:
        twitch.add_broadcaster("mst3k")
        for number in range(5):
            await http.get(f"/helix/users?id={number}")
            twitch.start_ad("mst3k", 30 + number)
        assert [call.query for call in twitch.calls()] == ["id=2", "id=3", "id=4"]
        assert twitch.journal.count == 5
        assert [one.ran for one in twitch.commercials] == [32, 33, 34]
        assert twitch.ads.count == 5


async def test_a_call_keeps_what_was_sent() -> None:
    async with TwitchSimulator(clock=lambda: 12.5) as twitch, client(twitch) as http:
        await http.post("/helix/nothing?a=%20b", content=b"raw", headers={"X-Thing": "1"})
        (call,) = twitch.calls("POST", "/helix/nothing")
        assert (call.time, call.query, call.body, call.status) == (12.5, "a=%20b", b"raw", 404)
        assert call.headers["x-thing"] == "1"
        assert call.value("a") == " b"


async def test_a_body_that_would_fill_the_memory_is_refused() -> None:
    async with TwitchSimulator() as twitch, client(twitch) as http:
        answer = await http.post("/helix/channels/commercial", content=b"x" * 20_000)
        assert answer.status_code == 413
        assert twitch.calls() == []


async def test_made_up_tokens_fill_no_memory() -> None:
    async with TwitchSimulator() as twitch, client(twitch) as http:
        for number in range(20):
            headers = {"Authorization": f"Bearer {number}", "Client-Id": str(number)}
            assert (await http.get("/helix/users", headers=headers)).status_code == 401
        assert len(twitch.limits._buckets) == 1
