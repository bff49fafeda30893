"""How long a break is, by its event."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.errors import InvalidExpression
from controller.rules.fieldpath import MISSING
from controller.rules.matchers import compile_regex
from controller.rules.payloads import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["LengthPlan", "break_length", "compile_length_pattern"]


_LONGEST_BREAK = 3600
# A search of all of it takes 8 ms at most: 20 ns an instruction and byte.
_MAX_TEXT = 512  # characters, of at most 4 bytes
_MAX_PROGRAM = 200  # instructions of RE2
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class LengthPlan:
    """Where the length comes from.

    Attributes:
        fixed: The action's `length` in seconds; it counts alone.
        path: The action's `lengthField`.
        default: The action's `defaultLength` in seconds, for events that lack the field.
        pattern: The action's `lengthPattern`, compiled.
    """

    fixed: float | None = None
    path: FieldPath | None = None
    default: float | None = None
    pattern: Any = None


def compile_length_pattern(pattern: str | None, where: str) -> Any:  # noqa: ANN401 - untyped
    """Compile a `lengthPattern`.

    Raises:
        InvalidExpression: RE2 refuses it, it is too large, or it has not just one group.
    """
    if pattern is None:
        return None
    compiled = compile_regex(pattern, where, captures=True, most=_MAX_PROGRAM)
    if compiled.groups != 1:
        problem = (
            f"has {compiled.groups} groups: put the number of seconds into one, as in ([0-9]+)"
        )
        raise InvalidExpression(where, problem)
    return compiled


def break_length(plan: LengthPlan, payload: Mapping[str, Any]) -> float | Refusal:
    """Return the length of the break that an event announces.

    Returns:
        Seconds as announced, from half a second to an hour; or why nobody can say.
    """
    if plan.fixed is not None:
        return plan.fixed
    if plan.path is None:
        return Refusal("the action has neither length nor lengthField: give one")
    value = plan.path.get(payload)
    if value is not MISSING and value is not None:
        return _measured(plan.path, value, plan.pattern)
    if plan.default is not None:
        return plan.default
    return Refusal(f"the event lacks {plan.path}, and the action has no defaultLength to use then")


def _taken(path: FieldPath, text: str, pattern: Any) -> float | Refusal:  # noqa: ANN401 - untyped
    """The number that a pattern finds in a text."""
    if len(text) > _MAX_TEXT:
        return Refusal(f"{path} has {len(text)} characters, and lengthPattern reads {_MAX_TEXT}")
    found = pattern.search(text.encode("utf-8", "replace"))
    number = (found[1] or b"").decode("utf-8", "replace") if found is not None else ""
    if not _DECIMAL.fullmatch(number):
        return Refusal(
            f"lengthPattern finds no number of seconds in {path}, which is {shown(text)}"
        )
    return float(number)


def _measured(path: FieldPath, value: object, pattern: Any) -> float | Refusal:  # noqa: ANN401 - untyped
    if pattern is not None and isinstance(value, str):
        value = _taken(path, value, pattern)
        if isinstance(value, Refusal):
            return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Refusal(f"{path} is {shown(value)}, and a length is a number of seconds")
    if isinstance(value, float) and not math.isfinite(value):
        return Refusal(f"{path} is {shown(value)}, and a length is a finite number of seconds")
    if value > _LONGEST_BREAK:
        return Refusal(
            f"{path} is {shown(value)}: no break is longer than an hour; are these milliseconds?"
        )
    if value < 0.5:
        return Refusal(f"{path} is {shown(value)}, and a commercial lasts at least half a second")
    return float(value)
