"""One event against one rule, test by test, by the operator's own code.

What would become of it on the channels is foreseen from their statuses: as if the event came now,
and nothing else happened meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.events import Event, Ruling
from controller.resources.common import rfc3339
from controller.rules.expressions import lazy_cel_view
from controller.rules.payloads import Refusal
from controller.rules.selectors import ChannelIndex
from controller.triggers.policies.deciding import RulePolicy, decide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.actions.base import KnownChannel
    from controller.rules.compiled import CompiledRule, MatchResult
    from controller.triggers.policies.deciding import Matched
    from controller.triggers.policies.simulation import SimulatedRule

__all__ = ["Evaluation", "TestResult", "evaluate"]

_PASSED, _FAILED, _UNREACHED = "passed", "failed", "not reached"


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
class Evaluation:
    """What a rule makes of an event.

    Attributes:
        refused: Why it is not an event at all; None: it is one.
        matched: Whether all tests passed.
        cancels: Whether it is an off cue (`cancelOn`).
        tests: In their order.
        facts: Of an event that matched: what is read from it, by name; `break` in seconds.
        channels: Of an event that matched: what would become of it on each channel.
    """

    refused: str | None = None
    matched: bool = False
    cancels: bool = False
    tests: tuple[TestResult, ...] = ()
    facts: tuple[tuple[str, str | float], ...] = ()
    channels: tuple[tuple[str, Ruling], ...] = ()


def evaluate(
    rule: SimulatedRule,
    payload: Mapping[str, Any] | Refusal,
    channels: Sequence[KnownChannel],
    now: float,
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
    matched = decide(compiled, rule.action, RulePolicy.of(rule.name, rule.spec), event, now)
    whole = replace(whole, facts=_facts(rule, payload, matched))
    if isinstance(matched.outcome, Ruling):
        return whole
    foreseen = (
        (each.name, rule.action.foresee(matched.outcome, each, now))
        for each in _concerned(rule, payload, channels)
    )
    told = tuple((name, ruling) for name, ruling in foreseen if ruling is not None)
    return replace(whole, channels=told)


def _facts(
    rule: SimulatedRule, payload: Mapping[str, Any], matched: Matched
) -> tuple[tuple[str, str | float], ...]:
    timed = rule.compiled.time_path is not None
    facts: list[tuple[str, str | float]] = [
        ("id", rule.compiled.event_id(payload, "") or "the feed's own (the event lacks idField)"),
        ("time", rfc3339(matched.time) if timed else "when the feed takes it in"),
    ]
    outcome = matched.outcome
    if isinstance(outcome, Ruling):
        return (facts[0], ("outcome", f"{outcome.verdict.value}: {outcome.detail}"))
    facts += rule.action.facts(outcome)
    if rule.spec.dedupe is not None:
        same_as = rule.compiled.same_as(payload)
        facts.append(("dedupe", same_as or "none: a field of dedupe.key is absent"))
    return tuple(facts)


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
    rule: SimulatedRule, payload: Mapping[str, Any], channels: Iterable[KnownChannel]
) -> list[KnownChannel]:
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
