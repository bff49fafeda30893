"""An OAuth2 provider made by hand, over real HTTP: each test says what it answers."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from controller.gateway.providers import Provider
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

__all__ = [
    "EC_KEY",
    "ED_KEY",
    "OTHER_KEY",
    "RSA_KEY",
    "HandMade",
    "PrivateKey",
    "jwk",
    "open_provider",
]

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | bytes
)

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(key: PrivateKey, kid: str | None = "k1", **extra: object) -> dict[str, Any]:
    """The public half of a key, as a key set has it."""
    assert not isinstance(key, bytes)
    algorithm: Any = RSAAlgorithm
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = ECAlgorithm
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = OKPAlgorithm
    made = json.loads(algorithm.to_jwk(key.public_key()))
    return {**made, **({} if kid is None else {"kid": kid}), **extra}


class HandMade:
    """What the provider answers, and what it was asked.

    Attributes:
        answer: Body of an introspection: an object, or bytes as they are.
        status: Of it.
        keys: Of the key set.
        discovery: What differs in the discovery document; None removes.
        broken: It answers nothing but 500.
        gate: Answers wait for it.
        asked: Forms of the introspections.
        logins: Their Authorization headers.
        seen: Paths of all requests.
        called: Set by each request.
    """

    def __init__(self) -> None:
        self.url = ""
        self.answer: object = {"active": True, "twitch_channels": ["123456"]}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.keys: object = [jwk(RSA_KEY)]
        self.discovery: dict[str, object] = {}
        self.broken = False
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[dict[str, str]] = []
        self.logins: list[str] = []
        self.seen: list[str] = []
        self.cookies: list[str] = []

    async def serve(self, request: web.Request) -> web.Response:
        """Answer."""
        self.seen.append(request.path)
        self.cookies.append(request.headers.get("Cookie", ""))
        form = {name: str(value) for name, value in (await request.post()).items()}
        if request.path == "/introspect":
            self.asked.append(form)
            self.logins.append(request.headers.get("Authorization", ""))
        self.called.set()
        await self.gate.wait()
        if self.broken:
            return web.Response(status=500, text="out of order")
        return self._answer(request.path)

    def _answer(self, path: str) -> web.Response:
        if path == "/.well-known/openid-configuration":
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.discovery}
            kept = {name: value for name, value in document.items() if value is not None}
            return web.json_response(kept)
        if path == "/jwks":
            return web.json_response({"keys": self.keys})
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return web.Response(status=self.status, body=body, headers=self.headers)

    def introspection(self) -> Provider:
        """It, as who is asked about tokens."""
        return Provider(f"{self.url}/introspect", "gateway", Sensitive("hush"))

    def issuer(self) -> Provider:
        """It, as the issuer of JWTs."""
        return Provider(issuer=self.url)

    def token(
        self,
        key: PrivateKey = RSA_KEY,
        algorithm: str = "RS256",
        kid: str | None = "k1",
        **claims: object,
    ) -> str:
        """A JWT of it; a claim that is None is left out."""
        given = {
            "iss": self.url,
            "exp": int(time.time()) + 600,
            "twitch_channels": ["123456"],
            **claims,
        }
        kept = {name: value for name, value in given.items() if value is not None}
        headers = None if kid is None else {"kid": kid}
        # PyJWT refuses to make odd claims; the signature is what matters.
        return jwt.api_jws.encode(json.dumps(kept).encode(), key, algorithm, headers=headers)

    def login(self, number: int = -1) -> str:
        """User and password of an introspection."""
        scheme, _, text = self.logins[number].partition(" ")
        assert scheme == "Basic"
        return base64.b64decode(text).decode()


@asynccontextmanager
async def open_provider(tls: ssl.SSLContext | None = None) -> AsyncIterator[HandMade]:
    """Start one on a free port of loopback."""
    made = HandMade()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.serve)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    made.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        made.gate.set()
        await runner.cleanup()
