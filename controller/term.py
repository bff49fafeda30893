"""Since when this process decides, and until when it may call."""

from __future__ import annotations

import math
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from controller.errors import NotLeading

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Former", "Term", "boot_time"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # elsewhere there is no better one


def boot_time() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class Former(Enum):
    """What is known of the process that decided before this one.

    Attributes:
        MAY_CALL: A call of it may still be on its way: it may have died a moment ago.
        IS_OVER: Its calls are over; the statuses may lack what it did last.
        HANDED_OVER: It ended in order, and the statuses have all that it did.
    """

    MAY_CALL = auto()
    IS_OVER = auto()
    HANDED_OVER = auto()


class Term:
    """The time in which this process decides: another one may have decided before it.

    All that decides shares one. A process that has not begun to decide holds resources, hears its
    feeds, and starts nothing. With leader election, each changing call must begin before a
    deadline, which a renewal of the lease moves.

    Args:
        since: Seconds since the epoch; default: it has not begun.
        clock: Seconds, of which the deadline is told.

    Attributes:
        since: When it began.
        former: What is known of the process before it.
        until: When the right to make changing calls ends, on the clock; infinity: never.
    """

    __slots__ = ("_clock", "former", "since", "until")

    def __init__(self, since: float = math.inf, *, clock: Callable[[], float] = boot_time) -> None:
        self._clock = clock
        self.since = since
        self.former = Former.MAY_CALL
        self.until = math.inf

    @property
    def begun(self) -> bool:
        """Whether this process decides."""
        return self.since < math.inf

    def begin(self, now: float, former: Former = Former.MAY_CALL) -> None:
        """Begin to decide."""
        self.since, self.former = now, former

    def end(self) -> None:
        """Decide no more, as if it had not begun."""
        self.since, self.former, self.until = math.inf, Former.MAY_CALL, -math.inf

    def settled_at(self, call_timeout: float) -> float:
        """When calls of the process before this one can no longer act, in seconds since the epoch.

        Args:
            call_timeout: Seconds after which an unanswered call can no longer act.
        """
        return self.since + (call_timeout if self.former is Former.MAY_CALL else 0.0)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.until - self._clock()

    @property
    def may_act(self) -> bool:
        """Whether a changing call may begin now."""
        return self.begun and self.left > 0

    def check(self) -> None:
        """Let a changing call begin.

        Raises:
            NotLeading: This process does not lead.
        """
        if not self.begun:
            msg = "this replica does not lead, and makes no changing call"
            raise NotLeading(msg)
        if not self.may_act:
            msg = "the lease was not renewed in time: no changing call is made until it is"
            raise NotLeading(msg)
