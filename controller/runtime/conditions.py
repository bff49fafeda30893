"""Findings → the conditions of a status, with their generation and transition times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.resources.common import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.policies.findings import Finding

__all__ = ["to_conditions"]


def to_conditions(
    findings: Iterable[Finding], before: Iterable[Condition], generation: int, now: float
) -> tuple[Condition, ...]:
    """Give each finding its bookkeeping.

    Args:
        findings: What holds now.
        before: The conditions as they were: a status that did not change keeps its time.
        generation: Of the spec that was looked at.
        now: The present time.
    """
    old = {condition.type: condition for condition in before}

    def since(finding: Finding) -> float:
        was = old.get(finding.type)
        return was.last_transition_time if was and was.status == finding.status else now

    return tuple(
        Condition(
            type=finding.type,
            status=finding.status,
            observed_generation=generation,
            last_transition_time=since(finding),
            reason=finding.reason,
            message=finding.message,
        )
        for finding in findings
    )
