"""A kind of action that lives in tests alone: `note` writes a line into a notebook."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from controller.actions.base import Action, ActionKind, Performer
from controller.actions.registry import ACTIONS
from controller.actions.simulation import Simulator
from controller.events import Progress, Ruling, Verdict
from controller.resources.common import SpecModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from controller.actions.base import Fact, KnownChannel, RuleReference, Services, Trigger
    from controller.actions.simulation import SimulatedChannel, SimulatedOutcome
    from controller.channels.channel import Channel
    from controller.resources.triggerrule import TriggerRuleSpec

__all__ = ["NoteKind", "registered"]


class NoteAction(SpecModel):
    """Write a line into a notebook."""

    text: Annotated[str, Field(min_length=1, max_length=100)]
    """What is written before the identity of the event."""


@dataclass(frozen=True, slots=True)
class Note(Action[str]):
    """Makes the lines of one rule; a request is a line."""

    kind = "note"

    text: str

    @property
    def means(self) -> str:
        return "in a notebook"

    def decide(self, trigger: Trigger) -> str | Ruling:
        if trigger.dry_run:
            return Ruling(Verdict.DRY_RUN, "it would write a line")
        return f"{self.text} {trigger.id}"

    def facts(self, request: str) -> tuple[Fact, ...]:
        return (("line", request),)

    def foresee(self, request: str, channel: KnownChannel, now: float) -> Ruling:
        del now
        return Ruling(Verdict.FIRED, f"it would write {request!r} for {channel.name}")


@dataclass(slots=True)
class Notebook(Performer[str]):
    """Takes the lines of all rules, each once."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def submit(
        self,
        rule: RuleReference,
        channel: Channel,
        request: str,
        report: Callable[[Progress], None],
    ) -> None:
        del rule
        line = (channel.resource.key.name, request)
        if line in self.lines:
            report(Progress(Ruling(Verdict.DUPLICATE, "the line is there already")))
            return
        self.lines.append(line)
        report(Progress(Ruling(Verdict.FIRED, f"wrote {request!r}")))


class NoteSimulator(Simulator[str]):
    """Writes every line."""

    def submit(self, request: str, channel: str, outcome: SimulatedOutcome, now: float) -> None:
        del channel, now
        outcome.settle(Ruling(Verdict.FIRED, f"wrote {request!r}"))

    def totals(self, outcomes: Sequence[SimulatedOutcome]) -> tuple[str | None, Mapping[str, Any]]:
        return f"Lines: {len(outcomes)}", {"lines": len(outcomes)}


@dataclass
class NoteKind(ActionKind):
    """The kind; `notebook` shows what it did."""

    name = Note.kind
    spec_model: ClassVar = NoteAction
    description = "Write a line into a notebook."

    notebook: Notebook = field(default_factory=Notebook)

    def compile(self, spec: TriggerRuleSpec) -> Note:
        action = spec.action.spec
        assert isinstance(action, NoteAction)
        return Note(action.text)

    def performer(self, services: Services) -> Notebook:
        del services
        return self.notebook

    def simulator(self, channels: Iterable[SimulatedChannel]) -> NoteSimulator:
        del channels
        return NoteSimulator()


@contextmanager
def registered() -> Iterator[NoteKind]:
    """Let rules have the action `note`."""
    kind = NoteKind()
    ACTIONS.add(kind)
    try:
        yield kind
    finally:
        ACTIONS.remove(kind.name)
