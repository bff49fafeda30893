"""What a gateway gets that nobody should send: it refuses, tells why, and never answers 500."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.other_extensions import Answer
from tests.simulated.gateway_stand import CHANNEL, CLIENT_ID, VERSION, Stand, new_stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEEP = 20_000
MEGABYTES = 10_000_000
CLIENTS = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Stand]:
    async with new_stand() as stand:
        yield stand


@pytest.fixture
def stand(shared: Stand, caplog: pytest.LogCaptureFixture) -> Iterator[Stand]:
    """One stand for all tests; none of them makes the gateway fail or tell secrets."""
    caplog.set_level(logging.DEBUG)
    shared.forget()
    yield shared
    assert not shared.failures
    assert not [record for record in caplog.records if record.exc_info]
    secret = shared.twitch.extension(CLIENT_ID).keys[0].text
    assert not [text for text in (secret, *shared.book.asked) if text in caplog.text]


def key_of(stand: Stand) -> bytes:
    return base64.b64decode(stand.twitch.extension(CLIENT_ID).keys[0].text)


def claims(**changes: object) -> dict[str, Any]:
    whole = {
        "exp": int(time.time()) + 600, "user_id": CHANNEL, "channel_id": CHANNEL,
        "opaque_user_id": "U1", "role": "broadcaster", "is_unlinked": False,
    }  # fmt: skip
    return whole | changes


def url64(data: bytes | str) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(stand: Stand, payload: str, **head: object) -> str:
    """A JWT of any text, which the extension's secret signs."""
    header = json.dumps({"alg": "HS256", "typ": "JWT"} | head)
    text = f"{url64(header)}.{url64(payload)}"
    return f"{text}.{url64(hmac.new(key_of(stand), text.encode(), hashlib.sha256).digest())}"


# Bodies

