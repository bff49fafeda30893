"""URLs from resources, called for real: what is refused, pinned, bounded, and never told."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import socket
import ssl
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controller.clients.fetch import MAX_ANSWER, Fetcher, FetchFailed, FetchForbidden
from controller.clients.http import tls_context
from tests.oauth_provider import open_provider
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

LOOPBACK = "127.0.0.1"


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher([LOOPBACK], PATIENCE) as made:
        yield made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[str]]], list[str]]:
    """Puts a name service in place that knows these names alone, and notes what it is asked."""

    def install(addresses: dict[str, list[str]]) -> list[str]:
        asked: list[str] = []

        def resolve(host: bytes | str, port: int, *_: object, **__: object) -> list[Any]:
            name = host.decode() if isinstance(host, bytes) else str(host)
            asked.append(name)
            found = addresses.get(name, [name] if name.replace(".", "").isdigit() else [])
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in found]
            return [
                (family, socket.SOCK_STREAM, 6, "", (address, port))
                for family, address in zip(families, found, strict=True)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return install


@asynccontextmanager
async def raw_server(answer: bytes, *, hang: bool = False) -> AsyncIterator[str]:
    """Sends these bytes to whoever asks."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if hang:
                await over.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    try:
        yield f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/"
    finally:
        over.set()
        server.close()


def http(body: bytes, *headers: str) -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0/",
        "https://localhost/",
        "https://LOCALHOST/",
        "https://10.96.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://240.0.0.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::10.0.0.1]/",
        "https://[2002:7f00:1::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[fec0::1]/",
        "https://[ff02::1]/",
    ],
)
async def test_an_address_that_is_not_public_is_refused_however_it_is_written(url: str) -> None:
    async with Fetcher([], PATIENCE) as fetcher:
        with pytest.raises(FetchForbidden, match="ALLOWED_FETCH_HOSTS"):
            await fetcher.get(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://198.51.100.7/",
        "http://example.com/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "https:///path",
        "https://user@127.0.0.1/",
        "https://user:word@127.0.0.1/",
        "https://127.0.0.1:0/",
        "https://127.0.0.1:99999/",
        "https://127.0.0.1:x/",
        "https://[::1/",
        "https://good.example\\@127.0.0.1/",
        "https://127。0。0。1/",
        "https://127.0.0.1\t/",
        "https://127.0.0.1\r\nHost: x/",
        "https://0177.0.0.1/",
        "",
        "//127.0.0.1/",
        "127.0.0.1",
        "https://xn--/",
        "https://" + "a" * 70_000,
    ],
)
async def test_a_url_that_is_odd_or_not_https_is_refused(fetcher: Fetcher, url: str) -> None:
    with pytest.raises((FetchForbidden, FetchFailed)):
        await fetcher.get(url)


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["93.184.215.14", "::1"]]
)
async def test_a_name_with_any_address_that_is_not_public_is_refused(
    names: Callable[[dict[str, list[str]]], list[str]], addresses: list[str]
) -> None:
    names({"rebind.example": addresses})
    async with Fetcher([], PATIENCE) as fetcher:
        with pytest.raises(FetchForbidden, match="not a public address"):
            await fetcher.get("https://rebind.example/")


async def test_a_name_is_resolved_once_and_kept_to(
    names: Callable[[dict[str, list[str]]], list[str]],
) -> None:
    asked = names({"provider.example": [LOOPBACK]})
    async with open_provider() as provider, Fetcher(["provider.example"], PATIENCE) as fetcher:
        url = provider.url.replace(LOOPBACK, "provider.example")
        assert (await fetcher.get(f"{url}/a")).status == 200
        assert (await fetcher.get(f"{url}/b")).status == 200
    assert [name for name in asked if name != LOOPBACK] == ["provider.example"]


async def test_the_next_address_is_tried_where_one_does_not_answer(
    names: Callable[[dict[str, list[str]]], list[str]],
) -> None:
    names({"provider.example": ["127.0.0.2", LOOPBACK]})
    async with open_provider() as provider, Fetcher(["provider.example"], PATIENCE) as fetcher:
        url = provider.url.replace(LOOPBACK, "provider.example")
        assert (await fetcher.get(url)).status == 200


async def test_an_allowed_host_with_a_port_allows_that_port_alone() -> None:
    async with (
        open_provider() as provider,
        open_provider() as other,
        Fetcher([provider.url.removeprefix("http://")], PATIENCE) as fetcher,
    ):
        assert (await fetcher.get(provider.url)).status == 200
        with pytest.raises(FetchForbidden):
            await fetcher.get(other.url)


