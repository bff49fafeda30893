"""A kind of action that the operator does not know: it works by being registered."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from kubernetes.aio.client.configuration import Configuration

from controller.__main__ import main
from controller.clients.kube import Kube
from controller.events import Event
from controller.operator import Operator
from controller.resources.common import InvalidSpec, rfc3339
from controller.resources.kind import GROUP, VERSION
from controller.resources.schema import crd_manifests
from controller.resources.triggerrule import RULE, TriggerRuleSpec
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Key
from tests.simulated.toy_note import registered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controller.clients.http import HttpClient
    from controller.settings import Settings
    from controller.triggers.controller import RuleController
    from tests.simulated.toy_note import NoteKind

NOTES = Key(RULE, "default", "notes")
SPEC: dict[str, Any] = {
    "channelRef": {"name": "mst3k"},
    "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
    "match": [{"field": "kind", "equals": "spot"}],
    "idField": "id",
    "action": {"note": {"text": "aired"}},
}


@pytest.fixture
def note() -> Iterator[NoteKind]:
    with registered() as kind:
        yield kind


@dataclass
class Stage:
    """An operator that holds one channel and one rule, and is only told things."""

    operator: Operator
    note: NoteKind

    @property
    def rules(self) -> RuleController:
        return cast("RuleController", self.operator._kernel.controllers[RULE])

    def apply(self, kind: str, name: str, spec: dict[str, Any], generation: int = 1) -> None:
        meta = {"name": name, "namespace": "default", "uid": name, "generation": generation}
        created = {"creationTimestamp": rfc3339(time.time() - 60)}
        self.operator.notify(kind, "ADDED", {"metadata": meta | created, "spec": spec})

    async def event(self, name: str, **fields: object) -> None:
        payload = {"kind": "spot", "id": name, **fields}
        event = Event("mst3k", name, time.time(), time.monotonic(), payload)
        await self.rules._dispatcher.event([NOTES], (), event)

    def status(self) -> dict[str, Any]:
        rule = self.rules.objects[NOTES]
        rule.reporter.concluded = True
        status = rule.reporter.compose(time.time())
        assert status is not None
        return status.to_status()


@pytest.fixture
async def stage(settings: Settings, http: HttpClient, note: NoteKind) -> Stage:
    async def load() -> Configuration:
        return Configuration()

    made = Stage(Operator(settings, Kube(load), http), note)
    made.operator._kernel.begin()
    grant = {"secretKeyRef": {"name": "grant", "key": "refresh-token"}}
    app = {"secretRef": {"name": "twitch-app"}}
    made.apply(CHANNEL, "mst3k", {"app": app, "authorization": {"refreshToken": grant}})
    made.apply(RULE, "notes", SPEC)
    return made


def test_the_crd_has_it_and_the_parser_takes_one_kind_alone(note: NoteKind) -> None:
    crd = yaml.safe_load(crd_manifests()["triggerrules.yaml"])
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    action = spec["properties"]["action"]
    assert action["properties"]["note"]["properties"]["text"]["maxLength"] == 100
    assert action["properties"]["note"]["description"] == note.description
    told = [rule["message"] for rule in action["x-kubernetes-validations"]]
    assert told == ["must have exactly one of: commercial, extensionMessage, note"]
    assert TriggerRuleSpec.from_spec(SPEC).action.kind == "note"
    both = SPEC["action"] | {"commercial": {"length": "60s"}}
    with pytest.raises(InvalidSpec, match="note"):
        TriggerRuleSpec.from_spec(SPEC | {"action": both})


def test_nothing_of_it_is_left_where_it_is_not_registered() -> None:
    assert "extensionMessage, note" not in crd_manifests()["triggerrules.yaml"]
    with pytest.raises(InvalidSpec):
        TriggerRuleSpec.from_spec(SPEC)


async def test_what_it_did_is_a_decision_in_status_and_metrics(stage: Stage) -> None:
    for name in ("one", "one", "two"):
        await stage.event(name)
    await stage.event("three", kind="other")
    assert stage.note.notebook.lines == [("mst3k", "aired one"), ("mst3k", "aired two")]
    status = stage.status()
    assert [(d["eventId"], d["verdict"]) for d in status["recentDecisions"]] == [
        ("two", "Fired"),
        ("one", "Duplicate"),
        ("one", "Fired"),
    ]
    assert status["counts"] == {"matched": 3, "fired": 2, "skipped": 1, "failed": 0}
    labels = {"namespace": "default", "rule": "notes", "result": "fired"}
    total = "twitch_operator_rule_events_total"
    assert stage.operator.registry.get_sample_value(total, labels) == 2


async def test_mode_and_suspend_count_as_for_all_kinds(stage: Stage) -> None:
    stage.apply(RULE, "notes", SPEC | {"mode": "DryRun"}, generation=2)
    await stage.event("one")
    stage.apply(RULE, "notes", SPEC | {"suspend": True}, generation=3)
    await stage.event("two")
    verdicts = [decision["verdict"] for decision in stage.status()["recentDecisions"]]
    assert verdicts == ["Suspended", "DryRun"]
    assert stage.note.notebook.lines == []


async def test_conditions_tell_of_it_and_of_its_channel(stage: Stage) -> None:
    ready = next(c for c in stage.status()["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False"
    stage.apply(RULE, "notes", SPEC | {"action": {"note": {"text": ""}}}, generation=2)
    ready = next(c for c in stage.status()["conditions"] if c["type"] == "Ready")
    assert ready["reason"] == "InvalidSpec"
    assert "spec.action.note.text" in ready["message"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    rule, events = tmp_path / "rule.yaml", tmp_path / "events.json"
    meta = {"name": "notes"}
    whole = {"apiVersion": f"{GROUP}/{VERSION}", "kind": RULE, "metadata": meta, "spec": SPEC}
    rule.write_text(yaml.safe_dump(whole))
    events.write_text(json.dumps([{"kind": "spot", "id": "one", "timestamp": 1_700_000_000}]))
    return str(rule), str(events)


@pytest.mark.usefixtures("note")
def test_a_backtest_runs_it(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    rule, events = files
    assert main(["backtest", "-f", rule, "--time-field", "timestamp", events]) == 0
    told = capsys.readouterr().out
    assert "wrote 'aired one'" in told
    assert "Lines: 1" in told


@pytest.mark.usefixtures("note")
def test_explain_foresees_it(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    rule, events = files
    assert main(["explain", "-f", rule, "--event", events]) == 0
    assert "aired one" in capsys.readouterr().out
