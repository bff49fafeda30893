"""The messages that a rule makes of its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from controller.actions.base import Action
from controller.actions.extension_message.message import Message
from controller.actions.extension_message.objects import compile_object
from controller.actions.extension_message.reach import reachable
from controller.actions.extension_message.spec import ExtensionMessageAction
from controller.arbiter.steps import Readiness
from controller.events import Ruling, Verdict
from controller.policies.findings import Finding
from controller.resources.common import find_condition
from controller.rules.fieldpath import MISSING, compile_path
from controller.rules.identity import field_text
from controller.rules.payloads import Refusal, shown
from controller.runtime.resource import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.actions.base import Fact, KnownChannel, Trigger
    from controller.actions.extension_message.objects import ObjectExpression
    from controller.channels.channel import Channel
    from controller.resources.triggerrule import TriggerRuleSpec
    from controller.rules.fieldpath import FieldPath

__all__ = ["Messages"]

_FIELD = "spec.action.extensionMessage"
_LONGEST_OPAQUE_ID = 128


@dataclass(frozen=True, slots=True)
class Messages(Action[Message]):
    """How a rule makes its messages.

    Attributes:
        extension: Name of the ExtensionApp.
        type: Tells the front end what a message is.
        version: Of the message's form.
        data: What it carries.
        target: broadcast, global or whisper.
        opaque_path: For whisper: the field with the viewer's opaque id.
    """

    kind = "extensionMessage"
    at_most_once = True

    extension: str
    type: str
    version: int
    data: ObjectExpression
    target: str
    opaque_path: FieldPath | None = None

    @classmethod
    def of(cls, spec: TriggerRuleSpec) -> Self:
        """Compile the action of a rule.

        Raises:
            InvalidExpression: `data` or a path cannot be used.
        """
        action = spec.action.spec
        assert isinstance(action, ExtensionMessageAction)  # noqa: S101 - by the registry
        path = action.opaque_id_field
        return cls(
            extension=action.extension_ref.name,
            type=action.type,
            version=action.version,
            data=compile_object(action.data, f"{_FIELD}.data"),
            target=action.target,
            opaque_path=compile_path(path, f"{_FIELD}.opaqueIdField") if path else None,
        )

    def decide(self, trigger: Trigger) -> Message | Ruling:
        """Make a message, or tell why there is none."""
        event = trigger.event
        send = self._send_to(event.payload)
        if isinstance(send, Refusal):
            return Ruling(Verdict.FAILED, send.reason)
        data = self.data.evaluate(trigger.view())
        if isinstance(data, Refusal):
            return Ruling(Verdict.FAILED, data.reason)
        return Message(
            id=trigger.id,
            published=event.published,
            begins=trigger.begins,
            max_age=trigger.max_age,
            extension=self.extension,
            send=send,
            type=self.type,
            data=data,
            version=self.version,
            dry_run=trigger.dry_run,
            same_as=trigger.same_as,
            same_within=trigger.same_within,
        )

    def _send_to(self, payload: Mapping[str, Any]) -> str | Refusal:
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

    def past(self, request: Message) -> Message:
        """The same message, to be remembered."""
        return replace(request, past=True)

    def readiness(self, channel: Channel) -> Finding:
        """Whether messages can go to a channel; it need not be live, nor eligible."""
        return reachable(channel, everywhere=self.target == "global")

    @property
    def means(self) -> str:
        """The ExtensionApp."""
        return f"by ExtensionApp {self.extension}"

    def needs(self, namespace: str) -> Key:
        """The ExtensionApp, whose secrets sign."""
        # The commands do without its models, which take a while to load.
        from controller.resources.extensionapp import EXTENSION  # noqa: PLC0415

        return Key(EXTENSION, namespace, self.extension)

    def lacks(self, namespace: str, found: Finding | None) -> Finding | None:
        """Why the ExtensionApp cannot send."""
        name = self.extension
        if found is None:
            message = (
                f"{_FIELD}.extensionRef: ExtensionApp {name} does not exist in namespace"
                f" {namespace}; retrying until it exists"
            )
            return Finding("Ready", "False", "ExtensionNotFound", message)
        if found.status == "True":
            return None
        told = f"ExtensionApp {name} is not ready ({found.reason}): {found.message}"
        return Finding("Ready", "False", "ExtensionNotReady", told)

    def facts(self, request: Message) -> tuple[Fact, ...]:
        """The message as it would be sent."""
        text = request.written
        if isinstance(text, Refusal):
            return (("outcome", f"{Verdict.FAILED.value}: {text.reason}"),)
        return ("extension", request.extension), ("message", text)

    def foresee(self, request: Message, channel: KnownChannel, now: float) -> Ruling | None:
        """Whether it would be sent, as far as the channel goes."""
        del now
        if isinstance(request.written, Refusal):
            return None
        if channel.spec.suspend:
            return Ruling(Verdict.SUSPENDED, "spec.suspend of the channel is true")
        ready = find_condition(channel.status.conditions, "Ready")
        if ready is not None and ready.reason in ("Paused", "Conflict"):
            held = Readiness.of(ready.reason, ready.message)
            return Ruling(held.verdict, held.detail)
        if ready is not None and channel.status.broadcaster is None and not request.is_global:
            return Ruling(Verdict.CHANNEL_NOT_READY, "its broadcaster is not known")
        verdict = Verdict.DRY_RUN if request.dry_run else Verdict.FIRED
        return Ruling(verdict, f"it would send {request.described(request.written)}")


def _is_word(text: str) -> bool:
    return text.isprintable() and not any(char.isspace() for char in text)
