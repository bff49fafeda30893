"""A rule explained: its last decisions, what keeps it from working, and its nearest miss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.actions.registry import compile_action
from controller.commands.show.conditions import lines, not_fine
from controller.commands.show.text import aligned, moment
from controller.errors import InvalidExpression
from controller.feeds.registry import topics_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.commands.show.evaluation import Evaluation
    from controller.resources.common import Condition
    from controller.resources.triggerrule import (
        NearestMiss,
        RecentDecision,
        TriggerRuleSpec,
        TriggerRuleStatus,
    )
    from controller.resources.twitchchannel import TwitchChannelStatus

__all__ = [
    "Explained",
    "evaluations_for_people",
    "evaluations_for_programs",
    "explained_for_people",
    "explained_for_programs",
]


@dataclass(frozen=True)
class Explained:
    """What is known about a rule in the cluster.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        spec: Its spec; None: it cannot be read, which a condition tells.
        status: Its status.
        channel: Status of the channel that it names; None: a selector picks them, or it is not
            known.
        notes: What else the user must know to judge it.
    """

    namespace: str
    name: str
    spec: TriggerRuleSpec | None
    status: TriggerRuleStatus
    channel: TwitchChannelStatus | None = None
    notes: Sequence[str] = field(default=())


def explained_for_people(told: Explained) -> str:
    """Lay it out as paragraphs."""
    parts = [_heading(told), *told.notes]
    trouble = lines(not_fine(told.status.conditions))
    if told.channel is not None and told.spec is not None and told.spec.channel_ref is not None:
        name = told.spec.channel_ref.name
        of_channel = not_fine(told.channel.conditions)
        trouble += [f"channel {name}: {line}" for line in lines(of_channel)]
    if trouble:
        parts.append("\n".join(trouble))
    decisions = told.status.recent_decisions
    parts.append(_decisions(decisions) if decisions else "No event has matched yet.")
    if told.status.counts is not None and decisions:
        counts = told.status.counts
        parts.append(
            f"matched {counts.matched}, fired {counts.fired}, skipped {counts.skipped},"
            f" failed {counts.failed}"
        )
    if told.status.nearest_miss is not None:
        parts.append(_miss(told.status.nearest_miss))
    return "\n\n".join(parts)


def explained_for_programs(told: Explained) -> dict[str, Any]:
    """The same as JSON; names of fields are those of the statuses."""
    status = told.status.to_status()
    channel = told.channel.conditions if told.channel is not None else ()
    return {
        "namespace": told.namespace,
        "rule": told.name,
        "notes": list(told.notes),
        "conditions": _conditions(told.status.conditions),
        "channelConditions": _conditions(channel),
        "recentDecisions": status.get("recentDecisions", []),
        "counts": status.get("counts"),
        "nearestMiss": status.get("nearestMiss"),
    }


def _conditions(conditions: Sequence[Condition]) -> list[dict[str, Any]]:
    return [each.to_status() for each in not_fine(conditions)]


def _heading(told: Explained) -> str:
    heading = f"triggerrule/{told.name} in namespace {told.namespace}"
    if told.spec is None:
        return heading
    reference = told.spec.channel_ref
    for_ = f"channel {reference.name}" if reference else "channels by channelSelector"
    topics = ", ".join(topics_of(told.spec.feed))
    try:
        means = compile_action(told.spec).means
    except InvalidExpression:
        means = ""  # a condition tells of it
    by = f", messages {means}" if means else ""
    return f"{heading}: {for_}{by}, topics {topics}, mode {told.spec.mode}"


def _decisions(decisions: Sequence[RecentDecision]) -> str:
    header = ["TIME", "EVENT", "CHANNEL", "VERDICT", "LATENCY", "DETAIL"]
    rows = [
        [
            moment(each.time),
            each.event_id,
            each.channel or "",
            each.verdict,
            f"{each.latency_milliseconds:g} ms" if each.latency_milliseconds is not None else "",
            each.detail or "",
        ]
        for each in decisions
    ]
    if not any(row[2] for row in rows):
        del header[2]
        rows = [row[:2] + row[3:] for row in rows]
    return aligned(header, rows)


def _miss(miss: NearestMiss) -> str:
    where = f"event {miss.event_id} at {moment(miss.time)}, topic {miss.topic}"
    return f"nearest miss: {where}: {miss.passed} of {miss.tests} tests held\n  {miss.detail}"


def evaluations_for_people(name: str, evaluations: Sequence[Evaluation]) -> str:
    """Lay out what a rule makes of some events, test by test."""
    if not evaluations:
        return "there is no event in it"
    parts = [_evaluation(name, at, each) for at, each in enumerate(evaluations, 1)]
    if len(evaluations) > 1:
        count = sum(each.matched for each in evaluations)
        parts.append(f"{count} of {len(evaluations)} events match")
    return "\n\n".join(parts)


def evaluations_for_programs(
    name: str, evaluations: Sequence[Evaluation], notes: Sequence[str] = ()
) -> dict[str, Any]:
    """The same as JSON."""
    return {"rule": name, "notes": list(notes), "events": [_as_json(each) for each in evaluations]}


def _evaluation(name: str, at: int, told: Evaluation) -> str:
    if told.refused is not None:
        return f"event {at} is none that rules look at: {told.refused}"
    first = next((test.name for test in told.tests if test.result == "failed"), "")
    verdict = f"matches {name}" if told.matched else f"does not match {name}: {first} failed"
    rows = [(test.name, test.result, test.told) for test in told.tests]
    text = f"event {at} {verdict}\n{aligned((), rows, indent='  ')}"
    if told.cancels:
        text += "\n  it is an off cue (cancelOn): it ends the break, and starts nothing"
    seen = [
        (what, f"{value:g} s" if isinstance(value, float) else value) for what, value in told.facts
    ]
    seen += [(f"on {on}", f"{will.verdict.value}: {will.detail}") for on, will in told.channels]
    return f"{text}\n\n{aligned((), seen, indent='  ')}" if seen else text


_NAMES = {"break": "breakSeconds"}


def _as_json(told: Evaluation) -> dict[str, Any]:
    return {
        "refused": told.refused,
        "matched": told.matched,
        "cancels": told.cancels,
        "tests": [
            {"test": each.name, "result": each.result, "detail": each.told} for each in told.tests
        ],
        **{_NAMES.get(what, what): value for what, value in told.facts},
        "channels": [
            {"channel": on, "verdict": will.verdict.value, "detail": will.detail}
            for on, will in told.channels
        ],
    }
