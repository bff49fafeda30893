"""What a CEL expression may cost, as Kubernetes prices its own: by the sizes of its values.

CEL cannot be interrupted, so its work is estimated beforehand. Each part of an expression has a
price in nanoseconds, computed from the sizes of its operands: a field of the event may be a text as
long as the event, a sum is as long as both, `contains` may compare each place with all of what is
looked for, a comprehension repeats its body for each element of its list. The prices were measured
on hostile expressions (`tests/hostile.py`), and are at the upper end.

An expression that stays within the budget on every event of 32 KiB is not priced again. One that
exceeds it even on a small event is refused when it is compiled. Between the two, the sizes of the
event at hand decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from controller.errors import InvalidExpression
from controller.rules.cel_tree import tree_of
from controller.rules.extents import NOTHING, Extent, joined
from controller.rules.matchers import compile_regex
from controller.rules.payloads import EXACT, MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cel_expr_python import cel  # type: ignore[import-untyped]

    from controller.rules.cel_tree import Node

__all__ = ["BUDGET", "Cost", "Price", "cost_of"]

BUDGET: Final = 15e6
"""Nanoseconds of CPU that one expression may take for one event, as it is estimated."""

_COMPARISONS = {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"}
_MAX_ROUNDS = 10_000  # after so many CEL ends a comprehension

# Nanoseconds.
_EVALUATION = 20_000.0
_PLAN = 2_000.0  # a part, of which the library makes a plan for each evaluation
_STEP = 150.0
_SELECT = 500.0  # which may fail
_FAILURE = 1_500.0  # what fails makes a message
_ROUND = 250.0
_COPY = 80.0  # an element of a list, into another list
_COPY_BYTE = 1.1
_LOOK_BYTE = 0.1
_SEEK_BYTE = 12.0  # contains: a place at which to compare
_SEEK_PAIR = 0.03  # contains: a byte compared at one place
_READ_BYTE = 12.0  # text to number, time, duration
_REGEX = 15_000.0
_REGEX_INSTRUCTION = 1_500.0  # to compile, which CEL does each time
_REGEX_PAIR = 14.0  # an instruction on a byte
_KEPT = 40.0  # bytes of an element of a list or a map
_OUT = 500.0  # an element of the result, for Python

# No event of 32 KiB of JSON exceeds the first. The others cover all of them together: bytes of the
# largest text, beside so many values.
_ANY: Final = Extent.within(MAX_BYTES, 16_384)
_LARGEST: Final = tuple(
    Extent.within(MAX_BYTES - 2 * below, above)
    for below, above in ((0, 64), (64, 512), (512, 2048), (2048, 6144), (6144, 16_384))
)
_SMALL: Final = Extent.within(512, 32)


@dataclass(frozen=True, slots=True)
class Price:
    """What an expression may cost.

    Attributes:
        nanoseconds: In all.
        kept: Bytes that it leaves in the library's memory.
        excess: Why that is too much; None: it is within the budget.
    """

    nanoseconds: float
    kept: float
    excess: str | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What an expression may cost, by the event.

    Attributes:
        most: For any event of 32 KiB.
    """

    most: Price
    _source: _Source | None
    """None: that is within the budget."""

    def price(self, event: Extent) -> Price:
        """Estimate its price for an event."""
        return self.most if self._source is None else self._source.price(event)


def cost_of(compiled: cel.Expression, text: str, where: str) -> Cost:
    """Estimate what an expression may cost.

    Args:
        compiled: The expression.
        text: The same, as it was written.
        where: The field that holds it.

    Raises:
        InvalidExpression: It has a regex that is no literal or too large, compares with a rounded
            number, or is too costly for any event but a very small one.
    """
    root = tree_of(compiled)
    _refuse_rounded(root, text, where)
    source = _Source(text, root, _programs(root, text, where))
    most = source.price(_ANY)
    if most.excess is None:
        return Cost(most, None)  # ten thousand trees would be much memory
    small = source.price(_SMALL).excess
    if small is not None:
        raise InvalidExpression(where, f"too costly even for an event of 512 bytes: {small}")
    most = max(map(source.price, _LARGEST), key=lambda price: price.nanoseconds)
    return Cost(most, None if most.excess is None else source)


