"""Channels by their labels: which ones a rule's channelSelector means, for one event or at all.

Each pair of label and value has the set of its channels. What asks for several pairs begins with
the smallest set, so that one channel among ten thousand costs as much as one among ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from controller.rules.identity import field_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["ChannelIndex", "label_text"]


class _Key(Protocol):
    """What names a channel: hashable, with an order."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 - of its own type


K = TypeVar("K", bound=_Key)


def label_text(path: FieldPath, payload: Mapping[str, Any]) -> str | None:
    """Return a field of an event as the value of a label.

    Returns:
        Texts as they are, numbers as JSON writes them, `true` or `false`; None where the field is
        absent, blank or anything else.
    """
    value = path.get(payload)
    if isinstance(value, bool):
        return "true" if value else "false"
    return field_text(path, payload)


class ChannelIndex(Generic[K]):
    """The channels of all namespaces; a selector sees those of its own."""

    def __init__(self) -> None:
        self._spaces: dict[str, _Space[K]] = {}
        self._namespace_of: dict[K, str] = {}

    def __len__(self) -> int:
        return len(self._namespace_of)

    def __contains__(self, key: object) -> bool:
        return key in self._namespace_of

    def add(self, key: K, namespace: str, labels: Mapping[str, str]) -> None:
        """File a channel; one with the same key is replaced."""
        self.remove(key)
        self._namespace_of[key] = namespace
        self._spaces.setdefault(namespace, _Space()).add(key, labels)

    def remove(self, key: K) -> None:
        """Take a channel out; one that is not there is no matter."""
        namespace = self._namespace_of.pop(key, None)
        if namespace is None:
            return
        self._spaces[namespace].remove(key)
        if not self._spaces[namespace]:
            del self._spaces[namespace]

    def select(
        self, namespace: str, match_labels: Mapping[str, str], having: Collection[str] = ()
    ) -> list[K]:
        """Return the channels that a selector may mean, whatever the event, in their order.

        Args:
            namespace: Of the rule.
            match_labels: Labels that a channel has with these values.
            having: Labels that it has with any value, such as those of `matchEvent`.

        Returns:
            Their keys; none where nothing is asked for.
        """
        space = self._spaces.get(namespace)
        return sorted(space.select(match_labels, having)) if space is not None else []

    def select_for(
        self, namespace: str, match_labels: Mapping[str, str], wanted: Mapping[str, str | None]
    ) -> list[K]:
        """Return the channels that a selector means for one event, in their order.

        Args:
            namespace: Of the rule.
            match_labels: Labels that a channel has with these values.
            wanted: Label → the value that the event asks for; None: it has none, and means nobody.

        Returns:
            Their keys; none where nothing is asked for.
        """
        space = self._spaces.get(namespace)
        if space is None:
            return []
        found = space.holding([*match_labels.items(), *wanted.items()])
        return sorted(found) if len(found) > 1 else list(found)


class _Space(Generic[K]):
    """The channels of one namespace."""

    def __init__(self) -> None:
        self._labels: dict[K, Mapping[str, str]] = {}
        self._by_label: dict[str, dict[str, set[K]]] = {}

    def __bool__(self) -> bool:
        return bool(self._labels)

    def add(self, key: K, labels: Mapping[str, str]) -> None:
        self._labels[key] = labels
        for label, value in labels.items():
            self._by_label.setdefault(label, {}).setdefault(value, set()).add(key)

    def remove(self, key: K) -> None:
        for label, value in self._labels.pop(key).items():
            by_value = self._by_label[label]
            by_value[value].remove(key)
            if not by_value[value]:
                del by_value[value]
            if not by_value:
                del self._by_label[label]

    def holding(self, pairs: Collection[tuple[str, str | None]]) -> Collection[K]:
        """The channels that have all these labels with these values."""
        sets = []
        for label, value in pairs:
            by_value = self._by_label.get(label)
            found = by_value.get(value) if by_value is not None and value is not None else None
            if found is None:
                return ()
            sets.append(found)
        if len(sets) < 2:
            return sets[0] if sets else ()
        smallest, *others = sorted(sets, key=len)
        return smallest.intersection(*others)

    def select(self, match_labels: Mapping[str, str], having: Collection[str]) -> Collection[K]:
        if not having:
            return self.holding(match_labels.items())
        if match_labels:
            among = self.holding(match_labels.items())
        else:
            rarest = min(map(self._carriers, having), key=lambda sets: sum(map(len, sets)))
            among = [key for keys in rarest for key in keys]
        return [key for key in among if all(label in self._labels[key] for label in having)]

    def _carriers(self, label: str) -> Collection[set[K]]:
        """The channels that have a label, by its values."""
        return self._by_label.get(label, {}).values()
