r"""CEL over one variable, `event`: the `when` of a rule, and what else it computes.

Numbers of an event are doubles. A field is compared with either kind of literal (`event.n > 3` and
`event.n > 3.0`); what is computed takes doubles alone (`event.n + 1.0 > 3.0`). Whole numbers from
2**53 on, of which doubles skip some, are ints, or uints from 2**63 on: CEL compares them with ints
exactly, and rounds them to compare them with doubles. Those of more than 64 bits are bytes, their
digits: equal to no number, in no order, and never mistaken for another.

What an evaluation costs is bounded by what is compiled and by what it is shown:

- Its price is computed from the sizes of its values before it is evaluated: see
  `controller.rules.costs`. What people write takes microseconds.
- What an evaluation computes stays in memory as long as the library's `Activation`, so the event
  gets a new one when that may have become much.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from controller.errors import InvalidExpression
from controller.rules.cel_events import cel_event
from controller.rules.costs import cost_of
from controller.rules.payloads import MAX_DEPTH, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.rules.cel_events import CelEvent
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

# Bytes that evaluations may leave with an event. The library lets go of them with its `Activation`.
_MOST_KEPT = 4e6

_ENV = cel.NewEnv(variables={"event": cel.Type.DYN})

_COMPILE_ERROR = re.compile(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_DOUBLES = (
    "; numbers of events are doubles: write 1.0, not 1;"
    " whole numbers beyond 2**53 are ints: make them doubles, by double(...)"
)
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")


class CelView:
    """An event as CEL sees it, converted once for all rules.

    Args:
        event: Of values that CEL knows.

    Attributes:
        beyond: Path of a whole number of more than 64 bits; None: it has none.
    """

    def __init__(self, event: CelEvent) -> None:
        self.beyond = event.beyond
        self._event = event
        self._activation = _ENV.Activation({"event": event.value})
        self._kept = 0.0

    def evaluate(self, compiled: cel.Expression, cost: Cost) -> tuple[cel.Type, Any] | str:
        """Give type and value of an expression, or tell why it is too costly.

        Raises:
            RuntimeError: It has no value.
        """
        price = cost.price(self._event.extent)
        if price.excess is not None:
            return price.excess
        if self._kept > _MOST_KEPT:
            self._activation, self._kept = _ENV.Activation({"event": self._event.value}), 0.0
        self._kept += price.kept
        result = compiled.eval(self._activation)
        return result.type(), result.value()


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
        reason = f"when gave a value of type {kind.name()}, and must give true or false"
        return Refusal(reason, lasting=kind != cel.Type.NULL)  # a field may be null now and then


def cel_view(payload: Mapping[str, Any]) -> CelView | Refusal:
    """Convert an event for CEL: every number exact, every character encodable.

    Returns:
        The view; a refusal where the event is nested too deeply.
    """
    try:
        return CelView(cel_event(payload))
    except RecursionError:
        return Refusal(f"the event is nested deeper than {MAX_DEPTH} levels")


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
    return Expression(text, compiled, cost_of(compiled, text, where))


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
    try:
        answer = view.evaluate(compiled, cost)
    except RuntimeError as error:
        return _failure(name, str(error), view)
    if isinstance(answer, str):
        return Refusal(f"{name} is too costly for an event of this size: {answer}")
    kind, value = answer
    if kind == cel.Type.ERROR:
        return _failure(name, str(value), view)
    return answer


def _failure(name: str, text: str, view: CelView) -> Refusal:
    types = text.partition("No matching overloads")[2]
    reason = f"{name} failed: {_explain_failure(text, view)}"
    return Refusal(reason, lasting=bool(types) and "null" not in types)


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