class _Source(NamedTuple):
    """What a price is estimated from.

    Attributes:
        text: The expression, as it was written.
        root: The same as a tree.
        programs: Sizes of its regexes, by the identity of their nodes.
    """

    text: str
    root: Node
    programs: Mapping[int, int]

    def price(self, event: Extent) -> Price:
        """Estimate the price for an event."""
        pricing = _Pricing(self.programs)
        result = pricing.of(self.root, {"event": event})
        pricing.pay(self.root, _EVALUATION + _OUT * result.length + _COPY_BYTE * result.text)
        excess = None
        if pricing.total > BUDGET:
            dearest = pricing.dearest or self.root
            excess = (
                f"it may take {_duration(pricing.total)}, and {_duration(BUDGET)} are allowed; most"
                f" of that is {_called(dearest)} at {_place(self.text, dearest)}: write it for"
                " shorter texts and lists, or without it"
            )
        return Price(pricing.total, pricing.kept, excess)


def _duration(nanoseconds: float) -> str:
    milliseconds = nanoseconds / 1e6
    return f"{milliseconds:.0f} ms" if milliseconds < 1e4 else f"{milliseconds / 1e3:.0f} s"


class _Pricing:
    """Adds up what the parts of an expression cost."""

    def __init__(self, programs: Mapping[int, int]) -> None:
        self.total = 0.0
        self.kept = 0.0
        self.dearest: Node | None = None
        self._programs = programs
        self._highest = 0.0
        self._times = 1.0
        self._results: dict[str, float] = {}

    def pay(self, node: Node, nanoseconds: float, kept: float = 0.0) -> None:
        """Add the price of a part, and the bytes that it leaves, for each time it is evaluated."""
        price = nanoseconds * self._times
        self.total += price
        self.kept += kept * self._times
        if price > self._highest:
            self._highest, self.dearest = price, node

    def of(self, node: Node, scope: Mapping[str, Extent]) -> Extent:
        """Pay for a part, and tell how large its value may be."""
        self.total += _PLAN
        match node.kind:
            case "constant":
                self.pay(node, _STEP)
                return Extent.of_text(len(node.text)) if node.text else NOTHING
            case "name":
                self.pay(node, _STEP)
                return scope.get(node.name, NOTHING)
            case "loop":
                return self._loop(node, scope)
            case "select":
                (operand,) = self._parts(node, scope)
                self.pay(node, _SELECT)
                return operand.field(node.name)
            case "call":
                return self._call(node, scope)
            case "list":
                parts = self._parts(node, scope)
                self.pay(node, _STEP * (1 + len(parts)), _KEPT * len(parts))
                return _container(parts, len(parts))
            case "map":
                return self._map(node, scope)

    def _parts(self, node: Node, scope: Mapping[str, Extent]) -> list[Extent]:
        return [self.of(part, scope) for part in node.parts]

    def _map(self, node: Node, scope: Mapping[str, Extent]) -> Extent:
        parts = self._parts(node, scope)
        keys = sum(key.text for key in parts[::2])
        compared = len(parts) * _LOOK_BYTE * keys  # keys that begin alike
        self.pay(node, _STEP * (1 + 2 * len(parts)) + keys + compared, _KEPT * len(parts))
        return _container(parts, len(parts) / 2)

    def _loop(self, node: Node, scope: Mapping[str, Extent]) -> Extent:
        over, first, goes_on, step, result = node.parts
        covered = self.of(over, scope)
        rounds = min(covered.length, _MAX_ROUNDS)
        self.pay(node, _STEP)
        within = {**scope, node.name: covered.inner, node.result: self.of(first, scope)}
        outside, before = self._times, self._results.get(node.result)
        self._times, self._results[node.result] = outside * rounds, rounds
        self.pay(node, _ROUND)
        self.of(goes_on, within)
        found = self.of(step, within)
        self._times = outside
        if before is None:
            del self._results[node.result]
        else:
            self._results[node.result] = before
        return self.of(result, {**within, node.result: found})

    def _call(self, node: Node, scope: Mapping[str, Extent]) -> Extent:
        name, parts = node.name, node.parts
        if name == "_+_" and parts[0].kind == "name" and parts[0].name in self._results:
            return self._collect(node, scope)
        values = self._parts(node, scope)
        one, other = values[0] if values else NOTHING, values[-1] if values else NOTHING
        if name == "_?_:_":
            self.pay(node, _STEP)
            return joined(values[1:])
        if name in {"_[_]", "@in"}:
            return self._look_up(node, one, other)
        if name == "_+_":
            added = one + other
            copied = _COPY * added.length + _COPY_BYTE * added.text
            self.pay(node, _STEP + _FAILURE + copied, _KEPT * (1 + added.length) + added.text)
            return added
        result = _result(name, one)
        self.pay(node, self._price_of_call(node, one, other, values), result.text)
        return result

    def _collect(self, node: Node, scope: Mapping[str, Extent]) -> Extent:
        """Price a step of map or filter, which copies all that was found so far."""
        rounds = self._results[node.parts[0].name]
        added = self.of(node.parts[1], scope)
        copied = added.length * (1 + rounds / 2)
        self.pay(node, 2 * _STEP + _COPY * copied, _KEPT * (1 + copied))
        return added.times(rounds)

    def _look_up(self, node: Node, one: Extent, other: Extent) -> Extent:
        if node.name == "@in":
            self.pay(node, _STEP + _FAILURE + one.text + 60 * other.length + other.weight)
            return NOTHING
        key = node.parts[1]
        self.pay(node, _STEP + _FAILURE + 5 * other.text)
        if key.kind == "constant" and key.text is not None:
            return one.field(key.text.decode("utf-8", "replace"))
        return one.inner

    def _price_of_call(self, node: Node, one: Extent, other: Extent, values: list[Extent]) -> float:
        shorter = min(one.text, other.text)
        match node.name:
            case "_&&_" | "_||_" | "!_" | "-_" | "@not_strictly_false" | "dyn" | "type":
                return _STEP
            case "_==_" | "_!=_":
                return _STEP + min(one.weight, other.weight)
            case "_<_" | "_<=_" | "_>_" | "_>=_" | "startsWith" | "endsWith":
                return _STEP + _FAILURE + _LOOK_BYTE * shorter
            case "_-_" | "_*_" | "_/_" | "_%_":
                return _STEP + _FAILURE
            case "contains":
                # Of what is longer than half, the fewer places are left to compare it at.
                pairs = (one.text - min(shorter, one.text / 2)) * min(shorter, one.text / 2)
                return _STEP + _FAILURE + _SEEK_BYTE * one.text + _SEEK_PAIR * pairs
            case "matches":
                program = self._programs[id(node)]
                compiling = _REGEX + _REGEX_INSTRUCTION * program
                return _FAILURE + compiling + (_REGEX_PAIR * program + 1) * one.text
            case "size" | "string" | "bytes":
                return _STEP + _FAILURE + 5 * one.text
        # What reads a text, and whatever else the library may know.
        return _STEP + _FAILURE + sum(_READ_BYTE * each.text + each.weight for each in values)


