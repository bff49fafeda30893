"""The engine: compares what should run with what runs, and connects feeds, rules and channels.

It is level-triggered. Whatever is told to it (a resource came, changed or went; a Secret changed;
a feed fell silent) leads to a look at the whole of what is concerned, and to a retry if that fails.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from controller.arbiter.as_run import Station, break_entry, foreign_entry
from controller.channels.ads import AdsWatch
from controller.channels.as_run import AsRunLog
from controller.channels.by_hand import ByHand
from controller.channels.conflicts import Conflicts
from controller.channels.live import LiveWatch
from controller.channels.reconciler import ChannelReconciler
from controller.clients.extensions import Extensions
from controller.clients.helix import Helix
from controller.clients.identity import Identity
from controller.events import Ruling, Verdict
from controller.extensions.reconciler import ExtensionReconciler
from controller.logs import fields
from controller.policies.clocks import WallClock
from controller.runtime.call_priority import CallPriority
from controller.runtime.garbage import Garbage
from controller.runtime.recorder import Recorder
from controller.runtime.resource import CHANNEL, EXTENSION, RULE, Key, Kind, Resource
from controller.runtime.secrets import SecretStore
from controller.runtime.statuses import Reporter, StatusWriter
from controller.runtime.sync import Sync
from controller.runtime.workqueue import WorkQueue
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.feed_pool import FeedPool
from controller.triggers.messenger import Messenger
from controller.triggers.reconciler import RuleReconciler
from controller.triggers.rule import Rule
from controller.triggers.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from controller.arbiter.ads_log import AdsNews
    from controller.arbiter.steps import CueRecord
    from controller.channels.channel import Channel
    from controller.clients.http import HttpClient
    from controller.clients.kube import Kube
    from controller.events import Decision
    from controller.extensions.app import ExtensionApp
    from controller.policies.findings import Finding
    from controller.runtime.metrics import Metrics
    from controller.settings import Settings

__all__ = ["Engine"]

logger = logging.getLogger(__name__)

_WORKERS = 32
_GATHER = 0.2  # channels that change together have their selecting rules looked at once
_FLUSH = 5.0
_HOUSEKEEPING = 1.0
_DELETED = 10_000  # UIDs of the last deletions that were told
_URGENT = frozenset({Verdict.FIRED, Verdict.FAILED, Verdict.UNKNOWN})
_GONE = Ruling(Verdict.SUSPENDED, "the rule was deleted while the cue waited")
_SUSPENDED = Ruling(Verdict.SUSPENDED, "the rule was suspended while the cue waited")
_ELSEWHERE = Ruling(Verdict.SUSPENDED, "the rule was pointed elsewhere while the cue waited")
_NO_CHANNEL = Ruling(Verdict.CHANNEL_NOT_READY, "the channel was deleted while the cue waited")
_REHEARSES = Ruling(Verdict.SUSPENDED, "the rule became a DryRun while the cue waited")


class Engine:
    """All that runs.

    Args:
        settings: Limits and intervals.
        kube: The API server.
        http: For the calls to Twitch.
        metrics: What is counted.
    """

    def __init__(self, settings: Settings, kube: Kube, http: HttpClient, metrics: Metrics) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._started = time.time()
        self._call_priority = CallPriority()
        self._helix = Helix(http, settings, self._call_priority.note)
        self._channels: dict[Key, Channel] = {}
        self._rules: dict[Key, Rule] = {}
        self._targets = Targets(self._channels)
        self._selectors_due: set[str] = set()
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._conflicts = Conflicts(self._channels.get, self._told)
        self._sync = Sync(kube, settings, held=self._uids, found=self._found, gone=self._gone)
        self._secrets = SecretStore(kube, settings, self._ask_again, self._call_priority.quiet)
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _WORKERS)
        extensions = Extensions(http, settings)
        self._extensions = ExtensionReconciler(
            settings,
            kube,
            extensions=extensions,
            secrets=self._secrets,
            broadcaster_of=self._broadcaster_of,
            tell=self._told_of_extension,
            look=self._queue.add,
        )
        self._messenger = Messenger(
            self._rules.get,
            extension_of=self._extensions.signer_of,
            extensions=extensions,
            started=self._started,
        )
        self._dispatcher = Dispatcher(
            self._rules.get,
            self._targets.for_event,
            self._decided,
            metrics,
            self._messenger.submit,
            parked=self._queue.add,
            changed=lambda key: self._statuses.mark(key, urgent=True),
        )
        self._rule_reconciler = RuleReconciler(
            self._rules.get,
            secrets=self._secrets,
            feeds=lambda: self._feeds,
            targets=self._targets,
            mark=lambda key: self._statuses.mark(key, urgent=True),
            extension_ready=self._secrets_current,
        )
        self._feeds = FeedPool(
            settings,
            metrics,
            self._dispatcher.event,
            on_health=self._rule_reconciler.refresh,
            on_gap=lambda gap: metrics.feed_gaps.labels(
                "Recovered" if gap.problem is None else "Lost"
            ).inc(),
        )
        self._by_hand = ByHand(self._answered)
        self._as_run = AsRunLog(settings.as_run_dir, metrics)
        self._ads = AdsWatch(
            self._helix,
            self._channels.values,
            self._saw_ads,
            self._refused,
            settings.ads_check_interval,
            on_first=self._told,
            quiet=self._call_priority.quiet,
        )
        self._live = LiveWatch(
            self._helix,
            self._channels.values,
            self._ads.introduce,
            self._refused,
            settings.live_check_interval,
        )
        self._channel_reconciler = ChannelReconciler(
            settings,
            kube,
            metrics,
            helix=self._helix,
            identity=Identity(http, settings),
            secrets=self._secrets,
            conflicts=self._conflicts,
            look_live=self._live.ask,
            refused=self._refused,
            tell=self._told,
            started=self._started,
        )
        self._recorder = Recorder(kube, metrics, self._call_priority)
        self._statuses = StatusWriter(
            kube,
            metrics,
            self._call_priority,
            settings.status_interval,
            reporter=self._reporter,
            on_gone=self._queue_resync,
            announce=self._recorder.announce,
        )
        self._beat = time.monotonic()
        self._garbage = Garbage()

    # What is told to the engine

    def notify(self, kind: Kind, event: str | None, body: Mapping[str, Any]) -> None:
        """Take a watch event.

        Args:
            kind: Of the resource.
            event: ADDED, MODIFIED, DELETED; None for one of the initial list.
            body: The resource.
        """
        resource = Resource.from_body(kind, body)
        if event == "DELETED" or body["metadata"].get("deletionTimestamp"):
            self._deleted[resource.uid] = None
            while len(self._deleted) > _DELETED:
                self._deleted.popitem(last=False)
            self._remove(resource.key, resource.uid)
        elif resource.uid not in self._deleted:
            # A list that began before the deletion may still have it.
            self._upsert(resource)

    def _found(self, kind: Kind, body: Mapping[str, Any]) -> None:
        self.notify(kind, None, body)

    @property
    def synced(self) -> bool:
        """Whether all resources were listed once."""
        return self._sync.done

    def _uids(self, kind: Kind, namespace: str | None) -> set[str]:
        return {
            held.resource.uid
            for key, held in self._holdings(kind).items()
            if namespace in (None, key.namespace)
        }

    def _gone(self, kind: Kind, uid: str) -> None:
        for key, held in list(self._holdings(kind).items()):
            if held.resource.uid == uid:
                self._remove(key, uid)

    def _holdings(self, kind: Kind) -> dict[Key, Any]:
        if kind == EXTENSION:
            return self._extensions.apps
        return self._channels if kind == CHANNEL else self._rules

    # Life

    async def run(self) -> None:
        """Run until cancelled."""
        await self._sync.first()
        async with asyncio.TaskGroup() as group:
            for job in (
                self._queue.run(),
                self._secrets.run(),
                self._statuses.run(),
                self._recorder.run(),
                self._live.run(),
                self._ads.run(),
                self._as_run.run(),
                self._sync.run(),
                self._keep_house(),
            ):
                group.create_task(job)

    async def drain(self) -> None:
        """Take no new cues, and wait for the answers to the calls under way."""
        await self._feeds.close()
        await self._dispatcher.close()
        within = 2 * self._settings.call_timeout
        busy = [channel.airtime for channel in self._channels.values() if channel.airtime.busy]
        await asyncio.gather(
            *(airtime.drain(within) for airtime in busy), self._messenger.drain(within)
        )
        for channel in self._channels.values():
            channel.stop()

    async def settle(self) -> None:
        """Wait until refreshed tokens are in their Secrets: a one-time token must not be lost."""
        grant_managers = [channel.grant_manager for channel in self._channels.values()]
        within = self._settings.identity_timeout + _FLUSH
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(grant_manager.finish() for grant_manager in grant_managers))
        except TimeoutError:
            logger.error("a token was still being refreshed at the end")

    async def flush(self) -> None:
        """Write the statuses and Events that wait; the writers of `run` must have ended."""
        self._tell_as_run(at_once=True)
        await self._as_run.flush()
        await self._statuses.flush(_FLUSH)
        await self._recorder.flush(_FLUSH)

    @property
    def healthy(self) -> bool:
        """Whether the event loop keeps up; `run` ends when one of its loops does."""
        return time.monotonic() - self._beat < 10 * _HOUSEKEEPING

    async def _keep_house(self) -> None:
        clock = WallClock(time.time(), time.monotonic())
        while True:
            due = time.monotonic() + _HOUSEKEEPING
            await asyncio.sleep(_HOUSEKEEPING)
            self._beat = time.monotonic()
            self._metrics.loop_lag.set(max(0.0, self._beat - due))
            if back := clock.set_back(time.time(), self._beat):
                for channel in self._channels.values():
                    channel.airtime.set_back(back)
            self._rule_reconciler.look_at_silence()
            self._tell_as_run()
            self._garbage.look()
            if not self._feeds.check():
                msg = "a feed's loop has ended"
                raise RuntimeError(msg)

    def _tell_as_run(self, *, at_once: bool = False) -> None:
        """Write down the breaks that are over."""
        for channel in self._channels.values():
            if not channel.airtime.idle:
                self._tell_breaks(channel, at_once=at_once)

    def _tell_breaks(self, channel: Channel, *, at_once: bool) -> None:
        station = _station(channel)
        for brk in channel.airtime.ended(at_once=at_once):
            if not brk.recalled or self._as_run.remembers:
                self._as_run.write(break_entry(station, brk, channel.airtime.arbiter.breaks))

    def _queue_resync(self, _key: Key) -> None:
        self._sync.ask()

    def _ask_again(self, key: Hashable) -> None:
        if isinstance(key, Key):
            self._queue.add(key)

    # Resources

    def _upsert(self, resource: Resource) -> None:
        held = self._holdings(resource.key.kind).get(resource.key)
        if held is not None and held.resource.uid == resource.uid:
            known = held.resource
            if resource.generation < known.generation or resource.version < known.version:
                return  # a list that began before the watch told of a change
            if known.asks == resource.asks:
                return
            held.update(resource)
            if known.requested_at != resource.requested_at:
                self._recheck(resource.key)
        else:
            if held is not None:
                self._remove(resource.key, held.resource.uid)
            self._take_in(resource)
        if resource.key.kind == RULE:
            self._rule_changed(self._rules[resource.key])
            if held is not None:
                self._withdraw_from_elsewhere(self._rules[resource.key])
        elif resource.key.kind == EXTENSION:
            self._extensions.changed(self._extensions.apps[resource.key].client_id)
        else:
            self._channel_changed(self._channels[resource.key])
        self._queue.add(resource.key)

    def _recheck(self, key: Key) -> None:
        """Somebody asked for a look at everything."""
        self._secrets.look_again(key)
        if key.kind == CHANNEL:
            self._channels[key].grant_manager.recheck(anew=True)
        elif key.kind == EXTENSION:
            self._extensions.apps[key].recheck()

    def _take_in(self, resource: Resource) -> None:
        """A resource that was not there before."""
        key = resource.key
        if key.kind == CHANNEL:
            self._channels[key] = channel = self._channel_reconciler.new_channel(resource)
            self._conflicts.settle(channel)
        elif key.kind == EXTENSION:
            self._extensions.apps[key] = self._extensions.new_app(resource)
        else:
            self._rules[key] = Rule(resource, self._started, self._rule_reconciler.surroundings)
            self._messenger.recall(self._rules[key])
            self._metrics.add_rule(key.namespace, key.name)

    def _channel_changed(self, channel: Channel) -> None:
        self._targets.add_channel(channel.resource)
        self._look_at_selectors(channel.resource.key.namespace)
        self._by_hand.look(channel)

    def _rule_changed(self, rule: Rule) -> None:
        self._targets.add_rule(rule)
        self._rule_reconciler.expect(rule)

    def _withdraw_from_elsewhere(self, rule: Rule) -> None:
        """A rule changed: what it would not start any more is not called for."""
        if rule.suspended or rule.dry_run:
            self._withdraw(rule.resource.key, _SUSPENDED if rule.suspended else _REHEARSES)
        else:
            self._withdraw(rule.resource.key, _ELSEWHERE, but=self._targets.of(rule))

    def _withdraw(self, rule: Key, why: Ruling, but: Iterable[Channel] = ()) -> None:
        """None of a rule's starts is called for any more, but on some channels.

        All channels are asked: the rule may have named others when its starts began.
        """
        kept = {id(channel) for channel in but}
        for key, channel in self._channels.items():
            if channel.airtime.busy and key.namespace == rule.namespace and id(channel) not in kept:
                channel.airtime.withdraw(rule.name, why)

    def _remove(self, key: Key, uid: str) -> None:
        holdings = self._holdings(key.kind)
        held = holdings.get(key)
        if held is None or held.resource.uid != uid:
            return
        del holdings[key]
        self._queue.forget(key)
        self._statuses.forget(key)
        self._secrets.release(key)
        if key.kind == CHANNEL:
            held.stopped = True
            held.airtime.retire(_NO_CHANNEL)
            self._tell_breaks(held, at_once=True)
            self._targets.remove_channel(key)
            self._metrics.remove_channel(key.namespace, key.name)
            self._conflicts.settle(held)
            self._refresh_rules_of(held)
        elif key.kind == EXTENSION:
            self._extensions.changed(held.client_id)
            self._metrics.remove_extension(key.namespace, key.name)
            self._refresh_senders(key)
        else:
            self._withdraw(key, _GONE)
            self._feeds.drop(key)
            self._targets.remove_rule(key)
            self._rule_reconciler.forget(key)
            self._metrics.remove_rule(key.namespace, key.name)

    async def _reconcile(self, key: Key) -> float | None:
        channel, rule = self._channels.get(key), self._rules.get(key)
        app = self._extensions.apps.get(key)
        try:
            if app is not None:
                return await self._extensions.run(app)
            if channel is not None:
                return await self._channel_reconciler.run(channel)
            return await self._rule_reconciler.run(rule) if rule is not None else None
        finally:
            if key not in self._holdings(key.kind):
                self._secrets.release(key)  # deleted during the round

    # Channels

    def _refused(self, channel: Channel) -> None:
        channel.grant_manager.recheck()
        self._queue.add(channel.resource.key)

    def _told(self, channel: Channel) -> None:
        """Something about a channel may have changed: its status and its rules follow."""
        if self._channels.get(channel.resource.key) is not channel:
            return
        channel.concluded = True
        channel.settle()
        self._statuses.mark(channel.resource.key, urgent=True)
        self._refresh_rules_of(channel)
        self._extensions.channel_changed(channel.resource.key)

    def _broadcaster_of(self, namespace: str, name: str) -> str | None:
        """The broadcaster id of a channel that has its grant; None: it is not known."""
        channel = self._channels.get(Key(CHANNEL, namespace, name))
        return channel.claim if channel is not None and channel.conflict is None else None

    def _saw_ads(self, channel: Channel, news: AdsNews) -> None:
        """Twitch told of the channel's ads."""
        channel.settle()
        self._statuses.mark(channel.resource.key, urgent=bool(news.settled or news.foreign))
        if news.foreign is not None:
            self._as_run.write(foreign_entry(_station(channel), news.foreign))
        for record in news.settled:
            self._confirmed(channel, record)

    def _confirmed(self, channel: Channel, record: CueRecord) -> None:
        key = channel.resource.key
        self._metrics.decisions.labels(record.result.value).inc()
        logger.info(
            "%s: cue %s: %s", key, record.cue_id, record.result,
            extra=fields(
                rule=record.rule, channel=key.name, cue=record.cue_id, verdict=record.result.value
            ),
        )  # fmt: skip
        rule = self._rules.get(Key(RULE, key.namespace, record.rule))
        if rule is not None and rule.history.confirm(record.cue_id, key.name, record.result):
            self._statuses.mark(rule.resource.key, urgent=True)

    def _answered(self, channel: Channel, ruling: Ruling, called: bool) -> None:
        """A request by hand was answered."""
        key = channel.resource.key
        logger.info(
            "%s: by hand: %s: %s", key, ruling.verdict, ruling.detail,
            extra=fields(channel=key.name, verdict=ruling.verdict.value),
        )  # fmt: skip
        self._statuses.mark(channel.resource.key, urgent=True)
        if called:
            self._was_called(channel, ruling.verdict)

    # Extensions

    def _told_of_extension(self, app: ExtensionApp) -> None:
        """Something about an ExtensionApp may have changed: its status and its rules follow."""
        key, due = app.resource.key, app.next_rotation
        ready = any(f.type == "Ready" and f.status == "True" for f in app.findings(time.time()))
        self._metrics.tell_extension(key.namespace, key.name, ready=ready, next_rotation=due)
        self._statuses.mark(key, urgent=True)
        self._refresh_senders(key)

    def _refresh_senders(self, key: Key) -> None:
        """Look at the rules that send messages by an ExtensionApp."""
        self._rule_reconciler.extension_changed(key)

    def _secrets_current(self, namespace: str, name: str) -> Finding | None:
        """Whether the secrets of an ExtensionApp are current; None: there is no such."""
        app = self._extensions.apps.get(Key(EXTENSION, namespace, name))
        return app.secrets_finding(time.time()) if app is not None else None

    # Rules

    def _refresh_rules_of(self, channel: Channel) -> None:
        for key in self._targets.naming(channel.resource.key):
            self._rule_reconciler.refresh(key)
        # These may be for thousands of channels, which change together.
        self._look_at_selectors(channel.resource.key.namespace)

    def _look_at_selectors(self, namespace: str) -> None:
        """A channel or its labels changed: soon, look at the rules that go by labels."""
        if not self._targets.selecting(namespace):
            return
        if not self._selectors_due:
            asyncio.get_running_loop().call_later(_GATHER, self._refresh_selectors)
        self._selectors_due.add(namespace)

    def _refresh_selectors(self) -> None:
        due, self._selectors_due = self._selectors_due, set()
        for namespace in due:
            for key in self._targets.selecting(namespace):
                self._rule_reconciler.refresh(key)

    def _decided(
        self, rule: Rule, channel: Channel | None, decision: Decision, called: bool
    ) -> None:
        """A decision was made: it is written, and what Twitch said concerns the whole channel."""
        key = rule.resource.key
        if self._rules.get(key) is rule:
            self._statuses.mark(key, urgent=decision.verdict in _URGENT)
        if channel is not None and called:
            self._statuses.mark(channel.resource.key, urgent=True)
            self._was_called(channel, decision.verdict)

    def _was_called(self, channel: Channel, verdict: Verdict) -> None:
        """Twitch was asked for a commercial: what follows from its answer, whoever asked."""
        for key in self._targets.rules_of(channel.resource):
            self._statuses.mark(key, urgent=False)
        if verdict is Verdict.FIRED:
            fired = channel.airtime.arbiter.memory.last_fired
            self._ads.expect(channel, fired.started if fired is not None else time.time())
        if verdict is Verdict.FAILED:
            channel.grant_manager.recheck()
            self._queue.add(channel.resource.key)
        if verdict is Verdict.NOT_LIVE:
            self._live.ask(channel)

    # Statuses

    def _reporter(self, key: Key) -> Reporter | None:
        channel = self._channels.get(key)
        if channel is not None:
            return channel
        rule = self._rules.get(key)
        return rule.reporter if rule is not None else self._extensions.apps.get(key)


def _station(channel: Channel) -> Station:
    key, user = channel.resource.key, channel.grant_manager.user
    broadcaster_id = user.id if user is not None else ""
    return Station(channel.resource.uid, key.namespace, key.name, broadcaster_id)
