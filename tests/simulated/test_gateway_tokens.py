"""Bearer tokens that are JWTs of an issuer: whom the gateway lets in, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from controller.gateway.providers import Provider
from tests.simulated.gateway_stand import CHANNEL, Stand, new_stand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIENCE = "the-gateway"


@dataclass
class Issuer:
    """Discovery and keys, over HTTP.

    Attributes:
        keys: Private keys, by key id.
        odd: Keys of the key set that nobody can read.
        more: What the discovery document says instead.
        asked: Paths, in the order they were asked for.
    """

    url: str = ""
    keys: dict[str, Any] = field(default_factory=dict)
    odd: list[Any] = field(default_factory=list)
    more: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def discover(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        told = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.more
        return web.json_response(told)

    async def list_keys(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        good = [public(key) | {"kid": kid, "use": "sig"} for kid, key in self.keys.items()]
        return web.json_response({"keys": [*self.odd, *good]})

    def token(self, kid: str = "rsa", algorithm: str = "RS256", **claims: object) -> str:
        """A token that one of the keys has signed; None leaves a claim out."""
        return self.signed(self.keys[kid], kid, algorithm, **claims)

    def signed(self, key: Any, kid: str, algorithm: str, **claims: object) -> str:  # noqa: ANN401
        """A token that any key has signed."""
        whole = {
            "iss": self.url, "aud": AUDIENCE, "sub": "somebody", "exp": int(time.time()) + 600,
            "iat": int(time.time()), "twitch_channels": [CHANNEL],
        } | claims  # fmt: skip
        told = json.dumps({k: v for k, v in whole.items() if v is not None})
        return jwt.PyJWS().encode(told.encode(), key, algorithm, headers={"kid": kid})


def public(key: Any) -> dict[str, Any]:  # noqa: ANN401 - of any kind
    for kind in (
        jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm, jwt.algorithms.OKPAlgorithm,
    ):  # fmt: skip
        try:
            return dict(kind.to_jwk(key.public_key(), as_dict=True))
        except (jwt.InvalidKeyError, AttributeError, TypeError):
            continue
    raise AssertionError(key)


@asynccontextmanager
async def new_issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    issuer.keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    app = web.Application()
    app.router.add_get("/realm/.well-known/openid-configuration", issuer.discover)
    app.router.add_get("/realm/keys", issuer.list_keys)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/realm"
    try:
        yield issuer
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with new_issuer() as issuer:
        yield issuer


@pytest_asyncio.fixture(loop_scope="module")
async def stand(issuer: Issuer) -> AsyncIterator[Stand]:
    async with new_stand() as stand:
        stand.serve(oauth=Provider(issuer=issuer.url, audience=AUDIENCE))
        yield stand
        assert not stand.failures


async def status(stand: Stand, token: str) -> int:
    return (await stand.send(authorization=f"Bearer {token}")).status_code


async def test_good_tokens_let_in_and_the_keys_are_fetched_once(
    stand: Stand, issuer: Issuer
) -> None:
    for kid, algorithm in (
        ("rsa", "RS256"), ("rsa", "RS512"), ("rsa", "PS256"), ("ec", "ES256"), ("ed", "EdDSA"),
    ):  # fmt: skip
        assert await status(stand, issuer.token(kid, algorithm)) == 200
    assert await status(stand, issuer.token(aud=["other", AUDIENCE])) == 200
    assert await status(stand, issuer.token(twitch_channels="2222 1111")) == 200
    assert await status(stand, issuer.token(twitch_channels=None)) == 403
    assert await status(stand, issuer.token(sub=7, jti=9)) == 200
    assert len(issuer.asked) == 2


async def test_keys_that_cannot_be_read_are_nothing_to_the_good_ones(
    stand: Stand, issuer: Issuer
) -> None:
    issuer.odd = [
        None, [], "x", {}, {"kty": "RSA"}, {"kty": "RSA", "kid": 1, "n": "!", "e": "AQAB"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}, {"kty": "EC", "crv": "none", "kid": "x"},
        {"kty": ["RSA"], "kid": ["a"]}, {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "tiny"},
    ]  # fmt: skip
    assert await status(stand, issuer.token()) == 200
    signed = jwt.encode({"exp": time.time() + 60}, "secret" * 6, headers={"kid": "oct"})
    assert await status(stand, signed) == 401


async def test_forged_tokens_let_nobody_in(stand: Stand, issuer: Issuer) -> None:
    now = int(time.time())
    key = issuer.keys["rsa"]
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    wrong: dict[str, dict[str, Any]] = {
        "another issuer": {"iss": "https://evil.example"},
        "no issuer": {"iss": None},
        "issuer is a list": {"iss": [issuer.url]},
        "issuer with a slash": {"iss": issuer.url + "/"},
        "another audience": {"aud": "others"},
        "no audience": {"aud": None},
        "audience is a number": {"aud": 1},
        "past": {"exp": now - 60},
        "no exp": {"exp": None},
        "exp is a text": {"exp": "later"},
        "exp is huge": {"exp": 10**400},
        "exp is an object": {"exp": {}},
        "not yet": {"nbf": now + 3600},
        "nbf is a text": {"nbf": "x"},
    }
    tokens = {name: issuer.token(**claims) for name, claims in wrong.items()}
    good = issuer.token().split(".")
    head = {"alg": "HS256", "typ": "JWT", "kid": "rsa"}
    for name, secret in (
        ("public key as secret", pem),
        ("modulus", json.dumps(public(key)).encode()),
    ):
        text = f"{_url64(json.dumps(head).encode())}.{good[1]}"
        tokens[name] = f"{text}.{_url64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
    none = _url64(json.dumps({"alg": "none", "kid": "rsa"}).encode())
    other = rsa.generate_private_key(65537, 2048)
    tokens |= {
        "none": f"{none}.{good[1]}.",
        "none, signed": f"{none}.{good[1]}.{good[2]}",
        "another key": issuer.signed(other, "rsa", "RS256"),
        "another key with itself": jwt.encode(
            {"iss": issuer.url, "aud": AUDIENCE, "exp": now + 60, "twitch_channels": [CHANNEL]},
            other, algorithm="RS256",
            headers={"kid": "rsa", "jwk": public(other), "jku": "http://127.0.0.1:9/keys"},
        ),
        "changed": f"{good[0]}.{good[1][:-2]}AA.{good[2]}",
        "no signature": f"{good[0]}.{good[1]}.",
        "kid is a list": _with_head(good, {"alg": "RS256", "kid": ["rsa"]}),
        "kid is a path": _with_head(good, {"alg": "RS256", "kid": "../../etc/passwd"}),
        "algorithm of another kind": issuer.signed(key, "ec", "RS256"),
        "a word": "word",
        "dots": "..",
        "deep": f"{_url64(b'[' * 3000)}.{good[1]}.{good[2]}",
    }  # fmt: skip
    found = {name: await status(stand, token) for name, token in tokens.items()}
    assert found == dict.fromkeys(tokens, 401)
    assert stand.arrived == []


async def test_a_new_key_is_found_and_made_up_key_ids_are_not_asked_about_each_time(
    stand: Stand, issuer: Issuer
) -> None:
    assert await status(stand, issuer.token()) == 200
    issuer.keys["new"] = rsa.generate_private_key(65537, 2048)
    first = await status(stand, issuer.token("new"))
    assert first in (200, 401)  # the keys may have been fetched just before
    before = len(issuer.asked)
    for number in range(20):
        token = issuer.token("rsa").split(".")
        forged = _with_head(token, {"alg": "RS256", "kid": f"made-up-{number}"})
        assert await status(stand, forged) == 401
    assert len(issuer.asked) <= before + 2


@pytest.mark.parametrize(
    "more",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "http://[::ffff:10.0.0.1]/keys"},
        {"jwks_uri": "http://user:pw@127.0.0.1/keys"},
        {"jwks_uri": ["x"]},
        {"jwks_uri": None},
        {"jwks_uri": ""},
    ],
)
async def test_a_discovery_that_leads_astray_is_not_followed(
    stand: Stand, issuer: Issuer, more: dict[str, object]
) -> None:
    issuer.more = more
    answer = await stand.send(authorization=f"Bearer {issuer.token()}")
    assert (answer.status_code, answer.json()["error"]) == (503, "authorization_unavailable")
    assert "Retry-After" in answer.headers
    assert stand.arrived == []


async def test_many_with_one_token_ask_once(stand: Stand, issuer: Issuer) -> None:
    token = issuer.token()
    found = await asyncio.gather(*(status(stand, token) for _ in range(20)))
    assert set(found) == {200}
    assert len(issuer.asked) == 2


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _with_head(parts: list[str], head: dict[str, object]) -> str:
    return f"{_url64(json.dumps(head).encode())}.{parts[1]}.{parts[2]}"
