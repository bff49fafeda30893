r"""CEL over one variable, `event`: the `when` of a rule, and what else it computes.

Numbers of an event are doubles. A field is compared with either kind of literal (`event.n > 3` and
`event.n > 3.0`); what is computed takes doubles alone (`event.n + 1.0 > 3.0`). Whole numbers from
2**53 on, of which doubles skip some, are ints, or uints from 2**63 on: CEL compares them with ints
exactly, and rounds them to compare them with doubles. Those of more than 64 bits are bytes, their
digits: equal to no number, in no order, and never mistaken for another.

What an evaluation costs is bounded by what is compiled and by what it is shown:

- The language has no loop but the comprehensions (`all`, `exists`, `exists_one`, `map`, `filter`),
  and an expression has at most one. CEL nests at most 32 deep and stops after 10,000 rounds.
- One comprehension is still quadratic: `map` copies its result for each element, and
  `event.l.all(x, event.l == event.l)` compares all with all. So what an expression may do to an
  event of this size is estimated first, and refused beyond a budget. The worst that was found
  within it takes 0.2 s; what people write takes microseconds.
- The regex of `matches` is a literal, and all of them together are limited as that of one matcher.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from controller.errors import InvalidExpression
from controller.rules.costs import cost_of
from controller.rules.payloads import EXACT, MAX_DEPTH, Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.rules.costs import Cost

__all__ = [
    "MAX_WHEN",
    "CelView",
    "Expression",
    "cel_view",
    "compile_cel",
    "compile_when",
    "evaluate_cel",
    "lazy_cel_view",
]

MAX_WHEN = 1024
"""Characters of an expression."""

# Steps, as `Cost` counts them; each takes up to some 150 ns.
_BUDGET = 1_000_000

_ENV = cel.NewEnv(variables={"event": cel.Type.DYN})

_COMPILE_ERROR = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_DOUBLES = (
    "; numbers of events are doubles: write 1.0, not 1;"
    " whole numbers beyond 2**53 are ints: make them doubles, by double(...)"
)
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")


@dataclass(frozen=True, slots=True)
class CelView:
    """An event as CEL sees it, converted once for all rules.

    Attributes:
        activation: The variable `event`.
        size: Values in it, and an eighth of the characters of its texts: the steps of looking at
            all of it.
        longest: Elements of its longest list or object.
        beyond: Path of a whole number of more than 64 bits; None: it has none.
    """

    activation: cel.Activation
    size: int
    longest: int
    beyond: str | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled `when`."""

    text: str
    _compiled: cel.Expression
    _cost: Cost

    def evaluate(self, view: CelView | Refusal) -> bool | Refusal:
        """Tell whether an event fulfils it, or why that cannot be told: no match either way."""
        answer = evaluate_cel(self._compiled, self._cost, view, "when")
        if isinstance(answer, Refusal):
            return answer
        kind, value = answer
        if kind == cel.Type.BOOL:
            return bool(value)
        return Refusal(f"when gave a value of type {kind.name()}, and must give true or false")


def cel_view(payload: Mapping[str, Any]) -> CelView | Refusal:
    """Convert an event for CEL: every number exact, every character encodable.

    Returns:
        The view; it lives as long as the event, because each evaluation leaves something in it. A
        refusal where the event is nested too deeply.
    """
    extent = _Extent()
    try:
        event = extent.convert(payload, 1)
    except RecursionError:
        return Refusal(f"the event is nested deeper than {MAX_DEPTH} levels")
    beyond = _beyond(payload, "event") if extent.beyond else None
    return CelView(_ENV.Activation({"event": event}), extent.size, extent.longest, beyond)


def lazy_cel_view(payload: Mapping[str, Any]) -> Callable[[], CelView | Refusal]:
    """Return what converts an event when the first rule asks for it, and once."""
    return cache(partial(cel_view, payload))


@lru_cache(maxsize=1024)  # rules are often alike, and compiling takes most of a millisecond
def compile_when(text: str, where: str = "spec.when") -> Expression:
    """Compile an expression.

    Args:
        text: CEL.
        where: The field that holds it.

    Raises:
        InvalidExpression: It does not parse, cannot give a bool or could cost too much; the message
            begins with line:column where there is a place.
    """
    compiled = compile_cel(text, where)
    if compiled.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        msg = f"gives a value of type {compiled.return_type().name()}, and must give true or false"
        raise InvalidExpression(where, msg)
    return Expression(text, compiled, cost_of(text, where))


