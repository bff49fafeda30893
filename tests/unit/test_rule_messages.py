"""Rules that send messages: over restarts, in their status, and in the commands."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.__main__ import main
from controller.commands.show.evaluation import Channel, evaluate
from controller.commands.show.evaluation import Rule as Subject
from controller.commands.show.explained import evaluations_for_people
from controller.engine.resource import RULE, Key, Resource
from controller.engine.rules import Rule, Surroundings
from controller.events import Decision, Event, Verdict
from controller.policies.conditions import Finding
from controller.policies.rule_conditions import RuleFacts, rule_findings
from controller.resources.triggerrule import TriggerRuleSpec
from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
from controller.rules.messages import Message
from controller.rules.steps import Ruling
from tests.unit.message_cases import NOW, a_message_spec, an_event

if TYPE_CHECKING:
    from pathlib import Path

READY = Finding("Ready", "True", "Succeeded", "")
ALONE = Surroundings((), None, None)


# Restarts


def a_rule(started: float, status: dict[str, Any] | None = None, **changes: object) -> Rule:
    key, created = Key(RULE, "default", "overlays"), time.time() - 3600
    spec = a_message_spec(**{"maxAge": "5m", **changes})
    rule = Rule(
        Resource(key, "uid", 1, created, None, spec, status or {}), started, lambda _: ALONE
    )
    rule.concluded = True
    return rule


def outcome(rule: Rule, event: Event) -> Message | Ruling | None:
    matched = rule.decide(event, time.time())
    found = matched.outcome if matched is not None else None
    assert found is None or isinstance(found, Message | Ruling)
    return found


def status_after(rule: Rule, *decisions: tuple[Event, Verdict]) -> dict[str, Any]:
    for event, verdict in decisions:
        name = event.payload["common"]["unique_id"]
        rule.record(Decision(name, event.published, verdict, "", 0.0), event, event.published)
    status = rule.compose(time.time())
    assert status is not None
    return status.to_status()


def test_what_came_since_the_start_is_sent() -> None:
    assert isinstance(outcome(a_rule(time.time() - 9), an_event(published=time.time())), Message)


def test_an_event_from_before_the_start_is_not_sent_and_told_as_unknown() -> None:
    started = time.time()
    # Nor what seems to be a moment younger: clocks differ.
    for published in (started - 9, started - 0.01, started + 0.9):
        found = outcome(a_rule(started), an_event(published=published))
        assert isinstance(found, Ruling)
        assert found.verdict is Verdict.UNKNOWN
        assert "before this process" in found.detail
    assert isinstance(outcome(a_rule(started), an_event(published=started + 1.1)), Message)


def test_a_dry_run_sends_nothing_and_so_may_be_judged_again() -> None:
    started = time.time()
    found = outcome(a_rule(started, mode="DryRun"), an_event(published=started - 3))
    assert isinstance(found, Message)
    assert found.dry_run


@pytest.mark.parametrize("selects", [False, True])
@pytest.mark.parametrize(
    "verdict", [Verdict.FIRED, Verdict.FAILED, Verdict.UNKNOWN, Verdict.BUDGET_SPENT]
)
def test_what_the_status_tells_of_is_not_told_again(verdict: Verdict, selects: bool) -> None:
    selector = {"channelRef": None, "channelSelector": {"matchLabels": {"a": "b"}}}
    changes: dict[str, Any] = dict(selector) if selects else {}
    begin = time.time() - 20
    event = an_event(published=begin)
    status = status_after(a_rule(begin - 100, **changes), (event, verdict))
    assert outcome(a_rule(begin + 10, status, **changes), event) is None
    other = outcome(a_rule(begin + 10, status, **changes), an_event("other", begin + 1))
    assert isinstance(other, Ruling)
    assert other.verdict is Verdict.UNKNOWN


def test_an_event_of_which_only_repeats_are_told_is_not_sent_either() -> None:
    begin = time.time() - 20
    event = an_event(published=begin)
    status = status_after(a_rule(begin - 100), (event, Verdict.DUPLICATE))
    found = outcome(a_rule(begin + 10, status), event)
    assert isinstance(found, Ruling)
    assert found.verdict is Verdict.UNKNOWN


def test_what_is_too_old_at_the_start_is_expired_and_told_once() -> None:
    begin = time.time() - 400
    found = outcome(a_rule(begin + 10), an_event(published=begin))
    assert isinstance(found, Ruling)
    assert found.verdict is Verdict.EXPIRED
    status = status_after(a_rule(begin - 9), (an_event("later", begin + 5), Verdict.FIRED))
    assert outcome(a_rule(begin + 10, status), an_event(published=begin)) is None


def test_what_is_older_than_the_rule_is_not_for_it() -> None:
    rule = a_rule(time.time() - 7200)
    assert outcome(rule, an_event(published=time.time() - 3700)) is None


def test_it_tells_no_cooldown() -> None:
    status = status_after(a_rule(time.time() - 9), (an_event(published=time.time()), Verdict.FIRED))
    assert status["counts"] == {"matched": 1, "fired": 1, "skipped": 0, "failed": 0}
    assert "nextEligibleTime" not in status
    assert "retryAfterSeconds" not in status


# Conditions

FACTS = RuleFacts(
    problem=None,
    suspended=False,
    feed_blocked=None,
    feed_connected=True,
    feed_reason="Succeeded",
    feed_message="connected",
    channel="mst3k",
    channel_ready=READY,
    extension="deck-tracker",
    extension_ready=READY,
)


def ready(**changes: Any) -> dict[str, Finding]:  # noqa: ANN401 - the fields of the facts
    return {finding.type: finding for finding in rule_findings(replace(FACTS, **changes))}


def test_it_is_ready_where_the_extension_and_the_channel_are() -> None:
    found = ready()["Ready"]
    told = "listening, for TwitchChannel mst3k, by ExtensionApp deck-tracker"
    assert (found.status, found.message) == ("True", told)


def test_an_extension_that_is_not_there_is_waited_for() -> None:
    found = ready(extension_ready=None)
    assert (found["Ready"].status, found["Ready"].reason) == ("False", "ExtensionNotFound")
    assert "spec.action.extensionMessage.extensionRef" in found["Ready"].message
    assert (found["Reconciling"].status, found["Stalled"].status) == ("True", "False")


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_an_extension_without_current_secrets_is_told_with_its_reason(status: Any) -> None:  # noqa: ANN401 - a literal
    lost = Finding("SecretsCurrent", status, "SecretLost", "bootstrap anew", human=True)
    found = ready(extension_ready=lost)["Ready"]
    assert (found.status, found.reason) == ("False", "ExtensionNotReady")
    assert "SecretLost" in found.message
    assert "bootstrap anew" in found.message


# Commands


@pytest.fixture
def backtested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401 - a function
    def run(events: list[Event], *options: str, **changes: object) -> str:
        manifest = {
            "apiVersion": "twitch-operator.dev/v1alpha1",
            "kind": "TriggerRule",
            "metadata": {"name": "overlays"},
            "spec": a_message_spec(**changes),
        }
        lines = [{**event.payload, "at": event.published} for event in events]
        (tmp_path / "rule.yaml").write_text(yaml.safe_dump(manifest))
        (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
        files = ["-f", str(tmp_path / "rule.yaml"), str(tmp_path / "events.jsonl")]
        assert main(["backtest", *options, "--time-field", "at", *files]) == 0
        return capsys.readouterr().out

    return run


def test_a_backtest_sends_each_message_once_and_holds_to_twitchs_limit(backtested: Any) -> None:  # noqa: ANN401
    events = [an_event(f"{n}", NOW + n * 0.001) for n in (*range(101), 0)]
    found = json.loads(backtested(events, "-o", "json"))
    assert found["totals"]["verdicts"] == {"Fired": 100, "Duplicate": 1, "BudgetSpent": 1}
    assert (found["totals"]["messages"], found["totals"]["commercialSeconds"]) == (100, 0)
    first = found["decisions"][0]
    assert first["reason"] == "ad-break of 41 bytes to the channel"
    assert (first["askedSeconds"], first["callTime"] is None) == (None, False)


def test_a_backtest_counts_messages_apart_from_commercials(backtested: Any) -> None:  # noqa: ANN401
    told = backtested([an_event(published=NOW)])
    assert "Commercials: 0, 0 s" in told
    assert "Messages: 1" in told


def explained(event: Event, status: dict[str, Any], **changes: object) -> str:
    rule = Subject.of("overlays", TriggerRuleSpec.from_spec(a_message_spec(**changes)))
    spec = {"app": {"secretRef": {"name": "app"}}, "authorization": {"deviceCode": {}}}
    channel = Channel(
        "mst3k",
        {},
        TwitchChannelSpec.from_spec(spec),
        TwitchChannelStatus.from_status(status),
    )
    return evaluations_for_people("overlays", [evaluate(rule, event.payload, [channel], NOW)])


def test_explain_shows_the_message_as_it_would_go_out() -> None:
    told = explained(an_event(s=60), {}, action={"data": '{"seconds": event.data.s}'})
    assert '{"type":"ad-break","data":{"seconds":60},"version":0}' in told
    assert "Fired: it would send ad-break of 53 bytes to the channel" in told
    assert "break " not in told.replace("ad-break ", "")


def test_explain_shows_why_nothing_would_go_out() -> None:
    told = explained(an_event(), {}, action={"data": '{"seconds": event.data.s}'})
    assert 'Failed: data failed: no field "s"' in told
    large = explained(an_event(s="é" * 2600), {}, action={"data": '{"s": event.data.s}'})
    assert "bytes of UTF-8" in large
    condition = {
        "type": "Ready", "status": "False", "reason": "Paused", "message": "held back",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert "Paused: Paused: held back" in explained(an_event(), {"conditions": [condition]})
    waits = condition | {"reason": "AuthorizationPending"}
    assert "its broadcaster is not known" in explained(an_event(), {"conditions": [waits]})
