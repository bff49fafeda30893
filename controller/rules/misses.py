"""Which of several events came nearest to matching a rule: for the user whose rule never does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.rules.expressions import lazy_cel_view
from controller.rules.matching import passed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.events import Event
    from controller.rules.compiled import CompiledRule

__all__ = ["Miss", "nearest_miss"]


@dataclass(frozen=True, slots=True)
class Miss:
    """An event that did not match.

    Attributes:
        event_id: Its identity.
        time: When the feed took it in.
        topic: Where it came from.
        passed: How many tests held.
        tests: How many the rule has, `when` included.
        detail: The first test that did not hold, and the value it met.
    """

    event_id: str
    time: float
    topic: str
    passed: int
    tests: int
    detail: str


def nearest_miss(rule: CompiledRule, events: Iterable[Event]) -> Miss | None:
    """Return the event of which the most tests held; of several the newest; None: none missed."""
    misses = (miss for event in events if (miss := _miss(rule, event)) is not None)
    return max(misses, key=lambda miss: (miss.passed, miss.time), default=None)


def _miss(rule: CompiledRule, event: Event) -> Miss | None:
    result = rule.match(event.payload, lazy_cel_view(event.payload))
    if result.matched:
        return None
    return Miss(
        event_id=rule.event_id(event.payload, event.id),
        time=event.published,
        topic=event.topic,
        passed=passed(rule.tests, event.payload),
        tests=len(rule.tests) + (rule.when is not None),
        detail=rule.explain(event.payload, result),
    )