async def test_redirects_are_not_followed(fetcher: Fetcher) -> None:
    async with open_provider() as provider:
        provider.status, provider.headers = 302, {"Location": f"{provider.url}/elsewhere"}
        assert (await fetcher.get(f"{provider.url}/here")).status == 302
        assert provider.seen == ["/here"]


async def test_cookies_are_not_kept(fetcher: Fetcher) -> None:
    async with open_provider() as provider:
        provider.headers = {"Set-Cookie": "a=b; Path=/"}
        await fetcher.get(provider.url)
        await fetcher.get(provider.url)
        assert provider.cookies == ["", ""]


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with open_provider() as provider, Fetcher([LOOPBACK], PATIENCE) as fetcher:
        assert (await fetcher.get(provider.url)).status == 200


async def test_an_answer_of_the_most_bytes_is_read_and_one_more_is_not(fetcher: Fetcher) -> None:
    async with raw_server(http(b"x" * MAX_ANSWER)) as url:
        assert len((await fetcher.get(url)).body) == MAX_ANSWER
    async with raw_server(http(b"x" * (MAX_ANSWER + 1))) as url:
        with pytest.raises(FetchFailed, match="more than"):
            await fetcher.get(url)


async def test_a_packed_answer_is_not_unpacked(fetcher: Fetcher) -> None:
    packed = gzip.compress(b"x" * 10_000_000)
    assert len(packed) < MAX_ANSWER
    async with raw_server(http(packed, "Content-Encoding: gzip")) as url:
        assert (await fetcher.get(url)).body == packed


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 2xx OK\r\n\r\n",
        b"\x00\xff secret-of-the-provider \r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_a_failure_without_its_text(
    fetcher: Fetcher, answer: bytes
) -> None:
    async with raw_server(answer) as url:
        with pytest.raises(FetchFailed) as failed:
            await fetcher.get(url)
    assert "secret-of-the-provider" not in str(failed.value)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_a_host_that_stops_talking_is_given_up(answer: bytes) -> None:
    async with raw_server(answer, hang=True) as url, Fetcher([LOOPBACK], 0.2) as fetcher:
        with pytest.raises(FetchFailed, match="did not answer"):
            await fetcher.get(url)


async def test_a_slow_host_keeps_no_call_to_another_waiting() -> None:
    async with (
        Fetcher([LOOPBACK], PATIENCE) as fetcher,
        open_provider() as slow,
        open_provider() as quick,
    ):
        slow.gate.clear()
        waiting = [asyncio.ensure_future(fetcher.get(slow.url)) for _ in range(200)]
        await slow.called.wait()
        assert (await fetcher.get(quick.url)).status == 200
        assert len(slow.seen) <= 64
        slow.gate.set()
        assert {fetched.status for fetched in await asyncio.gather(*waiting)} == {200}


def certificate(folder: Path, name: str) -> Path:
    """A certificate for a name, and its key, in one file; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def new_tls_context() -> Iterator[None]:
    """Read anew what certificates are checked by."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.mark.usefixtures("new_tls_context")
@pytest.mark.parametrize(
    ("of", "answers"), [("provider.example", True), ("other.example", False), (LOOPBACK, False)]
)
async def test_a_certificate_is_checked_against_the_host_of_the_url_though_the_address_is_pinned(
    names: Callable[[dict[str, list[str]]], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    of: str,
    *,
    answers: bool,
) -> None:
    file = certificate(tmp_path, of)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    names({"provider.example": [LOOPBACK]})
    async with open_provider(tls) as provider, Fetcher(["provider.example"], PATIENCE) as fetcher:
        url = provider.url.replace(LOOPBACK, "provider.example")
        if answers:
            assert (await fetcher.get(url)).status == 200
        else:
            with pytest.raises(FetchFailed):
                await fetcher.get(url)


async def test_a_name_that_resolves_slowly_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    begun, answer = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401
        if host == "slow.example.com":
            asked.append(host)
            begun.set()
            answer.wait(10)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with open_provider() as provider, Fetcher([LOOPBACK], PATIENCE) as fetcher:
        slow = [asyncio.create_task(fetcher.get("https://slow.example.com/")) for _ in range(60)]
        assert await asyncio.to_thread(begun.wait, 10)
        assert (await fetcher.get(provider.url)).status == 200
        answer.set()
        found = await asyncio.gather(*slow, return_exceptions=True)
    assert all(isinstance(each, FetchFailed) for each in found)
    assert len(asked) == 1
