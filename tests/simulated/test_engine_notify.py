"""What the engine holds when lists and watch tell it of one resource in any order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from controller.clients.kube import Kube
from controller.operator import Engine
from controller.runtime.metrics import Metrics
from controller.runtime.resource import CHANNEL, RULE, Key, Kind

if TYPE_CHECKING:
    import httpx

    from controller.settings import Settings

KINDS: tuple[Kind, ...] = (CHANNEL, RULE)


@pytest.fixture
async def engine(settings: Settings, http: httpx.AsyncClient) -> Engine:
    """An engine that is only told things: it calls nobody before it runs."""

    async def load() -> Configuration:
        return Configuration()

    return Engine(settings, Kube(load), http, Metrics())


def body(kind: Kind, uid: str = "first", generation: int = 1, **meta: str) -> dict[str, Any]:
    grant = {"secretKeyRef": {"name": "grant", "key": "refresh-token"}}
    feed = {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}}
    specs: dict[Kind, dict[str, Any]] = {
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


def held(engine: Engine, kind: Kind) -> Any:  # noqa: ANN401 - a channel or a rule
    return engine._holdings(kind).get(Key(kind, "default", "mst3k"))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_that_began_before_a_deletion_brings_nothing_back(
    engine: Engine, kind: Kind
) -> None:
    engine.notify(kind, "ADDED", body(kind))
    engine.notify(kind, "DELETED", body(kind))
    engine.notify(kind, None, body(kind))
    assert held(engine, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deletion_that_is_told_before_the_resource_was_ever_seen_counts(
    engine: Engine, kind: Kind
) -> None:
    engine.notify(kind, "DELETED", body(kind))
    engine.notify(kind, None, body(kind))
    assert held(engine, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_being_deleted_is_gone(engine: Engine, kind: Kind) -> None:
    engine.notify(kind, "ADDED", body(kind))
    engine.notify(kind, "MODIFIED", body(kind, deletionTimestamp="2026-01-01T00:00:00Z"))
    engine.notify(kind, None, body(kind))
    assert held(engine, kind) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_namesake_of_what_was_deleted_is_another_resource(
    engine: Engine, kind: Kind
) -> None:
    engine.notify(kind, "ADDED", body(kind))
    engine.notify(kind, "DELETED", body(kind))
    engine.notify(kind, "ADDED", body(kind, uid="second"))
    engine.notify(kind, None, body(kind))
    engine.notify(kind, "DELETED", body(kind))  # told late
    assert held(engine, kind).resource.uid == "second"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_list_that_began_before_a_change_does_not_undo_it(
    engine: Engine, kind: Kind
) -> None:
    engine.notify(kind, "ADDED", body(kind))
    engine.notify(kind, "MODIFIED", body(kind, generation=2))
    engine.notify(kind, None, body(kind))
    assert held(engine, kind).resource.generation == 2
    assert held(engine, kind).suspended
    engine.notify(kind, "MODIFIED", body(kind, generation=3))
    assert held(engine, kind).resource.generation == 3


async def test_only_the_last_deletions_are_remembered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.operator._DELETED", 3)
    for n in range(10):
        engine.notify(RULE, "DELETED", body(RULE, uid=f"rule-{n}"))
    assert list(engine._deleted) == ["rule-7", "rule-8", "rule-9"]