BODIES: dict[str, bytes] = {
    "empty": b"",
    "half": b'{"type": "a", "data": {',
    "single quotes": b"{'type': 'a', 'data': {}}",
    "not UTF-8": b'{"type": "\xff\xfe", "data": {}}',
    "UTF-16": '{"type": "a", "data": {}}'.encode("utf-16"),
    "BOM": b'\xef\xbb\xbf{"type": "a", "data": {}}',
    "overlong": b'{"type": "\xc0\x80", "data": {}}',
    "raw surrogate": b'{"type": "\xed\xa0\x80", "data": {}}',
    "deep arrays": b"[" * DEEP,
    "deep objects": b'{"data":' * 7000,
    "deep and whole": b'{"type":"a","data":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "two values": b'{"type": "a", "data": {}} {}',
    "NaN": b'{"type": "a", "data": {"a": NaN}}',
    "Infinity": b'{"type": "a", "data": {"a": -Infinity}}',
    "infinite": b'{"type": "a", "data": {"a": 1e999}}',
    "many digits": b'{"type": "a", "data": {}, "version": ' + b"9" * 5000 + b"}",
    "many digits inside": b'{"type": "a", "data": {"a": ' + b"9" * 50_000 + b"}}",
    "half a pair": b'{"type": "\\ud800", "data": {}}',
    "half a pair inside": b'{"type": "a", "data": {"\\udfff": 1}}',
    "zero byte": b'{"type": "a\x00", "data": {}}',
    "form": b"type=a&data=b",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_body_that_is_not_what_it_should_be_is_refused(stand: Stand, body: bytes) -> None:
    answer = await stand.send(raw=body)
    assert answer.status_code == 400
    assert answer.json()
    assert stand.arrived == []


async def test_what_is_odd_and_yet_right_is_sent(stand: Stand) -> None:
    for body in (
        b' \n{"type": "a", "data": {"a": 1, "a": 2}}\r\n',
        b'{"type": "a", "data": {"\\u0000": "\\ud834\\udd1e"}}',
        b'{"type": "a", "data": {"a": -0.0, "b": 1E5, "c": 12345678901234567890123}}',
        b'{"type": "a", "data": {}, "version": -7}',
        b'{"type": "a", "data": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
    ):
        assert (await stand.send(raw=body)).status_code == 200
        assert json.loads(stand.arrived[-1].text)["data"] == json.loads(body)["data"]


async def test_a_body_of_ten_megabytes_is_not_read(stand: Stand) -> None:
    body = b'{"type": "a", "data": {"a": "' + b"x" * MEGABYTES + b'"}}'

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    for content in (body, chunks()):
        answer = await stand.http.post("/send/", headers=stand.headers(), content=content)
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")
        assert answer.json()["size"] > answer.json()["limit"]
    # Nobody waits for what was only announced, and what comes before it is told first.
    head = b"POST /send/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n"
    lines = b"".join(f"{k}: {v}\r\n".encode() for k, v in stand.headers().items())
    assert (await stand.raw(head + lines + b"\r\n")).startswith(b"HTTP/1.1 413 ")
    assert (await stand.raw(head + b"\r\n")).startswith(b"HTTP/1.1 401 ")
    assert (await stand.raw(head.replace(b"send", b"setup") + b"\r\n")).startswith(b"HTTP/1.1 403 ")
    assert stand.arrived == []
    assert (await stand.send()).status_code == 200


# JWTs


def hs(stand: Stand, digest: str) -> str:
    """A JWT by the extension's secret and another hash."""
    head = {"alg": f"HS{digest.removeprefix('sha')}", "typ": "JWT"}
    text = f"{url64(json.dumps(head))}.{url64(json.dumps(claims()))}"
    return f"{text}.{url64(hmac.new(key_of(stand), text.encode(), digest).digest())}"


def forged(stand: Stand) -> dict[str, str]:
    """JWTs that must not count, by what is wrong with them."""
    key, good = key_of(stand), json.dumps(claims())
    rsa_key = rsa.generate_private_key(65537, 2048)
    now = int(time.time())
    public: Any = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True)
    wrong: dict[str, dict[str, object]] = {
        "exp: none": {"exp": None},
        "exp: text": {"exp": str(now + 60)},
        "exp: true": {"exp": True},
        "exp: list": {"exp": [now + 60]},
        "exp: ten years": {"exp": now + 10 * 365 * 86_400},
        "exp: huge": {"exp": 10**400},
        "exp: past": {"exp": now - 60},
        "exp: 0": {"exp": 0},
        "iat: future": {"iat": now + 3600},
        "iat: text": {"iat": "soon"},
        "nbf: future": {"nbf": now + 3600},
        "user_id: number": {"user_id": 1111},
        "channel_id: number": {"channel_id": 1111},
        "channel_id: list": {"channel_id": [CHANNEL]},
        "role: list": {"role": ["broadcaster"]},
        "user_id: object": {"user_id": {"a": 1}},
        "user_id: true": {"user_id": True},
        "is_unlinked: text": {"is_unlinked": "false"},
        "is_unlinked: 1": {"is_unlinked": 1},
    }
    made = {name: signed(stand, json.dumps(claims(**each))) for name, each in wrong.items()}
    no_exp = claims()
    del no_exp["exp"]
    none = f"{url64(json.dumps({'alg': 'none', 'typ': 'JWT'}))}.{url64(good)}."
    return made | {
        "no exp": signed(stand, json.dumps(no_exp)),
        "alg none": none,
        "alg None, signed": signed(stand, good, alg="None"),
        "alg none, signed": none + url64(hmac.new(key, none[:-1].encode(), "sha256").digest()),
        "no alg": signed(stand, good, alg=None),
        "alg: list": signed(stand, good, alg=["HS256"]),
        "HS384": hs(stand, "sha384"),
        "HS512": hs(stand, "sha512"),
        "RS256": jwt.encode(claims(), rsa_key, algorithm="RS256"),
        "RS256 with its key": jwt.encode(
            claims(), rsa_key, algorithm="RS256", headers={"jwk": public}
        ),
        "another secret": jwt.encode(claims(), b"x" * 32, algorithm="HS256"),
        "the text of the secret": jwt.encode(
            claims(), stand.twitch.extension(CLIENT_ID).keys[0].text, algorithm="HS256"
        ),
        "an understanding is critical": signed(stand, good, crit=["x"], x=1),
        "not encoded": signed(stand, good, b64=False, crit=["b64"]),
        "a list": signed(stand, "[]"),
        "a text": signed(stand, '"broadcaster"'),
        "null": signed(stand, "null"),
        "no JSON": signed(stand, "{"),
        "exp: infinite": signed(stand, good.replace('"exp": ', '"exp": 1e999, "x": ')),
        "exp: NaN": signed(stand, good.replace('"exp": ', '"exp": NaN, "x": ')),
        "exp: many digits": signed(stand, good.replace('"exp": ', f'"x": {"9" * 5000}, "exp": ')),
        "deep": signed(stand, '{"a":' + "[" * 3000),
        "four parts": signed(stand, good) + ".x",
        "two parts": signed(stand, good).rpartition(".")[0],
        "no signature": signed(stand, good).rpartition(".")[0] + ".",
        "five parts": "a.b.c.d.e",
        "dots": "..",
        "dot": ".",
        "long": signed(stand, json.dumps(claims(x="x" * 20_000))),
        "odd letters": "eyJ*.eyJ*.+/",
        "header is a list": f"{url64('[]')}.{url64(good)}.{url64('x')}",
        "header is not JSON": f"{url64('x')}.{url64(good)}.{url64('x')}",
        "header is not UTF-8": f"{url64(bytes([255]))}.{url64(good)}.{url64('x')}",
    }


