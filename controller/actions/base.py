"""What an action is to everybody else: one key of `spec.action`, whose kind is registered.

A kind compiles the action of a rule. The action makes a request of each event that matches, such as
a cue or a message, and the kind's performer does it on a channel. Nobody else looks into a request.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from controller.actions.simulation import SimulatedChannel, Simulator
    from controller.channels.channel import Channel
    from controller.clients.extension_jwt import Extension
    from controller.clients.extensions import Extensions
    from controller.events import Event, Progress, Ruling
    from controller.policies.findings import Finding
    from controller.resources.common import SpecModel
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.resources.twitchchannel import TwitchChannelSpec, TwitchChannelStatus
    from controller.rules.expressions import CelView
    from controller.rules.payloads import Refusal
    from controller.runtime.resource import Key, Resource
    from controller.runtime.signals import Signals
    from controller.term import Term

__all__ = [
    "Action",
    "ActionKind",
    "DoneBefore",
    "Fact",
    "KnownChannel",
    "Performer",
    "RuleReference",
    "Services",
    "Trigger",
]

R = TypeVar("R")

Fact = tuple[str, "str | float"]
"""Something that `explain` tells of a request: its name, and its value; seconds are a float."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """An event that matched, and what its rule says beside the action.

    Attributes:
        rule: Name of the rule.
        event: The event.
        id: Its identity over repeats and restarts.
        begins: When what it announces begins.
        max_age: Seconds after which nothing is done any more.
        dry_run: Decide and report, call nothing.
        priority: Between rules that want the same channel at once.
        same_as: A second identity; None: there is none.
        same_within: Seconds within which the second identity makes two events one.
        view: Gives the event as CEL sees it.
    """

    rule: str
    event: Event
    id: str
    begins: float
    max_age: float
    dry_run: bool
    priority: int
    same_as: str | None
    same_within: float
    view: Callable[[], CelView | Refusal]


@dataclass(frozen=True, slots=True)
class DoneBefore:
    """An event about which a former process did something, or may have, as the status tells it.

    Attributes:
        id: Identity of the event.
        begins: When what it announces began.
        same_as: Its second identity.
    """

    id: str
    begins: float
    same_as: str | None


class RuleReference(Protocol):
    """The rule whose action is done."""

    @property
    def resource(self) -> Resource:
        """As the API server holds it."""
        ...

    @property
    def suspended(self) -> bool:
        """Whether the user paused it."""
        ...

    @property
    def dry_run(self) -> bool:
        """Whether it decides and reports, and calls nothing."""
        ...

    @property
    def done_before(self) -> Sequence[tuple[str, DoneBefore]]:
        """What was done on which channel ("": all), as the status tells it; oldest first."""
        ...

    def remember(self, done: DoneBefore, channel: str) -> None:
        """Have the status tell that something was done on a channel, or may have been."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What performers work with.

    Attributes:
        rule: Finds a rule.
        channels: All channels.
        extension_of: What to sign the calls of an ExtensionApp with, by namespace and name; or why
            there is nothing.
        extensions: Twitch, for calls of extensions.
        signals: Tell the kinds of resources what was done.
        term: Since when this process decides.
    """

    rule: Callable[[Key], RuleReference | None]
    channels: Mapping[Key, Channel]
    extension_of: Callable[[str, str], Extension | str]
    extensions: Extensions
    signals: Signals
    term: Term


@dataclass(frozen=True, slots=True)
class KnownChannel:
    """A channel, as far as its manifest tells.

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


class Action(ABC, Generic[R]):
    """The action of one rule, compiled; without I/O, like all that it answers.

    Attributes:
        kind: Name of its kind.
        at_most_once: What a former process may have done is remembered, and not done again. Else
            the channel knows what was done.
    """

    kind: ClassVar[str]
    at_most_once: ClassVar[bool] = False

    @property
    def means(self) -> str:
        """What it is done by, for people, such as "by ExtensionApp x"; "": nothing of note."""
        return ""

    @abstractmethod
    def decide(self, trigger: Trigger) -> R | Ruling:
        """Make a request of an event that matched, or tell why there is none."""

    def past(self, request: R) -> R:
        """The same request, which a former process may have done: it is to be remembered."""
        return request

    def delay_on(self, channel: Channel) -> float:  # noqa: ARG002 - for those that differ
        """Seconds by which a channel delays what it is asked for."""
        return 0.0

    def due(self, request: R, channel: Channel) -> float | None:  # noqa: ARG002
        """When a request is to be done on a channel; None: at once."""
        return None

    def readiness(self, channel: Channel) -> Finding:
        """Whether a channel takes requests."""
        return channel.ready

    def eligible_again(
        self,
        channels: Sequence[Channel],  # noqa: ARG002
    ) -> tuple[float | None, float | None]:
        """For the status: seconds for which the channels rest, and until when; None: not known."""
        return None, None

    def needs(self, namespace: str) -> Key | None:  # noqa: ARG002
        """The resource, beside the channels, without which it cannot be done."""
        return None

    def lacks(self, namespace: str, found: Finding | None) -> Finding | None:  # noqa: ARG002
        """Why it cannot be done, as the rule's Ready.

        Args:
            namespace: Of the rule.
            found: Whether what it `needs` is ready; None: it does not exist.
        """
        return None

    def facts(self, request: R) -> tuple[Fact, ...]:  # noqa: ARG002
        """What `explain` tells of a request; `outcome` is one on which no channel is asked."""
        return ()

    @abstractmethod
    def foresee(self, request: R, channel: KnownChannel, now: float) -> Ruling | None:
        """What would become of a request on a channel now; None: no channel is asked."""


class Performer(Generic[R]):
    """Does what the rules of one kind of action ask for."""

    def recall(self, rule: RuleReference) -> None:
        """Remember what a former process did for a rule."""

    def submit(
        self, rule: RuleReference, channel: Channel, request: R, report: Callable[[Progress], None]
    ) -> None:
        """Decide about a request, and do it.

        Args:
            rule: Whose it is.
            channel: On which it is done.
            request: What is asked for.
            report: Called with what became of it, and before that with what is worth telling.
        """
        raise NotImplementedError

    def cancel(self, channel: Channel, begins: float, *, dry_run: bool) -> bool:  # noqa: ARG002
        """An off cue came into effect: end what it ends; whether there was anything."""
        return False

    def withdraw(self, rule: Key, why: Ruling, but: Iterable[Channel] = ()) -> None:
        """A rule is gone, or points elsewhere: do nothing more for it, but on some channels."""

    async def drain(self, within: float) -> None:
        """Wait, for at most so many seconds, for the answers to what is under way."""


class ActionKind(Protocol):
    """A kind of action.

    Attributes:
        name: The key in `spec.action`.
        spec_model: Of the key's value.
        description: For `kubectl explain`.
    """

    name: ClassVar[str]
    spec_model: ClassVar[type[SpecModel]]
    description: ClassVar[str]

    def compile(self, spec: TriggerRuleSpec) -> Action[Any]:
        """Compile the action of a rule.

        Raises:
            InvalidExpression: It cannot be used; the message names the field.
        """
        ...

    def performer(self, services: Services) -> Performer[Any]:
        """Make what does the actions of this kind."""
        ...

    def simulator(self, channels: Iterable[SimulatedChannel]) -> Simulator[Any]:
        """Make what does them in a backtest."""
        ...
