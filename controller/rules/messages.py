"""What a rule sends to the front ends of an extension, by an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.durations import format_duration
from controller.events import Ruling, Verdict
from controller.rules.fieldpath import MISSING
from controller.rules.identity import field_text
from controller.rules.objects import compile_object
from controller.rules.payloads import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resources.triggerrule import ExtensionMessageAction
    from controller.rules.expressions import CelView
    from controller.rules.fieldpath import FieldPath
    from controller.rules.objects import ObjectExpression

__all__ = ["EVERYWHERE", "Message", "MessagePlan", "compile_message"]

EVERYWHERE = "all"
"""Stands for the channel of a global message."""

_FIELD = "spec.action.extensionMessage"
_LONGEST_OPAQUE_ID = 128


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """How a rule makes its messages.

    Attributes:
        extension: Name of the ExtensionApp.
        type: Tells the front end what a message is.
        version: Of the message's form.
        data: What it carries.
        target: broadcast, global or whisper.
        opaque_path: For whisper: the field with the viewer's opaque id.
    """

    extension: str
    type: str
    version: int
    data: ObjectExpression
    target: str
    opaque_path: FieldPath | None = None

    def data_for(self, view: CelView | Refusal) -> dict[str, Any] | Refusal:
        """Return what a message carries for an event, or why there is nothing."""
        return self.data.evaluate(view)

    def send_to(self, payload: Mapping[str, Any]) -> str | Refusal:
        """Return the target as Twitch writes it, or why there is none."""
        path = self.opaque_path
        if path is None:
            return self.target
        value = path.get(payload)
        if value is MISSING or value is None:
            return Refusal(f"the event lacks {path}, the opaque id to whisper to")
        text = field_text(path, payload)
        if text is None or len(text) > _LONGEST_OPAQUE_ID or not _is_word(text):
            return Refusal(f"{path} is {shown(value)}, and an opaque id is one word, such as U123")
        return f"whisper-{text}"


@dataclass(frozen=True, slots=True)
class Message:
    """A matched event that asks for a message.

    Attributes:
        id: Identity of the event over repeats and restarts.
        published: When the feed took it in.
        begins: When it happened, by its own clock, or when it was published.
        max_age: Seconds after that beyond which nothing is sent.
        extension: Name of the ExtensionApp.
        send: broadcast, global, or whisper-<opaque id>.
        type: Tells the front end what it is.
        data: What it carries.
        version: Of its form.
        dry_run: Decide and report, send nothing.
        same_as: A second identity: one with the same within `same_within` seconds is its twin.
        same_within: Seconds.
        past: A former process of the operator may have sent it, so it is not sent, only remembered.
    """

    id: str
    published: float
    begins: float
    max_age: float
    extension: str
    send: str
    type: str
    data: Mapping[str, Any]
    version: int
    dry_run: bool = False
    same_as: str | None = None
    same_within: float = 0.0
    past: bool = False

    @property
    def is_global(self) -> bool:
        """Whether it goes to all channels."""
        return self.send == "global"

    def too_old(self, now: float) -> Ruling | None:
        """Whether nothing is to be sent any more."""
        age = max(0.0, now - self.begins)
        if age <= self.max_age:
            return None
        limit = format_duration(self.max_age)
        return Ruling(Verdict.EXPIRED, f"{age:.0f} s old, maxAge is {limit}")


def compile_message(action: ExtensionMessageAction, opaque_path: FieldPath | None) -> MessagePlan:
    """Compile an action.

    Args:
        action: The action.
        opaque_path: Its opaqueIdField, parsed.

    Raises:
        InvalidExpression: `data` cannot be used.
    """
    return MessagePlan(
        extension=action.extension_ref.name,
        type=action.type,
        version=action.version,
        data=compile_object(action.data, f"{_FIELD}.data"),
        target=action.target,
        opaque_path=opaque_path,
    )


def _is_word(text: str) -> bool:
    return text.isprintable() and not any(char.isspace() for char in text)
