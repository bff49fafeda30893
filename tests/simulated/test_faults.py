"""What people are told when a call gets no answer, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest

from controller.clients.network_errors import in_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Ask = Callable[[str], Awaitable[str]]


async def _by_httpx(url: str) -> str:
    try:
        async with httpx.AsyncClient(timeout=0.5, trust_env=False, verify=False) as client:
            await client.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return in_words(error)
    return "answered"


async def _by_aiohttp(url: str) -> str:
    try:
        timeout = aiohttp.ClientTimeout(total=0.5)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url) as found:
            await found.read()
    except (aiohttp.ClientError, OSError) as error:
        return in_words(error)
    return "answered"


CLIENTS = pytest.mark.parametrize("ask", [_by_httpx, _by_aiohttp])


@contextlib.asynccontextmanager
async def _peer(answer: bytes | None, tls: bool = False) -> AsyncIterator[str]:
    """A server that writes this and closes; None: that says nothing."""

    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await reader.read(100)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await asyncio.gather(*(each for each in serving if each is not None))


@CLIENTS
async def test_a_refused_connection(ask: Ask) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert await ask(f"http://127.0.0.1:{bound.getsockname()[1]}/") == "connection refused"


@CLIENTS
async def test_a_name_that_does_not_exist(ask: Ask) -> None:
    assert await ask("http://nowhere.invalid/") == "its name could not be resolved"


@CLIENTS
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1"])
async def test_a_connection_that_is_broken_off(ask: Ask, answer: bytes) -> None:
    async with _peer(answer) as url:
        assert await ask(url) == "the connection was broken off"


@CLIENTS
async def test_a_silent_peer(ask: Ask) -> None:
    async with _peer(None) as url:
        assert await ask(url) == "no answer in time"


@CLIENTS
async def test_a_peer_that_speaks_no_tls(ask: Ask) -> None:
    async with _peer(b"HTTP/1.1 400 Bad Request\r\n\r\n", tls=True) as url:
        assert (await ask(url)).startswith("TLS failed (")


@CLIENTS
@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/"])
async def test_what_is_no_url(ask: Ask, url: str) -> None:
    assert await ask(url) == "its URL is not valid"


def test_a_certificate_that_is_not_trusted() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    told = "its TLS certificate is not trusted (self-signed certificate)"
    assert in_words(_caused(httpx.ConnectError("x"), error)) == told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectTimeout(""), "the connection timed out"),
        (httpx.PoolTimeout(""), "no connection was free in time"),
        (OSError(113, "x"), "no route to host"),
        (ValueError("x"), "its answer cannot be read"),
        (RuntimeError("x"), "the connection failed"),
    ],
)
def test_others(error: Exception, told: str) -> None:
    assert in_words(error) == told
    assert type(error).__name__ not in told


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error
