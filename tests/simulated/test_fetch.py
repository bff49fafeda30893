"""URLs of resources: what is called, and what is not."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.clients import fetch
from controller.clients.fetch import MAX_ANSWER, Fetcher, FetchFailed, FetchForbidden

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOPBACK = ("127.0.0.1",)


class Server:
    """Answers on loopback, and counts what comes."""

    def __init__(self) -> None:
        self.seen: list[web.BaseRequest] = []
        self.forms: list[bytes] = []
        self.answer = web.Response
        self.hold = asyncio.Event()
        self.port = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        self.forms.append(await request.read())
        if request.path == "/slow":
            await self.hold.wait()
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/"})
        if request.path == "/large":
            return web.Response(body=b"x" * (MAX_ANSWER + 1))
        if request.path == "/full":
            return web.Response(body=b"x" * MAX_ANSWER)
        cookie = {"Set-Cookie": "a=b; Path=/"}
        return web.Response(text="ok", headers=cookie)

    async def start(self, tls: ssl.SSLContext | None = None) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self.serve, access_log=None), shutdown_timeout=0.05)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = runner.addresses[0][1]
        return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = await server.start()
    yield server
    server.hold.set()
    await runner.cleanup()


async def test_a_host_that_the_setting_names_is_called_by_http(server: Server) -> None:
    for allowed in (LOOPBACK, (f"127.0.0.1:{server.port}",)):
        async with Fetcher(allowed, 5) as fetcher:
            fetched = await fetcher.get(f"http://127.0.0.1:{server.port}/")
            assert (fetched.status, fetched.body) == (200, b"ok")
    async with Fetcher(("127.0.0.1:1",), 5) as fetcher:
        with pytest.raises(FetchForbidden, match="ALLOWED_FETCH_HOSTS"):
            await fetcher.get(f"http://127.0.0.1:{server.port}/")


async def test_a_form_and_a_login_are_sent_and_no_cookie_is_kept(server: Server) -> None:
    async with Fetcher(LOOPBACK, 5) as fetcher:
        for _ in range(2):
            url = f"http://127.0.0.1:{server.port}/"
            await fetcher.post(url, {"token": "a&b"}, ("me%3A", "pass"))
    assert server.forms == [b"token=a%26b"] * 2
    assert {seen.headers["Authorization"] for seen in server.seen} == {"Basic bWUlM0E6cGFzcw=="}
    assert not any("Cookie" in seen.headers for seen in server.seen)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
        "[ff02::1]",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
async def test_what_is_not_public_is_not_called(server: Server, host: str) -> None:
    async with Fetcher((), 2) as fetcher:
        with pytest.raises((FetchForbidden, FetchFailed)):
            await fetcher.get(f"https://{host}:{server.port}/")
    assert server.seen == []


async def test_a_name_is_judged_by_all_its_addresses_and_called_at_those(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, port: int, **more: Any) -> Any:  # noqa: ANN401
        if host != "id.example.com":
            return real(host, port, **more)
        asked.append(host)
        found = ["1.1.1.1", "127.0.0.1"] if len(asked) == 1 else ["127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"https://id.example.com:{server.port}/"
    async with Fetcher((), 2) as fetcher:
        with pytest.raises(FetchForbidden, match=r"127\.0\.0\.1"):
            await fetcher.get(url)
    assert len(asked) == 1, "it is resolved once, and what was looked at counts"
    async with Fetcher(("id.example.com",), 2) as fetcher:
        fetched = await fetcher.get(f"http://id.example.com:{server.port}/")
        assert fetched.status == 200
    assert server.seen[-1].host == f"id.example.com:{server.port}"


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://user:password@127.0.0.1/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:99999/",
        "https:///path",
        "https://",
        "//127.0.0.1/",
        "127.0.0.1",
        "",
        "https://[::1/",
        "https://a\\@127.0.0.1/",
        "unix:///var/run/docker.sock",
    ],
)
async def test_a_url_that_is_none_of_the_kind_is_not_called(url: str) -> None:
    async with Fetcher(LOOPBACK, 2) as fetcher:
        with pytest.raises(FetchForbidden):
            await fetcher.get(url)


async def test_a_redirect_is_an_answer_and_not_followed(server: Server) -> None:
    async with Fetcher(LOOPBACK, 5) as fetcher:
        fetched = await fetcher.get(f"http://127.0.0.1:{server.port}/moved")
    assert fetched.status == 302
    assert len(server.seen) == 1


async def test_answers_are_bounded_in_size_and_time(server: Server) -> None:
    async with Fetcher(LOOPBACK, 1) as fetcher:
        url = f"http://127.0.0.1:{server.port}"
        assert len((await fetcher.get(url + "/full")).body) == MAX_ANSWER
        with pytest.raises(FetchFailed, match="more than"):
            await fetcher.get(url + "/large")
        with pytest.raises(FetchFailed):
            await fetcher.get(url + "/slow")
        assert (await fetcher.get(url + "/")).status == 200


async def test_a_refused_connection_is_told_without_the_url(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Fetcher(LOOPBACK, 2) as fetcher:
            with pytest.raises(FetchFailed) as failed:
                await fetcher.get(f"http://127.0.0.1:{taken.getsockname()[1]}/secret-path")
    assert "secret-path" not in str(failed.value)
    assert server.seen == []


async def test_a_certificate_must_be_that_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = _certificate(tmp_path, "id.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    server = Server()
    runner = await server.start(context)
    real = socket.getaddrinfo

    def resolve(host: str, port: int, **more: Any) -> Any:  # noqa: ANN401
        if host.endswith(".example.com"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return real(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    try:
        async with Fetcher(("id.example.com", "other.example.com"), 5) as fetcher:
            good = await fetcher.get(f"https://id.example.com:{server.port}/")
            assert good.status == 200
            with pytest.raises(FetchFailed):
                await fetcher.get(f"https://other.example.com:{server.port}/")
    finally:
        await runner.cleanup()


def test_the_addresses_of_the_internet_are_public() -> None:
    for address in ("1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"):
        assert fetch._is_public(address), address


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS with a certificate that signs itself, and the file of that."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context, certificate


async def test_a_name_that_resolves_slowly_keeps_no_other_waiting(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    begun, answer = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        if host == "slow.example.com":
            asked.append(host)
            begun.set()
            answer.wait(10)
            msg = "no such name"
            raise socket.gaierror(msg)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with Fetcher(LOOPBACK, 5) as fetcher:
        slow = [asyncio.create_task(fetcher.get("https://slow.example.com/")) for _ in range(60)]
        assert await asyncio.to_thread(begun.wait, 10)
        assert (await fetcher.get(f"http://127.0.0.1:{server.port}/")).status == 200
        answer.set()
        found = await asyncio.gather(*slow, return_exceptions=True)
    assert all(isinstance(each, FetchFailed) for each in found)
    assert len(asked) == 1
