"""The cues that a rule makes of its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from controller.actions.base import Action
from controller.actions.commercial.lengths import LengthPlan, break_length, compile_length_pattern
from controller.actions.commercial.preview import foresee
from controller.actions.commercial.spec import CommercialAction
from controller.arbiter.steps import Cue
from controller.events import Ruling, Verdict
from controller.rules.fieldpath import compile_path
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.actions.base import Fact, KnownChannel, Trigger
    from controller.channels.channel import Channel
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.fieldpath import FieldPath

__all__ = ["CommercialCues"]

_FIELD = "spec.action.commercial"


@dataclass(frozen=True, slots=True)
class CommercialCues(Action[Cue]):
    """How a rule makes its cues.

    Attributes:
        length: Where the length of the break comes from.
        as_run: Columns of the as-run log and their fields; None: the default.
    """

    kind = "commercial"

    length: LengthPlan
    as_run: Mapping[str, FieldPath] | None = None

    @classmethod
    def of(cls, spec: TriggerRuleSpec) -> Self:
        """Compile the action of a rule.

        Raises:
            InvalidExpression: A path cannot be used.
        """
        action = spec.action.spec
        assert isinstance(action, CommercialAction)  # noqa: S101 - by the registry
        path = action.length_field
        return cls(
            LengthPlan(
                fixed=action.length,
                path=compile_path(path, f"{_FIELD}.lengthField") if path else None,
                default=action.default_length,
                pattern=compile_length_pattern(action.length_pattern, f"{_FIELD}.lengthPattern"),
            ),
            None
            if spec.as_run is None
            else {
                name: compile_path(path, f"spec.asRun.{name}") for name, path in spec.as_run.items()
            },
        )

    def decide(self, trigger: Trigger) -> Cue | Ruling:
        """Make a cue, or tell why the break has no length."""
        event = trigger.event
        length = break_length(self.length, event.payload)
        if isinstance(length, Refusal):
            return Ruling(Verdict.FAILED, length.reason)
        return Cue(
            trigger.id,
            event.published,
            length,
            trigger.max_age,
            dry_run=trigger.dry_run,
            begins=trigger.begins,
            rule=trigger.rule,
            priority=trigger.priority,
            same_as=trigger.same_as,
            same_within=trigger.same_within,
            topic=event.topic,
            payload=event.payload,
            as_run=self.as_run,
        )

    def delay_on(self, channel: Channel) -> float:
        """`spec.commercials.delay`."""
        return channel.policy.delay

    def due(self, request: Cue, channel: Channel) -> float:
        """When the commercial is to start."""
        return request.due(channel.policy.delay)

    def eligible_again(self, channels: Sequence[Channel]) -> tuple[float | None, float | None]:
        """The cooldown of the channel that may run a commercial first."""
        memories = [channel.airtime.arbiter.memory for channel in channels]
        first = min(memories, key=lambda memory: memory.next_eligible or 0.0, default=None)
        return (first.retry_after, first.next_eligible) if first is not None else (None, None)

    def facts(self, request: Cue) -> tuple[Fact, ...]:
        """How long the break is."""
        return (("break", round(request.length, 3)),)

    def foresee(self, request: Cue, channel: KnownChannel, now: float) -> Ruling:
        """What the channel's arbiter would say; an old recording is judged as if it came now."""
        return foresee(channel, replace(request, begins=now), now)
