"""Which changes of a status are worth an Event: what a user would want to have been told.

Only transitions count: what holds or the reason changed. A message that changed alone is told by
the condition itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from controller.resources.common import ObjectStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.resources.common import Condition

__all__ = ["Announcement", "Transitions", "announce_ready", "transitions"]

_RECONCILE = "Reconcile"
# What may come by itself, and as often is a name that somebody got wrong.
_MISSING = frozenset({"SecretNotFound", "ChannelNotFound", "ExtensionNotFound"})


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an Event says.

    Attributes:
        type: Warning where something is the matter.
        reason: CamelCase, for programs.
        note: For people; the condition's message, which names the remedy, at its full length.
        action: What the operator was at.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    action: str = _RECONCILE


class Transitions:
    """The conditions of a resource in two of its statuses.

    Args:
        before: As the API server held them; none: the resource is new.
        after: As it holds them now.
    """

    def __init__(self, before: Iterable[Condition], after: Iterable[Condition]) -> None:
        self.before = {condition.type: condition for condition in before}
        self.after = {condition.type: condition for condition in after}

    def of(self, aspect: str) -> Condition | None:
        """The condition, if it made a transition; whether it is False or Unknown is all the same.

        Args:
            aspect: Type of the condition.
        """
        is_, was = self.after.get(aspect), self.before.get(aspect)
        if is_ is None or was is None:
            return is_
        same = (is_.status == "True", is_.reason) == (was.status == "True", was.reason)
        return None if same else is_


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> Transitions | None:
    """Compare the conditions of two statuses; None: they are the same.

    Args:
        before: The status as the API server held it.
        after: As it holds it now.
    """
    if before.get("conditions") == after.get("conditions"):
        return None
    return Transitions(_conditions(before), _conditions(after))


def announce_ready(found: Transitions) -> Announcement | None:
    """Tell of a transition of Ready."""
    is_, was, stalled = found.of("Ready"), found.before.get("Ready"), found.after.get("Stalled")
    if is_ is None:
        return None
    if is_.status == "True":
        recovered = was is not None and was.status != "True"
        return Announcement("Normal", "Ready", is_.message) if recovered else None
    if is_.reason in ("Suspended", "Paused"):
        return Announcement("Normal", is_.reason, is_.message)
    stalls = stalled is not None and (stalled.status, stalled.reason) == ("True", is_.reason)
    if stalls or is_.reason in _MISSING:
        return Announcement("Warning", is_.reason, is_.message)
    return None  # it waits for what may come by itself


def _conditions(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    return ObjectStatus.from_status({"conditions": status.get("conditions")}).conditions
