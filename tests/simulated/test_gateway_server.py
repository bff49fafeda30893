"""The gateway's HTTP server: its bounds, and that its end drops no request."""

from __future__ import annotations

import asyncio
import http.client
import socket
import statistics
import time
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import pytest
import uvloop

from controller.errors import SettingsError
from controller.gateway import connection as module
from controller.gateway.connection import MAX_HEAD, MAX_HEADERS, Connection
from controller.gateway.server import Server
from controller.settings import Settings
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import Message, Receive, Scope, Send

REQUEST = b"POST /send/ HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK"


class App:
    """Answers each request with what it is told to, after it was let go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.begun = 0
        self.told: list[Message] = []
        self.bodies: list[bytes] = []
        self.headers: list[list[bytes]] = []
        self.reads = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        self.begun += 1
        self.headers.append([name for name, _ in scope["headers"]])
        if self.reads:
            await self._read(receive)
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": _JSON})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _read(self, receive: Receive) -> None:
        message = await receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        self.bodies.append(body)
        self.told.append(message)


_JSON = [(b"content-type", b"application/json"), (b"content-length", b"2")]


class Client:
    """A connection that is written to and read from by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> bytes:
        """Status line, headers and body of one answer; b"": the connection was closed."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self._reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as error:
                return error.partial
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self._reader.readexactly(length)

    async def closed(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self._reader.read(1)
            except ConnectionError:
                return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def serving(app: App, drain: float = 0.1) -> AsyncIterator[Server]:
    address = {"gateway_address": "127.0.0.1:0", "gateway_drain": drain}
    server = Server(app, Settings.model_validate(address))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*server.address)
    running = asyncio.get_running_loop().create_task(server.run())
    await server.listens()
    try:
        yield server
    finally:
        app.go_on.set()
        server.stop()
        await running


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection(*server.address))
    try:
        yield client
    finally:
        await client.close()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        await asyncio.sleep(0.01)


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving(App()) as server, connected(server) as client:
        for _ in range(3):
            await client.send(REQUEST)
            answer = await client.answer()
            assert answer.startswith(OK)
            assert b"connection" not in answer.lower()


async def test_while_it_drains_it_answers_and_asks_to_come_back_elsewhere() -> None:
    app = App()
    async with serving(app, drain=0.3) as server, connected(server) as busy:
        app.go_on.clear()
        await busy.send(REQUEST)
        await until(lambda: app.begun)
        draining = asyncio.get_running_loop().create_task(server.drain())
        async with connected(server) as late:
            await late.send(REQUEST)
            await until(lambda: app.begun == 2)
            app.go_on.set()
            for client in (busy, late):
                answer = await client.answer()
                assert answer.startswith(OK)
                assert b"connection: close" in answer
                assert await client.closed()
        await draining


async def test_a_request_under_way_is_answered_before_the_end() -> None:
    app = App()
    app.go_on.clear()
    async with serving(app) as server, connected(server) as whole, connected(server) as half:
        await whole.send(REQUEST)
        await half.send(REQUEST[:30])
        await until(lambda: app.begun)
        server.stop()
        await asyncio.sleep(0.3)
        await half.send(REQUEST[30:])
        app.go_on.set()
        for client in (whole, half):
            answer = await client.answer()
            assert answer.startswith(OK)
            assert b"connection: close" in answer


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_end_drops_no_request_under_load(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    outcomes: list[bytes | None] = []

    async def hammer(server: Server) -> None:
        """New connections, until they are refused."""
        while True:
            try:
                reader, writer = await asyncio.open_connection(*server.address)
            except OSError:
                outcomes.append(None)
                return
            client = Client(reader, writer)
            try:
                await client.send(REQUEST)
                outcomes.append((await client.answer())[: len(OK)])
            except ConnectionError as error:
                outcomes.append(repr(error).encode())
            finally:
                await client.close()

    async def scenario() -> None:
        async with serving(App()) as server:
            address = server.address
            assert address
            load = [asyncio.create_task(hammer(server)) for _ in range(20)]
            await until(lambda: len(outcomes) > 200)
            await server.drain()
            server.stop()
            await asyncio.gather(*load)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())
    assert outcomes.count(None) == 20
    assert set(outcomes) == {OK, None}


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_answer_waits_for_an_acknowledgement(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def median() -> float:
        took: list[float] = []
        async with serving(App()) as server, connected(server) as client:
            for _ in range(21):
                began = time.monotonic()
                await client.send(REQUEST)
                await client.answer()
                took.append(time.monotonic() - began)
        return statistics.median(took)

    # By Nagle's algorithm it is 0.04 and more each time, on a busy machine now and then.
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert any(runner.run(median()) < 0.03 for _ in range(20))


@pytest.mark.parametrize("by_parts", [False, True])
async def test_an_endless_head_is_refused(by_parts: bool) -> None:
    app = App()
    async with serving(app) as server, connected(server) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: gateway\r\nX-Long: ")
        if by_parts:
            await asyncio.sleep(0.05)
        await client.send(b"x" * (MAX_HEAD + 70_000 if by_parts else MAX_HEAD))
        if not by_parts:
            await client.send(b"\r\n\r\n")
        answer = await client.answer()
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b'"detail"' in answer
        assert await client.closed()
        assert not app.begun


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(garbage: bytes) -> None:
    app = App()
    async with serving(app) as server, connected(server) as client:
        await client.send(garbage)
        assert (await client.answer()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert await client.closed()
        assert not app.begun


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.mark.parametrize("cut", [None, 90, len(REQUEST) + len(UPGRADE) - 1])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_wish_for_another_protocol_is_nothing_to_it(
    cut: int | None, *, chunked: bool
) -> None:
    request = REQUEST.replace(b"Content-Length", UPGRADE + b"Content-Length")
    if chunked:
        request = request.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
        request = request.replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n")
    app = App()
    async with serving(app) as server, connected(server) as client:
        for _ in range(2):
            await client.send(request[:cut])
            if cut is not None:
                await asyncio.sleep(0.05)  # so that the rest comes by itself
                await client.send(request[cut:])
            assert (await client.answer()).startswith(OK)
        await client.send(request * 40)  # at once
        for _ in range(40):
            assert (await client.answer()).startswith(OK)
        await client.send(REQUEST)
        assert (await client.answer()).startswith(OK)
        assert app.bodies == [b"{}"] * 43


async def test_who_sends_nothing_more_still_gets_an_answer() -> None:
    app = App()
    app.go_on.clear()
    async with serving(app) as server:
        reader, writer = await asyncio.open_connection(*server.address)
        client = Client(reader, writer)
        await client.send(REQUEST)
        await until(lambda: app.begun)
        writer.write_eof()
        async with connected(server) as gone:
            await gone.send(REQUEST[:-1])
        await until(lambda: len(app.told) == 2)
        app.go_on.set()
        assert (await client.answer()).startswith(OK)
        assert await client.closed()
        assert [message["type"] for message in app.told] == ["http.request", "http.disconnect"]
        await client.close()


HEAD = b"POST /send/ HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_what_comes_after_the_body_is_no_header() -> None:
    app = App()
    async with serving(app) as server, connected(server) as client:
        await client.send(HEAD + b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + REQUEST)
        for _ in range(2):
            assert (await client.answer()).startswith(OK)
    assert app.headers == [[b"host", b"transfer-encoding"], [b"host", b"content-length"]]


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("part", [b"a:\r\n" * 2000, b"b" * 8000])
async def test_trailers_without_an_end_are_not_waited_for(part: bytes, *, answered: bool) -> None:
    app = App()
    app.reads = not answered
    async with serving(app) as server, connected(server) as client:
        await client.send(HEAD + b"2\r\n{}\r\n0\r\nt: ")
        if answered:
            assert (await client.answer()).startswith(OK)
        sent = 0
        with suppress(ConnectionError):
            while sent < 100 * MAX_HEAD:
                await client.send(part)
                sent += len(part)
                await asyncio.sleep(0.01)  # so that it comes by itself
        assert sent < 100 * MAX_HEAD
        assert [message["type"] for message in app.told] == ["http.disconnect"] * (not answered)


async def test_the_end_waits_for_no_request_whose_rest_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LAST_BYTES", 0.5)
    app = App()
    async with serving(app) as server, connected(server) as half, connected(server) as late:
        for client in (half, late):
            await client.send(REQUEST[:-1])
        await until(lambda: app.begun == 2)
        server.stop()
        await late.send(REQUEST[-1:])
        assert (await late.answer()).startswith(OK)
        assert await half.closed()
    assert sorted(message["type"] for message in app.told) == ["http.disconnect", "http.request"]


async def test_a_client_that_is_too_slow_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_WITHIN", 0.2)
    app = App()
    async with serving(app) as server, connected(server) as head, connected(server) as body:
        await head.send(REQUEST[:20])
        await body.send(REQUEST[:-1])
        assert await head.closed()
        assert await body.closed()
        assert [message["type"] for message in app.told] == ["http.disconnect"]


async def test_a_connection_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)
    async with serving(App()) as server, connected(server) as first, connected(server):
        await first.send(REQUEST)
        assert (await first.answer()).startswith(OK)
        async with connected(server) as third:
            answer = await third.answer()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1\r\n" in answer
            assert await third.closed()
        await first.send(REQUEST)
        assert (await first.answer()).startswith(OK)


async def test_an_address_that_is_taken_is_told_by_name() -> None:
    async with serving(App()) as server:
        taken = f"127.0.0.1:{server.address[1]}"
        with pytest.raises(SettingsError, match=f"TWITCH_OPERATOR_GATEWAY_ADDRESS.*{taken}"):
            Server(App(), Settings(gateway_address=taken))


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1:http", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_told_by_name(address: str) -> None:
    with pytest.raises(SettingsError, match="TWITCH_OPERATOR_GATEWAY_ADDRESS"):
        Server(App(), Settings(gateway_address=address))


async def test_what_a_client_pipelines_is_parsed_a_few_requests_at_a_time() -> None:
    """11,000 small requests in one packet would be some 25 MiB of parsed requests."""
    app = App()
    app.go_on.clear()
    small = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(app) as server, connected(server) as client:
        await client.send(small * 2000)
        await until(lambda: app.begun)
        [connection] = server._uvicorn.state.connections
        assert isinstance(connection, Connection)
        await until(lambda: connection._held)
        assert len(connection.pipeline) < 20
        app.go_on.set()
        for _ in range(2000):
            assert (await client.answer()).startswith(OK)
        await until(lambda: not connection._held)
        assert app.begun == 2000


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"a: b\r\n" * (MAX_HEADERS + 1), b"431"),
        (b"a: b\r\n" * 40_000, b"431"),
        (b"a: b\r\n" * (MAX_HEADERS - 2), b"200"),
    ],
)
async def test_a_head_has_a_hundred_headers_at_most(head: bytes, status: bytes) -> None:
    app = App()
    async with serving(app) as server, connected(server) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        assert (await client.answer()).startswith(b"HTTP/1.1 " + status)
    assert all(len(names) <= MAX_HEADERS for names in app.headers)


@pytest.mark.parametrize(
    "garbage", [b"\x00\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nX Y: 1\r\n\r\n"]
)
@pytest.mark.parametrize("begun", [False, True])
async def test_a_refusal_comes_after_the_answers_before_it(garbage: bytes, *, begun: bool) -> None:
    app = App()
    app.go_on.clear()
    async with serving(app) as server, connected(server) as client:
        await client.send(REQUEST + REQUEST + (b"" if begun else garbage))
        await until(lambda: app.begun)
        if begun:
            await client.send(garbage)
        app.go_on.set()
        for _ in range(2):
            assert (await client.answer()).startswith(OK)
        assert (await client.answer()).startswith(b"HTTP/1.1 400 ")
        assert await client.closed()
        assert app.begun == 2


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
async def test_who_writes_all_before_reading_gets_the_early_answer(connection: str) -> None:
    """As http.client, urllib and requests do; a reset would take the answer from them."""
    app = App()
    app.reads = False
    body = b"x" * 10_000_000

    def post(host: str, port: int) -> int:
        with closing(http.client.HTTPConnection(host, port, timeout=60)) as client:
            client.request("POST", "/send/", body=body, headers={"Connection": connection})
            return client.getresponse().status

    async with serving(app) as server:
        assert await asyncio.to_thread(post, *server.address) == 200


async def test_reading_on_after_the_last_answer_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_ON_WITHIN", 0.3)
    app = App()
    app.reads = False
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000000\r\n\r\n"
    async with serving(app) as server, connected(server) as much, connected(server) as slow:
        for client in (much, slow):
            await client.send(head)
            assert (await client.answer()).startswith(OK)
        with suppress(ConnectionError):
            for _ in range(90):
                await much.send(b"x" * 1_000_000)
        await until(lambda: not server._uvicorn.state.connections)
        assert await slow.closed()


async def test_who_pipelines_while_it_drains_gets_the_answers_that_are_due() -> None:
    """It is closed with the answer under way; a reset would take that from who still writes."""
    app = App()
    app.go_on.clear()
    request = REQUEST.replace(b"gateway", b"gateway".ljust(module._SLICE - len(REQUEST) + 7, b"x"))

    def pipeline(host: str, port: int) -> bytes:
        with socket.create_connection((host, port), timeout=60) as client:
            client.sendall(request * 40_000)
            return b"".join(iter(lambda: client.recv(65536), b""))

    async with serving(app, drain=0.3) as server:
        client = asyncio.create_task(asyncio.to_thread(pipeline, *server.address))
        await until(lambda: app.begun)
        [connection] = server._uvicorn.state.connections
        assert isinstance(connection, Connection)
        await until(lambda: connection._held)
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        app.go_on.set()
        answers = await client
        assert answers.count(OK) == app.begun
        assert answers.count(b"connection: close") == 1
        await draining
