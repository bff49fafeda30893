"""Where the simulator's extension endpoints are as strict as Twitch, and what its console does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.clients.extension_jwt import Extension, Perms
from controller.clients.extensions import Extensions, NoAnswer
from controller.clients.http import new_http_client
from controller.sandbox.twitch import Fault, Options, TwitchSimulator
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.sandbox.plain import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ID, OWNER, CHANNEL = "deck", "27419011", "642998111"
SHORT = base64.b64encode(b"short").decode()
SECRETS = "/jwt/secrets"
OF_DECK = {"extension_id": ID}


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
async def twitch(clock: Clock) -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator(clock=clock) as simulator:
        simulator.add_extension(ID, OWNER, SHORT)
        yield simulator


@pytest.fixture
async def http(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    url = twitch.helix_url + "/extensions"
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture
async def console(twitch: TwitchSimulator) -> AsyncIterator[httpx.AsyncClient]:
    url = twitch.url + "/_sandbox/extensions"
    async with httpx.AsyncClient(base_url=url, trust_env=False, verify=False) as client:
        yield client


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token(
    claims: dict[str, Any] | str,
    head: dict[str, Any] | None = None,
    secret: str = SHORT,
    digest: str = "sha256",
) -> str:
    """Whatever somebody may sign, however odd."""
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    parts = (json.dumps(head or {"alg": "HS256", "typ": "JWT"}), payload)
    text = ".".join(encoded(part.encode()) for part in parts)
    return f"{text}.{encoded(hmac.digest(base64.b64decode(secret), text.encode(), digest))}"


def good(clock: Clock, **more: object) -> dict[str, Any]:
    return {"exp": int(clock.now) + 120, "user_id": OWNER, "role": "external", **more}


def headers(jwt: str, client_id: str = ID) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt}", "Client-Id": client_id}


def sending(clock: Clock, **more: object) -> dict[str, str]:
    claims = {"channel_id": CHANNEL, "pubsub_perms": {"send": ["broadcast"]}} | more
    return headers(token(good(clock, **claims)))


def message(**more: object) -> dict[str, Any]:
    body = {"target": ["broadcast"], "message": "{}", "broadcaster_id": CHANNEL}
    return body | {"is_global_broadcast": False} | more


async def asked(http: httpx.AsyncClient, jwt: str) -> int:
    answer = await http.get(SECRETS, params=OF_DECK, headers=headers(jwt))
    return answer.status_code


async def test_a_good_jwt_is_taken_whatever_else_it_claims(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    for more in ({}, {"aud": "x", "sub": 1, "iss": None}, {"nbf": 1}, {"exp": 10**12}):
        assert await asked(http, token(good(clock) | more)) == 200, more


@pytest.mark.parametrize(
    "more",
    [
        '"exp": 1e400',
        '"exp": NaN',
        '"exp": true',
        '"exp": 9e10',
        '"exp": "99999999999"',
        '"nbf": 99999999999',
        '"nbf": "1"',
        '"user_id": ["27419011"]',
        '"role": ["external"]',
    ],
)
async def test_a_claim_of_another_form_is_refused(
    http: httpx.AsyncClient, clock: Clock, more: str
) -> None:
    claims = json.dumps(good(clock))
    assert await asked(http, token(f"{claims[:-1]}, {more}}}")) == 401


async def test_a_jwt_expires_to_the_second(http: httpx.AsyncClient, clock: Clock) -> None:
    jwt = token(good(clock))
    clock.now = int(clock.now) + 119.9
    assert await asked(http, jwt) == 200
    clock.now += 0.1
    assert await asked(http, jwt) == 401


async def test_a_jwt_of_another_algorithm_is_refused(http: httpx.AsyncClient, clock: Clock) -> None:
    claims = good(clock)
    for name, digest in (("HS512", "sha512"), ("hs256", "sha256"), ("RS256", "sha256")):
        assert await asked(http, token(claims, {"alg": name}, digest=digest)) == 401, name
    assert await asked(http, token(claims, {"typ": "JWT"})) == 401
    unsigned = token(claims, {"alg": "none"}).rpartition(".")[0] + "."
    assert await asked(http, unsigned) == 401


async def test_what_is_no_jwt_is_refused(http: httpx.AsyncClient, clock: Clock) -> None:
    jwt = token(good(clock))
    head, claims, signature = jwt.split(".")
    deep = encoded(b"[" * 2000)
    for odd in (
        "x",
        "..",
        f"{jwt}=",
        f"{jwt}.{signature}",
        f"{head}.{claims}",
        f"{head}.{claims}.{signature[:-4]}",
        f"{head}.{encoded(b'[1]')}.{signature}",
        f"{head}.{encoded(bytes([0xFF]))}.{signature}",
        token("[]"),
        token("nothing"),
        token("[" * 2000),
        f"{deep}.{deep}.{signature}",
    ):
        assert await asked(http, odd) == 401, odd[:60]


async def test_every_call_needs_a_jwt_and_the_clients_own_ids(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    jwt = token(good(clock))
    assert (await http.get(SECRETS, params=OF_DECK)).status_code == 401
    for changed in ({"Authorization": f"OAuth {jwt}"}, {"Client-Id": ""}, {"Client-Id": "x"}):
        answer = await http.get(SECRETS, params=OF_DECK, headers=headers(jwt) | changed)
        assert answer.status_code == 401, changed
    other = await http.get(SECRETS, params={"extension_id": "x"}, headers=headers(jwt))
    assert other.status_code == 401
    none = await http.get(SECRETS, headers=headers(jwt))
    assert none.status_code == 400
    body = {"extension_id": "x", "segment": "global", "content": "", "version": ""}
    put = await http.put("/configurations", json=body, headers=headers(jwt))
    assert put.status_code == 401


async def test_the_secret_tells_whose_a_message_is(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.add_extension("other", OWNER)
    twitch.add_extension("twin", OWNER, SHORT)
    as_other = sending(clock) | {"Client-Id": "other"}
    assert (await http.post("/pubsub", json=message(), headers=as_other)).status_code == 500
    as_twin = sending(clock) | {"Client-Id": "twin"}
    assert (await http.post("/pubsub", json=message(), headers=as_twin)).status_code == 204
    forged = headers(token(good(clock), secret=base64.b64encode(b"forged").decode()))
    assert (await http.post("/pubsub", json=message(), headers=forged)).status_code == 401


async def test_bodies_of_other_forms_are_refused_and_never_fail(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    odd: list[Any] = [
        {"target": ["everybody"]},
        {"target": ["whisper-"]},
        {"target": [1]},
        {"target": ["broadcast", "global"]},
        {"target": {"broadcast": 1}},
        {"is_global_broadcast": "false"},
        {"is_global_broadcast": 1},
        {"broadcaster_id": 642998111},
        {"message": ""},
        {"message": None},
    ]
    for changes in odd:
        answer = await http.post("/pubsub", json=message(**changes), headers=sending(clock))
        assert answer.status_code == 400, changes
    for raw in (b"", b"{", b"[]", b"\xff", b"[" * 5000, b"null"):
        for method, path in (("POST", "/pubsub"), ("PUT", "/configurations")):
            answer = await http.request(method, path, content=raw, headers=sending(clock))
            assert answer.status_code == 400, raw[:10]
    assert not twitch.extensions.named(ID).messages


@pytest.mark.parametrize(
    "perms",
    [None, {}, [], {"send": "broadcast"}, {"send": ["*"]}, {"send": []}, {"listen": ["broadcast"]}],
)
async def test_permission_is_to_be_spelt_out(
    http: httpx.AsyncClient, clock: Clock, perms: object
) -> None:
    sent = await http.post("/pubsub", json=message(), headers=sending(clock, pubsub_perms=perms))
    assert sent.status_code == 403


async def test_the_channel_of_the_jwt_is_text(http: httpx.AsyncClient, clock: Clock) -> None:
    number = sending(clock, channel_id=int(CHANNEL))
    assert (await http.post("/pubsub", json=message(), headers=number)).status_code == 403


async def test_a_message_may_have_five_kilobytes_in_whatever_script(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    for text in ("x" * 5120, "ö" * 2560, "\n" * 5120, "𝄞" * 1280):
        for sent, status in ((text, 204), (text + "x", 422)):
            body = json.dumps(message(message=sent)).encode()
            answer = await http.post("/pubsub", content=body, headers=sending(clock))
            assert answer.status_code == status
    assert twitch.extensions.named(ID).received == 4


async def test_each_channel_and_client_has_messages_of_its_own(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.add_extension("twin", OWNER, SHORT)
    for _ in range(100):
        twitch.extensions.messages.take((ID, CHANNEL), 100, clock.now)
    first = await http.post("/pubsub", json=message(), headers=sending(clock))
    assert first.status_code == 429
    assert twitch.extensions.named(ID).received == 0
    as_twin = sending(clock) | {"Client-Id": "twin"}
    assert (await http.post("/pubsub", json=message(), headers=as_twin)).status_code == 204
    elsewhere = sending(clock, channel_id="1")
    sent = await http.post("/pubsub", json=message(broadcaster_id="1"), headers=elsewhere)
    assert sent.status_code == 204


async def test_extensions_cost_nobodys_points(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.rate_limit = 1
    assert [await asked(http, token(good(clock))) for _ in range(5)] == [200] * 5


async def test_a_version_that_is_not_told_stays(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    body = {"extension_id": ID, "segment": "global", "content": "a", "version": "7"}
    for each in (body, {k: v for k, v in body.items() if k != "version"} | {"content": "b"}):
        answer = await http.put("/configurations", json=each, headers=headers(token(good(clock))))
        assert answer.status_code == 204
    assert twitch.extensions.named(ID).segments["global", ""] == ("b", "7")


async def test_looking_and_setting_are_counted_apart(http: httpx.AsyncClient, clock: Clock) -> None:
    query, jwt = OF_DECK | {"segment": "global"}, token(good(clock))
    for _ in range(20):
        answer = await http.get("/configurations", params=query, headers=headers(jwt))
        assert answer.json() == {"data": []}
    answer = await http.get("/configurations", params=query, headers=headers(jwt))
    assert answer.status_code == 429
    body = {"extension_id": ID, "segment": "global", "content": "", "version": ""}
    put = await http.put("/configurations", json=body, headers=headers(jwt))
    assert put.status_code == 204


async def test_the_first_secret_is_told_as_active_from_the_start(
    http: httpx.AsyncClient, clock: Clock
) -> None:
    clock.now = int(clock.now) + 0.9
    answer = await http.get(SECRETS, params=OF_DECK, headers=headers(token(good(clock))))
    (only,) = answer.json()["data"][0]["secrets"]
    assert only["content"] == SHORT
    assert only["active_at"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.now))


async def test_the_console_makes_and_deletes_secrets_at_once(
    twitch: TwitchSimulator, http: httpx.AsyncClient, console: httpx.AsyncClient, clock: Clock
) -> None:
    made = (await console.post(f"/{ID}/create-secret")).json()
    assert made["fingerprint"] == hashlib.sha256(made["secret"].encode()).hexdigest()[:12]
    assert await asked(http, token(good(clock), secret=made["secret"])) == 200
    assert await asked(http, token(good(clock))) == 200, "the former has an hour"
    assert twitch.extensions.named(ID).created == 0, "that counts what is made by API"

    shown = (await console.get(f"/{ID}")).json()["secrets"]
    assert [each["state"] for each in shown] == ["Retiring", "Active"]
    for each in shown:
        await console.post(f"/{ID}/delete-secret", json={"fingerprint": each["fingerprint"]})
    for secret in (SHORT, made["secret"]):
        assert await asked(http, token(good(clock), secret=secret)) == 401
    lost = await console.post(f"/{ID}/helper-token", json={"channel_id": "1"})
    assert lost.status_code == 400


async def test_no_call_to_the_console_fails(console: httpx.AsyncClient) -> None:
    for path, body in (
        ("/nobody/create-secret", {}),
        ("/nobody/delete-secret", {"fingerprint": "x"}),
        ("/nobody/helper-token", {"channel_id": "1"}),
    ):
        assert (await console.post(path, json=body)).status_code == 404
    assert (await console.get("/nobody")).status_code == 404
    assert (await console.post(f"/{ID}/create-secret", json={"delay": -1})).status_code == 400
    for secret in ("", "=", "ä", "AAA"):
        body = {"client_id": "new", "owner_id": "1", "secret": secret}
        assert (await console.post("", json=body)).status_code == 400, secret


async def test_states_and_ends_follow_the_options(
    twitch: TwitchSimulator, http: httpx.AsyncClient, console: httpx.AsyncClient, clock: Clock
) -> None:
    twitch.options.min_secret_delay, twitch.options.secret_retirement = 2, 30

    async def states() -> list[str]:
        shown = (await console.get(f"/{ID}")).json()
        return [each["state"] for each in shown["secrets"]]

    answer = await http.post(
        SECRETS, params=OF_DECK | {"delay": "2"}, headers=headers(token(good(clock)))
    )
    assert len(answer.json()["data"][0]["secrets"]) == 2
    assert await states() == ["Active", "Pending"]
    clock.now += 2
    assert await states() == ["Retiring", "Active"]
    clock.now += 28
    assert await states() == ["Expired", "Active"]
    assert (await console.get(f"/{ID}")).json()["created"] == 1


async def test_the_helper_signs_with_the_newest_secret_that_is_active(
    twitch: TwitchSimulator, console: httpx.AsyncClient, clock: Clock
) -> None:
    made = (await console.post(f"/{ID}/create-secret", json={"delay": 300})).json()["secret"]

    async def helper(secret: str, **more: object) -> dict[str, Any]:
        body = {"channel_id": CHANNEL, **more}
        text = (await console.post(f"/{ID}/helper-token", json=body)).json()["token"]
        signed, _, signature = text.rpartition(".")
        key = base64.b64decode(secret)
        assert signature == encoded(hmac.digest(key, signed.encode(), "sha256"))
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        return claims

    viewer = await helper(SHORT, role="viewer")
    assert viewer["is_unlinked"] is True
    assert "user_id" not in viewer
    clock.now += 300
    shared = await helper(made, user_id="1", lifetime=-5)
    assert (shared["user_id"], shared["role"], shared["is_unlinked"]) == ("1", "broadcaster", False)
    assert shared["exp"] == int(clock.now - 5)
    assert twitch.extensions.named(ID).created == 0


async def test_faults_strike_calls_of_extensions_too(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    extension = twitch.extensions.named(ID)
    pubsub = "/helix/extensions/pubsub"
    for fault, status, received in (
        (Fault(path=pubsub, status=503), 503, 0),
        (Fault(path=pubsub, status=503, when="after"), 503, 1),
        (Fault(path="/helix/extensions/*", headers={"Retry-After": "1"}), 204, 2),
    ):
        twitch.order_fault(fault)
        answer = await http.post("/pubsub", json=message(), headers=sending(clock))
        assert (answer.status_code, extension.received) == (status, received)
    twitch.order_fault(Fault(path=pubsub, drop=True))
    with pytest.raises(httpx.TransportError):
        await http.post("/pubsub", json=message(), headers=sending(clock))
    assert extension.received == 2


async def test_no_credential_is_shown_of_the_calls(
    twitch: TwitchSimulator, http: httpx.AsyncClient, clock: Clock
) -> None:
    jwt = token(good(clock))
    await http.post(SECRETS, params=OF_DECK, headers=headers(jwt))
    async with httpx.AsyncClient(base_url=twitch.url, trust_env=False, verify=False) as plain:
        shown = (await plain.get("/_sandbox/requests")).text
        shown += (await plain.get("/_sandbox/extensions")).text
    assert "/helix/extensions/jwt/secrets" in shown
    for secret in (jwt, *(each.content for each in twitch.extensions.named(ID).secrets)):
        assert secret not in shown
    assert SHORT not in repr(twitch.extensions.named(ID))


async def test_the_products_client_rotates_and_sends() -> None:
    options = Options(min_secret_delay=0)
    async with TwitchSimulator(options) as twitch:
        secret = Sensitive(twitch.add_extension(ID, OWNER).secrets[0].content)
        settings = Settings(helix_url=twitch.helix_url, call_timeout=60)
        async with new_http_client(settings) as http:
            client, extension = Extensions(http, settings), Extension(ID, OWNER, secret)
            (first,) = await client.secrets(extension)
            assert first.counts(time.time())
            twitch.order_fault(Fault(method="POST", path="*/jwt/secrets", drop=True, when="after"))
            with pytest.raises(NoAnswer):
                await client.create_secret(extension, 0)
            assert len(await client.secrets(extension)) == 2
            made = (await client.create_secret(extension, 300))[-1]
            assert not made.counts(time.time())
            for perms in (
                Perms(CHANNEL, "broadcast"),
                Perms(CHANNEL, "whisper-U1"),
                Perms("all", "global"),
            ):
                assert (await client.send(extension, perms, "{}")).accepted
            required = await client.set_required_configuration(extension, CHANNEL, "1", "x")
            assert required.status == 204
        assert twitch.extensions.named(ID).created == 2
        assert [each.target for each in twitch.extensions.named(ID).messages] == [
            "broadcast",
            "whisper-U1",
            "global",
        ]
