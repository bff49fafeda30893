"""The spec of the action extensionMessage."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from controller.resources.common import ObjectName, SpecModel
from controller.resources.fields import WHOLE, Matching, Rule
from controller.resources.matcher import FieldPath
from controller.resources.triggerrule import ActionSpec, TriggerRuleSpec

__all__ = ["ExtensionMessageAction", "ExtensionReference"]


class ExtensionReference(SpecModel):
    """An ExtensionApp in the same namespace."""

    name: ObjectName
    """Name of the ExtensionApp, in the namespace of this object. You may create it later."""


class ExtensionMessageAction(ActionSpec):
    """Send a message to the front ends of an extension through extension PubSub."""

    rules: ClassVar = (
        Rule(
            "(self.target == 'whisper') == has(self.opaqueIdField)",
            "opaqueIdField goes with target: whisper: give both, or neither",
            ".opaqueIdField",
        ),
    )

    whole: ClassVar = (
        Rule(
            "!has(self.action.extensionMessage) || self.action.extensionMessage.target != 'global'"
            " || has(self.channelRef)",
            "a global message goes out once: name one channel by channelRef, not channelSelector",
            ".channelRef",
        ),
        Rule(
            "!has(self.action.extensionMessage) || !has(self.cancelOn) || size(self.cancelOn) == 0",
            "cancelOn is for commercials: a message is sent at once, and cannot be called back;"
            " remove it",
            ".cancelOn",
        ),
    )

    extension_ref: ExtensionReference
    """The ExtensionApp whose front ends receive the message."""

    type: Annotated[
        str,
        Field(min_length=1, max_length=64),
        Matching(r"^[^\s]([^\x00-\x1f\x7f]*[^\s])?$", "must not be blank, nor begin or end so"),
    ]
    """Kind of the message, for the front end, such as ad-break."""

    data: Annotated[str, Field(min_length=1, max_length=1024)] = "{}"
    """Content of the message: a CEL expression over the variable event that returns an object, such
    as {"seconds": event.data.duration_sec}. At most 1024 characters."""

    version: Annotated[int, Field(ge=0, le=2147483647), WHOLE] = 0
    """Version of the message format, for the front end."""

    target: Literal["broadcast", "global", "whisper"] = "broadcast"
    """Recipients. broadcast: everyone who watches the channel. global: everyone who watches any
    channel with the extension; the rule must name one channel with channelRef. whisper: one
    viewer."""

    opaque_id_field: FieldPath | None = None
    """For whisper: path of the event's field with the viewer's opaque id, such as
    data.opaque_id."""

    @model_validator(mode="after")
    def _whispers_to_someone(self) -> Self:
        if (self.target == "whisper") != (self.opaque_id_field is not None):
            raise ValueError(self.rules[0].message)
        return self

    def problem_in(self, rule: TriggerRuleSpec) -> str | None:
        """A global message needs the one channel, and no message can be called back."""
        if self.target == "global" and rule.channel_ref is None:
            return self.whole[0].message
        return self.whole[1].message if rule.cancel_on else None
