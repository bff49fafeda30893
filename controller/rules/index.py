"""Many rules, found by topic and by what their matchers want a field to equal or to begin with.

A rule is filed under one of its matchers, the rarest when it comes: under the values of `equals` or
`in`, or under the known beginning or end of the texts that pass a `prefix`, `suffix`, `glob` or
`regex`. An event then costs a look per field that any rule of its topic is filed by, and one more
for each length of such a beginning or end, however many rules there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from controller.rules.matchers import UNEQUAL, scalar_key

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from controller.rules.compiled import CompiledRule
    from controller.rules.fieldpath import FieldPath
    from controller.rules.matchers import Test

__all__ = ["RuleIndex"]

_LONGEST = 64  # characters of a beginning or an end that rules are filed by


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

    def add(
        self,
        key: K,
        topics: Iterable[str],
        rule: CompiledRule,
        tests: tuple[Test, ...] | None = None,
    ) -> None:
        """File a rule; one with the same key is replaced.

        Args:
            key: Names it.
            topics: Where its events come from.
            rule: What `candidates` gives back.
            tests: File it by these in place of the rule's own, such as those of its off cues.
        """
        self.remove(key)
        self._topics_of[key] = frozenset(topics)
        for topic in self._topics_of[key]:
            place = self._topics.setdefault(topic, _Topic())
            place.add(key, rule, rule.tests if tests is None else tests)

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


class _Look(NamedTuple):
    """What of a field tells which rules it concerns.

    Attributes:
        path: The field.
        cut: 0: its value; n: the first n characters; -n: the last n.
    """

    path: FieldPath
    cut: int


_Choice = tuple[_Look, "frozenset[Hashable]"]


class _Topic(Generic[K]):
    """The rules of one topic."""

    def __init__(self) -> None:
        self._by_look: dict[_Look, dict[Hashable, dict[K, CompiledRule]]] = {}
        self._looks: dict[FieldPath, set[int]] = {}
        self._others: dict[K, CompiledRule] = {}
        self._filed: dict[K, _Choice | None] = {}

    def __bool__(self) -> bool:
        return bool(self._filed)

    def add(self, key: K, rule: CompiledRule, tests: tuple[Test, ...]) -> None:
        choices = [choice for test in tests for choice in _choices(test)]
        filed = min(choices, key=self._company, default=None)
        self._filed[key] = filed
        if filed is None:
            self._others[key] = rule
            return
        look, values = filed
        self._looks.setdefault(look.path, set()).add(look.cut)
        buckets = self._by_look.setdefault(look, {})
        for value in values:
            buckets.setdefault(value, {})[key] = rule

    def remove(self, key: K) -> None:
        filed = self._filed.pop(key)
        if filed is None:
            del self._others[key]
            return
        look, values = filed
        buckets = self._by_look[look]
        for value in values:
            del buckets[value][key]
            if not buckets[value]:
                del buckets[value]
        if not buckets:
            del self._by_look[look]
            self._looks[look.path].remove(look.cut)
            if not self._looks[look.path]:
                del self._looks[look.path]

    def candidates(self, payload: Mapping[str, Any]) -> list[tuple[K, CompiledRule]]:
        found = list(self._others.items())
        for path, cuts in self._looks.items():
            value = path.get(payload)
            for cut in cuts:
                bucket = self._by_look[_Look(path, cut)].get(_cut(value, cut))
                if bucket:
                    found.extend(bucket.items())
        found.sort(key=_key)
        return found

    def _company(self, choice: _Choice) -> tuple[int, bool]:
        """Weigh a place for a rule: the rules already there, then whether the look is new."""
        look, values = choice
        buckets = self._by_look.get(look, {})
        return sum(len(buckets.get(value, ())) for value in values), look not in self._by_look


def _choices(test: Test) -> Iterator[_Choice]:
    """Where a rule with this test may be filed."""
    if test.equals is not None:
        yield _Look(test.path, 0), test.equals
    if head := test.head[:_LONGEST]:
        yield _Look(test.path, len(head)), frozenset({head})
    if tail := test.tail[-_LONGEST:]:
        yield _Look(test.path, -len(tail)), frozenset({tail})


def _cut(value: object, cut: int) -> Hashable:
    if not cut:
        return scalar_key(value)
    if not isinstance(value, str):
        return UNEQUAL
    return value[:cut] if cut > 0 else value[cut:]


def _key(entry: tuple[K, CompiledRule]) -> K:
    return entry[0]
