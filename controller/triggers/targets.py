"""Which channels a rule is for, and which rules a channel has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.resources.twitchchannel import CHANNEL
from controller.rules.selectors import ChannelIndex
from controller.runtime.resource import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.channels.channel import Channel
    from controller.events import Event
    from controller.resources.triggerrule import ChannelSelector
    from controller.runtime.resource import Resource
    from controller.triggers.rule import Rule

__all__ = ["Targets"]


class Targets:
    """Rules and channels, by name and by label.

    Args:
        channels: All channels.
    """

    def __init__(self, channels: Mapping[Key, Channel]) -> None:
        self._channels = channels
        self._index: ChannelIndex[Key] = ChannelIndex()
        self._rules_of: dict[Key, set[Key]] = {}
        self._named: dict[Key, Key] = {}
        self._selecting: dict[str, dict[Key, ChannelSelector]] = {}

    def add_channel(self, resource: Resource) -> None:
        """File a channel by its labels."""
        self._index.add(resource.key, resource.key.namespace, resource.labels)

    def remove_channel(self, key: Key) -> None:
        """Take a channel out."""
        self._index.remove(key)

    def add_rule(self, rule: Rule) -> None:
        """Note which channels a rule is for."""
        key = rule.resource.key
        self.remove_rule(key)
        if rule.spec is None:
            return
        if rule.spec.channel_selector is not None:
            self._selecting.setdefault(key.namespace, {})[key] = rule.spec.channel_selector
        elif rule.spec.channel_ref is not None:
            channel = Key(CHANNEL, key.namespace, rule.spec.channel_ref.name)
            self._named[key] = channel
            self._rules_of.setdefault(channel, set()).add(key)

    def remove_rule(self, key: Key) -> None:
        """Take a rule out."""
        channel = self._named.pop(key, None)
        if channel is not None:
            rules = self._rules_of[channel]
            rules.discard(key)
            if not rules:
                del self._rules_of[channel]
        selecting = self._selecting.get(key.namespace)
        if selecting is not None and selecting.pop(key, None) is not None and not selecting:
            del self._selecting[key.namespace]

    def naming(self, channel: Key) -> list[Key]:
        """The rules that name a channel."""
        return list(self._rules_of.get(channel, ()))

    def rules_of(self, channel: Resource) -> list[Key]:
        """The rules that may be for a channel: those that name it, and those that pick it."""
        found = self.naming(channel.key)
        for key, selector in self._selecting.get(channel.key.namespace, {}).items():
            if _picks(selector, channel.labels):
                found.append(key)
        return found

    def selecting(self, namespace: str) -> list[Key]:
        """The rules of a namespace that pick channels by label."""
        return list(self._selecting.get(namespace, ()))

    def of(self, rule: Rule) -> list[Channel]:
        """The channels that a rule may be for, whatever the event."""
        spec, namespace = rule.spec, rule.resource.key.namespace
        if spec is None:
            return []
        if spec.channel_selector is not None:
            selector = spec.channel_selector
            having = [label.label for label in selector.match_event]
            return self._found(self._index.select(namespace, selector.match_labels, having))
        named = self._named.get(rule.resource.key)
        return self._found([named] if named is not None else [])

    def for_event(self, rule: Rule, event: Event) -> list[Channel]:
        """The channels that a rule and an event are for."""
        spec = rule.spec
        if spec is None or spec.channel_selector is None or rule.compiled is None:
            return self.of(rule)
        wanted = rule.compiled.wanted_labels(event.payload)
        labels = spec.channel_selector.match_labels
        return self._found(self._index.select_for(rule.resource.key.namespace, labels, wanted))

    def _found(self, keys: list[Key]) -> list[Channel]:
        return [channel for key in keys if (channel := self._channels.get(key)) is not None]


def _picks(selector: ChannelSelector, labels: Mapping[str, str]) -> bool:
    """Whether a selector may mean a channel with these labels, for some event."""
    same = all(labels.get(label) == value for label, value in selector.match_labels.items())
    return same and all(label.label in labels for label in selector.match_event)
