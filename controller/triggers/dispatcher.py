"""The way of an event: the rules that it may match, their decisions, the channels' arbiters.

Nothing here waits for anything, but to give others a turn: no API server, no disk, no lock.
Rules that are over their share of CPU wait in a backlog behind all others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.events import Progress, Ruling, Verdict
from controller.feeds.turns import TURN
from controller.rules.expressions import lazy_cel_view
from controller.rules.payloads import Refusal
from controller.tracing.identity import CueIdentity
from controller.tracing.tracer import NO_TRACE
from controller.triggers.backlog import Backlog, Late
from controller.triggers.cpu_shares import Accounts
from controller.triggers.decided import Decided
from controller.triggers.history import result_of
from controller.triggers.meter import MOST, Lap, Meter
from controller.triggers.policies.deciding import off_cue_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from controller.actions.base import Performer
    from controller.channels.channel import Channel
    from controller.events import Event
    from controller.rules.compiled import MatchResult
    from controller.rules.expressions import CelView
    from controller.runtime.resource import Key
    from controller.tracing.tracer import CueTrace
    from controller.triggers.followers import Followers
    from controller.triggers.metrics import RuleMetrics
    from controller.triggers.policies.deciding import Matched
    from controller.triggers.rule import Rule

__all__ = ["Dispatcher"]

logger = logging.getLogger(__name__)


class Dispatcher:
    """Brings events to rules, and cues to channels.

    Args:
        rule: Finds a rule.
        targets: Finds the channels that a rule and an event are for.
        followers: Are called with what comes of an event.
        metrics: Counts.
        performers: Do what the rules ask for, by kind of action.
        meter: Measures what rules take.

    Attributes:
        backlog: What waits because its rule is over its share of CPU.
    """

    def __init__(
        self,
        rule: Callable[[Key], Rule | None],
        targets: Callable[[Rule, Event], Sequence[Channel]],
        followers: Followers,
        metrics: RuleMetrics,
        performers: Mapping[str, Performer[Any]],
        *,
        meter: Meter | None = None,
    ) -> None:
        self._rule = rule
        self._targets = targets
        self._followers = followers
        self._metrics = metrics
        self._performers = performers
        self._meter = meter or Meter()
        self._accounts = Accounts(self._meter)
        self.backlog = Backlog(self._meet, self._accounts.debt, self._meter)

    async def event(self, keys: Iterable[Key], cancels: Iterable[Key], event: Event) -> None:
        """Meet an event with the rules that it may match.

        Args:
            keys: Of rules whose `match` may hold.
            cancels: Of rules whose `cancelOn` may hold.
            event: The event.
        """
        self._meter.begin()
        on, off = list(keys), list(cancels)
        late = self._late(on + off)
        cancelled = set()
        for key in off:
            if key in late:
                continue
            await self._take_turns()
            if self._cancelled(key, event):
                cancelled.add(key)
        view, now = lazy_cel_view(event.payload), time.time()
        matching: list[Rule] = []
        for key in on:
            if key in late or key in cancelled:
                continue
            await self._take_turns()
            rule = self._rule(key)
            if rule is not None and self._matches(rule, event, view):
                matching.append(rule)
        for rule in sorted(matching, key=lambda rule: -rule.priority):
            await self._take_turns()
            self._decide(rule, event, now, view)
        self._accounts.charge()
        for key in sorted(late, key=self._rank):
            await self.backlog.add(Late(key, event, key in off, key in on, view))

    async def drained(self) -> None:
        """Wait until no rule waits any more."""
        await self.backlog.drained()

    async def close(self) -> None:
        """End: what waits is dropped."""
        await self.backlog.close()

    def _late(self, keys: Sequence[Key]) -> dict[Key, None]:
        """Return the rules that have to wait, because they are over their share of CPU."""
        over = self._accounts.over(keys)
        if not over and not self.backlog:
            return {}
        return {key: None for key in keys if key in over or key in self.backlog}

    def _rank(self, key: Key) -> int:
        """The highest priority comes first, also among those that wait."""
        rule = self._rule(key)
        return -rule.priority if rule is not None else 0

    def _meet(self, late: Late) -> None:
        """Meet a rule that waited with its event."""
        key, event, view, now = late.key, late.event, late.view, time.time()
        cancelled = late.off and self._cancelled(key, event)
        rule = self._rule(key)
        if rule is not None and late.on and not cancelled and self._matches(rule, event, view):
            self._decide(rule, event, now, view)
        self._accounts.charge()

    def _decide(
        self, rule: Rule, event: Event, now: float, view: Callable[[], CelView | Refusal]
    ) -> None:
        try:
            self._match(rule, event, now, view)
        except Exception:
            logger.exception("%s: event %s was not handled", rule.resource.key, event.id)

    def _matches(self, rule: Rule, event: Event, view: Callable[[], CelView | Refusal]) -> bool:
        if rule.compiled is None:
            return False
        key = rule.resource.key
        try:
            lap = Lap(self._meter, view)
            result = rule.compiled.match(event.payload, lap.view)
            took, by_when = lap.end()
            self._accounts.took(key, took)
            if took > MOST:
                self._park(rule, event, "spec.when" if by_when else "spec.match", took)
                return False
            self._note_match(rule, result)
            if not result.matched and logger.isEnabledFor(logging.DEBUG):
                told = rule.compiled.explain(event.payload, result)
                logger.debug("%s: event %s does not match: %s", key, event.id, told)
        except Exception:
            # A fault of ours in one rule must not take the event from the others.
            logger.exception("%s: event %s was not handled", key, event.id)
            return False
        return result.matched

    async def _take_turns(self) -> None:
        """Let others have a turn, if it is time."""
        if self._meter.elapsed > TURN:
            await asyncio.sleep(0)
            self._meter.begin()

    def _park(self, rule: Rule, event: Event, part: str, took: float) -> None:
        """Take a rule out of service that took too long for an event."""
        key = rule.resource.key
        rule.park(part, took, event)
        logger.warning(
            "%s: event %s: parked: %s", key, event.id, rule.problem and rule.problem.message
        )
        if self._rule(key) is rule:
            self._followers.parked(key)

    def _note_match(self, rule: Rule, result: MatchResult) -> None:
        key = rule.resource.key
        has_when = rule.compiled is not None and rule.compiled.when is not None
        if rule.history.note(result, has_when=has_when) and self._rule(key) is rule:
            if result.error is not None:
                logger.warning("%s: %s", key, result.error)
            self._followers.changed(key)
        if result.error is not None:
            self._metrics.rule_events.inc(key.namespace, key.name, "error")

    def _cancelled(self, key: Key, event: Event) -> bool:
        """Whether the event is an off cue for a rule; if so it takes effect."""
        rule = self._rule(key)
        if rule is None or rule.compiled is None or rule.action is None or rule.suspended:
            return False
        try:
            lap = Lap(self._meter, lazy_cel_view(event.payload))
            at = off_cue_time(rule.compiled, event, time.time())
            took, _ = lap.end()
            self._accounts.took(key, took)
            if took > MOST:
                self._park(rule, event, "spec.cancelOn", took)
            if at is None:
                return False
            if isinstance(at, Refusal):
                logger.log(
                    logging.WARNING if rule.history.is_first_refusal() else logging.DEBUG,
                    "%s: event %s is not taken for an off cue: %s", key, event.id, at.reason,
                )  # fmt: skip
                return False
            performer = self._performers[rule.action.kind]
            for channel in self._targets(rule, event):
                if performer.cancel(channel, at, dry_run=rule.dry_run):
                    logger.info(
                        "%s: off cue %s on %s", key, event.id, channel.resource.key,
                        extra=CueIdentity(
                            key.namespace, key.name, event.id, event.published
                        ).fields(channel=channel.resource.key.name),
                    )  # fmt: skip
        except Exception:
            logger.exception("%s: off cue %s was not handled", key, event.id)
        return True

    def _match(
        self, rule: Rule, event: Event, now: float, view: Callable[[], CelView | Refusal]
    ) -> None:
        lap = Lap(self._meter, view)
        matched = rule.decide(event, now, lap.view)
        took, _ = lap.end()
        self._accounts.took(rule.resource.key, took)
        if took > MOST:
            self._park(rule, event, "spec.action", took)
        if matched is None:
            return
        outcome, action = matched.outcome, matched.action
        trace = self._trace(rule, event, matched, now)
        if isinstance(outcome, Ruling):
            trace.ruled(outcome)
            self._report(Decided(rule, None, event, matched, Progress(outcome)))
            return
        if action is None:
            return
        channels = self._targets(rule, event)
        if not channels and not matched.known:
            ruling = Ruling(Verdict.CHANNEL_NOT_READY, rule.no_channel(event))
            trace.ruled(ruling)
            self._report(Decided(rule, None, event, matched, Progress(ruling)))
        for channel in channels:
            report = partial(self._follow, rule, channel, event, matched)
            with trace.deciding(channel.resource.key.name) as following:
                self._performers[action.kind].submit(rule, channel, outcome, following(report))

    def _trace(self, rule: Rule, event: Event, matched: Matched, now: float) -> CueTrace:
        """Begin the trace of a cue, unless the status tells of it already."""
        if matched.known:
            return NO_TRACE
        key = rule.resource.key
        cue = CueIdentity(key.namespace, key.name, matched.cue_id, event.published)
        return self._followers.tracer.cue(cue, event, now)

    def _follow(
        self, rule: Rule, channel: Channel, event: Event, matched: Matched, progress: Progress
    ) -> None:
        if not matched.known:  # else the status tells of it already
            self._report(Decided(rule, channel, event, matched, progress))

    def _report(self, decided: Decided) -> None:
        """Tell the history of the rule, the log, the metrics and the one who listens."""
        rule, progress = decided.rule, decided.progress
        key, verdict = rule.resource.key, progress.ruling.verdict
        current = self._rule(key) is rule
        if not progress.final and not current:
            return
        # What was called for concerns the channel, also where the rule was deleted meanwhile.
        decision = decided.decision(time.time(), time.monotonic())
        rule.history.record(decision, decided.event, decided.matched.time)
        logger.info(
            "%s: cue %s: %s: %s", key, decision.event_id, verdict, decision.detail,
            extra=decided.identity.fields(
                channel=decision.channel, verdict=verdict.value, detail=decision.detail,
                latency_seconds=round(decision.latency, 6),
            ),
        )  # fmt: skip
        self._followers.decided(decided)
        if not progress.final:
            return
        self._metrics.decisions.labels(verdict.value).inc()
        if current:
            for result in ("matched", result_of(verdict)):
                self._metrics.rule_events.inc(key.namespace, key.name, result)
        if progress.called_at is not None:
            self._metrics.cue_to_call.observe(decision.latency)
