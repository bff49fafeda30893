"""The way of an event: the rules that it may match, their decisions, the channels' arbiters.

Nothing here waits for anything, but to give others a turn: no API server, no disk, no lock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from controller.engine.rules import result_of
from controller.events import Decision, Event, Verdict
from controller.rules.deciding import latency_of, off_cue_time
from controller.rules.expressions import lazy_cel_view
from controller.rules.messages import Message
from controller.rules.payloads import Refusal
from controller.rules.steps import Cue, Ruling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.engine.channels import Channel
    from controller.engine.metrics import Metrics
    from controller.engine.resource import Key
    from controller.engine.rules import Rule
    from controller.rules.deciding import Matched
    from controller.rules.expressions import CelView

    Send = Callable[[Rule, Channel, Message, Callable[[Ruling, float | None], None]], None]

__all__ = ["Dispatcher"]

_TURN = 0.005  # seconds after which the cues of others get a turn

logger = logging.getLogger(__name__)


class Dispatcher:
    """Brings events to rules, and cues to channels.

    Args:
        rule: Finds a rule.
        targets: Finds the channels that a rule and an event are for.
        decided: Called with the rule, the channel, the decision and whether Twitch was asked for a
            commercial.
        metrics: Counts.
        send: Takes the messages, and tells what became of each as `Airtime.submit` does.
    """

    def __init__(
        self,
        rule: Callable[[Key], Rule | None],
        targets: Callable[[Rule, Event], Sequence[Channel]],
        decided: Callable[[Rule, Channel | None, Decision, bool], None],
        metrics: Metrics,
        send: Send | None = None,
    ) -> None:
        self._rule = rule
        self._targets = targets
        self._on_decided = decided
        self._metrics = metrics
        self._send = send

    async def event(self, keys: Iterable[Key], cancels: Iterable[Key], event: Event) -> None:
        """Meet an event with the rules that it may match.

        Args:
            keys: Of rules whose `match` may hold.
            cancels: Of rules whose `cancelOn` may hold.
            event: The event.
        """
        off = {key for key in cancels if self._cancelled(key, event)}
        view, now = lazy_cel_view(event.payload), time.time()
        began = time.perf_counter()
        matching: list[Rule] = []
        for key in keys:
            if time.perf_counter() - began > _TURN:
                await asyncio.sleep(0)
                began = time.perf_counter()
            rule = self._rule(key)
            if rule is None or rule.compiled is None or key in off:
                continue
            try:
                result = rule.compiled.match(event.payload, view)
                if result.matched:
                    matching.append(rule)
                elif logger.isEnabledFor(logging.DEBUG):
                    told = rule.compiled.explain(event.payload, result)
                    logger.debug("%s: event %s does not match: %s", key, event.id, told)
            except Exception:
                # A fault of ours in one rule must not take the event from the others.
                logger.exception("%s: event %s was not handled", key, event.id)
        for rule in sorted(matching, key=lambda rule: -rule.priority):
            try:
                self._match(rule, event, now, view)
            except Exception:
                logger.exception("%s: event %s was not handled", rule.resource.key, event.id)

    def _cancelled(self, key: Key, event: Event) -> bool:
        """Whether the event is an off cue for a rule; if so it takes effect."""
        rule = self._rule(key)
        if rule is None or rule.compiled is None or rule.suspended:
            return False
        try:
            at = off_cue_time(rule.compiled, event, time.time())
            if at is None:
                return False
            if isinstance(at, Refusal):
                logger.warning(
                    "%s: event %s is not taken for an off cue: %s", key, event.id, at.reason
                )
                return False
            for channel in self._targets(rule, event):
                if channel.airtime.cancel(at, dry_run=rule.rehearses):
                    logger.info("%s: off cue %s on %s", key, event.id, channel.resource.key)
        except Exception:
            logger.exception("%s: off cue %s was not handled", key, event.id)
        return True

    def _match(
        self, rule: Rule, event: Event, now: float, view: Callable[[], CelView | Refusal]
    ) -> None:
        matched = rule.decide(event, now, view)
        if matched is None:
            return
        outcome = matched.outcome
        if isinstance(outcome, Ruling):
            self._decided(rule, None, event, matched, outcome, None)
            return
        channels = self._targets(rule, event)
        if not channels and not matched.known:
            ruling = Ruling(Verdict.CHANNEL_NOT_READY, rule.no_channel(event))
            self._decided(rule, None, event, matched, ruling, None)
        for channel in channels:
            done = partial(self._decided, rule, channel, event, matched)
            if not isinstance(outcome, Message):
                waits = partial(self._waits, rule, channel, event, matched)
                channel.airtime.submit(outcome, done, waits)
            elif self._send is not None:
                self._send(rule, channel, outcome, _unsaid if matched.known else done)

    def _waits(
        self, rule: Rule, channel: Channel, event: Event, matched: Matched, ruling: Ruling
    ) -> None:
        if self._rule(rule.resource.key) is rule:
            self._note(rule, channel, event, matched, ruling, None)

    def _decided(  # noqa: PLR0913, PLR0917 - what a decision consists of
        self,
        rule: Rule,
        channel: Channel | None,
        event: Event,
        matched: Matched,
        ruling: Ruling,
        called_at: float | None,
    ) -> None:
        # What was called for concerns the channel, also where the rule was deleted meanwhile.
        latency = self._note(rule, channel, event, matched, ruling, called_at)
        self._metrics.decisions.labels(ruling.verdict.value).inc()
        key = rule.resource.key
        if self._rule(key) is rule:
            for result in ("matched", result_of(ruling.verdict)):
                self._metrics.rule_events.inc(key.namespace, key.name, result)
        if called_at is not None:
            self._metrics.cue_to_call.observe(latency)

    def _note(  # noqa: PLR0913, PLR0917 - what a decision consists of
        self,
        rule: Rule,
        channel: Channel | None,
        event: Event,
        matched: Matched,
        ruling: Ruling,
        called_at: float | None,
    ) -> float:
        """Keep a decision for the status; returns its latency in seconds."""
        then = time.monotonic() if called_at is None else called_at
        ahead = 0.0
        if channel is not None and isinstance(matched.outcome, Cue):
            ahead = matched.outcome.due(channel.policy.delay) - time.time()
        latency = latency_of(event.received, time.monotonic() + ahead, then)
        name = channel.resource.key.name if channel is not None else None
        decision = Decision(
            matched.cue_id, time.time(), ruling.verdict, ruling.detail, latency, name
        )
        rule.record(decision, event, matched.time)
        key, verdict = rule.resource.key, ruling.verdict
        logger.info("%s: cue %s: %s: %s", key, matched.cue_id, verdict, ruling.detail)
        asked = called_at is not None and not isinstance(matched.outcome, Message)
        self._on_decided(rule, channel, decision, asked)
        return latency


def _unsaid(_ruling: Ruling, _called_at: float | None) -> None:
    """The status tells of it already."""
