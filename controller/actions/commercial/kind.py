"""The kind of action that starts commercials."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from controller.actions.base import ActionKind
from controller.actions.commercial.cues import CommercialCues
from controller.actions.commercial.performer import CommercialPerformer
from controller.actions.commercial.simulator import CommercialSimulator
from controller.actions.commercial.spec import CommercialAction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.actions.base import Services
    from controller.actions.simulation import SimulatedChannel
    from controller.resources.triggerrule import TriggerRuleSpec

__all__ = ["COMMERCIAL"]


class _Commercial(ActionKind):
    name = CommercialCues.kind
    spec_model: ClassVar = CommercialAction
    description = "Run a commercial on the channel."

    def compile(self, spec: TriggerRuleSpec) -> CommercialCues:
        return CommercialCues.of(spec)

    def performer(self, services: Services) -> CommercialPerformer:
        return CommercialPerformer(services)

    def simulator(self, channels: Iterable[SimulatedChannel]) -> CommercialSimulator:
        return CommercialSimulator(channels)


COMMERCIAL = _Commercial()
