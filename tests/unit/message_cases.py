"""Rules that send messages, and their events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.actions.registry import compile_action
from controller.events import Event
from controller.resources.triggerrule import TriggerRuleSpec
from controller.rules.compiled import CompiledRule, compile_rule

if TYPE_CHECKING:
    from controller.actions.base import Action

__all__ = ["NOW", "a_message_rule", "a_message_spec", "an_event"]

NOW = 1_800_000_000.0


def a_message_spec(**changes: object) -> dict[str, Any]:
    """A spec; `action` is what its extensionMessage has beside extensionRef and type."""
    action = changes.pop("action", {})
    assert isinstance(action, dict)
    message = {"extensionRef": {"name": "deck-tracker"}, "type": "ad-break", **action}
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": ["mst3k"]}},
        "match": [{"field": "msg_type", "equals": "video"}],
        "action": {"extensionMessage": message},
        **changes,
    }
    return {name: value for name, value in spec.items() if value is not None}


def a_message_rule(**changes: object) -> tuple[CompiledRule, Action[Any]]:
    """The same, compiled."""
    spec = TriggerRuleSpec.from_spec(a_message_spec(**changes))
    return compile_rule(spec), compile_action(spec)


def an_event(name: str = "cue", published: float = NOW, **data: object) -> Event:
    """An event that such a rule matches."""
    payload = {"msg_type": "video", "common": {"unique_id": name}, "data": data}
    return Event("mst3k", f"{published:.0f}", published, 1.0, payload)
