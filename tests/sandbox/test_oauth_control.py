"""The simulated OAuth2 provider, steered over HTTP, and its faults."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest

from controller.sandbox.faults import Fault
from tests.sandbox.plain import PLAIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.sandbox.oauth import OAuthSimulator

PATH = "/oauth2/introspect"


@pytest.fixture
async def http(oauth: OAuthSimulator) -> AsyncIterator[httpx.AsyncClient]:
    auth = ("gateway", "hush")
    async with httpx.AsyncClient(base_url=oauth.url, auth=auth, timeout=60, **PLAIN) as client:
        yield client


async def order(http: httpx.AsyncClient, what: str, **body: object) -> dict[str, Any]:
    answer = await http.post(f"/_sandbox/{what}", json=body)
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


async def active(http: httpx.AsyncClient, token: str) -> bool:
    answer = await http.post(PATH, data={"token": token})
    found: bool = answer.raise_for_status().json()["active"]
    return found


async def test_a_script_makes_a_client_and_a_token_and_takes_it_back(
    http: httpx.AsyncClient,
) -> None:
    made = {"client_id": "gateway", "client_secret": "hush"}
    assert await order(http, "clients", **made) == {"client_id": "gateway"}
    assert (await http.get("/_sandbox/clients")).json() == ["gateway"]
    told = await order(http, "tokens", account="deck", channels=["123"], lifetime=60)
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 60)
    assert await active(http, told["access_token"])
    assert await order(http, "revoke", token=told["access_token"]) == {"revoked": 1}
    assert not await active(http, told["access_token"])
    assert await order(http, "revoke", account="deck") == {"revoked": 0}


async def test_an_empty_order_makes_a_token_too(oauth: OAuthSimulator) -> None:
    async with httpx.AsyncClient(base_url=oauth.url, **PLAIN) as stranger:
        answer = await stranger.post("/_sandbox/tokens")
    assert answer.json()["access_token"]


async def test_a_script_orders_jwts_and_new_keys(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    before = (await order(http, "tokens", form="jwt", claims={"plan": 9}))["access_token"]
    kid = (await order(http, "keys", keep=False))["kid"]
    after = (await order(http, "tokens", form="jwt"))["access_token"]
    assert jwt.decode(before, options={"verify_signature": False})["plan"] == 9
    assert jwt.get_unverified_header(after)["kid"] == kid
    assert [key["kid"] for key in oauth.keys.published()["keys"]] == [kid]


async def test_the_list_tells_of_tokens_and_not_what_they_are(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    token = oauth.token("deck", channels=["123"])
    oauth.add_client("gateway", "hush")
    await active(http, token)
    listed = await http.get("/_sandbox/tokens")
    (one,) = listed.json()
    assert (one["form"], one["active"], one["revoked"]) == ("opaque", True, False)
    assert one["claims"]["twitch_channels"] == ["123"]
    (asked,) = (await http.get("/_sandbox/requests")).json()
    assert (asked["token"], asked["status"]) == (one["fingerprint"], 200)
    assert token not in listed.text
    assert (await http.delete("/_sandbox/requests")).status_code == 204
    assert not oauth.requests


async def test_the_index_lists_every_endpoint_and_where_to_introspect(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    index = (await http.get("/_sandbox")).json()
    assert (index["issuer"], index["introspection"]) == (oauth.issuer, oauth.introspection_url)
    for listed in index["endpoints"]:
        assert set(listed) == {"method", "path", "does", "body"}  # as at the other simulators
        answer = await http.request(listed["method"], listed["path"])
        assert answer.status_code in (200, 204, 400), listed


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("tokens", {"chanels": []}, "chanels"),
        ("tokens", {"form": "saml"}, "form"),
        ("tokens", {"channels": [123]}, "channels"),
        ("clients", {"client_id": "a"}, "client_secret"),
        ("revoke", {}, "token or account"),
        ("revoke", {"token": "a", "account": "b"}, "token or account"),
        ("keys", {"keep": "perhaps"}, "keep"),
        ("faults", {"drop": True, "status": 500}, "exclude"),
    ],
)
async def test_a_wrong_order_is_refused_by_the_name_of_the_field(
    http: httpx.AsyncClient, what: str, body: dict[str, Any], field: str
) -> None:
    answer = await http.post(f"/_sandbox/{what}", json=body)
    assert answer.status_code == 400
    assert field in answer.text


async def test_a_refused_client_does_not_have_its_secret_repeated(http: httpx.AsyncClient) -> None:
    answer = await http.post("/_sandbox/clients", json={"client_id": "", "client_secret": "hush"})
    assert answer.status_code == 400
    assert "hush" not in answer.text


async def test_an_order_that_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/_sandbox/tokens", content=b"\xff{")).status_code == 400


@pytest.mark.parametrize(
    "body", ["<html>", [], {"active": "true"}, {"active": True, "exp": [1]}, None]
)
async def test_an_odd_body_is_sent_as_ordered(http: httpx.AsyncClient, body: object) -> None:
    await http.post("/_sandbox/faults", json={"path": PATH, "status": 200, "body": body})
    answer = await http.post(PATH)
    assert answer.status_code == 200
    if body is None:
        assert not answer.content
    else:
        assert (answer.text if isinstance(body, str) else answer.json()) == body


async def test_a_provider_is_down_for_as_long_as_ordered(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    oauth.add_client("gateway", "hush")
    token = oauth.token()
    fault = {"path": PATH, "status": 503, "times": 2, "headers": {"Retry-After": "7"}}
    await http.post("/_sandbox/faults", json=fault)
    for _ in range(2):
        answer = await http.post(PATH, data={"token": token})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert await active(http, token)
    assert [seen.status for seen in oauth.requests] == [503, 503, 200]


async def test_a_dropped_connection_has_no_answer(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    oauth.faults.add(Fault(path="/oauth2/*", drop=True))
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/oauth2/jwks")
    assert (await http.get("/oauth2/jwks")).is_success


async def test_a_slow_answer_is_slow_and_right(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    oauth.add_client("gateway", "hush")
    oauth.faults.add(Fault(path=PATH, delay=0.3))
    began = asyncio.get_running_loop().time()
    assert await active(http, oauth.token())
    assert asyncio.get_running_loop().time() - began >= 0.3
    oauth.faults.add(Fault(path=PATH, hang=True))
    with pytest.raises(httpx.ReadTimeout):
        await http.post(PATH, data={"token": "x"}, timeout=httpx.Timeout(60, read=0.1))


async def test_faults_are_listed_and_cleared_and_spare_the_control(
    oauth: OAuthSimulator, http: httpx.AsyncClient
) -> None:
    await http.post("/_sandbox/faults", json=[{"status": 500, "times": None}, {"drop": True}])
    pending = (await http.get("/_sandbox/faults")).json()
    assert [(one["status"], one["drop"]) for one in pending] == [(500, False), (None, True)]
    assert (await http.get("/oauth2/jwks")).status_code == 500
    assert (await http.delete("/_sandbox/faults")).status_code == 204
    assert oauth.faults.pending() == []
    assert (await http.get("/oauth2/jwks")).is_success


async def test_what_an_order_does_not_take_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/_sandbox/keys?keep=false")
    assert answer.status_code == 400
    assert answer.json() == {"error": "query parameter keep: unknown; this order takes none"}
    answer = await http.request("DELETE", "/_sandbox/requests", json={"account": "a"})
    assert answer.status_code == 400
    assert answer.json() == {"error": "account: unknown; this order takes no body"}
