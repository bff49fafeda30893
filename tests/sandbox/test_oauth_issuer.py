"""The simulated OAuth2 provider as an issuer of JWTs: discovery, key set, rotation of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from tests.sandbox.plain import PLAIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.sandbox.oauth import OAuthSimulator


@pytest.fixture
async def http(oauth: OAuthSimulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=oauth.url, **PLAIN) as client:
        yield client


async def discover(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/.well-known/openid-configuration")
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


async def verify(
    oauth: OAuthSimulator, http: httpx.AsyncClient, token: str, audience: str | None = None
) -> dict[str, Any]:
    """What a client does that knows the issuer and PyJWT, and nothing else."""
    keys = await http.get((await discover(http))["jwks_uri"])
    key = jwt.PyJWKSet.from_dict(keys.json())[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        issuer=oauth.issuer,
        audience=audience,
        options={"require": ["exp", "iat", "iss", "sub"]},
    )
    return claims


async def test_a_client_finds_the_way_from_the_issuer_to_the_claims(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    token = oauth.token("deck", channels=["123"], form="jwt", audience="ebs")
    claims = await verify(oauth, http, token, "ebs")
    assert (claims["sub"], claims["twitch_channels"]) == ("deck", ["123"])
    with pytest.raises(jwt.InvalidAudienceError):
        await verify(oauth, http, token, "somebody else")


async def test_discovery_names_what_there_is(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    found = await discover(http)
    assert found["issuer"] == oauth.issuer == oauth.url
    assert found["introspection_endpoint"] == oauth.introspection_url
    assert (await http.get(found["jwks_uri"])).is_success
    assert (await http.post(found["introspection_endpoint"])).status_code == 401


async def test_a_key_set_holds_no_private_part(http: httpx.AsyncClient) -> None:
    (key,) = (await http.get("/oauth2/jwks")).json()["keys"]
    assert sorted(key) == ["alg", "e", "key_ops", "kid", "kty", "n", "use"]
    assert (key["alg"], key["use"], key["key_ops"]) == ("RS256", "sig", ["verify"])


async def test_an_expired_jwt_is_still_signed(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    with pytest.raises(jwt.ExpiredSignatureError):
        await verify(oauth, http, oauth.token(form="jwt", lifetime=-1))


async def test_a_changed_jwt_does_not_verify(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    head, _, signature = oauth.token("deck", form="jwt").split(".")
    _, other, _ = oauth.token("other", form="jwt").split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        await verify(oauth, http, f"{head}.{other}.{signature}")


async def test_claims_of_other_types_are_signed_as_ordered(oauth: OAuthSimulator) -> None:
    odd = {"iss": 7, "exp": "soon", "twitch_channels": 123456}
    token = oauth.token(form="jwt", claims=odd)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert odd.items() <= claims.items()


async def test_a_new_key_signs_and_the_former_still_verifies(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    before = oauth.token(form="jwt")
    kid = oauth.keys.rotate()
    after = oauth.token(form="jwt")
    assert jwt.get_unverified_header(after)["kid"] == kid
    assert jwt.get_unverified_header(before)["kid"] != kid
    assert await verify(oauth, http, before)
    assert await verify(oauth, http, after)


async def test_a_withdrawn_key_verifies_nothing(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    before = oauth.token(form="jwt")
    oauth.keys.rotate(keep=False)
    with pytest.raises(KeyError):
        await verify(oauth, http, before)


async def test_two_jwts_of_one_second_differ(oauth: OAuthSimulator) -> None:
    assert oauth.token(form="jwt") != oauth.token(form="jwt")
