"""The pool of connections to Twitch: reused, bounded, and never one that was closed."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from controller.clients.connections import Transport
from controller.clients.http import new_http_client
from controller.settings import Settings
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Server:
    """Speaks as much HTTP as is needed; counts connections."""

    def __init__(self) -> None:
        self.made = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.waiting = 0
        self.most_waiting = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.waiting += 1
                self.most_waiting = max(self.most_waiting, self.waiting)
                await self.answers.wait()
                self.waiting -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with listening:
        yield server
        for writer in list(server.open):
            writer.close()


def client(connections: int = 10, idle: int = 10, kept: float = 60) -> httpx.AsyncClient:
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=idle, keepalive_expiry=kept
    )
    return httpx.AsyncClient(transport=Transport(ssl.create_default_context(), limits))


async def test_calls_in_turn_share_a_connection(server: Server) -> None:
    async with client() as http:
        for _ in range(5):
            assert (await http.get(server.url)).text == "ok"
    assert server.made == 1


async def test_calls_at_once_have_a_connection_each_which_are_kept(server: Server) -> None:
    async with client() as http:
        for _ in range(3):
            await asyncio.gather(*(http.get(server.url) for _ in range(8)))
        assert server.made == 8
    await eventually(lambda: not server.open)


async def test_no_more_connections_are_kept_than_allowed(server: Server) -> None:
    async with client(idle=2) as http:
        await asyncio.gather(*(http.get(server.url) for _ in range(8)))
        await eventually(lambda: len(server.open) == 2)


async def test_a_call_waits_where_all_connections_are_busy(server: Server) -> None:
    async with client(connections=2) as http:
        server.answers.clear()
        calls = [asyncio.ensure_future(http.get(server.url)) for _ in range(5)]
        await eventually(lambda: server.waiting == 2)
        server.answers.set()
        await asyncio.gather(*calls)
    assert server.most_waiting == 2


async def test_a_call_that_waits_for_too_long_fails_before_it_left(server: Server) -> None:
    async with client(connections=1) as http:
        server.answers.clear()
        first = asyncio.ensure_future(http.get(server.url))
        await eventually(lambda: server.waiting == 1)
        with pytest.raises(httpx.PoolTimeout):
            await http.get(server.url, timeout=httpx.Timeout(5, pool=0.1))
        server.answers.set()
        assert (await first).text == "ok"
        assert (await http.get(server.url)).text == "ok"
    assert server.made == 1


async def test_a_call_that_is_given_up_gives_its_room_back(server: Server) -> None:
    async with client(connections=1) as http:
        server.answers.clear()
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await http.get(server.url)
        server.answers.set()
        assert (await http.get(server.url)).text == "ok"
        await eventually(lambda: len(server.open) == 1)


async def test_a_connection_that_the_server_closed_is_not_used(server: Server) -> None:
    async with client() as http:
        await asyncio.gather(*(http.get(server.url) for _ in range(3)))
        for writer in list(server.open):
            writer.close()
        await eventually(lambda: not server.open)
        assert (await http.get(server.url)).text == "ok"
    assert server.made == 4


async def test_connections_that_are_idle_for_long_are_closed(server: Server) -> None:
    async with client(kept=0.2) as http:
        await asyncio.gather(*(http.get(server.url) for _ in range(3)))
        for _ in range(40):
            await asyncio.sleep(0.05)
            await http.get(server.url)  # each looks at the one that was idle for the longest time
            if len(server.open) == 1:
                break
        assert len(server.open) == 1


async def test_a_refused_connection_gives_its_room_back(server: Server) -> None:
    async with client(connections=1) as http:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await http.get("http://127.0.0.1:9/")
        assert (await http.get(server.url)).text == "ok"


async def test_a_stream_that_is_not_read_to_its_end_closes_its_connection(server: Server) -> None:
    async with client(connections=1) as http:
        async with http.stream("GET", server.url) as response:
            assert response.status_code == 200
        assert (await http.get(server.url)).text == "ok"
    assert server.made == 2


async def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    async with new_http_client(Settings(), crowded=True) as http:
        assert (await http.get("http://twitch.example.com/")).text == "ok"
    assert server.made == 1
