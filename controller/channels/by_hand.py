"""Commercials that somebody asks for: the annotation of a channel, answered once."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from controller.arbiter.lengths import MAX_LENGTH
from controller.arbiter.steps import BY_HAND, Cue
from controller.durations import parse_duration
from controller.events import Event, Progress, Ruling, Verdict
from controller.resources.common import parse_instant
from controller.resources.kind import FIRE_REQUESTED
from controller.resources.twitchchannel import LastFire
from controller.tracing.identity import CueIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.channels.channel import Channel
    from controller.term import Term
    from controller.tracing.tracer import Tracer

__all__ = ["ByHand", "identity_of"]

_DEFAULT_LENGTH = 60.0
_MAX_AGE = 30.0
_FIRST = 10_000  # above the priority of any rule


class ByHand:
    """Turns requests into cues.

    Args:
        answered: Called with a channel, the cue (None: the request is none), and what came of it.
        tracer: Takes down what happens for cues.
        term: Whether this process decides.
    """

    def __init__(
        self,
        answered: Callable[[Channel, Cue | None, Progress], None],
        tracer: Tracer,
        term: Term,
    ) -> None:
        self._answered = answered
        self._tracer = tracer
        self._term = term
        self._under_way: dict[str, str] = {}

    def look(self, channel: Channel) -> None:
        """Answer the channel's request, if there is one that was not answered yet."""
        request, uid = channel.resource.annotations.get(FIRE_REQUESTED), channel.resource.uid
        if not self._term.begun:
            return
        if not request or request == channel.fired_for or request == self._under_way.get(uid):
            return
        self._under_way[uid] = request
        try:
            cue = _cue(request, time.time())
        except ValueError as error:
            ruling = Ruling(Verdict.FAILED, f"the annotation {FIRE_REQUESTED}: {error}")
            self._follow(channel, request, None, Progress(ruling))
        else:
            self._submit(channel, cue, partial(self._follow, channel, request, cue))

    def _submit(self, channel: Channel, cue: Cue, report: Callable[[Progress], None]) -> None:
        key = channel.resource.key
        asked = Event("", cue.id, cue.published, time.monotonic(), {})
        trace = self._tracer.cue(identity_of(cue, key.namespace), asked, None)
        with trace.deciding(key.name) as following:
            channel.airtime.submit(cue, following(report))

    def _follow(self, channel: Channel, request: str, cue: Cue | None, progress: Progress) -> None:
        if not progress.final:
            return
        ruling = progress.ruling
        if self._under_way.get(channel.resource.uid) == request:
            del self._under_way[channel.resource.uid]
        channel.fired_for = request
        channel.last_fire = LastFire(
            requested_at=request, verdict=ruling.verdict.value, detail=ruling.detail
        )
        self._answered(channel, cue, progress)


def identity_of(cue: Cue, namespace: str) -> CueIdentity:
    """What tells a cue by hand from all others."""
    return CueIdentity(namespace, cue.rule, cue.id, cue.published)


def _cue(request: str, now: float) -> Cue:
    """Read a request.

    Raises:
        ValueError: It is none; the message says what one looks like.
    """
    at, _, text = request.partition("/")
    length = parse_duration(text) if text else _DEFAULT_LENGTH
    if not 1 <= length <= MAX_LENGTH:
        msg = f"{text} is not a length of a commercial: from 1s to {MAX_LENGTH}s, such as 60s"
        raise ValueError(msg)
    return Cue(
        f"fire/{request}",
        min(parse_instant(at), now),
        length,
        _MAX_AGE,
        rule=BY_HAND,
        priority=_FIRST,
    )
