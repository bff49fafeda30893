"""What the operator holds when lists and watch tell it of one resource in any order."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from controller.clients.kube import Kube, KubeUnavailable
from controller.handlers.watch import Patience, Watch
from controller.operator import Operator
from controller.resources.kind import FIRE_REQUESTED
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Key
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from controller.clients.http import HttpClient
    from controller.settings import Settings

KINDS: tuple[str, ...] = (CHANNEL, RULE)


@pytest.fixture
async def operator(settings: Settings, http: HttpClient) -> Operator:
    """An operator that is only told things: it calls nobody before it runs."""

    async def load() -> Configuration:
        return Configuration()

    return Operator(settings, Kube(load), http)


def body(kind: str, uid: str = "first", generation: int = 1, **meta: str) -> dict[str, Any]:
    grant = {"secretKeyRef": {"name": "grant", "key": "refresh-token"}}
    feed = {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}}
    specs: dict[str, dict[str, Any]] = {
        CHANNEL: {
            "app": {"secretRef": {"name": "twitch-app"}},
            "authorization": {"refreshToken": grant},
        },
        RULE: {
            "channelRef": {"name": "mst3k"},
            "feed": feed,
            "match": [{"field": "msg_type", "equals": "scte35"}],
            "action": {"commercial": {"lengthField": "data.duration_sec"}},
        },
    }
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {"namespace": "default", "name": "mst3k", "creationTimestamp": created}
    whole = {**named, "uid": uid, "generation": generation, **meta}
    return {"metadata": whole, "spec": specs[kind] | {"suspend": generation > 1}}


def held(operator: Operator, kind: str) -> Any:  # noqa: ANN401 - a channel or a rule
    return operator._kernel.controllers[kind].objects.get(Key(kind, "default", "mst3k"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_that_began_before_a_deletion_brings_nothing_back(
    operator: Operator, kind: str
) -> None:
    operator.notify(kind, "ADDED", body(kind))
    operator.notify(kind, "DELETED", body(kind))
    operator.notify(kind, None, body(kind))
    assert held(operator, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deletion_that_is_told_before_the_resource_was_ever_seen_counts(
    operator: Operator, kind: str
) -> None:
    operator.notify(kind, "DELETED", body(kind))
    operator.notify(kind, None, body(kind))
    assert held(operator, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_being_deleted_is_gone(operator: Operator, kind: str) -> None:
    operator.notify(kind, "ADDED", body(kind))
    operator.notify(kind, "MODIFIED", body(kind, deletionTimestamp="2026-01-01T00:00:00Z"))
    operator.notify(kind, None, body(kind))
    assert held(operator, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_namesake_of_what_was_deleted_is_another_resource(
    operator: Operator, kind: str
) -> None:
    operator.notify(kind, "ADDED", body(kind))
    operator.notify(kind, "DELETED", body(kind))
    operator.notify(kind, "ADDED", body(kind, uid="second"))
    operator.notify(kind, None, body(kind))
    operator.notify(kind, "DELETED", body(kind))  # told late
    assert held(operator, kind).resource.uid == "second"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_that_began_before_a_change_does_not_undo_it(
    operator: Operator, kind: str
) -> None:
    operator.notify(kind, "ADDED", body(kind))
    operator.notify(kind, "MODIFIED", body(kind, generation=2))
    operator.notify(kind, None, body(kind))
    assert held(operator, kind).resource.generation == 2
    assert held(operator, kind).suspended
    operator.notify(kind, "MODIFIED", body(kind, generation=3))
    assert held(operator, kind).resource.generation == 3


async def test_a_process_that_only_watches_starts_nothing(operator: Operator) -> None:
    request = {"annotations": {FIRE_REQUESTED: "2026-11-29T10:00:00Z/60s"}}
    operator.notify(
        CHANNEL, "ADDED", body(CHANNEL) | {"metadata": body(CHANNEL)["metadata"] | request}
    )
    channel = held(operator, CHANNEL)
    assert (channel.fired_for, channel.airtime.busy) == (None, False)
    assert channel.airtime.arbiter.started > time.time()


async def test_only_the_last_deletions_are_remembered(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.runtime.intake._DELETED", 3)
    for n in range(10):
        operator.notify(RULE, "DELETED", body(RULE, uid=f"rule-{n}"))
    assert list(operator._kernel.intake._deleted) == ["rule-7", "rule-8", "rule-9"]


async def test_each_restart_of_the_watch_is_counted(operator: Operator) -> None:
    def nobody_answers() -> None:
        msg = "away"
        raise KubeUnavailable(msg)

    watch = Watch(
        operator.notify,
        lambda: Configuration(host="http://127.0.0.1:9"),
        nobody_answers,
        namespaces=("default",),
        kinds=operator.kinds,
        patience=Patience(grace=0.2, most_pause=0.1),
    )
    watch.on_restart = operator.watch_restarted
    counted = partial(operator.registry.get_sample_value, "twitch_operator_watch_restarts_total")
    assert counted() == 0
    watch.start()
    try:
        await eventually(lambda: (counted() or 0) >= 2)
    finally:
        await asyncio.to_thread(watch.stop)
