"""Messages that a subscriber missed: which may be missing, and reading them from the history.

The network keeps 100 messages of a topic for 20 minutes, and drops older ones without a word. What
it dropped is in its history, where the key set has one.

The history is read from its new end: whatever limit ends the reading, the messages that are lost by
it are the oldest, which are the least likely to be young enough for a commercial.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from controller.errors import TransientError
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.feeds.pubnub.exchange import Delivery

__all__ = ["KEPT", "KEPT_FOR", "FetchHistory", "Gap", "Page", "find_gaps", "read_gaps", "ticks_of"]

KEPT = 100
"""Messages that the network keeps of a topic for a subscriber."""

KEPT_FOR = 1200.0
"""Seconds for which it keeps them."""

_FAR_FUTURE = 10**18  # the year 5138
_MOST_PAGES = 10  # of a topic
_AT_ONCE = 8  # topics
_PATIENCE = 3.0  # seconds for all of it: live messages wait meanwhile, and cues stay young for 30


@dataclass(slots=True)
class Gap:
    """A span of a topic of which messages may be missing.

    Attributes:
        topic: Its name.
        after: Position up to which all was heard.
        before: Position from which on all was heard.
        cause: Why messages may be missing, for the user.
        missed: Those that the history had, oldest first, as (position, message of the wire).
        problem: Why the history could not be read; None: it was, as far as it matters.
    """

    topic: str
    after: int
    before: int
    cause: str
    missed: list[tuple[int, Any]] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a topic's history.

    Attributes:
        messages: As (position, message of the wire), oldest first.
        more: There are older ones.
        unreadable: How many more there are that cannot be read.
    """

    messages: Sequence[tuple[int, Any]]
    more: bool
    unreadable: int = 0


class FetchHistory(Protocol):
    """One request for the newest messages of a topic between two positions, both exclusive."""

    async def __call__(self, topic: str, after: int, before: int) -> Page:
        """Raise a `TransientError` for whatever goes wrong."""
        ...


def find_gaps(delivery: Delivery) -> list[Gap]:
    """Return where messages may be missing before those that came."""
    if not delivery.messages:
        return [
            Gap(topic, heard, delivery.kept, delivery.cause)
            for topic in sorted(delivery.topics)
            if (heard := delivery.heard(topic)) < delivery.kept
        ]
    if len(delivery.messages) < KEPT:
        return []
    # One that cannot be read does not say which topic it is of.
    unread = sum(isinstance(message, Refusal) for message in delivery.messages)
    positions: dict[str, list[int]] = {}
    for message in delivery.messages:
        position = ticks_of(message)
        if position is not None:
            positions.setdefault(str(message.get("c")), []).append(position)
    return [
        Gap(topic, heard, oldest, f"{KEPT} messages or more came at once")
        for topic, found in positions.items()
        if len(found) + unread >= KEPT and (heard := delivery.heard(topic)) < (oldest := min(found))
    ]


def ticks_of(message: Any) -> int | None:  # noqa: ANN401 - JSON
    """Return the position of a message as it came over the wire; None: it has none."""
    try:
        position = int(message["p"]["t"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return position if position < _FAR_FUTURE else None


async def read_gaps(
    fetch: FetchHistory, gaps: Iterable[Gap], young_from: Mapping[str, int]
) -> None:
    """Fill gaps from the history, as far as it can be read in the time there is.

    Args:
        fetch: Reads one page.
        gaps: Their `missed` and `problem` are set.
        young_from: Topic → position since which messages may still lead to something. A gap of
            which older ones alone are left unread has no problem.
    """
    places = asyncio.Semaphore(_AT_ONCE)

    async def read(gap: Gap) -> None:
        gap.problem = f"its history was not read within {_PATIENCE:.0f} s"
        async with places:
            try:
                await _read_gap(fetch, gap, young_from.get(gap.topic, gap.before))
            except TransientError as error:
                gap.problem = f"its history could not be read: {error}"

    reading = [asyncio.ensure_future(read(gap)) for gap in gaps]
    try:
        await asyncio.wait(reading, timeout=_PATIENCE)
    finally:
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _read_gap(fetch: FetchHistory, gap: Gap, young_from: int) -> None:
    before = gap.before
    for _ in range(_MOST_PAGES):
        page = await fetch(gap.topic, gap.after, before)
        found = [each for each in page.messages if gap.after < each[0] < before]
        found.sort(key=itemgetter(0))
        gap.missed[:0] = found
        if not found or not page.more:
            gap.problem = None
            return
        before = found[0][0]
    left = f"only the last {len(gap.missed)} messages of its history were read"
    gap.problem = left if before > young_from else None