async def test_no_forged_jwt_counts(stand: Stand) -> None:
    found = {}
    for name, token in forged(stand).items():
        answer = await stand.set_up(jwt=token)
        found[name] = (answer.status_code, answer.json().get("error"))
        assert isinstance(answer.json().get("detail"), str), name
    different = {"exp: past": "expired_signature", "exp: 0": "expired_signature"}
    different |= dict.fromkeys(("is_unlinked: text", "is_unlinked: 1"), "account_not_linked")
    assert found == {name: (403, different.get(name, "invalid_jwt")) for name in found}
    assert stand.required == {}


async def test_a_jwt_with_more_than_it_needs_counts(stand: Stand) -> None:
    now = time.time()
    for token in (
        signed(stand, json.dumps(claims(iat=now + 5, exp=now + 60.5, aud="x", iss=1))),
        signed(stand, json.dumps(claims()), kid="wrong", typ="other", jku="https://example.com/"),
        signed(stand, json.dumps(claims(is_unlinked=None, pubsub_perms={"listen": []}))),
    ):
        assert (await stand.set_up(jwt=token)).status_code == 200


# Headers

VALUES = [
    "1111, 2222", "11 11", "11\t11", "'; DROP TABLE x", "../../x", "%0d%0aSet-Cookie: a=b", "{}",
    "", "x" * 4000, "é", "\xff\x80",
]  # fmt: skip


@pytest.mark.parametrize("name", ["user_id", "client_id", "version"])
@pytest.mark.parametrize("value", VALUES)
async def test_odd_values_of_headers_are_refused_or_nothing_to_it(
    stand: Stand, name: str, value: str
) -> None:
    for path, token in (("/send/", stand.book.token()), ("/setup/", stand.helper())):
        changes = {"authorization": f"Bearer {token}", "version": VERSION, name: value}
        headers: Any = [
            (k.encode(), v.encode("latin-1")) for k, v in stand.headers(**changes).items()
        ]
        body = {"type": "a", "data": {}}
        answer = await stand.http.post(path, headers=headers, json=body)
        if path == "/send/" and name == "version":
            assert answer.status_code == 200
        else:
            assert answer.status_code in (400, 403), answer.text
        assert len(answer.content) < 1000
        assert "Set-Cookie" not in answer.headers


HEADS = {
    "a line of one's own": b"X-Twitch-User-Id: 1111\r\nSet-Cookie: a=b",
    "carriage return": b"X-Twitch-User-Id: 1111\rSet-Cookie: a=b",
    "line feed": b"X-Twitch-Client-Id: x\nSet-Cookie: a=b",
    "folded": b"X-Twitch-Client-Id: x\r\n Set-Cookie: a=b",
    "zero": b"X-Twitch-User-Id: 1111\x00Set-Cookie: a=b",
    "in the id": b"X-Request-Id: abc\rSet-Cookie: a=b",
    "escaped in the id": b"X-Request-Id: abc%0d%0aSet-Cookie:%20a=b",
    "not ASCII in the id": b"X-Request-Id: \xc4\x8d\xc4\x8aSet-Cookie: a=b",
    "in the origin": b"Origin: https://a\rSet-Cookie: a=b",
    "no colon": b"Set-Cookie a=b",
    "no name": b": a=b",
    "space in the name": b"X Y: a=b",
}


