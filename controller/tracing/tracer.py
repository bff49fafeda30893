"""Traces of cues, for whoever takes cues on their way; without them, nothing is done.

What a cue leads to runs in tasks that inherit the context in which they were created. So a call is
a part of the trace of its cue, whatever feed and whatever action it is of.
"""

from __future__ import annotations

from contextlib import nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from controller.events import Event, Progress, Ruling, Verdict
    from controller.tracing.identity import CueIdentity

__all__ = ["DECIDING", "NO_TRACE", "NO_TRACER", "CallTrace", "CueTrace", "DecidingTrace", "Tracer"]

Report: TypeAlias = "Callable[[Progress], None]"


class CallTrace(Protocol):
    """A call to a service."""

    def answered(self, status: int) -> None:
        """The service answered with an HTTP status."""
        ...


class DecidingTrace(Protocol):
    """What is decided about a cue on one channel, and what is done for it."""

    def call(self, method: str, url: str) -> AbstractContextManager[CallTrace]:
        """Record a call while it is entered; of its URL no query, and no content."""
        ...


class CueTrace(Protocol):
    """A cue that a rule made of an event."""

    def deciding(self, channel: str) -> AbstractContextManager[Callable[[Report], Report]]:
        """While it is entered, whatever begins belongs to the decision on a channel.

        It gives a function that takes who is told of the progress, and returns who is to be told
        instead.
        """
        ...

    def ruled(self, ruling: Ruling) -> None:
        """It was decided about without a channel."""
        ...


class Tracer(Protocol):
    """Takes down what happens for cues."""

    def cue(self, cue: CueIdentity, event: Event, matching: float | None) -> CueTrace:
        """An event became a cue.

        Args:
            cue: The cue.
            event: The event.
            matching: Since when it was held against rules, in seconds since the epoch; None: it
                was not.
        """
        ...

    def settled(self, cue: CueIdentity, channel: str, verdict: Verdict) -> None:
        """Twitch told whether a cue's commercial ran on a channel."""
        ...


class _NoTrace:
    """The trace of a cue where there are no traces."""

    def __init__(self) -> None:
        self._nothing: AbstractContextManager[Callable[[Report], Report]] = nullcontext(_as_it_is)

    def deciding(self, _channel: str) -> AbstractContextManager[Callable[[Report], Report]]:
        return self._nothing

    def ruled(self, _ruling: Ruling) -> None:
        return


class _NoTracer:
    """No traces."""

    def cue(self, _cue: CueIdentity, _event: Event, _matching: float | None) -> CueTrace:
        return NO_TRACE

    def settled(self, _cue: CueIdentity, _channel: str, _verdict: Verdict) -> None:
        return


def _as_it_is(report: Report) -> Report:
    return report


NO_TRACE: CueTrace = _NoTrace()
NO_TRACER: Tracer = _NoTracer()
DECIDING: ContextVar[DecidingTrace | None] = ContextVar("DECIDING", default=None)
"""For what the present task works; None: for no cue, or there are no traces."""
