"""Nothing that is shown holds a control character, wherever its words come from."""

from __future__ import annotations

import json
import logging
import unicodedata
from typing import TYPE_CHECKING, Any, Literal

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from controller.__main__ import main
from controller.channels.policies.announcements import announcements
from controller.clients.kube import Kube
from controller.commands.terminal import say
from controller.displayable import displayable, displayable_lines
from controller.logs import set_up_logging
from controller.resources.extensionapp import EXTENSION_APP
from controller.resources.schema import structural_schema
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL
from controller.runtime.call_priority import CallPriority
from controller.runtime.metrics import Metrics
from controller.runtime.recorder import Recorder
from controller.runtime.resource import Key, Resource
from controller.term import Term
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from controller.policies.announcements import Announcement
    from controller.resources.kind import Kind

# An escape, a line break, DEL, CSI of C1, a right-to-left override, no width, the two separators, a
# tag, and half a surrogate pair.
NASTY = "seen\x1b[2J\n\x7f\x9b\u202e\u200b\u2028\u2029\U000e0041\ud800end"
TEXTS = st.text(st.characters() | st.sampled_from(NASTY), max_size=30)
ALONE = Surroundings((), None, None)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def hidden(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@given(TEXTS)
@example(NASTY)
def test_what_cannot_be_seen_is_written_out_and_what_can_is_kept(text: str) -> None:
    shown = displayable(text)
    assert not hidden(shown)
    assert displayable(shown) == shown
    kept = [char for char in text if not hidden(char)]
    assert "".join(kept) == text if shown == text else len(shown) > len(text)
    lines = displayable_lines(text).split("\n")
    assert lines == [displayable(line) for line in text.split("\n")]


@given(st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=5))
@example(NASTY)
def test_json_stays_json_of_the_same_value(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(displayable(text)) == value


def _filled(schema: dict[str, Any], text: str) -> Any:  # noqa: ANN401 - JSON
    """A value of a schema with a text wherever one may be."""
    match schema.get("type"):
        case "object":
            return {name: _filled(part, text) for name, part in schema["properties"].items()}
        case "array":
            return [_filled(schema["items"], text)]
        case "string" if "enum" in schema:
            return schema["enum"][0]
        case "string":
            is_time = schema.get("format") == "date-time"
            return "2021-01-29T09:26:33Z" if is_time else text
        case "boolean":
            return True
    return 1


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)


@pytest.mark.parametrize("kind", [TWITCH_CHANNEL, TRIGGER_RULE, EXTENSION_APP], ids=str)
def test_no_status_of_any_kind_holds_one(kind: Kind) -> None:
    schema = structural_schema(kind.status, "status")
    status = kind.status.from_status(_filled(schema, NASTY)).to_status()
    texts = list(_texts(status))
    assert sum(text.startswith("seen") for text in texts) >= 5
    assert not [text for text in texts if hidden(text)]


@pytest.mark.parametrize(
    "part",
    [
        {"match": [{"field": "a", "regex": "(\x1b[2J\u2028"}]},
        {"match": [{"field": "a", "equals": 1}], "when": "event.a == '\x1b[2J\u2028"},
        {"match": [{"field": "a\x1b", "equals": 1}]},
        {"match": [{"field": "a", "equals\x1b[2J": 1}]},
        {"match": [{"field": "a", "exists": True}], "when\u202e": 1},
    ],
)
def test_no_condition_of_a_rule_that_cannot_be_used_holds_one(part: dict[str, Any]) -> None:
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "action": {"commercial": {"length": "30s"}},
        **part,
    }
    resource = Resource(Key("TriggerRule", "default", "r"), "u", 1, 0.0, None, spec, {})
    rule = Rule(resource, Term(0.0), lambda _: ALONE)
    rule.reporter.concluded = True
    status = rule.reporter.compose(1000.0)
    assert status is not None
    told = status.to_status()
    assert {c["reason"] for c in told["conditions"]} & {"InvalidExpression", "InvalidSpec"}
    assert not [text for text in _texts(told) if hidden(text)]


@given(TEXTS)
@example(NASTY)
def test_no_event_of_kubernetes_holds_one(text: str) -> None:
    async def never() -> Any:  # noqa: ANN401 - no API server is called
        raise AssertionError

    def news(resource: Resource, status: Mapping[str, Any]) -> tuple[Announcement, ...]:
        return announcements(resource.status, status)

    recorder = Recorder(Kube(never), Metrics(), CallPriority(), news)
    resource = Resource(Key("TriggerRule", "default", "r"), "u", 1, 0.0, None, {}, {})
    condition = {
        "type": "Authorized",
        "status": "False",
        "reason": "AuthorizationRevoked",
        "message": text,
        "lastTransitionTime": "2021-01-29T09:26:33Z",
    }
    recorder.announce(resource, {"conditions": [condition]})
    notices = list(recorder._waiting)
    for notice in notices:
        assert not [text for text in _texts(dict(notice.event)) if hidden(text)]
    assert notices


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@SHARED
@given(TEXTS)
@example(NASTY)
@example("line\n2026-01-01 00:00:00,000 ERROR   controller: forged")
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.usefixtures("logging_as_before")
def test_no_log_line_holds_one(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str], text: str
) -> None:
    set_up_logging("INFO", form)
    logger = logging.getLogger("controller.test")
    logger.info("it said %s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("it failed")
    told = capsys.readouterr().err
    assert not hidden(told.replace("\n", ""))
    lines = told.split("\n")[:-1]
    if form == "json":
        assert [json.loads(line)["level"] for line in lines] == ["INFO", "ERROR"]
        shown = [json.loads(line) for line in lines]
        assert not hidden("".join(shown[0].values()) + shown[1]["exception"].replace("\n", ""))
    else:
        assert len([line for line in lines if not line.startswith("    ")]) == 2


@SHARED
@given(TEXTS)
@example(NASTY)
def test_no_command_prints_one(capsys: pytest.CaptureFixture[str], text: str) -> None:
    say(text)
    assert not hidden(capsys.readouterr().out.replace("\n", ""))


def test_no_refusal_of_a_command_prints_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = {
        "apiVersion": "twitch-operator.dev/v1alpha1",
        "kind": "TriggerRule",
        "metadata": {"name": "r"},
        "spec": {
            "channelRef": {"name": "mst3k"},
            "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
            "match": [{"field": "a", "regex": "(\x1b[2J\u2028\u202e"}],
            "action": {"commercial": {"length": "30s"}},
        },
    }
    file, events = tmp_path / "rule.yaml", tmp_path / "events.jsonl"
    file.write_text(yaml.safe_dump(rule))
    events.write_text("{}\n")
    assert main(["backtest", "-f", str(file), str(events)]) == 1
    told = capsys.readouterr().err
    assert "spec.match[0].regex: not a valid RE2 expression" in told
    assert not hidden(told.replace("\n", ""))
