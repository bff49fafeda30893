"""One event against one rule, test by test, by the operator's own code.

What the channels' arbiters would say is foreseen from their statuses: as if the event came now, and
nothing else happened meanwhile. So is whether a message would go out, as far as the channel goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.actions.message_desk import described
from controller.arbiter.arbiter import Arbiter
from controller.arbiter.memory import Memory
from controller.arbiter.steps import Call, Cue, Readiness, Reply, Wait
from controller.channels.status import remembered
from controller.commands.show.conditions import find_condition
from controller.errors import PermanentError
from controller.events import Event, Ruling, Verdict
from controller.policies.envelope import envelope
from controller.resources.common import rfc3339
from controller.rules.compiled import compile_rule
from controller.rules.expressions import lazy_cel_view
from controller.rules.messages import Message
from controller.rules.payloads import Refusal
from controller.rules.selectors import ChannelIndex
from controller.term import Term
from controller.triggers.policies.deciding import RulePolicy, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
    from controller.rules.compiled import CompiledRule, MatchResult
    from controller.triggers.policies.deciding import Matched

__all__ = ["Channel", "Evaluation", "Rule", "TestResult", "evaluate", "foresee"]

_PASSED, _FAILED, _UNREACHED = "passed", "failed", "not reached"
_LONG_AGO = 3600.0  # the event comes long after the operator has started
_CALL_TIMEOUT = 5.0
_MOST_STEPS = 3  # the delay, and then a word


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test of a rule.

    Attributes:
        name: Such as `match[0]`, or `when`.
        result: passed, failed or not reached.
        told: The value it met, and what it must be.
    """

    name: str
    result: str
    told: str

    __test__ = False  # pytest: no case of a test suite


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that events are held against.

    Attributes:
        name: Its name.
        spec: Its spec.
        compiled: The same, compiled.
    """

    name: str
    spec: TriggerRuleSpec
    compiled: CompiledRule

    @classmethod
    def of(cls, name: str, spec: TriggerRuleSpec) -> Rule:
        """Compile a rule.

        Raises:
            InvalidExpression: It cannot be used; the message names the field.
        """
        return cls(name, spec, compile_rule(spec))


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that a rule may be for.

    Attributes:
        name: Its name.
        labels: Its labels.
        spec: Its spec.
        status: Its status; an empty one, where it is from a file.
    """

    name: str
    labels: Mapping[str, str]
    spec: TwitchChannelSpec
    status: TwitchChannelStatus


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a rule makes of an event.

    Attributes:
        refused: Why it is not an event at all; None: it is one.
        matched: Whether all tests passed.
        cancels: Whether it is an off cue (`cancelOn`).
        tests: In their order.
        facts: Of an event that matched: what is read from it, by name; `break` in seconds.
        channels: Of an event that matched: what each channel's arbiter would say.
    """

    refused: str | None = None
    matched: bool = False
    cancels: bool = False
    tests: tuple[TestResult, ...] = ()
    facts: tuple[tuple[str, str | float], ...] = ()
    channels: tuple[tuple[str, Ruling], ...] = ()


def evaluate(
    rule: Rule, payload: Mapping[str, Any] | Refusal, channels: Sequence[Channel], now: float
) -> Evaluation:
    """Evaluate an event.

    Args:
        rule: The rule.
        payload: The event, or why it is none.
        channels: Those that are known, whether the rule is for them or not.
        now: The present time.
    """
    if isinstance(payload, Refusal):
        return Evaluation(refused=payload.reason)
    compiled = rule.compiled
    result = compiled.match(payload, lazy_cel_view(payload))
    whole = Evaluation(
        matched=result.matched,
        cancels=compiled.cancelled_by(payload) is True,
        tests=_tests(compiled, payload, result),
    )
    if not result.matched or whole.cancels:
        return whole
    event = Event("", "", now, 0.0, payload)
    matched = decide(compiled, RulePolicy.of(rule.name, rule.spec), event, now)
    whole = replace(whole, facts=_facts(rule, payload, matched))
    if isinstance(matched.outcome, Ruling):
        return whole
    if isinstance(matched.outcome, Message):
        return _with_message(whole, matched.outcome, _concerned(rule, payload, channels))
    # What was recorded long ago is judged as if it happened now.
    cue = replace(matched.outcome, begins=now)
    concerned = _concerned(rule, payload, channels)
    return replace(
        whole, channels=tuple((each.name, foresee(each, cue, now)) for each in concerned)
    )


def _facts(
    rule: Rule, payload: Mapping[str, Any], matched: Matched
) -> tuple[tuple[str, str | float], ...]:
    timed = rule.compiled.time_path is not None
    facts: list[tuple[str, str | float]] = [
        ("id", rule.compiled.event_id(payload, "") or "the feed's own (the event lacks idField)"),
        ("time", rfc3339(matched.time) if timed else "when the feed takes it in"),
    ]
    outcome = matched.outcome
    if isinstance(outcome, Ruling):
        return (facts[0], ("outcome", f"{outcome.verdict.value}: {outcome.detail}"))
    if isinstance(outcome, Cue):
        facts.append(("break", round(outcome.length, 3)))
    if rule.spec.dedupe is not None:
        facts.append(("dedupe", outcome.same_as or "none: a field of dedupe.key is absent"))
    return tuple(facts)


def _with_message(whole: Evaluation, message: Message, concerned: Iterable[Channel]) -> Evaluation:
    """What would be sent, and what keeps channels from it."""
    try:
        text = envelope(message.type, message.data, message.version)
    except PermanentError as error:
        outcome = ("outcome", f"{Verdict.FAILED.value}: {error}")
        return replace(whole, facts=(*whole.facts, outcome))
    facts = (*whole.facts, ("extension", message.extension), ("message", text))
    told = tuple((each.name, _reach(each, message, text)) for each in concerned)
    return replace(whole, facts=facts, channels=told)


def _reach(channel: Channel, message: Message, text: str) -> Ruling:
    if channel.spec.suspend:
        return Ruling(Verdict.SUSPENDED, "spec.suspend of the channel is true")
    ready = find_condition(channel.status.conditions, "Ready")
    if ready is not None and ready.reason in ("Paused", "Conflict"):
        held = Readiness.of(ready.reason, ready.message)
        return Ruling(held.verdict, held.detail)
    if ready is not None and channel.status.broadcaster is None and not message.is_global:
        return Ruling(Verdict.CHANNEL_NOT_READY, "its broadcaster is not known")
    verdict = Verdict.DRY_RUN if message.dry_run else Verdict.FIRED
    return Ruling(verdict, f"it would send {described(message, text)}")


def foresee(channel: Channel, cue: Cue, now: float) -> Ruling:
    """Tell what a channel's arbiter would say to a cue, as far as the status tells.

    Args:
        channel: The channel.
        cue: As if it came now.
        now: The present time.
    """
    known = remembered(channel.status)
    arbiter = Arbiter(
        channel.spec.commercials,
        Term(now - _LONG_AGO),
        _CALL_TIMEOUT,
        memory=Memory(known.cues, known.next_eligible),
        last_ad=known.last_ad,
    )
    arbiter.readiness = _readiness(channel)
    start = arbiter.take(replace(cue, dry_run=False), now)
    if isinstance(start, Ruling):
        return start
    run = arbiter.run(start, now)
    try:
        step = next(run)
        for _ in range(_MOST_STEPS):
            if not isinstance(step, Wait) or step.until > start.brk.due:
                break
            step = run.send(Reply(step.until))
    except StopIteration as end:
        ruling: Ruling = end.value
        return ruling
    if isinstance(step, Call):
        verdict = Verdict.DRY_RUN if cue.dry_run else Verdict.FIRED
        return Ruling(verdict, f"it would ask for a commercial of {step.length} s")
    told = step.told if isinstance(step, Wait) else None
    return told or Ruling(Verdict.WAITING, "another cue of the channel is on its way")


def _readiness(channel: Channel) -> Readiness | None:
    """Why a channel takes no cues, by its conditions; one from a file is taken for ready."""
    conditions = channel.status.conditions
    ready = find_condition(conditions, "Ready")
    if ready is None or ready.status == "True":
        live = find_condition(conditions, "Live")
        if live is not None and live.status == "False":
            return Readiness(Verdict.NOT_LIVE, "off air: Twitch would refuse it")
        return None
    return Readiness.of(ready.reason, ready.message)


def _tests(
    rule: CompiledRule, payload: Mapping[str, Any], result: MatchResult
) -> tuple[TestResult, ...]:
    """Each test; the first that failed decides, and the others are told for the user."""
    tests = [
        TestResult(
            f"match[{index}]",
            _PASSED if test.passes(payload) else _FAILED,
            test.explain(payload),
        )
        for index, test in enumerate(rule.tests)
    ]
    if rule.when is not None:
        text = rule.when.text
        if result.matched:
            tests.append(TestResult("when", _PASSED, text))
        elif result.failed is None:
            tests.append(TestResult("when", _FAILED, f"{rule.explain(payload, result)}: {text}"))
        else:
            tests.append(TestResult("when", _UNREACHED, text))
    return tuple(tests)


def _concerned(
    rule: Rule, payload: Mapping[str, Any], channels: Iterable[Channel]
) -> list[Channel]:
    reference, selector = rule.spec.channel_ref, rule.spec.channel_selector
    if reference is not None:
        return [each for each in channels if each.name == reference.name]
    by_name = {each.name: each for each in channels}
    index: ChannelIndex[str] = ChannelIndex()
    for each in by_name.values():
        index.add(each.name, "", each.labels)
    labels = selector.match_labels if selector is not None else {}
    return [
        by_name[name] for name in index.select_for("", labels, rule.compiled.wanted_labels(payload))
    ]
