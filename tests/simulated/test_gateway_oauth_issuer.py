"""Bearer tokens that are JWTs of an issuer, whose keys are read over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from controller.clients.fetch import Fetcher
from controller.gateway.authorizer import Authorizer
from controller.gateway.issuer import Issuers
from controller.gateway.keys import read_keys
from controller.gateway.providers import InvalidToken, Principal, Provider, ProviderUnavailable
from controller.gateway.verifications import MOST_TOKENS
from tests.oauth_provider import (
    EC_KEY,
    ED_KEY,
    OTHER_KEY,
    RSA_KEY,
    HandMade,
    PrivateKey,
    jwk,
    open_provider,
)
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Ticks:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def made() -> AsyncIterator[HandMade]:
    async with open_provider() as provider:
        yield provider


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(["127.0.0.1"], PATIENCE) as fetcher:
        yield fetcher


@pytest.fixture
def authorizer(fetcher: Fetcher) -> Authorizer:
    return Authorizer(fetcher)


async def refused(authorizer: Authorizer, provider: Provider, token: str) -> None:
    with pytest.raises(InvalidToken):
        await authorizer.authorize(provider, token)


def segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_a_token_of_the_issuer_has_its_channels(
    authorizer: Authorizer, made: HandMade
) -> None:
    principal = await authorizer.authorize(made.issuer(), made.token(twitch_channels=["7", 8]))
    assert principal.channels == ("7", "8")
    assert made.seen == ["/.well-known/openid-configuration", "/jwks"]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        *((RSA_KEY, name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        (EC_KEY, "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ec.generate_private_key(ec.SECP521R1()), "ES512"),
        (ED_KEY, "EdDSA"),
    ],
)
async def test_each_algorithm_with_a_public_key_will_do(
    authorizer: Authorizer, made: HandMade, key: PrivateKey, algorithm: str
) -> None:
    made.keys = [jwk(OTHER_KEY, "k0"), jwk(key, "k1")]
    await authorizer.authorize(made.issuer(), made.token(key, algorithm))


async def test_a_key_that_names_its_algorithm_is_good_for_that_alone(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.keys = [jwk(RSA_KEY, alg="RS256")]
    await authorizer.authorize(made.issuer(), made.token())
    await refused(authorizer, made.issuer(), made.token(algorithm="RS512"))


async def test_alg_none_is_refused(authorizer: Authorizer, made: HandMade) -> None:
    claims = {"iss": made.url, "exp": int(time.time()) + 600, "twitch_channels": ["1"]}
    for name in ("none", "None", "NONE", ""):
        token = f"{segment({'alg': name, 'kid': 'k1'})}.{segment(claims)}."
        await refused(authorizer, made.issuer(), token)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_a_public_key_is_no_shared_secret(
    authorizer: Authorizer, made: HandMade, algorithm: str
) -> None:
    public = RSA_KEY.public_key()
    shapes = [
        public.public_bytes(encoding, shape)
        for encoding, shape in (
            (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
    ]
    for shape in [*shapes, json.dumps(RSAAlgorithm.to_jwk(public)).encode()]:
        claims = {"iss": made.url, "exp": int(time.time()) + 600}
        signed = f"{segment({'alg': algorithm, 'kid': 'k1'})}.{segment(claims)}".encode()
        mac = jwt.get_algorithm_by_name(algorithm)
        signature = segment(mac.sign(signed, shape))  # type: ignore[arg-type, unused-ignore]
        await refused(authorizer, made.issuer(), f"{signed.decode()}.{signature}")


async def test_a_shared_secret_in_the_key_set_is_not_used(
    authorizer: Authorizer, made: HandMade
) -> None:
    secret = b"0123456789abcdef0123456789abcdef"
    made.keys = [{"kty": "oct", "k": segment(secret), "kid": "k1", "alg": "HS256"}, jwk(RSA_KEY)]
    await refused(authorizer, made.issuer(), made.token(secret, "HS256"))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": None},
        {"exp": lambda: int(time.time()) - 1},
        {"exp": "soon"},
        {"exp": lambda: str(int(time.time()) + 600)},
        {"exp": True},
        {"exp": [1]},
        {"exp": {}},
        {"exp": -1},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"iss": None},
        {"iss": "https://elsewhere.example"},
        {"iss": ["x"]},
        {"iss": 5},
        {"iat": lambda: int(time.time()) + 120},
        {"nbf": lambda: int(time.time()) + 120},
        {"iat": "then"},
        {"nbf": float("inf")},
    ],
)
async def test_claims_that_do_not_hold_are_a_refusal(
    authorizer: Authorizer, made: HandMade, claims: dict[str, Any]
) -> None:
    at_present = {name: value() if callable(value) else value for name, value in claims.items()}
    await refused(authorizer, made.issuer(), made.token(**at_present))


@pytest.mark.parametrize(
    ("aud", "good"),
    [
        ("gateway", True),
        (["x", "gateway"], True),
        (None, False),
        ("other", False),
        (["other"], False),
        ([], False),
        ("", False),
        (5, False),
        ({"gateway": 1}, False),
        ([["gateway"]], False),
        ("gateway2", False),
    ],
)
async def test_the_audience_must_be_the_one_that_is_configured(
    authorizer: Authorizer, made: HandMade, aud: object, *, good: bool
) -> None:
    provider, token = replace(made.issuer(), audience="gateway"), made.token(aud=aud)
    if good:
        await authorizer.authorize(provider, token)
    else:
        await refused(authorizer, provider, token)


async def test_without_a_configured_audience_any_will_do(
    authorizer: Authorizer, made: HandMade
) -> None:
    await authorizer.authorize(made.issuer(), made.token(aud="whoever"))


async def test_a_signature_of_another_key_is_refused(
    authorizer: Authorizer, made: HandMade
) -> None:
    await refused(authorizer, made.issuer(), made.token(OTHER_KEY))


async def test_a_changed_token_is_refused(authorizer: Authorizer, made: HandMade) -> None:
    head, _, signature = made.token().split(".")
    claims = {"iss": made.url, "exp": int(time.time()) + 600, "twitch_channels": ["9"]}
    await refused(authorizer, made.issuer(), f"{head}.{segment(claims)}.{signature}")


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "..",
        ".",
        f"{segment({'alg': 'RS256', 'kid': 5})}.{segment({})}.{segment(b'x')}",
        f"{segment({'alg': ['RS256'], 'kid': 'k1'})}.{segment({})}.{segment(b'x')}",
        f"{segment({'alg': 'RS256', 'crit': ['b64'], 'b64': False})}.e30.{segment(b'x')}",
        f"{segment({'alg': 'RS256', 'crit': ['x'], 'x': 1})}.e30.{segment(b'x')}",
        f"{segment([1])}.{segment({})}.{segment(b'x')}",
        f"{segment(b'[' * 3000)}.{segment({})}.{segment(b'x')}",
        f"{segment(b'1' * 5000)}.{segment({})}.{segment(b'x')}",
    ],
    ids=range(11),
)
async def test_what_is_no_jwt_is_refused(
    authorizer: Authorizer, made: HandMade, token: str
) -> None:
    await refused(authorizer, made.issuer(), token)


async def test_a_payload_that_is_no_object_is_refused(
    authorizer: Authorizer, made: HandMade
) -> None:
    for payload in (b"[]", b"5", b"null", b"\xff", b"[" * 4000, b"1" * 5000, b""):
        token = jwt.api_jws.encode(payload, RSA_KEY, "RS256", headers={"kid": "k1"})
        await refused(authorizer, made.issuer(), token)


async def test_a_token_without_kid_needs_a_set_that_leaves_no_choice(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.keys = [jwk(RSA_KEY, None), jwk(EC_KEY, None)]
    await authorizer.authorize(made.issuer(), made.token(kid=None))
    async with open_provider() as other:
        other.keys = [jwk(RSA_KEY, "a"), jwk(OTHER_KEY, "b")]
        await refused(authorizer, other.issuer(), other.token(kid=None))


def hostile(exponent: int) -> dict[str, Any]:
    """A key whose numbers somebody chose; nobody can sign with it."""
    modulus = (1 << 8191) | (secrets.randbits(8190) | 1)
    return {
        "kty": "RSA",
        "kid": "k2",
        "n": segment(modulus.to_bytes(1024, "big")),
        "e": segment(exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")),
    }


@pytest.mark.parametrize("exponent", [(1 << 3071) | 1, (1 << 32) | 1], ids=["3072", "33"])
async def test_an_rsa_exponent_that_costs_too_much_is_left_out(
    authorizer: Authorizer, made: HandMade, exponent: int
) -> None:
    made.keys = [hostile(exponent)]
    with pytest.raises(ProviderUnavailable, match="no usable key"):
        await authorizer.authorize(made.issuer(), made.token(kid="k2"))
    async with open_provider() as other:
        other.keys = [hostile(exponent), jwk(RSA_KEY)]
        await authorizer.authorize(other.issuer(), other.token())


def test_usual_rsa_exponents_are_usable() -> None:
    assert len(read_keys([hostile(3), hostile(65537), hostile((1 << 32) - 1)])) == 3


async def test_the_loop_goes_on_while_a_token_is_verified(fetcher: Fetcher, made: HandMade) -> None:
    issuers, token = Issuers(fetcher), made.token()
    await issuers.verify(made.issuer(), token, time.time())  # now it has the keys
    verifying = asyncio.create_task(issuers.verify(made.issuer(), token, time.time()))
    await asyncio.sleep(0)  # it took its first step, with all that it needs
    assert not verifying.done()
    await verifying


async def test_forged_tokens_for_one_provider_do_not_delay_another(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.keys = [jwk(RSA_KEY), hostile((1 << 32) - 1)]
    await authorizer.authorize(made.issuer(), made.token())
    async with open_provider() as other:
        await authorizer.authorize(other.issuer(), other.token())
        signed = made.token(kid="k2", jti="0").rpartition(".")[0]
        forged = [f"{signed}.{segment(secrets.token_bytes(1023))}" for _ in range(MOST_TOKENS)]
        flood = [
            asyncio.create_task(authorizer.authorize(made.issuer(), token)) for token in forged
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # each has its place
        with pytest.raises(ProviderUnavailable, match="already wait") as full:
            await authorizer.authorize(made.issuer(), made.token(jti="one more"))
        assert full.value.retry_after == 1
        await authorizer.authorize(other.issuer(), other.token(jti="honest"))
        assert not all(task.done() for task in flood)
        found = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(each) for each in found} == {InvalidToken}
    await authorizer.authorize(made.issuer(), made.token(jti="later"))


def weak() -> dict[str, Any]:
    return jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), "k1")


ODD: list[Any] = [
    None,
    5,
    "key",
    [],
    {},
    {"kty": "RSA"},
    {"kty": "RSA", "n": 5, "e": []},
    {"kty": "RSA", "n": "!!", "e": "AQAB", "kid": "k1"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": "AA"},
    {"kty": ["RSA"]},
    {"kty": "RSA", "alg": {"a": 1}},
    {**jwk(OTHER_KEY), "use": "enc"},
    {**jwk(OTHER_KEY), "alg": "HS256"},
    {**jwk(OTHER_KEY), "alg": "RSA-OAEP"},
    weak(),
]


async def test_odd_keys_do_no_harm_to_the_good_ones(authorizer: Authorizer, made: HandMade) -> None:
    made.keys = [*ODD, jwk(RSA_KEY), *ODD]
    await authorizer.authorize(made.issuer(), made.token())


async def test_keys_that_take_long_to_read_are_not_read(
    authorizer: Authorizer, made: HandMade
) -> None:
    huge = segment(b"\xff" * 20_000)
    made.keys = [
        {"kty": "RSA", "n": huge, "e": "Aw", "kid": "k1"},
        {"kty": "RSA", "n": segment(b"\xff" * 1024), "e": "Aw", "d": "Aw", "kid": "k1"},
        jwk(RSA_KEY),
    ]
    begin = time.process_time()
    await authorizer.authorize(made.issuer(), made.token())
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": None},
        {"issuer": "https://elsewhere.example"},
        {"issuer": ["x"]},
        {"jwks_uri": None},
        {"jwks_uri": 5},
        {"jwks_uri": ""},
        {"jwks_uri": "http://10.0.0.1/jwks"},
        {"jwks_uri": "https://10.0.0.1/jwks"},
        {"jwks_uri": "https://169.254.169.254/latest"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://xn--/"},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
    ],
)
async def test_an_odd_discovery_document_makes_the_issuer_unavailable(
    authorizer: Authorizer, made: HandMade, discovery: dict[str, object]
) -> None:
    made.discovery = discovery
    with pytest.raises(ProviderUnavailable):
        await authorizer.authorize(made.issuer(), made.token())


@pytest.mark.parametrize("keys", [None, {}, [], "keys", 5, ODD])
async def test_a_set_without_usable_keys_makes_the_issuer_unavailable(
    authorizer: Authorizer, made: HandMade, keys: object
) -> None:
    made.keys = keys
    with pytest.raises(ProviderUnavailable):
        await authorizer.authorize(made.issuer(), made.token())


async def test_an_issuer_that_ends_in_a_slash_is_found(
    authorizer: Authorizer, made: HandMade
) -> None:
    name = f"{made.url}/"
    made.discovery = {"issuer": name}
    await authorizer.authorize(replace(made.issuer(), issuer=name), made.token(iss=name))


class Reading:
    """An issuer whose keys are watched; time is the test's."""

    def __init__(self, made: HandMade, fetcher: Fetcher) -> None:
        self.made = made
        self.ticks = Ticks()
        self.issuers = Issuers(fetcher, self.ticks)

    @property
    def reads(self) -> int:
        return self.made.seen.count("/.well-known/openid-configuration")

    async def verify(self, kid: str = "k1", key: PrivateKey = RSA_KEY) -> Principal:
        token = self.made.token(key, kid=kid)
        return await self.issuers.verify(self.made.issuer(), token, time.time())


