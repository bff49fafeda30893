"""What a rule decided, did and met lately, and what its status tells of a former process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.events import Verdict
from controller.resources.triggerrule import RECENT_DECISIONS, Counts, NearestMiss, RecentDecision
from controller.rules.misses import nearest_miss
from controller.triggers.policies.conditions import EXPRESSION_FAILED
from controller.triggers.recent_messages import RecentMessages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.events import Decision, Event
    from controller.resources.triggerrule import TriggerRuleSpec, TriggerRuleStatus
    from controller.rules.compiled import CompiledRule, MatchResult

__all__ = ["RuleHistory", "result_of"]

_MATCHES = 86_400.0  # seconds after a match for which a rule counts as one that matches
# Events in a row for which `when` may fail: a topic may carry many events of other kinds, and more
# of them beside a `when` that gave true or false before.
_ROW = 10
_ROW_ONCE_WORKED = 100
_FAILED = {Verdict.FAILED, Verdict.UNKNOWN}


def result_of(verdict: Verdict) -> str:
    """Which of the counts a verdict belongs to: fired, skipped or failed."""
    if verdict.started:
        return "fired"
    return "failed" if verdict in _FAILED else "skipped"


class RuleHistory:
    """The history of one rule.

    Args:
        status: What a former process left.
        generation: Of the rule's spec.

    Attributes:
        counts: Events by what became of them.
        errors: Events for which `when` could not be evaluated.
        decisions: The last ones, newest first.
        messages: The last ones that were sent, or may have been.
        told: Identities of the events with which a former process was done.
        untold: Identities of those with which it was not.
        told_until: Time of the newest event of which a former process told.
        last_event: Time of the newest event.
        last_fired: When an action was last done.
        skew: Seconds by which the event's own clock is ahead of the feed's; None: not known.
        nearest_miss: The event that came nearest to matching.
        expression: Why `when` fails for the events that it meets; None: it does not.
    """

    # Ten thousand rules have one: attributes in a dict take five times as much memory.
    __slots__ = (
        "_in_a_row", "_matched_at", "_refused", "_selects", "_timed", "_worked", "counts",
        "decisions", "errors", "expression", "last_event", "last_fired", "messages",
        "nearest_miss", "skew", "told", "told_until", "untold",
    )  # fmt: skip

    def __init__(self, status: TriggerRuleStatus, generation: int) -> None:
        self.counts = status.counts or Counts()
        self.errors = self.counts.expression_errors or 0
        self.decisions = list(status.recent_decisions)
        self.told, self.untold = _settled(self.decisions)
        self.messages = RecentMessages(status.recent_messages or ())
        self.skew: float | None = None
        self.nearest_miss = status.nearest_miss
        self.last_event = self.told_until = status.last_event_time
        self.last_fired = status.last_fired_time
        self.expression = _failed_before(status, generation)
        same = status.observed_generation == generation
        self._matched_at = status.last_event_time if same else None
        self._worked = self._matched_at is not None
        self._in_a_row = 0  # events for which `when` failed
        self._refused = False
        self._selects = self._timed = False

    def follow(self, spec: TriggerRuleSpec | None, *, changed: bool) -> None:
        """Take a new state of the rule.

        Args:
            spec: Parsed; None where it cannot be.
            changed: It is not the spec that there was.
        """
        self._selects = spec is not None and spec.channel_selector is not None
        self._timed = spec is not None and bool(spec.time_field)
        if changed:
            self.expression, self._worked, self._matched_at = None, False, None
            self._in_a_row, self._refused = 0, False

    def record(self, decision: Decision, event: Event, event_time: float) -> None:
        """Keep a decision for the status.

        Args:
            decision: One that is Waiting is replaced by what comes of it.
            event: What it is about.
            event_time: When that happened, by its own clock.
        """
        # A clock of the playout system that is ahead must not hide what comes after.
        self.last_event = max(self.last_event or 0.0, min(event_time, decision.time))
        if self._timed:
            self.skew = event_time - event.published
        self.nearest_miss, self._matched_at = None, self.last_event
        if decision.verdict is not Verdict.WAITING:
            self._count(decision)
        ended = decision.verdict is not Verdict.DUPLICATE  # of one that waits: it waits on
        self.decisions = [
            RecentDecision(
                event_id=decision.event_id,
                time=decision.time,
                verdict=decision.verdict.value,
                detail=decision.detail,
                latency_milliseconds=round(max(0.0, decision.latency) * 1000, 1),
                channel=decision.channel if self._selects else None,
            ),
            *(d for d in self.decisions if not (ended and _is_open(d) and self._same(d, decision))),
        ][:RECENT_DECISIONS]

    def _count(self, decision: Decision) -> None:
        result, counts = result_of(decision.verdict), self.counts
        self.counts = counts.with_changes(
            matched=counts.matched + 1, **{result: getattr(counts, result) + 1}
        )
        if decision.verdict is Verdict.FIRED:
            self.last_fired = decision.time

    def _same(self, told: RecentDecision, decision: Decision) -> bool:
        same_channel = not self._selects or told.channel == decision.channel
        return same_channel and told.event_id == decision.event_id

    def confirm(self, cue_id: str, channel: str, result: Verdict) -> bool:
        """A commercial that a cue started was Confirmed, or was not; whether that is news here."""
        for at, told in enumerate(self.decisions):
            same_channel = not self._selects or told.channel == channel
            called = told.verdict in (Verdict.FIRED, Verdict.UNKNOWN)
            if told.event_id == cue_id and same_channel and called:
                self.decisions[at] = told.with_changes(verdict=result.value)
                return True
        return False

    def note(self, result: MatchResult, *, has_when: bool) -> bool:
        """Take note of what `match` came to; whether the conditions change by it.

        A `when` that is right fails for some events only: they lack a field. One that gave a
        number, or met types that it cannot compare, and never yet true or false, counts as wrong;
        so does one that fails for many events in a row, until it gives an answer again.
        """
        before = self.expression
        tries = has_when and result.failed is None
        if result.error is not None:
            self.errors += 1
            if tries:
                self._in_a_row += 1
                self.expression = self._why_wrong(result.error, result.lasting) or before
        elif tries:
            self._worked, self.expression, self._in_a_row = True, None, 0
        return (before is None) != (self.expression is None)

    def _why_wrong(self, error: str, lasting: bool) -> str | None:
        if lasting and not self._worked:
            told = "no event matches, because spec.when cannot be right"
        elif self._in_a_row >= (_ROW_ONCE_WORKED if self._worked else _ROW):
            told = "no event matches, because spec.when failed for many events in a row, lastly"
        else:
            return None
        return f"{told}: {error}; correct it, and try it with kubectl twitch explain --event FILE"

    def is_first_refusal(self) -> bool:
        """Note that `cancelOn` gave no answer; whether it is the first time with this spec."""
        before, self._refused = self._refused, True
        return not before

    def look_for_misses(self, rule: CompiledRule | None, events: Iterable[Event]) -> None:
        """Find out which of these events came nearest to matching a rule."""
        if rule is None:
            return
        self.nearest_miss = None
        if self._matched_at is not None and time.time() - self._matched_at < _MATCHES:
            return  # it works, and what it does not match is meant for others
        miss = nearest_miss(rule, events)
        if miss is not None:
            self.nearest_miss = NearestMiss(
                event_id=miss.event_id,
                time=miss.time,
                topic=miss.topic,
                passed=miss.passed,
                tests=miss.tests,
                detail=miss.detail,
            )


def _failed_before(status: TriggerRuleStatus, generation: int) -> str | None:
    """Why `when` failed for a former process, if the rule is still the same."""
    for condition in status.conditions:
        told = condition.type == "Ready" and condition.reason == EXPRESSION_FAILED
        if told and condition.observed_generation == generation:
            return condition.message
    return None


def _is_open(decision: RecentDecision) -> bool:
    return decision.verdict == Verdict.WAITING


def _settled(decisions: Iterable[RecentDecision]) -> tuple[frozenset[str], frozenset[str]]:
    """The cues that are done with, and those that a former process had not come to an end with.

    That a cue came again says nothing of what became of it.
    """
    waiting = {d.event_id for d in decisions if _is_open(d)}
    said = {d.event_id for d in decisions if d.verdict not in (Verdict.WAITING, Verdict.DUPLICATE)}
    settled = frozenset(said - waiting)
    return settled, frozenset(d.event_id for d in decisions) - settled
