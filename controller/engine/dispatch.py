"""The way of an event: the rules that it may match, their decisions, the channel's arbiter.

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
from controller.rules.expressions import lazy_cel_view
from controller.rules.steps import Ruling

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.engine.channels import Channel
    from controller.engine.metrics import Metrics
    from controller.engine.resource import Key
    from controller.engine.rules import Rule
    from controller.rules.deciding import Matched

__all__ = ["Dispatcher"]

_TURN = 0.005  # seconds after which the cues of others get a turn

logger = logging.getLogger(__name__)


class Dispatcher:
    """Brings events to rules, and cues to channels.

    Args:
        rule: Finds a rule.
        channel: Finds a rule's channel.
        decided: Called with the rule, the decision and whether a call was made.
        metrics: Counts.
    """

    def __init__(
        self,
        rule: Callable[[Key], Rule | None],
        channel: Callable[[Rule], Channel | None],
        decided: Callable[[Rule, Decision, bool], None],
        metrics: Metrics,
    ) -> None:
        self._rule = rule
        self._channel = channel
        self._on_decided = decided
        self._metrics = metrics

    async def event(self, keys: list[Key], event: Event) -> None:
        """Meet an event with the rules that it may match."""
        view, now = lazy_cel_view(event.payload), time.time()
        began = time.perf_counter()
        for key in keys:
            if time.perf_counter() - began > _TURN:
                await asyncio.sleep(0)
                began = time.perf_counter()
            rule = self._rule(key)
            if rule is None or rule.compiled is None:
                continue
            try:
                result = rule.compiled.match(event.payload, view)
                if result.matched:
                    self._match(rule, event, now)
                elif logger.isEnabledFor(logging.DEBUG):
                    told = rule.compiled.explain(event.payload, result)
                    logger.debug("%s: event %s does not match: %s", key, event.id, told)
            except Exception:
                # A fault of ours in one rule must not take the event from the others.
                logger.exception("%s: event %s was not handled", key, event.id)

    def _match(self, rule: Rule, event: Event, now: float) -> None:
        matched = rule.decide(event, now)
        if matched is None:
            return
        done = partial(self._decided, rule, event, matched)
        channel = self._channel(rule)
        if isinstance(matched.outcome, Ruling):
            done(matched.outcome, None)
        elif channel is None:
            done(Ruling(Verdict.CHANNEL_NOT_READY, "there is no such TwitchChannel"), None)
        else:
            channel.submit(matched.outcome, done, partial(self._wanted, rule))

    def _wanted(self, rule: Rule) -> bool:
        return self._rule(rule.resource.key) is rule and not rule.suspended

    def _decided(
        self, rule: Rule, event: Event, matched: Matched, ruling: Ruling, called_at: float | None
    ) -> None:
        key = rule.resource.key
        if self._rule(key) is not rule:
            return  # deleted meanwhile: there is nobody to tell
        latency = (time.monotonic() if called_at is None else called_at) - event.received
        decision = Decision(matched.cue_id, time.time(), ruling.verdict, ruling.detail, latency)
        rule.record(decision, matched.time)
        self._metrics.decisions.labels(ruling.verdict.value).inc()
        for result in ("matched", result_of(ruling.verdict)):
            self._metrics.rule_events.labels(key.namespace, key.name, result).inc()
        if called_at is not None:
            self._metrics.cue_to_call.observe(latency)
        logger.info("%s: cue %s: %s: %s", key, matched.cue_id, ruling.verdict, ruling.detail)
        self._on_decided(rule, decision, called_at is not None)