def _container(parts: list[Extent], length: float) -> Extent:
    weight = NOTHING.weight + sum(part.weight for part in parts)
    return Extent(0, length, weight, joined(parts))


def _result(name: str, one: Extent) -> Extent:
    match name:
        case "dyn":
            return one
        case "string":
            return Extent.of_text(max(one.text, 64))
        case "bytes":
            return Extent.of_text(one.text)
    return NOTHING


def _programs(root: Node, text: str, where: str) -> dict[int, int]:
    """Return the size of the regex of each call of `matches`, by the identity of its node."""
    return {
        id(node): _program(node, text, where)
        for node in root.all()
        if node.kind == "call" and node.name == "matches"
    }


def _refuse_rounded(root: Node, text: str, where: str) -> None:
    """Refuse to compare with a double that stands for several whole numbers of 64 bits."""
    for node in root.all():
        if node.name not in _COMPARISONS and node.kind != "list":
            continue
        if any(part.name == "double" for part in node.parts):
            continue  # by intent
        if any(EXACT <= abs(part.double) < 2**64 for part in node.parts):
            raise InvalidExpression(
                where,
                f"{_place(text, node)}: a number with a decimal point or an exponent is rounded"
                f" from 2**53 ({EXACT}) on: write the whole number without them, or compare"
                " double(...) with it",
            )


def _program(node: Node, text: str, where: str) -> int:
    place, literal = _place(text, node), node.parts[-1].text
    if literal is None:
        msg = f'{place}: write matches as text.matches("regex"), with the regex itself'
        raise InvalidExpression(where, msg)
    try:
        return int(compile_regex(literal.decode("utf-8", "replace"), where).programsize)
    except InvalidExpression as error:
        raise InvalidExpression(where, f"{place}: {error.problem}") from None


def _called(node: Node) -> str:
    """Name a part as it is written."""
    match node.kind:
        case "loop":
            return "the comprehension"
        case "call" if node.name == "@in":
            return "in"
        case "call" if node.name == "_+_" and node.parts[0].kind == "name":
            return "adding up"
        case "call":
            return node.name.replace("_", " ").strip() if "_" in node.name else node.name
    return node.name or f"the {node.kind}"


def _place(text: str, node: Node) -> str:
    """Return line:column of a part, as the messages of the compiler have it."""
    at = node.at
    if node.kind == "call" and text[:at].endswith(node.name):
        at -= len(node.name)  # the library tells the place of the parenthesis
    before = text[:at]
    return f"{before.count(chr(10)) + 1}:{at - before.rfind(chr(10))}"
