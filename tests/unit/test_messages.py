"""Messages of rules: what an event makes of them, and that each is sent once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions.extension_message.desk import MessageDesk, RuleChannel
from controller.actions.extension_message.message import Message
from controller.errors import InvalidExpression
from controller.events import Event, Ruling, Verdict
from controller.resources.common import InvalidSpec
from controller.resources.triggerrule import TriggerRuleSpec
from controller.triggers.policies.deciding import RulePolicy, decide
from tests.unit.message_cases import NOW, a_message_rule, a_message_spec, an_event

POLICY = RulePolicy(max_age=30, dry_run=False, suspended=False, same_within=60)
LINE = RuleChannel("rule", "channel")
MESSAGE = Message("cue", NOW, NOW, 30, "deck-tracker", "broadcast", "ad-break", {"s": 1}, 0)


def decided(event: Event, policy: RulePolicy = POLICY, **changes: object) -> Any:  # noqa: ANN401 - either outcome
    return decide(*a_message_rule(**changes), policy, event, NOW).outcome


def message(event: Event, policy: RulePolicy = POLICY, **changes: object) -> Message:
    found = decided(event, policy, **changes)
    assert isinstance(found, Message), found
    return found


def whisper(value: object) -> Any:  # noqa: ANN401 - either outcome
    action = {"target": "whisper", "opaqueIdField": "data.viewer"}
    return decided(an_event(viewer=value), action=action)


def test_an_event_becomes_the_message_that_the_action_describes() -> None:
    action = {"data": '{"seconds": event.data.duration_sec}', "version": 3}
    found = message(an_event(duration_sec=125.0), action=action, timeField="", idField="")
    assert found.id == f"{NOW:.0f}"
    assert (found.type, found.data, found.version) == ("ad-break", {"seconds": 125}, 3)
    assert (found.extension, found.send, found.is_global) == ("deck-tracker", "broadcast", False)
    assert (found.published, found.begins, found.max_age) == (NOW, NOW, 30)


def test_without_data_it_carries_an_empty_object() -> None:
    assert message(an_event()).data == {}


def test_a_global_message_is_for_all_channels() -> None:
    assert message(an_event(), action={"target": "global"}).is_global


@pytest.mark.parametrize(("value", "send"), [("U12345", "whisper-U12345"), (77, "whisper-77")])
def test_a_whisper_goes_to_the_viewer_whom_the_event_names(value: object, send: str) -> None:
    assert whisper(value).send == send


@pytest.mark.parametrize("value", [None, "", " ", "two words", "a\nb", "x" * 129, [], True])
def test_a_whisper_to_nobody_fails_and_says_why(value: object) -> None:
    found = whisper(value)
    assert found.verdict is Verdict.FAILED
    assert "data.viewer" in found.detail
    assert found.detail.isprintable()


def test_data_that_an_event_does_not_give_fails_and_says_why() -> None:
    found = decided(an_event(), action={"data": '{"s": event.data.seconds}'})
    assert found == Ruling(
        Verdict.FAILED, 'data failed: no field "seconds"; has(...) tells beforehand'
    )


def test_mode_dedupe_and_suspend_count_as_for_commercials() -> None:
    dedupe = {"key": ["data.event_id"], "window": "60s"}
    found = message(an_event(event_id=7), replace(POLICY, dry_run=True), dedupe=dedupe)
    assert (found.dry_run, found.same_as, found.same_within) == (True, "data.event_id=7", 60)
    suspended = decided(an_event(), replace(POLICY, suspended=True))
    assert suspended.verdict is Verdict.SUSPENDED


def test_the_time_field_counts_and_a_clock_that_is_ahead_makes_nothing_young() -> None:
    late = message(an_event(at=NOW - 20), timeField="data.at")
    assert (late.begins, late.published) == (NOW - 20, NOW)
    ahead = message(an_event(published=NOW - 40, at=NOW + 900), timeField="data.at")
    assert ahead.too_old(NOW) == Ruling(Verdict.EXPIRED, "40 s old, maxAge is 30s")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": {"data": "1"}}, "spec.action.extensionMessage.data"),
        ({"action": {"data": '{"a": '}}, "spec.action.extensionMessage.data"),
        (
            {"action": {"target": "whisper", "opaqueIdField": "a b"}},
            "spec.action.extensionMessage.opaqueIdField",
        ),
    ],
)
def test_what_cannot_be_used_names_its_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        a_message_rule(**changes)
    assert caught.value.field == field


def test_off_cues_are_for_commercials_alone() -> None:
    with pytest.raises((InvalidSpec, InvalidExpression), match=r"cancelOn.* is for commercials"):
        a_message_rule(cancelOn=[{"field": "a", "equals": "b"}])


def test_a_rule_of_commercials_makes_no_messages() -> None:
    action = {"commercial": {"length": "60s"}}
    spec = TriggerRuleSpec.from_spec(a_message_spec() | {"action": action})
    assert spec.action.kind == "commercial"


# The desk


def admitted(desk: MessageDesk, found: Message, now: float = NOW, line: RuleChannel = LINE) -> str:
    """The envelope, or the verdict."""
    ruling = desk.turned_away(line, found, now)
    out = ruling or desk.admit(line, found, "client", line.channel, now)
    return out.verdict.value if isinstance(out, Ruling) else out


def test_what_is_sent_is_the_envelope() -> None:
    assert admitted(MessageDesk(), MESSAGE) == '{"type":"ad-break","data":{"s":1},"version":0}'


def test_a_message_is_sent_once_for_each_rule_and_channel() -> None:
    desk = MessageDesk()
    assert admitted(desk, MESSAGE).startswith("{")
    assert admitted(desk, MESSAGE) == "Duplicate"
    assert admitted(desk, replace(MESSAGE, published=NOW + 9), NOW + 9) == "Duplicate"
    assert admitted(desk, MESSAGE, line=RuleChannel("rule", "other")).startswith("{")
    assert admitted(desk, MESSAGE, line=RuleChannel("other", "channel")).startswith("{")


def test_an_identity_may_come_again_on_another_day() -> None:
    desk, later = MessageDesk(), NOW + 86_400
    admitted(desk, MESSAGE)
    again = replace(MESSAGE, published=later, begins=later)
    assert admitted(desk, again, later).startswith("{")


def test_a_twin_within_the_window_is_not_sent() -> None:
    desk = MessageDesk()
    main = replace(MESSAGE, id="main", same_as="event_id=1", same_within=60, max_age=300)
    admitted(desk, main)
    for apart, expected in ((59.0, "Duplicate"), (-59.0, "Duplicate"), (61.0, "{")):
        backup = replace(main, id=f"backup{apart}", begins=NOW + apart, published=NOW + apart)
        assert admitted(desk, backup, NOW + max(0.0, apart) - 1).startswith(expected)
    other = replace(main, id="other", same_as="event_id=2")
    assert admitted(desk, other).startswith("{")


def test_a_message_that_is_too_old_is_expired() -> None:
    assert admitted(MessageDesk(), MESSAGE, NOW + 30).startswith("{")
    assert admitted(MessageDesk(), MESSAGE, NOW + 30.1) == "Expired"


def test_a_message_that_is_too_large_fails_and_tells_the_sizes() -> None:
    desk, large = MessageDesk(), replace(MESSAGE, data={"d": "é" * 2600})
    ruling = desk.admit(LINE, large, "client", "1", NOW)
    assert isinstance(ruling, Ruling)
    assert ruling.verdict is Verdict.FAILED
    size = len('{"type":"ad-break","data":{"d":""},"version":0}') + 5200
    assert f"{size} bytes" in ruling.detail
    assert "5120" in ruling.detail


def test_a_burst_of_a_hundred_and_then_one_a_second() -> None:
    desk = MessageDesk()
    told = [admitted(desk, replace(MESSAGE, id=f"{n}")) for n in range(102)]
    assert [text[0] for text in told] == ["{"] * 100 + ["B"] * 2
    # What was refused for the limit was not sent: a repeat of it may be.
    assert admitted(desk, replace(MESSAGE, id="100"), NOW + 1).startswith("{")
    assert admitted(desk, replace(MESSAGE, id="x"), line=RuleChannel("rule", "2")).startswith("{")


def test_the_limit_is_told_with_the_time_of_the_next() -> None:
    desk = MessageDesk()
    desk.drain("client", "channel", NOW)
    ruling = desk.admit(LINE, MESSAGE, "client", "channel", NOW)
    assert isinstance(ruling, Ruling)
    assert ruling.verdict is Verdict.BUDGET_SPENT
    assert ruling.detail.endswith("the next at 08:00:01Z")


def test_a_rehearsal_says_what_it_would_send_and_takes_nothing_from_the_real_ones() -> None:
    desk, line = MessageDesk(), replace(LINE, dry_run=True)
    rehearsed = replace(MESSAGE, dry_run=True)
    for n in range(100):
        assert admitted(desk, replace(rehearsed, id=f"{n}"), line=line) == "DryRun"
    assert admitted(desk, replace(rehearsed, id="0"), line=line) == "Duplicate"
    assert admitted(desk, replace(rehearsed, id="new"), line=line) == "BudgetSpent"
    assert admitted(desk, replace(MESSAGE, id="0")).startswith("{")


def test_what_did_not_leave_may_be_sent_by_a_repeat() -> None:
    desk = MessageDesk()
    admitted(desk, MESSAGE)
    desk.take_back(LINE, MESSAGE)
    desk.take_back(LINE, MESSAGE)
    assert admitted(desk, MESSAGE).startswith("{")
    assert admitted(desk, MESSAGE) == "Duplicate"


EVENTS = st.tuples(
    st.integers(0, 5),  # identity
    st.integers(0, 2),  # second identity
    st.floats(0, 40),  # seconds since the one before
    st.floats(0, 60),  # seconds that it is late
    st.booleans(),  # it does not leave
)


@given(st.lists(EVENTS, max_size=60))
def test_nothing_is_ever_sent_twice(events: list[tuple[int, int, float, float, bool]]) -> None:
    desk, now = MessageDesk(), NOW
    sent: list[Message] = []
    for identity, same, pause, late, lost in events:
        now += pause
        found = replace(
            MESSAGE,
            id=f"{identity}",
            published=now - late,
            begins=now - late,
            same_as=f"{same}",
            same_within=20,
        )
        if not admitted(desk, found, now).startswith("{"):
            continue
        if lost:
            desk.take_back(LINE, found)
            continue
        for other in sent:
            assert other.id != found.id or abs(other.published - found.published) > 1800
            twins = other.same_as == found.same_as
            assert not twins or abs(other.begins - found.begins) > 20
        assert now - found.begins <= 30
        sent.append(found)


def test_what_is_remembered_is_bounded() -> None:
    desk, now = MessageDesk(), NOW
    for n in range(6000):
        now += 1.0
        found = replace(MESSAGE, id=f"{n}", published=now, begins=now)
        assert admitted(desk, found, now, RuleChannel("rule", f"{n % 1000}")).startswith("{")
    lines = desk._ledger._lines
    assert len(lines) == 1000
    assert all(len(line.sent) == len(line.by_id) <= 2 for line in lines.values())
    now += 3600
    late = replace(MESSAGE, published=now, begins=now)
    admitted(desk, late, now, RuleChannel("rule", "new"))
    assert len(lines) == 1
