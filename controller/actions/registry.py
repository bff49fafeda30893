"""The kinds of actions that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.actions.commercial.kind import COMMERCIAL
from controller.actions.extension_message.kind import EXTENSION_MESSAGE
from controller.resources.one_of import Registry
from controller.resources.triggerrule import ACTION

if TYPE_CHECKING:
    from controller.actions.base import Action, ActionKind
    from controller.resources.triggerrule import TriggerRuleSpec

__all__ = ["ACTIONS", "compile_action"]

ACTIONS: Registry[ActionKind] = Registry(ACTION)
"""By name, which is the key in `spec.action`."""

for _kind in (COMMERCIAL, EXTENSION_MESSAGE):
    ACTIONS.add(_kind)


def compile_action(spec: TriggerRuleSpec) -> Action[Any]:
    """Compile the action of a rule.

    Raises:
        InvalidExpression: It cannot be used; the message names the field.
    """
    return ACTIONS.of(spec.action).compile(spec)
