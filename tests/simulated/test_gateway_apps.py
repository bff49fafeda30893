"""What the gateway learns of ExtensionApps and their Secrets, from an API server of few words."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from controller.gateway.answers import answer
from controller.gateway.metrics import GatewayMetrics
from controller.gateway.requests import Requests
from controller.resources.extensionapp import EXTENSION
from tests.simulated.gateway_learning import (
    ORIGIN,
    ApiServer,
    learning,
    shared,
    status,
)
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def test_extensions_deleted_during_a_request_leave_no_series() -> None:
    api, gate, inside = ApiServer(), asyncio.Event(), 0
    names = [f"deck-{number}" for number in range(50)]
    for name in names:
        api.put_app(name)
        api.put_target(name, shared(name))

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        await gate.wait()
        await answer(200, {})(scope, receive, send)

    metrics = GatewayMetrics()
    async with learning(api, forget=metrics.forget) as known:
        app = Requests(slow, known.catalog, metrics)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://gateway", verify=False
        ) as client:
            calls = [
                asyncio.create_task(
                    client.post("/send/", headers={"X-Twitch-Client-Id": f"client-{name}"})
                )
                for name in names
            ]
            await eventually(lambda: inside == len(names))
            for name in names:
                known.apps.notify(EXTENSION, "DELETED", api.apps.pop(name))
            gate.set()
            assert {each.status_code for each in await asyncio.gather(*calls)} == {200}
    counted = [
        sample
        for metric in metrics.requests.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    assert {sample.labels["extension"] for sample in counted} == {"unknown"}
    assert sum(sample.value for sample in counted) == len(names)


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        ("https://Panel.example:443", "https://panel.example"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:443", "http://localhost:443"),
        ("https://[::1]:4430", "https://[::1]:4430"),
    ],
)
async def test_an_origin_counts_as_browsers_send_it(declared: str, sent: str) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"allowedOrigins": [declared]})
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.catalog.allows_origin(sent)


async def test_an_extension_is_served_with_what_its_secret_holds() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck", requiredConfiguration={"value": "COMPLETE"})
    api.put_target("deck", secret)
    async with learning(api) as known:
        served = known.found("client-deck")
        assert (served.label, served.owner_id, served.version) == (
            "studio/deck",
            "27419011",
            "1.3.0",
        )
        assert served.required_configuration == "COMPLETE"
        assert [s.content for s in served.secrets] == [secret.content]
        assert served.oauth is None
        assert known.catalog.allows_origin(ORIGIN)
        assert not known.catalog.allows_origin("https://elsewhere.example")
        assert known.catalog.find("client-other") is None
        assert secret.content.reveal() not in repr(served)
        # The bootstrap secret is none of its business.
        assert set(api.asked) == {"deck-secrets"}


async def test_it_is_ready_when_all_is_known_and_not_before() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_target("deck", shared("one"))
    api.away = True
    async with learning(api, ready=False) as known:
        await asyncio.sleep(0.3)
        assert not known.catalog.ready
        api.away = False
        await eventually(lambda: known.catalog.ready)
        assert known.verifies("client-deck")


async def test_an_extension_without_secrets_keeps_no_other_from_being_served() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_app("bare")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.verifies("client-deck")
        assert known.found("client-bare").secrets == ()


@pytest.mark.parametrize("gateway", [None, {"enabled": False}])
async def test_what_is_not_to_be_served_is_not_found_and_its_secret_is_not_read(
    gateway: dict[str, Any] | None,
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway=gateway)
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        assert known.catalog.find("client-deck") is None
        assert not api.asked


@pytest.mark.parametrize(("field", "mark"), [("labels", "extension"), ("annotations", "client-id")])
async def test_a_secret_that_is_not_the_operators_for_it_is_not_used(field: str, mark: str) -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck")
    api.put_target("deck", secret)
    api.secrets["deck-secrets"]["metadata"][field][f"twitch-operator.dev/{mark}"] = "other"
    async with learning(api) as known:
        assert known.found("client-deck").secrets == ()


async def test_a_rotation_is_seen_at_once_when_the_status_tells() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        api.put_target("deck", new, old)
        known.tell("deck", status=status("True", "Succeeded"))
        await eventually(lambda: new.content in known.verifies("client-deck"), 1)


async def test_a_rotation_is_seen_without_a_status_too() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        api.put_target("deck", new)
        await eventually(lambda: known.verifies("client-deck") == [new.content])


async def test_many_statuses_are_few_reads() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        before, began = len(api.asked), time.monotonic()
        for n in range(200):
            known.tell("deck", status=status("True", "Succeeded", handled=str(n)))
            await asyncio.sleep(0.002)
        looks = 1 + (time.monotonic() - began) / 0.3
        assert len(api.asked) - before < 10 * looks


async def test_what_is_known_is_served_while_the_api_server_is_away() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app("deck")
    api.put_target("deck", secret)
    async with learning(api) as known:
        api.away = True
        known.tell("deck", status=status("True", "Succeeded"))
        await asyncio.sleep(1.5)
        assert known.verifies("client-deck") == [secret.content]
        api.put_target("deck", shared("two"))
        api.away = False
        await eventually(lambda: known.verifies("client-deck") == [shared("two").content])


async def test_an_event_makes_nothing_of_other_extensions_anew() -> None:
    api = ApiServer()
    for name in ("deck", "quiz"):
        api.put_app(name)
    async with learning(api) as known:
        before = known.found("client-quiz")
        known.tell("deck", version="1.4.0")
        assert known.found("client-deck").version == "1.4.0"
        assert known.found("client-quiz") is before


async def test_a_deleted_extension_is_not_served_any_more() -> None:
    api = ApiServer()
    body = api.put_app("deck")
    api.put_target("deck", shared("one"))
    async with learning(api) as known:
        known.apps.notify(EXTENSION, "DELETED", body)
        assert known.catalog.find("client-deck") is None
        known.apps.notify(EXTENSION, None, body)  # of a list that began before
        assert known.catalog.find("client-deck") is None


async def test_a_deletion_that_nobody_told_of_is_found_by_a_list() -> None:
    api = ApiServer()
    api.put_app("deck")
    api.put_app("other")
    async with learning(api) as known:
        del api.apps["deck"]
        await eventually(lambda: known.catalog.find("client-deck") is None)
        assert known.catalog.find("client-other") is not None


async def test_an_older_state_of_the_resource_changes_nothing() -> None:
    api = ApiServer()
    before = api.put_app("deck")
    async with learning(api) as known:
        known.tell("deck", version="2.0.0")
        known.apps.notify(EXTENSION, None, before)
        assert known.found("client-deck").version == "2.0.0"


# The kill switch


async def test_a_request_to_revoke_takes_all_in_hand_out_of_service_at_once() -> None:
    api, old = ApiServer(), shared("old")
    api.put_app("deck")
    api.put_target("deck", old, shared("older"))
    async with learning(api) as known:
        api.away = True
        known.tell("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "now"})
        assert known.verifies("client-deck") == []
        # It signs on: Twitch takes it until the new one is active.
        assert len(known.found("client-deck").secrets) == 2


async def test_after_a_revocation_the_new_secret_verifies_and_the_old_ones_never_again() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck")
    api.put_target("deck", old)
    async with learning(api) as known:
        asked = {"twitch-operator.dev/revokeRequestedAt": "now"}
        known.tell("deck", annotations=asked)
        # An operator that forgets the mark changes nothing.
        api.put_target("deck", new, old, revoked_for="now")
        known.tell("deck", status=status("True", "SecretsRevoked", handled="now"))
        await eventually(lambda: known.verifies("client-deck") == [new.content])
        known.tell("deck", annotations={})
        await asyncio.sleep(0.6)
        assert known.verifies("client-deck") == [new.content]


async def test_a_gateway_that_starts_during_a_revocation_trusts_no_secret_of_before() -> None:
    api, old, new = ApiServer(), shared("old"), shared("new")
    api.put_app("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "now"})
    api.put_target("deck", old)
    async with learning(api) as known:
        assert known.verifies("client-deck") == []
        api.put_target("deck", new, revoked_for="now")  # the status is still to come
        await eventually(lambda: known.verifies("client-deck") == [new.content])


async def test_a_request_that_lies_behind_costs_nothing() -> None:
    api, secret = ApiServer(), shared("one")
    api.put_app(
        "deck",
        annotations={"twitch-operator.dev/revokeRequestedAt": "then"},
        status=status("True", "Succeeded", handled="then"),
    )
    api.put_target("deck", secret)  # made anew since, without the mark
    async with learning(api) as known:
        assert known.verifies("client-deck") == [secret.content]


async def test_a_second_request_revokes_what_replaced_the_first() -> None:
    api, first, second = ApiServer(), shared("first"), shared("second")
    api.put_app("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "1"})
    api.put_target("deck", first, revoked_for="1")
    async with learning(api) as known:
        assert known.verifies("client-deck") == [first.content]
        known.tell("deck", annotations={"twitch-operator.dev/revokeRequestedAt": "2"})
        assert known.verifies("client-deck") == []
        api.put_target("deck", second, revoked_for="2")
        known.tell("deck", status=status("True", "Succeeded", handled="2"))
        await eventually(lambda: known.verifies("client-deck") == [second.content])
