"""What became of the wish to pause channels, or to let them go on."""

from __future__ import annotations

import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.durations import format_duration
from controller.plurals import counted
from controller.resources.common import find_condition
from controller.resources.twitchchannel import TwitchChannelStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Outcome", "Place", "Scope", "choice", "is_confirmed", "report"]

# Reasons with which a paused channel is known to start nothing.
_HELD = frozenset({"Paused", "Suspended"})


class Place(NamedTuple):
    """Where a channel is.

    Attributes:
        namespace: Its namespace.
        name: Its name.
    """

    namespace: str
    name: str

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Place:
        """The place of a resource."""
        meta = resource["metadata"]
        return cls(meta["namespace"], meta["name"])

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Scope(NamedTuple):
    """Which channels were asked for.

    Attributes:
        named: They were named; else all are meant.
        namespace: Theirs; None: all namespaces.
        context: Of the kubeconfig, as it was given; None: the current one.
    """

    named: bool
    namespace: str | None
    context: str | None = None

    def arguments(self, places: list[Place]) -> str:
        """What `resume` takes for them, and for no others."""
        one = len(places) == 1
        words = [place.name for place in places] if self.named or one else ["--all"]
        namespace = places[0].namespace if one else self.namespace
        options = {"-n": namespace, "--context": self.context}
        words += [word for name, value in options.items() if value for word in (name, value)]
        return shlex.join(words)


@dataclass
class Outcome:
    """What became of the channels.

    Attributes:
        changed: Those whose annotation was set, or removed.
        already: Those that were as wished before.
        failed: Those that could not be changed, with the reason.
        unconfirmed: Those of which the operator does not say so yet, with what it says.
    """

    changed: list[Place] = field(default_factory=list)
    already: list[Place] = field(default_factory=list)
    failed: dict[Place, str] = field(default_factory=dict)
    unconfirmed: dict[Place, str] = field(default_factory=dict)

    @property
    def set(self) -> list[Place]:
        """Those that are annotated as wished."""
        return sorted([*self.changed, *self.already])

    @property
    def complete(self) -> bool:
        """Whether all was done, and confirmed where that was waited for."""
        return not self.failed and not self.unconfirmed


def is_confirmed(channel: Mapping[str, Any], *, resume: bool) -> str | None:
    """Whether the operator has seen that a channel is paused, or is to go on.

    Returns:
        None: it has; else what its status says.
    """
    status = TwitchChannelStatus.from_status(channel.get("status") or {})
    ready = find_condition(status.conditions, "Ready")
    if ready is None:
        return "it has no status yet: does the operator watch its namespace?"
    held = ready.status != "True" and ready.reason in _HELD
    if held is not resume or (resume and ready.reason != "Paused"):
        return None
    return f"Ready={ready.status} {ready.reason}"


def choice(found: Mapping[Place, str]) -> str:
    """Name the channels that would be resumed, each with its namespace, and who paused it.

    Args:
        found: What the annotation of each says.
    """
    lines = [f"  {place}   {why}".rstrip() for place, why in sorted(found.items())]
    return "\n".join([f"{counted(len(found), 'channel', 'are')} paused:", *lines])


def report(outcome: Outcome, scope: Scope, *, resume: bool, wait: float) -> str:
    """Tell what was done.

    Args:
        outcome: What was done.
        scope: What was asked for.
        resume: The channels were to go on.
        wait: Seconds for which the operator's word was waited for; 0: it was not.
    """
    done, before = ("resumed", "not paused before") if resume else ("paused", "paused before")
    lines = [f"{done}: {counted(len(outcome.changed), 'channel')}{_names(outcome.changed)}"]
    if outcome.already:
        lines.append(
            f"{before}: {counted(len(outcome.already), 'channel')}{_names(outcome.already)}"
        )
    if not outcome.set and not outcome.failed:
        lines = ["there are no TwitchChannels"]
    if wait and outcome.set and not outcome.unconfirmed:
        lines.append("the operator confirms it")
    lines += _grouped("failed", outcome.failed)
    within = format_duration(wait)
    lines += _grouped(f"not confirmed by the operator within {within}", outcome.unconfirmed)
    if outcome.set and not resume:
        them = "it" if len(outcome.set) == 1 else "them"
        again = scope.arguments(outcome.set)
        lines.append(f"to let {them} go on: kubectl twitch resume {again}")
    return "\n".join(lines)


def _names(places: list[Place]) -> str:
    return f" ({', '.join(map(str, sorted(places)))})" if 0 < len(places) <= _FEW else ""


_FEW = 5


def _grouped(what: str, told: Mapping[Place, str]) -> list[str]:
    """The same trouble of many channels is told once."""
    groups: dict[str, list[Place]] = defaultdict(list)
    for place, why in told.items():
        groups[why].append(place)
    return [
        line
        for why, places in groups.items()
        for line in (
            f"{what}: {counted(len(places), 'channel')}: {why}",
            *(f"  {each}" for each in sorted(places)),
        )
    ]
