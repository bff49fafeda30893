"""What the kernel keeps of a resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller.policies.pausing import find_pause
from controller.resources.kind import FIRE_REQUESTED
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Resource, pack

_META = {
    "namespace": "default",
    "name": "mst3k",
    "uid": "uid",
    "generation": 1,
    "creationTimestamp": "2026-11-23T10:00:00Z",
}


def _resource(*, labels: dict[str, str] | None = None, **annotations: str) -> Resource:
    named = {f"twitch-operator.dev/{name}": value for name, value in annotations.items()}
    meta: dict[str, Any] = _META | {"annotations": named}
    if labels is not None:
        meta["labels"] = labels
    body = {"metadata": meta, "spec": {"login": "mst3k"}, "status": {"conditions": []}}
    return Resource.from_body(CHANNEL, body)


def test_a_relabelled_channel_asks_for_something_new() -> None:
    before = _resource(labels={"feed": "F1"})
    assert before.labels == {"feed": "F1"}
    assert _resource(labels={"feed": "F1"}).asks == before.asks
    assert _resource(labels={"feed": "F2"}).asks != before.asks
    assert _resource().asks == _resource(labels={}).asks != before.asks


@pytest.mark.parametrize("name", ["requestedAt", "revokeRequestedAt", "fireRequested", "paused"])
def test_an_annotation_asks_for_something_new(name: str) -> None:
    request: Any = {name: "2026-11-23T10:00:00Z"}
    assert _resource(**request).asks != _resource().asks


def test_a_request_for_a_commercial_is_read() -> None:
    request = "2026-11-23T10:00:00Z/60s"
    assert _resource(fireRequested=request).annotations[FIRE_REQUESTED] == request
    assert FIRE_REQUESTED not in _resource().annotations


@pytest.mark.parametrize(("value", "paused"), [("true", "true"), ("", ""), ("false", None)])
def test_a_channel_is_paused_unless_its_annotation_says_false(
    value: str, paused: str | None
) -> None:
    assert find_pause(_resource(paused=value).annotations) == paused
    assert find_pause(_resource().annotations) is None


def test_spec_and_status_come_back_as_they_were() -> None:
    resource = replace(_resource(), status={"a": ["ü", "\ud800", 1.5, None, {"b": True}]})
    assert resource.status == {"a": ["ü", "\ud800", 1.5, None, {"b": True}]}
    assert resource.spec == {"login": "mst3k"}
    assert replace(resource, generation=2).status == resource.status


def test_what_is_kept_tells_the_status_and_not_the_spec() -> None:
    status = {"a": ["ü", "\ud800", 1.5, None, {"b": True}]}
    kept = replace(_resource(), status=status).kept()
    assert (kept.spec, kept.status, kept.asks) == ({}, status, _resource().asks)
    assert replace(kept, generation=2).status == status
    assert kept.kept(pack({"b": 1})).status == {"b": 1}


def test_what_a_watch_tells_is_read_without_a_copy() -> None:
    spec, status = {"login": "mst3k"}, {"conditions": ()}
    meta = _META | {"annotations": {}}
    told = Resource.from_body(CHANNEL, {"metadata": meta, "spec": spec, "status": status})
    assert told.spec is spec
    assert told.status is status
