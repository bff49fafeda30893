"""Who is told what comes of events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.tracing.tracer import NO_TRACER

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.runtime.resource import Key
    from controller.tracing.tracer import Tracer
    from controller.triggers.decided import Decided

__all__ = ["Followers"]


@dataclass(frozen=True, slots=True)
class Followers:
    """Who is told what comes of events.

    Attributes:
        decided: Called with what was decided, and what there is to tell before.
        parked: Called with a rule that took too long for an event and is parked.
        changed: Called with a rule whose conditions change by an event that it did not match.
        tracer: Takes down what happens for cues.
    """

    decided: Callable[[Decided], None]
    parked: Callable[[Key], None] = lambda _: None
    changed: Callable[[Key], None] = lambda _: None
    tracer: Tracer = NO_TRACER
