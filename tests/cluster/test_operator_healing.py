"""What is missing or wrong is told where the user looks, and heals when it is put right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.sandbox.pubnub import KeySet
from tests.cluster.kubectl import conditions, summary
from tests.cluster.manifests import message, raw_secret, secret
from tests.cluster.operator_harness import CLIENT_ID

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Operator, Site, Station

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

WAITING = ("False", "True", "False")
A_HUMAN = ("False", "False", "True")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    return await site.start_operator()


def feed(station: Station, secret_name: str) -> dict[str, Any]:
    return {"pubnub": {"secretRef": {"name": secret_name}, "topics": [station.name]}}


async def test_the_order_of_apply_does_not_matter(site: Site) -> None:
    kubectl, station = site.kubectl, site.new_station("backwards")

    async def rule_says(reason: str, told: str) -> None:
        found = await kubectl.until_reason("trule", "backwards", reason)
        assert summary(found) == WAITING
        assert told in found["Ready"]["message"]

    async def channel_lacks(name: str, field: str) -> None:
        status = await kubectl.until(
            "tch", "backwards", lambda s: name in str(conditions(s).get("Ready"))
        )
        ready = conditions(status)["Ready"]
        assert summary(conditions(status)) == WAITING
        assert ready["reason"] == "SecretNotFound"
        assert ready["message"].startswith(f"{field}: Secret {name} does not exist in namespace ")
        assert "create it with the key" in ready["message"]

    await kubectl.apply(station.rule(feed=feed(station, "late-playout")))
    await rule_says("SecretNotFound", "create it with the key subscribe-key")
    await kubectl.apply(secret("late-playout", subscribe_key=site.subscribe_key))
    await rule_says("ChannelNotFound", "TwitchChannel backwards does not exist")
    await kubectl.apply(station.channel(app={"secretRef": {"name": "late-app"}}))
    await channel_lacks("late-app", "spec.app.secretRef")
    await rule_says("ChannelNotReady", "late-app")
    await kubectl.apply(secret("late-app", client_id=CLIENT_ID, client_secret=site.client_secret))
    await channel_lacks("backwards-grant", "spec.authorization.refreshToken.secretKeyRef")
    await station.consent()
    await kubectl.ready("tch/backwards", "trule/backwards")
    station.publish(message())
    assert await station.verdicts() == ["Fired"]


async def test_a_wrong_application_secret_is_named_and_heals(site: Site) -> None:
    no_text = "the value of the key client-id is empty or not plain text: replace it"
    wrong: dict[str, tuple[dict[str, bytes], str]] = {
        "bytes": ({"client_id": b"\xff\xfe\x00"}, f"Secret bytes-app: {no_text}"),
        "empty": ({"client_id": b" \n"}, f"Secret empty-app: {no_text}"),
        "umlaut": ({"client_id": "schlüssel".encode()}, f"Secret umlaut-app: {no_text}"),
        "keyless": ({"client": b"id"}, "Secret keyless-app has no key client-id: add it"),
    }
    for login, (data, _) in wrong.items():
        station, name = site.new_station(login), f"{login}-app"
        app = station.channel(app={"secretRef": {"name": name}})
        await site.kubectl.apply(raw_secret(name, **data), station.grant(), app)
    for login, (_, told) in wrong.items():
        found = await site.kubectl.until_reason("tch", login, "InvalidSecret")
        assert summary(found) == A_HUMAN
        assert found["Ready"]["message"] == f"spec.app.secretRef: {told}"
    right = {"client_id": CLIENT_ID, "client_secret": site.client_secret}
    await site.kubectl.apply(*(secret(f"{login}-app", **right) for login in wrong))
    await site.kubectl.ready(*(f"tch/{login}" for login in wrong))


async def test_a_grant_secret_without_the_key_is_named_and_heals(site: Site) -> None:
    station, name = site.new_station("locksmith"), "locksmith-grant"
    await site.kubectl.apply(secret(name, token="under another key"), station.channel())
    found = await station.until_reason("InvalidSecret")
    assert summary(found) == A_HUMAN
    assert f"Secret {name} has no key refresh-token: add it" in found["Ready"]["message"]
    await station.consent()
    await site.kubectl.ready("tch/locksmith")


async def test_a_wrong_playout_secret_is_named_and_heals(site: Site) -> None:
    station = await site.add_station("speechless")
    await site.kubectl.apply(
        raw_secret("broken-playout", subscribe_key=b"\x80"),
        station.rule(feed=feed(station, "broken-playout")),
    )
    found = await site.kubectl.until_reason("trule", "speechless", "InvalidSecret")
    assert summary(found) == A_HUMAN
    assert found["FeedConnected"]["reason"] == "InvalidSecret"
    assert "spec.feed.pubnub.secretRef: Secret broken-playout" in found["Ready"]["message"]
    await site.kubectl.apply(secret("broken-playout", subscribe_key=site.subscribe_key))
    await site.kubectl.ready("trule/speechless")


async def test_a_changed_subscribe_key_is_listened_to(site: Site) -> None:
    station = await site.add_station("moving")
    old, new = "sub-c-moving-old", "sub-c-moving-new"
    await site.kubectl.apply(
        secret("moving", subscribe_key=old), station.rule(feed=feed(station, "moving"))
    )
    await site.pubnub.wait_for_polls(1, old)
    await site.kubectl.apply(secret("moving", subscribe_key=new))
    await site.pubnub.wait_for_polls(1, new)
    await site.pubnub.wait_for_polls(0, old)
    site.pubnub.publish("moving", message(), subscribe_key=new)
    assert await station.verdicts() == ["Fired"]


async def test_refused_playout_keys_are_told_and_heal_without_a_restart(site: Site) -> None:
    station = await site.add_station("denied")
    key = "sub-c-denied"
    await site.kubectl.apply(
        secret("denied", subscribe_key=key), station.rule(feed=feed(station, "denied"))
    )
    await site.pubnub.wait_for_polls(1, key)
    await site.kubectl.ready("trule/denied")
    site.pubnub.deny(key)
    site.pubnub.drop_polls()
    found = await site.kubectl.until_reason("trule", "denied", "AccessDenied")
    assert summary(found) == A_HUMAN
    assert found["FeedConnected"]["status"] == "False"
    assert "check subscribe-key and auth-key in Secret denied" in found["Ready"]["message"]
    site.pubnub.publish("denied", message(), subscribe_key=key)
    site.pubnub.allow(key)
    await site.kubectl.ready("trule/denied")
    assert await station.verdicts() == ["Fired"]


async def test_a_wrong_auth_key_heals_when_the_secret_is_corrected(site: Site) -> None:
    station = await site.add_station("doorman")
    key = "sub-c-doorman"
    site.pubnub.access.put(KeySet(subscribe_key=key, auth_key="the-right-auth-key"))
    await site.kubectl.apply(
        secret("doorman", subscribe_key=key, auth_key="a-wrong-auth-key"),
        station.rule(feed=feed(station, "doorman")),
    )
    await site.kubectl.until_reason("trule", "doorman", "AccessDenied")
    await site.kubectl.apply(secret("doorman", subscribe_key=key, auth_key="the-right-auth-key"))
    await site.kubectl.ready("trule/doorman")
    site.pubnub.publish("doorman", message(), subscribe_key=key)
    assert await station.verdicts() == ["Fired"]


async def test_a_wrong_expression_is_shown_with_its_place_and_the_others_run_on(
    site: Site,
) -> None:
    station = await site.add_station("expressive")
    wrong: dict[str, tuple[dict[str, Any], str]] = {
        "cel": ({"when": "event.data.duration_sec >="}, "spec.when: "),
        "regex": ({"match": [{"field": "a", "regex": "Ad_(x"}]}, "spec.match[0].regex: "),
        "path": ({"match": [{"field": "a..b", "exists": True}]}, "spec.match[0].field: "),
        "id": ({"idField": "common[.x"}, "spec.idField: "),
    }

    def rule(name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return station.rule(**spec) | {"metadata": {"name": f"broken-{name}"}}

    await site.kubectl.apply(*(rule(name, spec) for name, (spec, _) in wrong.items()))
    for name, (_, told) in wrong.items():
        found = await site.kubectl.until_reason("trule", f"broken-{name}", "InvalidExpression")
        assert summary(found) == A_HUMAN
        assert found["Ready"]["message"].startswith(told)
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    await site.kubectl.apply(*(rule(name, {}) for name in wrong))
    await site.kubectl.ready(*(f"trule/broken-{name}" for name in wrong))


async def test_a_length_that_is_none_fails_with_its_reason_and_calls_nothing(site: Site) -> None:
    station = await site.add_station("odd_lengths")
    wrong: list[tuple[Any, str]] = [
        ("125", "a number of seconds"),
        (-125.0, "at least half a second"),
        (0, "at least half a second"),
        (125_100, "are these milliseconds?"),
        (1e300, "no break is longer than an hour"),
        (True, "a number of seconds"),
        ([125], "a number of seconds"),
        (None, "has no defaultLength"),
        (math.nan, "a finite number of seconds"),
    ]
    for value, _ in wrong:
        station.publish(message(duration_sec=value))
    decisions = await station.decisions(len(wrong))
    for decision, (value, told) in zip(decisions, wrong, strict=True):
        assert decision["verdict"] == "Failed", value
        assert told in decision["detail"], value
    assert station.calls() == 0
    station.publish(message(duration_sec=500.0))
    assert (await station.decisions(len(wrong) + 1))[-1]["verdict"] == "Fired"
    assert [each.requested for each in station.commercials] == [180]
    status = await site.kubectl.status("trule", station.name)
    assert status["counts"] == {"matched": 10, "fired": 1, "skipped": 0, "failed": 9}


async def test_a_message_that_is_no_event_is_dropped_and_the_listener_lives(
    site: Site, operator: Operator
) -> None:
    station = await site.add_station("garbage")
    garbage: list[Any] = [
        "text", 125.1, None, True, [message()], "", {"deep": _nested(200)},
        message(note="x" * 33_000),
    ]  # fmt: skip
    for payload in garbage:
        station.publish(payload)
    station.publish({})
    station.publish(message("scte35", "a-good-one"))
    (decision,) = await station.decisions()
    assert (decision["eventId"], decision["verdict"]) == ("a-good-one", "Fired")
    assert station.calls() == 1
    counted = f"twitch_operator_feed_malformed_messages_total {len(garbage):.1f}"
    assert counted in (await operator.get("/metrics")).text
    assert " dropped; the last: on topic garbage: " in operator.log


def _nested(depth: int) -> list[Any]:
    whole: list[Any] = []
    for _ in range(depth):
        whole = [whole]
    return whole
