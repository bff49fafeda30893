"""The simulated network over plain HTTP: what the wire looks like."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from controller.sandbox.pubnub import SUBSCRIBE_KEY, KeySet, PubNubSimulator
from tests.sandbox.plain import PLAIN

PUBLISH = f"/publish/pub-c-test/{SUBSCRIBE_KEY}/0"

# No proxies and no CA store: loading that takes longer than a whole test.


async def subscribe(http: httpx.AsyncClient, channels: str, timetoken: int | str) -> dict[str, Any]:
    path = f"/v2/subscribe/{SUBSCRIBE_KEY}/{channels}/0"
    response = await http.get(path, params={"tt": str(timetoken)})
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_subscribe_from_zero_answers_at_once_with_a_timetoken(
    http: httpx.AsyncClient,
) -> None:
    answer = await subscribe(http, "a", 0)
    assert answer == {"t": {"t": answer["t"]["t"], "r": 12}, "m": []}
    assert len(answer["t"]["t"]) == 17


async def test_a_waiting_poll_gets_what_is_published(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    start = (await subscribe(http, "a,b", 0))["t"]["t"]
    poll = asyncio.create_task(subscribe(http, "a,b", start))
    await pubnub.wait_for_polls(1)
    sent = (await http.get(f"{PUBLISH}/b/0/%7B%22x%22%3A1.5%7D?uuid=me&meta=%5B1%5D")).json()
    assert sent[:2] == [1, "Sent"]
    assert await poll == {
        "t": {"t": sent[2], "r": 12},
        "m": [
            {
                "a": "2",
                "f": 514,
                "i": "me",
                "p": {"t": sent[2], "r": 12},
                "k": SUBSCRIBE_KEY,
                "c": "b",
                "u": [1],
                "d": {"x": 1.5},
            }
        ],
    }
    assert pubnub.open_polls() == 0


async def test_a_publish_elsewhere_wakes_no_poll(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    poll = asyncio.create_task(subscribe(http, "a", 1))
    await pubnub.wait_for_polls(1)
    pubnub.publish("b", 1)
    pubnub.publish("a", 1, subscribe_key="sub-c-other")
    await http.get("/time/0")
    assert pubnub.open_polls() == 1
    pubnub.publish("a", 2)
    assert [each["d"] for each in (await poll)["m"]] == [2]


async def test_buffered_messages_are_answered_at_once_and_not_again(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    start = (await subscribe(http, "a", 0))["t"]["t"]
    tokens = [str(pubnub.publish("a", n)) for n in range(3)]
    answer = await subscribe(http, "a", start)
    assert [each["p"]["t"] for each in answer["m"]] == tokens
    assert answer["t"]["t"] == tokens[-1]
    poll = asyncio.create_task(subscribe(http, "a", answer["t"]["t"]))
    await pubnub.wait_for_polls(1)
    poll.cancel()


async def test_a_poll_without_messages_is_answered_after_the_hold() -> None:
    async with (
        PubNubSimulator(hold=0.05) as pubnub,
        httpx.AsyncClient(base_url=pubnub.url, **PLAIN) as http,
    ):
        start = (await subscribe(http, "a", 0))["t"]["t"]
        answer = await subscribe(http, "a", start)
        assert answer["m"] == []
        assert int(answer["t"]["t"]) >= int(start)
        pubnub.publish("a", "later")
        assert [each["d"] for each in (await subscribe(http, "a", answer["t"]["t"]))["m"]] == [
            "later"
        ]


async def test_the_last_minute_is_replayed(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.publish("a", "missed")
    answer = await subscribe(http, "a", int((time.time() - 60) * 10_000_000))
    assert [each["d"] for each in answer["m"]] == ["missed"]


async def test_commas_and_slashes_in_channel_names_are_percent_encoded(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    names = ["a,b", "c/d", "ü %"]
    for name in names:
        await http.post(f"{PUBLISH}/{quote(name, safe='')}/0", content=json.dumps(name))
    answer = await subscribe(http, ",".join(quote(name, safe="") for name in names), 1)
    assert [(each["c"], each["d"]) for each in answer["m"]] == [(name, name) for name in names]
    assert pubnub.counters()[SUBSCRIBE_KEY] == {"open_polls": 0, "subscribes": 1, "messages": 3}


@pytest.mark.parametrize("payload", [None, 1, "text", [1, {"a": None}], True, {}])
async def test_any_json_value_is_a_message(
    pubnub: PubNubSimulator, http: httpx.AsyncClient, payload: object
) -> None:
    pubnub.publish("a", payload)
    assert (await subscribe(http, "a", 1))["m"][0]["d"] == payload


async def test_a_signal_says_its_kind(pubnub: PubNubSimulator, http: httpx.AsyncClient) -> None:
    pubnub.publish("a", "on", kind=1)
    assert (await subscribe(http, "a", 1))["m"][0]["e"] == 1


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "NaN", '{"a": Infinity}'])
async def test_invalid_json_is_not_sent(http: httpx.AsyncClient, text: str) -> None:
    response = await http.post(f"{PUBLISH}/a/0", content=text)
    assert response.status_code == 400
    assert response.json()[:2] == [0, "Invalid JSON"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_message_may_have_32_kib_and_no_more(http: httpx.AsyncClient, method: str) -> None:
    async def publish(size: int) -> httpx.Response:
        text = f'"{"x" * (size - 2)}"'
        if method == "POST":
            return await http.post(f"{PUBLISH}/a/0", content=text)
        return await http.get(f"{PUBLISH}/a/0/{quote(text)}")

    assert (await publish(32 * 1024)).status_code == 200
    refused = await publish(32 * 1024 + 1)
    assert refused.status_code == 413
    assert refused.json()[:2] == [0, "Message Too Large"]


async def test_the_time_is_the_simulators_clock() -> None:
    async with PubNubSimulator(clock=lambda: 1_611_912_397.5) as pubnub:
        async with httpx.AsyncClient(**PLAIN) as http:
            answer = (await http.get(f"{pubnub.url}/time/0")).json()
        assert answer == [16_119_123_975_000_000]
        assert pubnub.publish("a", 1) == 16_119_123_975_000_000


async def test_both_histories_tell_what_was_published(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    tokens = [pubnub.publish("a", n) for n in range(3)]
    v2 = f"/v2/history/sub-key/{SUBSCRIBE_KEY}/channel/a"
    assert (await http.get(v2, params={"count": 2})).json() == [[1, 2], tokens[1], tokens[2]]
    with_tokens = (await http.get(v2, params={"count": 1, "include_token": "true"})).json()
    assert with_tokens[0] == [{"message": 2, "timetoken": tokens[2]}]
    answer = await http.get(f"/v3/history/sub-key/{SUBSCRIBE_KEY}/channel/a,b?max=1")
    assert answer.json()["channels"] == {"a": [{"message": 2, "timetoken": str(tokens[2])}]}


async def test_history_that_is_switched_off_says_so(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.access.put(KeySet(subscribe_key=SUBSCRIBE_KEY, history=False))
    v2 = await http.get(f"/v2/history/sub-key/{SUBSCRIBE_KEY}/channel/a")
    assert "not enabled" in v2.json()[0]
    v3 = await http.get(f"/v3/history/sub-key/{SUBSCRIBE_KEY}/channel/a")
    assert v3.status_code == 403
    assert "not enabled" in v3.json()["error_message"]


async def test_history_is_switched_off_and_on_by_order(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.access.put(KeySet(subscribe_key="other", auth_key="x"))
    pubnub.publish("a", 1)
    v3 = f"/v3/history/sub-key/{SUBSCRIBE_KEY}/channel/a"
    assert (await http.delete("/_sandbox/history?key=other")).status_code == 204
    assert pubnub.access.find("other") == KeySet(subscribe_key="other", auth_key="x", history=False)
    assert (await http.get(v3)).status_code == 200
    await http.delete("/_sandbox/history")
    assert (await http.get(v3)).status_code == 403
    await http.post("/_sandbox/history")
    assert len((await http.get(v3)).json()["channels"]["a"]) == 1


async def test_history_is_read_back_page_by_page_with_the_kinds_of_messages(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    tokens = [pubnub.publish("a", n, kind=4 if n == 1 else 0) for n in range(5)]
    pubnub.publish("a", "signal", kind=1)
    v3 = f"/v3/history/sub-key/{SUBSCRIBE_KEY}/channel/a"
    page: dict[str, str | int] = {
        "max": 2,
        "start": tokens[4],
        "end": tokens[1],
        "include_message_type": "true",
    }
    answer = (await http.get(v3, params=page)).json()["channels"]["a"]
    assert [each["message"] for each in answer] == [2, 3]
    answer = (await http.get(v3, params=page | {"start": tokens[2]})).json()["channels"]["a"]
    assert answer == [{"message": 1, "timetoken": str(tokens[1]), "message_type": 4}]


async def test_a_call_without_the_auth_key_is_forbidden(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.access.put(KeySet(subscribe_key=SUBSCRIBE_KEY, auth_key="right"))
    path = f"/v2/subscribe/{SUBSCRIBE_KEY}/a,b/0"
    for query in ("tt=0", "tt=0&auth=wrong"):
        response = await http.get(f"{path}?{query}")
        assert response.status_code == 403
        assert response.json() == {
            "message": "Forbidden",
            "payload": {"channels": ["a", "b"]},
            "error": True,
            "service": "Access Manager",
            "status": 403,
        }
    assert (await http.get(f"{path}?tt=0&auth=right")).status_code == 200


async def test_a_denial_meets_an_open_poll_at_its_next_request(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    poll = asyncio.create_task(subscribe(http, "a", 1))
    await pubnub.wait_for_polls(1)
    pubnub.deny()
    token = pubnub.publish("a", 1)
    assert len((await poll)["m"]) == 1
    assert (await subscribe(http, "a", token))["status"] == 403
    pubnub.allow()
    pubnub.publish("a", 2)
    assert [each["d"] for each in (await subscribe(http, "a", token))["m"]] == [2]


async def test_unknown_keys_are_invalid_where_key_sets_are_given() -> None:
    known = KeySet(subscribe_key="sub-c-known", publish_key="pub-c-known")
    async with (
        PubNubSimulator(keys=[known]) as pubnub,
        httpx.AsyncClient(base_url=pubnub.url, **PLAIN) as http,
    ):
        unknown = await http.get("/v2/subscribe/sub-c-no/a/0?tt=0")
        foreign = await http.get("/publish/pub-c-no/sub-c-known/0/a/0/1")
        right = await http.get("/publish/pub-c-known/sub-c-known/0/a/0/1")
    assert (unknown.status_code, unknown.json()["message"]) == (400, "Invalid Subscribe Key")
    assert (foreign.status_code, foreign.json()[1]) == (400, "Invalid Key")
    assert right.status_code == 200


@pytest.mark.parametrize("query", ["tt=x", "tt=1&filter-expr=a%3D%3D1", "tt=1&channel-group=g"])
async def test_what_is_not_simulated_is_refused(http: httpx.AsyncClient, query: str) -> None:
    response = await http.get(f"/v2/subscribe/{SUBSCRIBE_KEY}/a/0?{query}")
    assert response.status_code == 400


async def test_requests_are_remembered_up_to_a_bound() -> None:
    async with PubNubSimulator(remember=2) as pubnub:
        async with httpx.AsyncClient(base_url=pubnub.url, **PLAIN) as http:
            for n in range(3):
                await http.get(f"/time/0?n={n}&auth=a%2Bb")
        assert [(seen.query, seen.status) for seen in pubnub.requests] == [
            ("n=1&auth=a%2Bb", 200),
            ("n=2&auth=a%2Bb", 200),
        ]


@pytest.mark.parametrize(
    ("method", "order", "body", "told"),
    [
        ("POST", "history?kye=other", b"", "query parameter kye: unknown; there are key"),
        ("POST", "history", b'{"key": "other"}', "key: unknown; this order takes no body"),
        ("GET", "counters?key", b"", "query parameter key: unknown; this order takes none"),
        ("POST", "silence", b"now", "body: unknown; this order takes no body"),
    ],
)
async def test_what_an_order_does_not_take_is_refused(
    http: httpx.AsyncClient, method: str, order: str, body: bytes, told: str
) -> None:
    answer = await http.request(method, f"/_sandbox/{order}", content=body)
    assert (answer.status_code, answer.json()) == (400, {"error": told})