@pytest.mark.parametrize("line", HEADS.values(), ids=HEADS)
async def test_no_header_can_be_put_into_an_answer(stand: Stand, line: bytes) -> None:
    lines = b"".join(f"{k}: {v}\r\n".encode() for k, v in stand.headers(client_id="x").items())
    for path in (b"/send/", b"/nowhere\rSet-Cookie: a=b", b"/send/?a=\rSet-Cookie: a=b"):
        head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        answer = await stand.raw(head + lines + line + b"\r\n\r\n{}")
        begin, _, body = answer.partition(b"\r\n\r\n")
        assert begin[9:10] == b"4", answer
        names = [each.partition(b":")[0].lower() for each in begin.split(b"\r\n")[1:]]
        assert b"set-cookie" not in names
        assert b"\n" not in begin.replace(b"\r\n", b"")
        assert b"\r" not in begin.replace(b"\r\n", b"")
        json.loads(body)


GARBAGE = {
    "nothing": b"\r\n\r\n",
    "text": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"POST /send/ HTTP/9.9\r\nHost: x\r\n\r\n",
    "negative length": b"POST /send/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /send/ HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "endless length": b"POST /send/ HTTP/1.1\r\nHost: x\r\nContent-Length: "
    + b"9" * 40
    + b"\r\n\r\n",
    "length and chunks": b"POST /send/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad chunk": b"POST /send/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "long line": b"POST /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long head": b"POST /send/ HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "connect": b"CONNECT /send/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"POST http://example.com/send/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "websocket": b"GET /send/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "h2c": b"POST /send/ HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "encoded path": b"POST /%73end/%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"POST /send\xff/ HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_hardly_http_is_refused(stand: Stand, garbage: bytes) -> None:
    answer = await stand.raw(garbage)
    assert answer == b"" or answer[9:10] in (b"2", b"4"), answer
    assert b" 5" not in answer.partition(b"\r\n")[0]
    assert (await stand.send()).status_code == 200


# Twitch, and numbers of clients


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe\x00", "application/json"),
        (b"x" * 1_000_000, "text/plain"),
        (b"eA==", "text/plain; charset=base64"),
        (b"x", "text/plain; charset=undefined"),
        (b"x", "text/plain; charset=nonsense"),
        (b"x", "text/plain; charset=idna"),
        (b"x" * 7, "text/plain; charset=utf-16"),
        (b"x", "x" * 5000),
        (b"x", "\xe9"),
        (b'{"a": NaN, "b": "\\ud800"}', "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
async def test_whatever_twitch_says_is_handed_on_in_bounds(
    stand: Stand, status: int, body: bytes, kind: str
) -> None:
    order = Answer(status, body, {"Content-Type": kind})
    stand.twitch.spoil(CLIENT_ID, "message", order)
    answer = await stand.send()
    assert answer.status_code == (200 if status == 200 else 502)
    assert answer.json()["status"] == status
    stand.twitch.spoil(CLIENT_ID, "require", order)
    assert (await stand.set_up()).status_code == (200 if status == 200 else 502)
    assert len(answer.content) < 50_000


async def test_an_encoding_that_is_none_is_a_bad_upstream(stand: Stand) -> None:
    for encoding in ("gzip", "br", "deflate", "zstd"):
        order = Answer(200, b"x", {"Content-Encoding": encoding})
        stand.twitch.spoil(CLIENT_ID, "message", order)
        answer = await stand.send()
        assert answer.status_code in (200, 502), encoding


async def test_no_series_is_made_for_what_clients_make_up(stand: Stand) -> None:
    for path in ("/send/", "/setup/", "/other"):
        await stand.http.post(path, headers=stand.headers(client_id="first"))
    before = len(stand.series)
    good = f"Bearer {stand.book.token()}"

    async def ask(number: int) -> None:
        headers = stand.headers(authorization=good, client_id=f"made-up-{number}")
        path = (f"/send/?{number}", f"/setup/?{number}", f"/other/{number}")[number % 3]
        await stand.http.post(path, headers=headers)

    for begin in range(0, CLIENTS, 100):
        await asyncio.gather(*(ask(begin + number) for number in range(100)))
    for method in ("GET", "PUT", "BREW"):
        await stand.http.request(method, "/send/")
    assert len(stand.series) <= before + 12
    assert "made-up" not in "".join(stand.series)


async def test_the_description_is_there_and_needs_no_other_host(stand: Stand) -> None:
    described = (await stand.http.get("/openapi.json")).json()
    assert described["paths"].keys() == {"/send/", "/setup/"}
    page = await stand.http.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "//" not in page.text.partition("<body")[0]
    assert "src=" not in page.text
