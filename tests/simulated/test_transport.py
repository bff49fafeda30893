"""Calls to Twitch: connections are reused and bounded, and failures before and after the request
left are told apart."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest

from controller.clients.http import Exchange, new_http_client
from controller.clients.transport import Sending, Transport
from controller.errors import NotLeading
from controller.settings import Settings
from controller.term import Term
from tests.simulated.harness import eventually


class Server:
    """Speaks as much HTTP as is needed; counts connections."""

    def __init__(self) -> None:
        self.made = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.waiting = 0
        self.most_waiting = 0
        self.length = 2
        self.calls: list[bytes] = []
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.calls.append(head)
                self.waiting += 1
                self.most_waiting = max(self.most_waiting, self.waiting)
                await self.answers.wait()
                self.waiting -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nok" % self.length)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with listening:
        yield server
        for writer in list(server.open):
            writer.close()


def client(connections: int = 10, kept: float = 60) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, keepalive_expiry=kept)
    return httpx.AsyncClient(transport=Transport(ssl.create_default_context(), limits))


@pytest.mark.parametrize("moment", ["standing by", "past the deadline", "while it connects"])
async def test_a_process_that_does_not_lead_reads_and_sends_nothing_else(
    server: Server, moment: str
) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0
        return now

    term = Term(clock=clock)
    if moment != "standing by":
        term.begin(1000.0)
        term.until = {"past the deadline": 0.5, "while it connects": 1.5}[moment]
    async with new_http_client(Settings(), term) as http:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            now = 0.0
            sending = Sending()
            with pytest.raises(NotLeading):
                await http.request(method, server.url, extensions={"sending": sending})
            assert not sending.begun
        assert server.calls == []
        assert (await http.get(server.url)).text == "ok"
        term.begin(1000.0)
        term.until = math.inf
        assert (await http.post(server.url)).text == "ok"


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
        with pytest.raises(httpx.ConnectTimeout):
            await http.get(server.url, timeout=httpx.Timeout(5, connect=0.1))
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
        await eventually(lambda: not server.open)


async def test_a_refused_connection_gives_its_room_back(server: Server) -> None:
    async with client(connections=1) as http:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await http.get("http://127.0.0.1:9/")
        assert (await http.get(server.url)).text == "ok"


async def test_a_stream_that_is_not_read_to_its_end_closes_its_connection(server: Server) -> None:
    server.length = 3  # of which two bytes ever come
    async with client(connections=1) as http:
        async with http.stream("GET", server.url) as response:
            assert response.status_code == 200
        server.length = 2
        assert (await http.get(server.url)).text == "ok"
    assert server.made == 2


async def test_each_call_is_told_with_what_came_of_it(server: Server) -> None:
    async with new_http_client(Settings()) as http:
        told: list[Exchange] = []
        http.on_exchange = told.append
        await http.get(server.url, params={"user_id": "1"})
        with pytest.raises(httpx.ConnectError):
            await http.post("http://127.0.0.1:9/token")
        server.answers.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):  # as those who call give a call up
                await http.get(server.url)
        server.answers.set()
    assert [(each.method, each.path, each.code) for each in told] == [
        ("GET", "/", "200"),
        ("POST", "/token", "unsent"),
        ("GET", "/", "unanswered"),
    ]
    assert told[2].seconds >= 0.2


async def test_a_proxy_of_the_environment_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    async with new_http_client(Settings()) as http:
        assert (await http.get("http://twitch.example.com/")).text == "ok"
    assert server.made == 1


# What failed, and whether it left


Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """Where somebody speaks, and how often they were called."""

    port: int = 0
    calls: int = 0


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[Peer]:
    peer, ended = Peer(), 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal ended
        peer.calls += 1
        with suppress(ConnectionError):
            await speak(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended += 1

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    async with server:
        yield peer
        await eventually(lambda: ended == peer.calls)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    linger = struct.pack("ii", 1, 0)  # so that the end is a RST
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def _hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


def _saying(answer: bytes) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return speak


async def _stall(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


@pytest.mark.parametrize(
    ("speak", "meaning"),
    [
        (_reset, httpx.ReadError),
        (_hang_up, httpx.RemoteProtocolError),
        (_stall, httpx.ReadTimeout),
        (_saying(b"\x00\xff garbage\r\n\r\n"), httpx.RemoteProtocolError),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Le"), httpx.RemoteProtocolError),
        (_saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno"), httpx.RemoteProtocolError),
        (
            _saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            httpx.RemoteProtocolError,
        ),
        (
            _saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
            httpx.RemoteProtocolError,
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_what_fails_once_the_request_left_never_looks_like_not_sent(
    speak: Speak, meaning: type[Exception], method: str
) -> None:
    sending = Sending()
    async with speaking(speak) as peer, client() as http:
        with pytest.raises(meaning) as failure:
            await http.request(
                method,
                f"http://127.0.0.1:{peer.port}/",
                timeout=httpx.Timeout(5, read=0.2),
                extensions={"sending": sending},
            )
    assert not isinstance(failure.value, httpx.ConnectError | httpx.ConnectTimeout)
    assert sending.begun
    assert peer.calls == 1


async def test_a_handshake_that_fails_stops_a_request_before_it_left() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS")

    sending = Sending()
    async with speaking(speak) as peer, client() as http:
        url = f"https://127.0.0.1:{peer.port}/"
        with pytest.raises(httpx.ConnectError):
            await http.post(url, json={}, extensions={"sending": sending})
    assert not sending.begun


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_no_request_is_repeated_on_a_kept_connection_that_breaks(
    server: Server, method: str
) -> None:
    async with client() as http:
        await http.get(server.url)
        server.answers.clear()
        call = asyncio.ensure_future(http.request(method, server.url))
        await eventually(lambda: server.waiting == 1)
        for writer in list(server.open):
            writer.close()
        with pytest.raises(httpx.RemoteProtocolError):
            await call
        server.answers.set()
    assert len(server.calls) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_was_closed_while_the_loop_was_busy_is_not_used(
    method: str,
) -> None:
    code = (
        "import socket, sys\n"
        "listening = socket.create_server(('127.0.0.1', 0))\n"
        "print(listening.getsockname()[1], flush=True)\n"
        "while True:\n"
        "    peer = listening.accept()[0]\n"
        "    peer.recv(65536)\n"
        "    peer.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')\n"
        "    sys.stdin.readline()\n"
        "    peer.close()\n"
        "    print('closed', flush=True)\n"
    )
    server = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        async with client() as http:
            assert (await http.get(url)).text == "ok"
            # Without the loop, which is busy meanwhile.
            server.stdin.write("\n")
            server.stdin.flush()
            assert server.stdout.readline() == "closed\n"
            assert (await http.request(method, url)).text == "ok"
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


async def test_the_query_and_the_headers_leave_as_they_are_given(server: Server) -> None:
    async with client() as http:
        await http.post(server.url + "a%2Fb", params={"q": "a+b/ü&="}, headers={"X": "y"})
    [call] = server.calls
    head = call.decode().splitlines()
    assert head[0] == "POST /a%2Fb?q=a%2Bb%2F%C3%BC%26%3D HTTP/1.1"
    names = [line.partition(":")[0].lower() for line in head[1:] if line]
    assert sorted(names) == sorted(set(names))
    assert "content-type" not in names
    assert "content-length" in names


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
async def test_a_proxy_that_makes_no_tunnel_stops_a_request_before_it_left(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    sending = Sending()
    async with speaking(_saying(answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with new_http_client(Settings()) as http:
            with pytest.raises(httpx.ConnectError):
                await http.post("https://twitch.example.com/", extensions={"sending": sending})
    assert not sending.begun