def compile_cel(text: str, where: str) -> cel.Expression:
    """Compile an expression of whatever type.

    Args:
        text: CEL.
        where: The field that holds it.

    Raises:
        InvalidExpression: It is too long, or does not parse.
    """
    if len(text) > MAX_WHEN:
        msg = f"longer than {MAX_WHEN} characters: move parts of it to match, or to a second rule"
        raise InvalidExpression(where, msg)
    try:
        return _ENV.compile(text)
    except (RuntimeError, ValueError) as error:
        raise InvalidExpression(where, _explain_compile_error(str(error))) from None


def evaluate_cel(
    compiled: cel.Expression, cost: Cost, view: CelView | Refusal, name: str
) -> tuple[cel.Type, Any] | Refusal:
    """Give type and value of an expression for an event, or why it has none.

    Args:
        compiled: The expression.
        cost: Of it, as `cost_of` counts.
        view: The event.
        name: What the reason calls the expression.
    """
    if isinstance(view, Refusal):
        return view
    if cost.steps(view.size, view.longest) > _BUDGET:
        return Refusal(
            f"{name} is too costly for an event of this size, with {view.longest} elements in one"
            " list or object: shorten it, or leave event out of the comprehension"
        )
    try:
        result = compiled.eval(view.activation)
        kind, value = result.type(), result.value()
    except RuntimeError as error:
        return Refusal(f"{name} failed: {_explain_failure(str(error), view)}")
    if kind == cel.Type.ERROR:
        return Refusal(f"{name} failed: {_explain_failure(str(value), view)}")
    return kind, value


class _Extent:
    """Converts values, and measures them on the way."""

    def __init__(self) -> None:
        self.size = 0
        self.longest = 0
        self.beyond = False

    def convert(self, value: object, depth: int) -> object:
        if depth > MAX_DEPTH + 1:  # the innermost values are one below their containers
            raise RecursionError
        self.size += 1
        match value:
            case str():
                self.size += len(value) // 8
                return _encodable(value)
            case None | bool() | float():
                return value
            case int() if -EXACT < value < EXACT:
                return float(value)
            case int() if -(2**63) <= value < 2**64:
                return value
            case int():
                self.beyond = True
                return _digits(value)
            case dict():
                self.longest = max(self.longest, len(value))
                return {
                    self.convert(str(key), depth): self.convert(child, depth + 1)
                    for key, child in value.items()
                }
            case list() | tuple():
                self.longest = max(self.longest, len(value))
                return [self.convert(child, depth + 1) for child in value]
            case _ if hasattr(value, "items"):
                return self.convert(dict(value.items()), depth)
            case _:
                return shown(value)


def _digits(value: int) -> bytes:
    # Python refuses to write integers of thousands of digits in decimal.
    return (str(value) if value.bit_length() <= 1 << 12 else hex(value)).encode()


def _beyond(value: object, path: str) -> str | None:
    """Return the path of a whole number of more than 64 bits."""
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else path
    if isinstance(value, list | tuple):
        children = [(f"{path}[{index}]", child) for index, child in enumerate(value)]
    elif hasattr(value, "items"):
        children = [(f"{path}.{key}", child) for key, child in value.items()]
    else:
        return None
    return next((found for at, child in children if (found := _beyond(child, at))), None)


def _encodable(text: str) -> str:
    # CEL fails on a lone surrogate, anywhere in the event.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _explain_compile_error(text: str) -> str:
    if "ecursion" in text:
        return "nested deeper than 32 levels: simplify it, or move parts of it to match"
    found = _COMPILE_ERROR.search(text)
    if not found:
        return text
    line, column, problem = found.groups()
    problem = _STATUS.sub("", problem).replace(" (in container '')", "")
    if problem.startswith("undeclared reference to"):
        problem += "; the one variable is event"
    elif "double" in problem and "int" in problem:
        problem += _DOUBLES
    return f"{line}:{column}: {problem}"


def _explain_failure(text: str, view: CelView) -> str:
    problem = " ".join(_STATUS.sub("", text).split())
    missing = re.fullmatch(r"Key not found in map : (.*)", problem)
    if missing:
        problem = f"no field {missing[1]}; has(...) tells beforehand"
    elif "Iteration budget" in problem:
        problem = "the comprehension has too many elements"
    elif "No matching overloads" in problem:
        problem = f"no operation for these types:{problem.rpartition(':')[2]}"
        if "double" in problem and "int64" in problem:
            problem += _DOUBLES
        if "bytes" in problem and view.beyond:
            problem += f"; {view.beyond[:60]} has more than 64 bits: compare it by string(...)"
    return problem if len(problem) <= 200 else problem[:199] + "…"
