"""Rules that send messages: over restarts, in their status, and in the commands."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.__main__ import main
from controller.actions.base import DoneBefore, KnownChannel
from controller.actions.extension_message.desk import MessageDesk, RuleChannel
from controller.actions.extension_message.message import Message
from controller.commands.show.evaluation import evaluate
from controller.commands.show.explained import evaluations_for_people
from controller.events import Decision, Event, Ruling, Verdict
from controller.policies.findings import Finding
from controller.resources.triggerrule import RULE, TriggerRuleSpec
from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
from controller.runtime.resource import Key, Resource
from controller.term import Term
from controller.triggers.policies.conditions import RuleFacts, rule_findings
from controller.triggers.policies.simulation import SimulatedRule
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule
from tests.unit.message_cases import NOW, a_message_rule, a_message_spec, an_event

if TYPE_CHECKING:
    from pathlib import Path

READY = Finding("Ready", "True", "Succeeded", "")
ALONE = Surroundings((), None, None)


# Restarts


def a_rule(started: float, status: dict[str, Any] | None = None, **changes: object) -> Rule:
    key, created = Key(RULE, "default", "overlays"), time.time() - 3600
    spec = a_message_spec(**{"maxAge": "5m", **changes})
    rule = Rule(
        Resource(key, "uid", 1, created, None, spec, status or {}), Term(started), lambda _: ALONE
    )
    rule.reporter.concluded = True
    return rule


def outcome(rule: Rule, event: Event) -> Message | Ruling | None:
    """What becomes of an event; None: nothing is told."""
    matched = rule.decide(event, time.time())
    found = matched.outcome if matched is not None else None
    assert found is None or isinstance(found, Message | Ruling)
    if isinstance(found, Message) and not found.dry_run:
        desk = MessageDesk()
        turned_away = desk.turned_away(RuleChannel("uid", "mst3k"), found, time.time())
        assert matched is not None
        # What is turned away is remembered all the same: its twin is still to come.
        assert not matched.known or turned_away is not None
        return None if matched.known else turned_away or found
    return found


def status_after(rule: Rule, *decisions: tuple[Event, Verdict]) -> dict[str, Any]:
    for event, verdict in decisions:
        name = event.payload["common"]["unique_id"]
        rule.history.record(
            Decision(name, event.published, verdict, "", 0.0), event, event.published
        )
    status = rule.reporter.compose(time.time())
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


def judged_after_a_restart(status: dict[str, Any], event: Event, **changes: object) -> Verdict:
    """The verdict of a process that began 2 s ago, on channel mst3k; Fired: it is sent."""
    rule, now = a_rule(time.time() - 2, status, **changes), time.time()
    desk = MessageDesk()
    for channel, sent in rule.done_before:
        desk.recall(RuleChannel("uid", channel), sent, now)
    matched = rule.decide(event, now)
    assert matched is not None
    assert isinstance(matched.outcome, Message)
    turned_away = desk.turned_away(RuleChannel("uid", "mst3k"), matched.outcome, now)
    return turned_away.verdict if turned_away is not None else Verdict.FIRED


def sent(rule: Rule, *events: Event, channel: str = "mst3k") -> dict[str, Any]:
    """The status after messages of these events went out."""
    for event in events:
        matched = rule.decide(event, event.published)
        assert matched is not None
        assert isinstance(matched.outcome, Message)
        found = matched.outcome
        rule.remember(DoneBefore(found.id, found.begins, found.same_as), channel)
    status = rule.reporter.compose(time.time())
    assert status is not None
    return status.to_status()


TWINS = {"dedupe": {"key": ["data.break_id"], "window": "60s"}}


def test_a_cue_that_comes_again_after_a_restart_is_a_duplicate() -> None:
    begin = time.time() - 1000
    status = sent(a_rule(begin - 9), an_event("main", begin), an_event("next", begin + 1))
    again = an_event("main", time.time())
    assert judged_after_a_restart(status, again) is Verdict.DUPLICATE
    assert judged_after_a_restart(status, an_event("other", time.time())) is Verdict.FIRED
    assert judged_after_a_restart({}, again) is Verdict.FIRED


def test_an_identity_that_comes_on_another_day_is_sent_again() -> None:
    begin = time.time() - 1900
    status = sent(a_rule(begin - 9), an_event("main", begin))
    assert judged_after_a_restart(status, an_event("main", time.time())) is Verdict.FIRED


def test_the_twin_of_a_cue_from_before_a_restart_is_a_duplicate() -> None:
    begin = time.time() - 22
    status = sent(a_rule(begin - 9, **TWINS), an_event("main", begin, break_id=17))
    twin = an_event("backup", time.time(), break_id=17)
    assert judged_after_a_restart(status, twin, **TWINS) is Verdict.DUPLICATE
    other = an_event("backup", time.time(), break_id=18)
    assert judged_after_a_restart(status, other, **TWINS) is Verdict.FIRED


def test_what_went_to_one_channel_may_still_go_to_another() -> None:
    begin = time.time() - 22
    status = sent(a_rule(begin - 9), an_event("main", begin), channel="other")
    assert judged_after_a_restart(status, an_event("main", time.time())) is Verdict.FIRED


def test_a_channel_that_got_it_earlier_is_not_forgotten() -> None:
    rule, begin = a_rule(time.time() - 900), time.time() - 800
    sent(rule, an_event("main", begin))
    status = sent(rule, an_event("main", begin + 5), channel="other")
    assert [one["channels"] for one in status["recentMessages"]] == [["other"], ["mst3k"]]
    again = an_event("main", time.time())
    assert judged_after_a_restart(status, again) is Verdict.DUPLICATE


def test_what_went_to_many_channels_went_to_all() -> None:
    rule, begin = a_rule(time.time() - 30), time.time() - 22
    for n in range(11):
        sent(rule, an_event("main", begin), channel=f"ch-{n}")
    status = sent(rule, an_event("main", begin), channel="one more")
    assert "channels" not in status["recentMessages"][0]
    assert judged_after_a_restart(status, an_event("main", time.time())) is Verdict.DUPLICATE


def test_the_status_has_the_last_fifty_newest_first() -> None:
    rule, begin = a_rule(time.time() - 99), time.time() - 98
    events = [an_event(f"e{n}", begin + n) for n in range(60)]
    told = sent(rule, *events)["recentMessages"]
    assert [one["eventId"] for one in told] == [f"e{n}" for n in range(59, 9, -1)]


def test_the_twin_of_what_is_only_heard_again_is_a_duplicate() -> None:
    """The process before was killed before its status was written: the feed remembers."""
    started = time.time() - 2
    rule, desk, line = a_rule(started, **TWINS), MessageDesk(), RuleChannel("uid", "mst3k")
    verdicts = []
    for event in (
        an_event("main", started - 30, break_id=17),
        an_event("backup", started + 1.5, break_id=17),
        an_event("main", started + 1.6, break_id=17),
    ):
        matched = rule.decide(event, time.time())
        assert matched is not None
        assert isinstance(matched.outcome, Message)
        turned_away = desk.turned_away(line, matched.outcome, time.time())
        verdicts.append(turned_away.verdict if turned_away is not None else None)
    assert verdicts == [Verdict.UNKNOWN, Verdict.DUPLICATE, Verdict.DUPLICATE]


def test_what_is_too_old_to_be_sent_is_remembered_for_its_twin() -> None:
    started = time.time() - 2
    changes: dict[str, Any] = {"maxAge": "1s", **TWINS}
    rule, desk, line = a_rule(started, **changes), MessageDesk(), RuleChannel("uid", "mst3k")
    matched = rule.decide(an_event("main", started - 30, break_id=17), time.time())
    assert matched is not None
    assert isinstance(matched.outcome, Message)
    turned_away = desk.turned_away(line, matched.outcome, time.time())
    assert turned_away is not None
    assert turned_away.verdict is Verdict.EXPIRED
    now = started + 1.9
    matched = rule.decide(an_event("backup", now, break_id=17), now)
    assert matched is not None
    assert isinstance(matched.outcome, Message)
    turned_away = desk.turned_away(line, matched.outcome, now)
    assert turned_away is not None
    assert turned_away.verdict is Verdict.DUPLICATE


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"maxAge": "1s"}, 60),
        ({"maxAge": "2m"}, 120),
        ({"maxAge": "1s", "dedupe": {"key": ["data.n"], "window": "5m"}}, 300),
    ],
)
def test_the_feed_is_heard_again_for_as_long_as_twins_may_come(
    changes: dict[str, Any], seconds: float
) -> None:
    assert a_rule(time.time(), **changes).window == seconds


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
    means="by ExtensionApp deck-tracker",
)


def ready(**changes: Any) -> dict[str, Finding]:  # noqa: ANN401 - the fields of the facts
    return {finding.type: finding for finding in rule_findings(replace(FACTS, **changes))}


def test_it_is_ready_where_the_extension_and_the_channel_are() -> None:
    found = ready()["Ready"]
    told = "listening, for TwitchChannel mst3k, by ExtensionApp deck-tracker"
    assert (found.status, found.message) == ("True", told)


def test_an_extension_that_is_not_there_is_waited_for() -> None:
    _, action = a_message_rule()
    found = ready(lacks=action.lacks("default", None))
    assert (found["Ready"].status, found["Ready"].reason) == ("False", "ExtensionNotFound")
    assert "spec.action.extensionMessage.extensionRef" in found["Ready"].message
    assert (found["Reconciling"].status, found["Stalled"].status) == ("True", "False")


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_an_extension_without_current_secrets_is_told_with_its_reason(status: Any) -> None:  # noqa: ANN401 - a literal
    lost = Finding("SecretsCurrent", status, "SecretLost", "bootstrap anew", human=True)
    _, action = a_message_rule()
    found = ready(lacks=action.lacks("default", lost))["Ready"]
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
    rule = SimulatedRule.of("overlays", TriggerRuleSpec.from_spec(a_message_spec(**changes)))
    spec = {"app": {"secretRef": {"name": "app"}}, "authorization": {"deviceCode": {}}}
    channel = KnownChannel(
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
    assert "Paused: held back" in explained(an_event(), {"conditions": [condition]})
    waits = condition | {"reason": "AuthorizationPending"}
    assert "its broadcaster is not known" in explained(an_event(), {"conditions": [waits]})
