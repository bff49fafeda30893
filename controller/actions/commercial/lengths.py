"""How long a break is, by its event."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.rules.fieldpath import MISSING
from controller.rules.payloads import Refusal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["LengthPlan", "break_length"]


_LONGEST_BREAK = 3600


@dataclass(frozen=True, slots=True)
class LengthPlan:
    """Where the length comes from.

    Attributes:
        fixed: The action's `length` in seconds; it counts alone.
        path: The action's `lengthField`.
        default: The action's `defaultLength` in seconds, for events that lack the field.
    """

    fixed: float | None = None
    path: FieldPath | None = None
    default: float | None = None


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
        return _measured(plan.path, value)
    if plan.default is not None:
        return plan.default
    return Refusal(f"the event lacks {plan.path}, and the action has no defaultLength to use then")


def _measured(path: FieldPath, value: object) -> float | Refusal:
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
