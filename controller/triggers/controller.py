"""All TriggerRules: what they listen to, and what their decisions lead to."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from controller.actions.base import Services
from controller.actions.registry import ACTIONS
from controller.channels.signals import (
    ChannelChanged,
    ChannelDeclared,
    ChannelRemoved,
    CommercialCalled,
    CommercialSettled,
)
from controller.events import Verdict
from controller.extensions.signals import ExtensionChanged
from controller.policies.announcements import announce_ready, transitions
from controller.resources.triggerrule import RULE, TRIGGER_RULE
from controller.runtime.objects import ObjectController
from controller.runtime.resource import Key
from controller.tracing.identity import CueIdentity
from controller.triggers.cancellations import Withdrawals
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.feed_pool import FeedPool
from controller.triggers.followers import Followers
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reconciler import RuleReconciler
from controller.triggers.rule import Rule
from controller.triggers.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.channels.channel import Channel
    from controller.clients.extensions import Extensions
    from controller.extensions.controller import ExtensionController
    from controller.policies.announcements import Announcement
    from controller.runtime.controller import Reporter
    from controller.runtime.kernel import Kernel
    from controller.runtime.resource import Resource
    from controller.triggers.decided import Decided

__all__ = ["RuleController"]

logger = logging.getLogger(__name__)

_GATHER = 0.2  # channels that change together have their selecting rules looked at once
_URGENT = frozenset({Verdict.FIRED, Verdict.FAILED, Verdict.UNKNOWN})


class RuleController(ObjectController[Rule]):
    """Keeps all rules.

    Args:
        kernel: What it works with.
        channels: All channels.
        extensions: All ExtensionApps.
        twitch: Twitch's extension endpoints.
    """

    kind = TRIGGER_RULE

    def __init__(
        self,
        kernel: Kernel,
        channels: Mapping[Key, Channel],
        extensions: ExtensionController,
        twitch: Extensions,
    ) -> None:
        super().__init__(kernel)
        self._metrics = RuleMetrics(kernel.metrics)
        self._selectors_due: set[str] = set()
        self._targets = Targets(channels)
        services = Services(
            rule=self.objects.get,
            channels=channels,
            extension_of=extensions.signer_of,
            extensions=twitch,
            signals=kernel.signals,
            term=kernel.term,
        )
        self._performers = {kind.name: kind.performer(services) for kind in ACTIONS}
        self._withdrawals = Withdrawals(self._performers.values(), self._targets)
        self._dispatcher = Dispatcher(
            self.objects.get,
            self._targets.for_event,
            Followers(
                self._decided,
                parked=kernel.reconcile,
                changed=kernel.mark,
                tracer=kernel.tracer,
            ),
            self._metrics,
            self._performers,
        )
        self._feeds = FeedPool(
            kernel.settings,
            self._metrics,
            self._dispatcher.event,
            on_health=self._refresh,
            term=kernel.term,
        )
        kernel.metrics.queue("feed", self._feeds.waiting)
        kernel.metrics.queue("late", lambda: len(self._dispatcher.backlog))
        self._reconciler = RuleReconciler(
            self.objects.get,
            secrets=kernel.secrets,
            feeds=self._feeds,
            targets=self._targets,
            mark=kernel.mark,
            ready=extensions.secrets_current,
        )
        self._follow_others()

    def _follow_others(self) -> None:
        subscribe = self._kernel.signals.subscribe
        subscribe(ChannelDeclared, self._channel_declared)
        subscribe(ChannelChanged, self._channel_changed)
        subscribe(ChannelRemoved, self._channel_removed)
        subscribe(CommercialCalled, self._commercial_called)
        subscribe(CommercialSettled, self._commercial_settled)
        subscribe(ExtensionChanged, self._extension_changed)

    def reporter(self, key: Key) -> Reporter | None:
        """Who tells the status of a rule; None: it is gone."""
        rule = self.objects.get(key)
        return rule.reporter if rule is not None else None

    def announcements(
        self, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> tuple[Announcement, ...]:
        """What is worth an Event between two statuses."""
        found = transitions(before, after)
        told = announce_ready(found) if found is not None else None
        return (told,) if told is not None else ()

    def tick(self, set_back: float) -> None:  # noqa: ARG002 - feeds count on another clock
        """Find feeds that fell silent.

        Raises:
            RuntimeError: The loop of a feed has ended, which is a fault of ours.
        """
        self._reconciler.look_at_silence()
        if not self._feeds.check():
            msg = "a feed's loop has ended"
            raise RuntimeError(msg)

    def begin(self) -> None:
        """Begin to decide, first about what was heard lately."""
        super().begin()
        self._feeds.begin()

    async def close(self) -> None:
        """Hear nothing more."""
        await self._feeds.close()
        await self._dispatcher.close()

    async def drain(self, within: float) -> None:
        """Wait for the answers to what is under way."""
        performers = self._performers.values()
        await asyncio.gather(*(performer.drain(within) for performer in performers))

    def _new(self, resource: Resource) -> Rule:
        return Rule(resource, self._kernel.term, self._reconciler.surroundings)

    async def _reconcile(self, held: Rule) -> float | None:
        return await self._reconciler.run(held)

    def _added(self, held: Rule) -> None:
        key = held.resource.key
        if self._kernel.term.begun:
            self._recall(held)
        self._metrics.rule_events.add(key.namespace, key.name)
        self._targets.add_rule(held)
        self._reconciler.expect(held)

    def _begun(self, held: Rule) -> None:
        held.seen_at = time.monotonic()  # what it depends on begins anew, too
        held.reporter.concluded = False
        self._recall(held)

    def _recall(self, held: Rule) -> None:
        for performer in self._performers.values():
            performer.recall(held)

    def _changed(self, held: Rule) -> None:
        self._targets.add_rule(held)
        self._reconciler.expect(held)
        self._withdrawals.rule_changed(held)

    def _removed(self, held: Rule) -> None:
        key = held.resource.key
        self._withdrawals.rule_removed(key)
        self._feeds.drop(key)
        self._targets.remove_rule(key)
        self._reconciler.forget(key)
        self._metrics.rule_events.remove(key.namespace, key.name)

    def _refresh(self, key: Key) -> None:
        self._reconciler.refresh(key)

    def _decided(self, decided: Decided) -> None:
        """A decision was made: it is written."""
        key = decided.rule.resource.key
        if self.objects.get(key) is decided.rule:
            self._kernel.mark(key, urgent=decided.progress.ruling.verdict in _URGENT)

    # What the other kinds tell

    def _channel_declared(self, signal: ChannelDeclared) -> None:
        resource = signal.channel.resource
        self._targets.add_channel(resource)
        self._refresh_selecting(resource.key.namespace)

    def _channel_changed(self, signal: ChannelChanged) -> None:
        self._refresh_rules_of(signal.channel.resource.key)

    def _channel_removed(self, signal: ChannelRemoved) -> None:
        key = signal.channel.resource.key
        self._targets.remove_channel(key)
        self._refresh_rules_of(key)

    def _refresh_rules_of(self, channel: Key) -> None:
        for key in self._targets.naming(channel):
            self._refresh(key)
        self._refresh_selecting(channel.namespace)

    def _refresh_selecting(self, namespace: str) -> None:
        """Soon, look at the rules that pick channels by labels: they may be for thousands."""
        if not self._targets.selecting(namespace):
            return
        if not self._selectors_due:
            asyncio.get_running_loop().call_later(_GATHER, self._refresh_due)
        self._selectors_due.add(namespace)

    def _refresh_due(self) -> None:
        due, self._selectors_due = self._selectors_due, set()
        for namespace in due:
            for key in self._targets.selecting(namespace):
                self._refresh(key)

    def _commercial_called(self, signal: CommercialCalled) -> None:
        """The cooldown of a channel concerns all its rules."""
        for key in self._targets.rules_of(signal.channel.resource):
            self._kernel.mark(key, urgent=False)

    def _commercial_settled(self, signal: CommercialSettled) -> None:
        key, record = signal.channel.resource.key, signal.record
        cue = CueIdentity(key.namespace, record.rule, record.cue_id, record.published)
        self._kernel.tracer.settled(cue, key.name, record.result)
        self._metrics.decisions.labels(record.result.value).inc()
        logger.info(
            "%s: cue %s: %s", key, record.cue_id, record.result,
            extra=cue.fields(channel=key.name, verdict=record.result.value),
        )  # fmt: skip
        rule = self.objects.get(Key(RULE, key.namespace, record.rule))
        if rule is not None and rule.history.confirm(record.cue_id, key.name, record.result):
            self._kernel.mark(rule.resource.key)

    def _extension_changed(self, signal: ExtensionChanged) -> None:
        """The rules whose action needs an ExtensionApp follow."""
        self._reconciler.needed_changed(signal.key)
