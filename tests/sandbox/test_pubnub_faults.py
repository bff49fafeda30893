"""What can be made to go wrong in the simulated network, from Python and over HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from pydantic import ValidationError

from controller.sandbox.faults import Fault, FaultPlan
from controller.sandbox.pubnub import SUBSCRIBE_KEY, PubNubSimulator
from tests.sandbox.plain import PLAIN

BRIEF = httpx.Timeout(60, read=0.05)
SUBSCRIBE = f"/v2/subscribe/{SUBSCRIBE_KEY}/a/0"
PUBLISH = f"/publish/pub-c-test/{SUBSCRIBE_KEY}/0/a/0/1"
# No proxies and no CA store: loading that takes longer than a whole test.


def test_faults_are_used_in_order_and_up() -> None:
    plan = FaultPlan()
    first, second = Fault(status=500, times=2), Fault(status=503)
    plan.add(first, second)
    taken = [plan.take("GET", "/") for _ in range(4)]
    assert taken == [first, first, second, None]
    assert plan.pending() == []


def test_a_fault_hits_only_its_method_and_path_and_skips_first() -> None:
    plan = FaultPlan()
    fault = Fault(method="POST", path="/a/*", status=500, times=None, skip=1)
    plan.add(fault)
    assert plan.take("GET", "/a/b") is None
    assert plan.take("POST", "/b") is None
    assert plan.take("POST", "/a/b") is None
    assert plan.take("POST", "/a/b/c") == fault
    assert plan.take("POST", "/a/b") == fault
    assert [left.skip for left in plan.pending()] == [0]


@pytest.mark.parametrize(
    "contradiction",
    [{"status": 500, "drop": True}, {"drop": True, "hang": True}, {"body": "x"}, {"unknown": 1}],
)
def test_a_fault_that_makes_no_sense_is_refused(contradiction: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate(contradiction)


async def test_a_status_is_answered_instead_of_acting(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.faults.add(
        Fault(path="/publish/*", status=503, body={"sorry": True}, headers={"Retry-After": "1"})
    )
    refused = await http.get(PUBLISH)
    assert (refused.status_code, refused.json()) == (503, {"sorry": True})
    assert refused.headers["Retry-After"] == "1"
    assert (await http.get(PUBLISH)).status_code == 200
    assert pubnub.counters()[SUBSCRIBE_KEY]["messages"] == 1


@pytest.mark.parametrize(("act", "messages"), [(False, 0), (True, 1)])
async def test_a_connection_is_dropped_before_or_after_acting(
    pubnub: PubNubSimulator, http: httpx.AsyncClient, act: bool, messages: int
) -> None:
    pubnub.faults.add(Fault(drop=True, act=act))
    with pytest.raises(httpx.TransportError):
        await http.get(PUBLISH)
    assert pubnub.counters().get(SUBSCRIBE_KEY, {"messages": 0})["messages"] == messages
    assert [seen.status for seen in pubnub.requests] == [444]


async def test_the_answer_to_a_refused_call_can_be_lost_too(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.deny()
    pubnub.faults.add(Fault(drop=True, act=True))
    with pytest.raises(httpx.TransportError):
        await http.get(PUBLISH)


async def test_a_delay_is_slow_and_nothing_else(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.faults.add(Fault(delay=0.3))
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/time/0", timeout=BRIEF)
    pubnub.faults.add(Fault(delay=0.01))
    assert (await http.get("/time/0")).status_code == 200


async def test_a_hanging_request_ends_with_its_client(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    pubnub.faults.add(Fault(hang=True))
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/time/0", timeout=BRIEF)
    assert (await http.get("/time/0")).status_code == 200


async def test_all_open_polls_are_dropped_at_once(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    polls = [asyncio.create_task(http.get(SUBSCRIBE, params={"tt": 1})) for _ in range(3)]
    await pubnub.wait_for_polls(3)
    assert pubnub.drop_polls() == 3
    results = await asyncio.gather(*polls, return_exceptions=True)
    assert all(isinstance(result, httpx.TransportError) for result in results)
    async with asyncio.timeout(60):
        await pubnub.wait_for_polls(0)


async def test_a_poll_whose_client_went_away_is_closed(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await http.get(SUBSCRIBE, params={"tt": 1}, timeout=BRIEF)
    async with asyncio.timeout(60):
        await pubnub.wait_for_polls(0)


async def test_a_silent_network_answers_neither_new_requests_nor_open_polls(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    poll = asyncio.create_task(
        http.get(SUBSCRIBE, params={"tt": 1}, timeout=httpx.Timeout(60, read=0.3))
    )
    await pubnub.wait_for_polls(1)
    pubnub.silence()
    pubnub.publish("a", "unheard")
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/time/0", timeout=BRIEF)
    with pytest.raises(httpx.ReadTimeout):
        await poll
    pubnub.speak()
    again = await http.get(SUBSCRIBE, params={"tt": 1})
    assert [each["d"] for each in again.json()["m"]] == ["unheard"]


async def test_a_network_that_refuses_comes_back_on_the_same_port(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    poll = asyncio.create_task(http.get(SUBSCRIBE, params={"tt": 1}))
    await pubnub.wait_for_polls(1)
    origin = pubnub.origin
    await pubnub.refuse()
    with pytest.raises(httpx.TransportError):
        await poll
    with pytest.raises(httpx.ConnectError):
        await http.get("/time/0")
    await pubnub.accept()
    assert (await http.get("/time/0")).status_code == 200
    assert pubnub.origin == origin


async def test_a_stop_ends_what_is_under_way_at_once() -> None:
    async with httpx.AsyncClient(**PLAIN) as http:
        async with PubNubSimulator() as pubnub:
            poll = asyncio.create_task(http.get(f"{pubnub.url}{SUBSCRIBE}?tt=1"))
            await pubnub.wait_for_polls(1)
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(poll, 60)


async def test_the_index_names_every_endpoint(http: httpx.AsyncClient) -> None:
    index = (await http.get("/_sandbox")).json()
    for endpoint in index["endpoints"]:
        assert set(endpoint) == {"method", "path", "does", "body"}  # as at the other simulators
        answer = await http.request(endpoint["method"], endpoint["path"])
        assert answer.status_code not in (404, 405)


async def test_faults_can_be_set_read_and_cleared_over_http(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    await http.post("/_sandbox/faults", json={"path": "/time/*", "status": 500})
    answer = await http.post("/_sandbox/faults", json=[{"drop": True, "times": 3}])
    assert [(each["path"], each["times"]) for each in answer.json()] == [("/time/*", 1), ("*", 3)]
    assert (await http.get("/time/0")).status_code == 500
    assert len((await http.get("/_sandbox/faults")).json()) == 1
    await http.delete("/_sandbox/faults")
    assert pubnub.faults.pending() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/_sandbox/faults", '{"status": 5}'),
        ("POST", "/_sandbox/faults", "nonsense"),
        ("PUT", "/_sandbox/keys", "{}"),
        ("POST", "/_sandbox/refuse", '{"seconds": -1}'),
    ],
)
async def test_a_control_request_that_makes_no_sense_is_explained(
    http: httpx.AsyncClient, method: str, path: str, body: str
) -> None:
    response = await http.request(method, path, content=body)
    assert response.status_code == 400
    assert response.json()["error"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_unknown_field_is_refused_with_those_there_are(
    http: httpx.AsyncClient, method: str
) -> None:
    body = {"subscribe_key": "sub-c-mine", "auth": "x"}
    refused = await http.request(method, "/_sandbox/keys", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("auth: unknown; there are subscribe_key, publish_key")
    taken = await http.request(method, "/_sandbox/keys", json={"subscribe_key": "sub-c-mine"})
    assert taken.status_code == 200


async def test_keys_polls_and_silence_are_controlled_over_http(
    pubnub: PubNubSimulator, http: httpx.AsyncClient
) -> None:
    poll = asyncio.create_task(http.get(SUBSCRIBE, params={"tt": 1}))
    await pubnub.wait_for_polls(1)
    assert (await http.get("/_sandbox/counters")).json() == {
        SUBSCRIBE_KEY: {"open_polls": 1, "subscribes": 1, "messages": 0}
    }
    assert (await http.post("/_sandbox/drop-polls")).json() == {"dropped": 1}
    with pytest.raises(httpx.TransportError):
        await poll
    await http.put("/_sandbox/keys", json={"subscribe_key": SUBSCRIBE_KEY, "denied": True})
    assert (await http.get(PUBLISH)).status_code == 403
    await http.post("/_sandbox/silence")
    with pytest.raises(httpx.ReadTimeout):
        await http.get("/time/0", timeout=BRIEF)
    await http.delete("/_sandbox/silence")
    assert (await http.get("/time/0")).status_code == 200
    seen = (await http.get("/_sandbox/requests")).json()
    assert [each["status"] for each in seen[1:]] == [403, None, 200]
    await http.delete("/_sandbox/requests")
    assert not pubnub.requests


async def test_a_pause_over_http_ends_by_itself(http: httpx.AsyncClient) -> None:
    assert (await http.post("/_sandbox/refuse", json={"seconds": 0.1})).status_code == 202
    refused = False
    async with asyncio.timeout(60):
        while True:
            try:
                await http.get("/time/0")
            except httpx.TransportError:
                refused = True
            else:
                if refused:
                    break
            await asyncio.sleep(0.005)