@pytest.fixture
def reading(made: HandMade, fetcher: Fetcher) -> Reading:
    return Reading(made, fetcher)


async def test_keys_are_read_once_for_all(reading: Reading) -> None:
    await asyncio.gather(*(reading.verify() for _ in range(20)))
    await reading.verify()
    assert reading.reads == 1


async def test_a_new_key_is_looked_for_at_most_every_thirty_seconds(reading: Reading) -> None:
    await reading.verify()
    reading.made.keys = [jwk(RSA_KEY), jwk(OTHER_KEY, "k2")]
    with pytest.raises(InvalidToken):
        await reading.verify(key=OTHER_KEY, kid="k2")
    assert reading.reads == 1
    reading.ticks.now += 31
    await reading.verify(key=OTHER_KEY, kid="k2")
    for number in range(20):
        with pytest.raises(InvalidToken):
            await reading.verify(kid=f"made-up-{number}")
    assert reading.reads == 2


async def test_keys_are_read_again_before_they_run_out_and_nobody_waits(reading: Reading) -> None:
    await reading.verify()
    reading.made.gate.clear()
    reading.made.called.clear()
    reading.ticks.now += 301
    await asyncio.wait_for(reading.verify(), PATIENCE / 2)
    await reading.made.called.wait()
    await asyncio.wait_for(reading.verify(), PATIENCE / 2)
    assert reading.reads == 2


