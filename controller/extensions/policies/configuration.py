"""What an extension's configuration segments need next: a pure function of what is known.

A segment is set only after a look at what Twitch has, shortly before: what is as declared is never
set, and what a broadcaster chose a moment ago is not lost. Twitch takes few calls a minute, so that
each possible step has a time from which on it may be done; where none has come, it is rested until
the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.extensions.policies.configuration_facts import found, is_settled
from controller.policies.clocks import is_ahead
from controller.policies.rest import Rest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.extensions.policies.configuration_facts import ConfigurationFacts, Mark, Want

__all__ = ["Look", "Plan", "Set", "SetRequired", "Step", "plan"]

_FRESH = 10.0  # seconds for which a look counts as one right before the call that sets
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """Ask Twitch for segments: global alone, or those of one channel."""

    broadcaster_id: str | None
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Set a segment."""

    want: Want


@dataclass(frozen=True, slots=True)
class SetRequired:
    """Set the required configuration of a channel."""

    mark: Mark


Step = Look | Set | SetRequired
Plan = Step | Rest


def plan(facts: ConfigurationFacts, now: float) -> Plan:
    """The next step for an extension's configuration."""
    for want in facts.wants:
        if _is_to_be_set(facts, want) and _may_set(facts, want, now):
            return Set(want)
    # What failed last comes last: one channel's trouble does not keep the others waiting.
    options = sorted((*_looks(facts, now), *_marks(facts, now)), key=lambda option: option.order)
    for option in options:
        if option.due <= now:
            return option.step
    return Rest(min((option.due for option in options), default=None))


@dataclass(frozen=True, slots=True)
class _Option:
    """A step that is due at some time; `order` tells which goes first of those that are due."""

    step: Step
    due: float
    order: tuple[float, float]


def _looks(facts: ConfigurationFacts, now: float) -> Iterator[_Option]:
    places: dict[str | None, list[Want]] = {}
    for want in facts.wants:
        if want.reachable:
            places.setdefault(want.broadcaster_id, []).append(want)
    period = facts.check_interval * (1 - _JITTER * facts.jitter)
    opens = facts.gets.opens(now)
    for place, wanted in places.items():
        seen = facts.seen.get(place)
        failures = [f for want in wanted if (f := facts.failures.get(want.key)) is not None]
        again = seen.at + period if seen is not None and seen.at <= now else now
        due = min(again, *(_look_due(facts, want, now) for want in wanted))
        # Twitch refused the look itself.
        refused = max((f.at for f in failures if f.of is None and not f.passing), default=None)
        if refused is not None and not is_ahead(refused, now):
            due = max(due, refused + facts.check_interval)
        failed = max((f.at for f in failures), default=0.0)
        order = (failed, seen.at if seen is not None else 0.0)
        segments = tuple(dict.fromkeys(want.segment for want in wanted))
        yield _Option(Look(place, segments), max(due, opens), order)


def _look_due(facts: ConfigurationFacts, want: Want, now: float) -> float:
    """When a look is due for one segment's sake, however young the last look is."""
    if found(facts, want) is None:
        return now
    if _is_to_be_set(facts, want):
        return max(_held_until(facts, want, now), facts.puts.opens(now))
    return float("inf")


def _marks(facts: ConfigurationFacts, now: float) -> Iterator[_Option]:
    opens = facts.puts.opens(now)
    unsettled = {want.channel for want in facts.wants if not is_settled(facts, want)}
    for mark in facts.marks:
        if mark.channel in unsettled or facts.marked.get(mark.channel) == mark.sha256:
            continue
        failure = facts.failures.get(mark.key)
        order = (failure.at if failure is not None else 0.0, float("inf"))
        due = max(_held_until(facts, mark, now), opens, now)
        yield _Option(SetRequired(mark), due, order)


def _is_to_be_set(facts: ConfigurationFacts, want: Want) -> bool:
    return found(facts, want) is not None and not is_settled(facts, want)


def _may_set(facts: ConfigurationFacts, want: Want, now: float) -> bool:
    fresh = abs(now - facts.seen[want.broadcaster_id].at) <= _FRESH
    held = _held_until(facts, want, now)
    return fresh and max(held, facts.puts.opens(now)) <= now


def _held_until(facts: ConfigurationFacts, thing: Want | Mark, now: float) -> float:
    """Until when there is no use in setting again what Twitch refused."""
    failure = facts.failures.get(thing.key)
    if failure is None or failure.passing or failure.of != thing.sha256:
        return 0.0
    if is_ahead(failure.at, now):
        return 0.0
    return failure.at + facts.check_interval
