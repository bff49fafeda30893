"""Many rules, found by topic and by what their matchers want a field to equal.

A rule is filed under one of its positive `equals` or `in` matchers, the rarest when it comes. An
event then costs one look per field that any rule of its topic is filed by, however many rules
there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from controller.rules.matchers import scalar_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from controller.rules.compiled import CompiledRule
    from controller.rules.fieldpath import FieldPath

__all__ = ["RuleIndex"]


class _Key(Protocol):
    """What names a rule, such as a pair of namespace and name: hashable, with an order."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 - of its own type


K = TypeVar("K", bound=_Key)


class RuleIndex(Generic[K]):
    """Rules by topic; one index serves the rules of one feed."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic[K]] = {}
        self._topics_of: dict[K, frozenset[str]] = {}

    def __len__(self) -> int:
        return len(self._topics_of)

    def __contains__(self, key: object) -> bool:
        return key in self._topics_of

    def add(self, key: K, topics: Iterable[str], rule: CompiledRule) -> None:
        """File a rule; one with the same key is replaced."""
        self.remove(key)
        self._topics_of[key] = frozenset(topics)
        for topic in self._topics_of[key]:
            self._topics.setdefault(topic, _Topic()).add(key, rule)

    def remove(self, key: K) -> None:
        """Take a rule out; one that is not there is no matter."""
        for topic in self._topics_of.pop(key, ()):
            self._topics[topic].remove(key)
            if not self._topics[topic]:
                del self._topics[topic]

    def candidates(self, topic: str, payload: Mapping[str, Any]) -> list[tuple[K, CompiledRule]]:
        """Return the rules that an event may match, in the order of their keys.

        All that match are among them, whatever the order in which they were added.
        """
        found = self._topics.get(topic)
        return found.candidates(payload) if found else []


class _Topic(Generic[K]):
    """The rules of one topic."""

    def __init__(self) -> None:
        self._by_field: dict[FieldPath, dict[Hashable, dict[K, CompiledRule]]] = {}
        self._others: dict[K, CompiledRule] = {}
        self._filed: dict[K, tuple[FieldPath, frozenset[Hashable]] | None] = {}

    def __bool__(self) -> bool:
        return bool(self._filed)

    def add(self, key: K, rule: CompiledRule) -> None:
        choices = [(test.path, test.equals) for test in rule.tests if test.equals is not None]
        filed = min(choices, key=self._company, default=None)
        self._filed[key] = filed
        if filed is None:
            self._others[key] = rule
            return
        path, values = filed
        buckets = self._by_field.setdefault(path, {})
        for value in values:
            buckets.setdefault(value, {})[key] = rule

    def remove(self, key: K) -> None:
        filed = self._filed.pop(key)
        if filed is None:
            del self._others[key]
            return
        path, values = filed
        buckets = self._by_field[path]
        for value in values:
            del buckets[value][key]
            if not buckets[value]:
                del buckets[value]
        if not buckets:
            del self._by_field[path]

    def candidates(self, payload: Mapping[str, Any]) -> list[tuple[K, CompiledRule]]:
        found = list(self._others.items())
        for path, buckets in self._by_field.items():
            bucket = buckets.get(scalar_key(path.get(payload)))
            if bucket:
                found.extend(bucket.items())
        found.sort(key=_key)
        return found

    def _company(self, choice: tuple[FieldPath, frozenset[Hashable]]) -> tuple[int, bool]:
        """Weigh a place for a rule: the rules already there, then whether the field is new."""
        path, values = choice
        buckets = self._by_field.get(path, {})
        return sum(len(buckets.get(value, ())) for value in values), path not in self._by_field


def _key(entry: tuple[K, CompiledRule]) -> K:
    return entry[0]
