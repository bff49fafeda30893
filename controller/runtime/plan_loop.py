"""The loop of all that is kept as a plan says: facts → plan → step → facts."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeVar

from controller.errors import TransientError
from controller.policies.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Unsettled", "settle"]

F = TypeVar("F")
S = TypeVar("S")


class Unsettled(TransientError):
    """There was always one step more."""


async def settle(
    look: Callable[[], Awaitable[F]],
    plan: Callable[[F, float], S | Rest],
    do: Callable[[S, F], Awaitable[None]],
    *,
    most: int = 8,
    within: float = math.inf,
    unsettled: str,
) -> tuple[Rest, F]:
    """Do one step after the other until nothing is due.

    The facts are gathered again after each step: no plan goes by what a step has changed.

    Args:
        look: Gathers the facts.
        plan: Tells the next step from the facts and the present time.
        do: Does a step.
        most: Steps, at most.
        within: Seconds after which no further step begins.
        unsettled: Says, for the user, that there was always one step more.

    Returns:
        The rest, and the facts that led to it.

    Raises:
        Unsettled: There is still something to do.
    """
    end = time.monotonic() + within
    for _ in range(most):
        facts = await look()
        step = plan(facts, time.time())
        if isinstance(step, Rest):
            return step, facts
        if time.monotonic() >= end:
            break
        await do(step, facts)
    raise Unsettled(unsettled)
