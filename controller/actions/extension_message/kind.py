"""The kind of action that sends messages to the front ends of an extension."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from controller.actions.base import ActionKind
from controller.actions.extension_message.messages import Messages
from controller.actions.extension_message.simulator import MessageSimulator
from controller.actions.extension_message.spec import ExtensionMessageAction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.actions.base import Services
    from controller.actions.extension_message.messenger import Messenger
    from controller.actions.simulation import SimulatedChannel
    from controller.resources.triggerrule import TriggerRuleSpec

__all__ = ["EXTENSION_MESSAGE"]


class _ExtensionMessage(ActionKind):
    name = Messages.kind
    spec_model: ClassVar = ExtensionMessageAction
    description = "Send a message to an extension's front ends; at most once for an event."

    def compile(self, spec: TriggerRuleSpec) -> Messages:
        return Messages.of(spec)

    def performer(self, services: Services) -> Messenger:
        # It brings the client of Twitch along, which the commands do not need.
        from controller.actions.extension_message.messenger import Messenger  # noqa: PLC0415

        return Messenger(services)

    def simulator(self, channels: Iterable[SimulatedChannel]) -> MessageSimulator:
        del channels
        return MessageSimulator()


EXTENSION_MESSAGE = _ExtensionMessage()