async def test_keys_count_for_ten_minutes_while_the_issuer_is_down(reading: Reading) -> None:
    await reading.verify()
    reading.made.broken = True
    reading.ticks.now += 599
    await reading.verify()
    reading.ticks.now += 2
    with pytest.raises(ProviderUnavailable):
        await reading.verify()
    reading.made.broken = False
    reading.ticks.now += 31
    await reading.verify()


async def test_a_key_that_was_taken_back_counts_no_more_once_the_set_is_read(
    reading: Reading,
) -> None:
    await reading.verify()
    reading.made.keys = [jwk(OTHER_KEY, "k2")]
    reading.ticks.now += 601
    with pytest.raises(InvalidToken):
        await reading.verify()


async def test_an_issuer_without_keys_is_asked_again_after_a_second(reading: Reading) -> None:
    reading.made.broken = True
    for _ in range(5):
        with pytest.raises(ProviderUnavailable) as problem:
            await reading.verify()
    assert problem.value.retry_after is not None
    assert reading.reads == 1
    reading.made.broken = False
    reading.ticks.now += 1.1
    await reading.verify()


async def test_an_unknown_key_while_the_issuer_is_down_is_no_refusal(reading: Reading) -> None:
    await reading.verify()
    reading.made.broken = True
    reading.ticks.now += 31
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await reading.verify(kid="k2")
    await reading.verify()
    assert reading.reads == 2
