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

from controller.clients.helix import Helix
from controller.clients.identity import Identity
from controller.engine import pubnub_keys
from controller.engine.channel_rounds import ChannelRounds
from controller.engine.dispatch import Dispatcher
from controller.engine.feeds import FeedPool
from controller.engine.live import LiveWatch
from controller.engine.recorder import Recorder
from controller.engine.resource import CHANNEL, RULE, Key, Kind, Resource
from controller.engine.rivals import Rivals
from controller.engine.rules import Rule
from controller.engine.secrets import SecretStore
from controller.engine.statuses import Reporter, StatusWriter
from controller.engine.sync import Sync
from controller.engine.traffic import Traffic
from controller.engine.workqueue import WorkQueue
from controller.errors import OperatorError
from controller.events import Verdict
from controller.policies.problems import Blocked

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import httpx

    from controller.clients.kube import Kube
    from controller.engine.channels import Channel
    from controller.engine.metrics import Metrics
    from controller.events import Decision
    from controller.feeds.health import FeedHealth
    from controller.settings import Settings

__all__ = ["Engine"]

logger = logging.getLogger(__name__)

_WORKERS = 32
_SETTLE = 1.0  # a channel that is applied together with its rule may come a moment later
_PATIENCE = 120.0  # after which a status is written even if a first round has not ended
_FLUSH = 5.0
_HOUSEKEEPING = 1.0
_DELETED = 10_000  # UIDs of the last deletions that were told
_URGENT = frozenset({Verdict.FIRED, Verdict.FAILED, Verdict.UNKNOWN})


class Engine:
    """All that runs.

    Args:
        settings: Limits and intervals.
        kube: The API server.
        http: For the calls to Twitch.
        metrics: What is counted.
    """

    def __init__(
        self, settings: Settings, kube: Kube, http: httpx.AsyncClient, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = metrics
        self._started = time.time()
        self._traffic = Traffic()
        self._helix = Helix(http, settings, self._traffic.note)
        self._channels: dict[Key, Channel] = {}
        self._rules: dict[Key, Rule] = {}
        self._rules_of: dict[Key, set[Key]] = {}
        self._filed: dict[Key, Key] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self._rivals = Rivals(self._channels.get, self._told)
        self._sync = Sync(kube, settings, self._uids, self._found, self._gone)
        self._secrets = SecretStore(kube, settings, self._ask_again)
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _WORKERS)
        dispatcher = Dispatcher(self._rules.get, self._channel_of, self._decided, metrics)
        self._feeds = FeedPool(settings, metrics, dispatcher.event, self._refresh_rule)
        self._live = LiveWatch(
            self._helix,
            self._channels.values,
            self._told,
            self._refused,
            settings.live_check_interval,
        )
        self._rounds = ChannelRounds(
            settings,
            kube,
            metrics,
            helix=self._helix,
            identity=Identity(http, settings),
            secrets=self._secrets,
            rivals=self._rivals,
            look_live=self._live.ask,
            tell=self._told,
            started=self._started,
        )
        self._recorder = Recorder(kube, metrics, self._traffic)
        self._statuses = StatusWriter(
            kube,
            metrics,
            self._traffic,
            settings.status_interval,
            reporter=self._reporter,
            on_gone=self._queue_resync,
            announce=self._recorder.announce,
        )
        self._beat = time.monotonic()

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
                self._sync.run(),
                self._keep_house(),
            ):
                group.create_task(job)

    async def drain(self) -> None:
        """Take no new cues, and wait for the answers to the calls under way."""
        await self._feeds.close()
        drains = [channel.drain() for channel in self._channels.values() if channel.busy]
        try:
            async with asyncio.timeout(2 * self._settings.call_timeout):
                await asyncio.gather(*drains)
        except TimeoutError:
            logger.warning("calls were still under way at the end")
        for channel in self._channels.values():
            channel.stop()

    async def settle(self) -> None:
        """Wait until refreshed tokens are in their Secrets: a one-time token must not be lost."""
        keepers = [channel.keeper for channel in self._channels.values()]
        within = self._settings.identity_timeout + _FLUSH
        try:
            async with asyncio.timeout(within):
                await asyncio.gather(*(keeper.finish() for keeper in keepers))
        except TimeoutError:
            logger.error("a token was still being refreshed at the end")

    async def flush(self) -> None:
        """Write the statuses and Events that wait; the writers of `run` must have ended."""
        await self._statuses.flush(_FLUSH)
        await self._recorder.flush(_FLUSH)

    @property
    def healthy(self) -> bool:
        """Whether the event loop keeps up; `run` ends when one of its loops does."""
        return time.monotonic() - self._beat < 10 * _HOUSEKEEPING

    async def _keep_house(self) -> None:
        while True:
            due = time.monotonic() + _HOUSEKEEPING
            await asyncio.sleep(_HOUSEKEEPING)
            self._beat = time.monotonic()
            self._metrics.loop_lag.set(max(0.0, self._beat - due))
            if not self._feeds.check():
                msg = "a feed's loop has ended"
                raise RuntimeError(msg)

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
            if resource.generation < known.generation:
                return  # a list that began before the watch told of a change
            if known.asks == resource.asks:
                return
            held.update(resource)
            if known.requested_at != resource.requested_at:
                self._secrets.look_again(resource.key)
                if resource.key.kind == CHANNEL:
                    self._channels[resource.key].keeper.recheck(anew=True)
        else:
            if held is not None:
                self._remove(resource.key, held.resource.uid)
            if resource.key.kind == CHANNEL:
                self._channels[resource.key] = channel = self._rounds.new_channel(resource)
                self._rivals.settle(channel)
            else:
                self._rules[resource.key] = Rule(resource, self._started, self._surroundings)
                self._metrics.add_rule(resource.key.namespace, resource.key.name)
        if resource.key.kind == RULE:
            self._file(self._rules[resource.key])
        self._queue.add(resource.key)

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
            held.stop()
            self._metrics.remove_channel(key.namespace, key.name)
            self._rivals.settle(held)
            self._refresh_rules_of(key)
        else:
            self._feeds.drop(key)
            self._unfile(key)
            self._metrics.remove_rule(key.namespace, key.name)

    def _file(self, rule: Rule) -> None:
        """Note which channel a rule is for."""
        key = rule.resource.key
        self._unfile(key)
        if rule.spec is not None:
            channel = Key(CHANNEL, key.namespace, rule.spec.channel_ref.name)
            self._filed[key] = channel
            self._rules_of.setdefault(channel, set()).add(key)

    def _unfile(self, key: Key) -> None:
        channel = self._filed.pop(key, None)
        if channel is not None:
            rules = self._rules_of[channel]
            rules.discard(key)
            if not rules:
                del self._rules_of[channel]

    async def _reconcile(self, key: Key) -> float | None:
        channel, rule = self._channels.get(key), self._rules.get(key)
        try:
            if channel is not None:
                return await self._rounds.run(channel)
            return await self._reconcile_rule(rule) if rule is not None else None
        finally:
            if key not in self._holdings(key.kind):
                self._secrets.release(key)  # deleted during the round

    # Channels

    def _refused(self, channel: Channel) -> None:
        channel.keeper.recheck()
        self._queue.add(channel.resource.key)

    def _told(self, channel: Channel) -> None:
        """Something about a channel may have changed: its status and its rules follow."""
        if self._channels.get(channel.resource.key) is not channel:
            return
        channel.concluded = True
        channel.settle()
        self._statuses.mark(channel.resource.key, urgent=True)
        self._refresh_rules_of(channel.resource.key)

    # Rules

    async def _reconcile_rule(self, rule: Rule) -> float | None:
        key = rule.resource.key
        if rule.spec is None or not rule.usable:
            self._feeds.drop(key)
            self._refresh_rule(key)
            return None
        name = rule.spec.feed.pubnub.secret_ref.name
        self._secrets.release(key, but={(key.namespace, name)})
        try:
            secret = await self._secrets.get(key.namespace, name, key)
        except OperatorError as error:
            if rule.keys is None:
                rule.feed_blocked = Blocked("TransientError", str(error), human=False)
            self._refresh_rule(key)
            raise
        rule.keys, rule.feed_blocked = pubnub_keys.read(secret, name)
        if self._rules.get(key) is not rule:
            return None
        self._feeds.use(rule)
        self._refresh_rule(key)
        if rule.concluded:
            return None
        now = time.time()
        return rule.seen_at + (_SETTLE if now < rule.seen_at + _SETTLE else _PATIENCE)

    def _refresh_rules_of(self, channel: Key) -> None:
        for key in self._rules_of.get(channel, ()):
            self._refresh_rule(key)

    def _refresh_rule(self, key: Key) -> None:
        """Something that a rule's status tells may have changed."""
        rule = self._rules.get(key)
        if rule is not None:
            rule.concluded = rule.concluded or self._has_concluded(rule)
            self._statuses.mark(key, urgent=True)

    def _has_concluded(self, rule: Rule) -> bool:
        """Whether a first status would not be followed by another one at once."""
        waited = time.time() - rule.seen_at
        if not rule.usable or rule.feed_blocked is not None or waited >= _PATIENCE:
            return True
        health = self._feeds.health(rule.resource.key)
        if health is None or health.connected is None:
            return False
        channel = self._channel_of(rule)
        return channel.concluded if channel is not None else waited >= _SETTLE

    def _surroundings(self, rule: Rule) -> tuple[Channel | None, FeedHealth | None]:
        return self._channel_of(rule), self._feeds.health(rule.resource.key)

    def _channel_of(self, rule: Rule) -> Channel | None:
        if rule.spec is None:
            return None
        name = rule.spec.channel_ref.name
        return self._channels.get(Key(CHANNEL, rule.resource.key.namespace, name))

    def _decided(self, rule: Rule, decision: Decision, called: bool) -> None:
        """A decision was made: it is written, and what Twitch said concerns the whole channel."""
        key = rule.resource.key
        if self._rules.get(key) is not rule:
            return
        self._statuses.mark(key, urgent=decision.verdict in _URGENT)
        channel = self._channel_of(rule)
        if channel is None or not called:
            return
        self._statuses.mark(channel.resource.key, urgent=True)
        for other in self._rules_of.get(channel.resource.key, ()):
            self._statuses.mark(other, urgent=False)
        if decision.verdict is Verdict.FAILED:
            channel.keeper.recheck()
            self._queue.add(channel.resource.key)
        if decision.verdict is Verdict.NOT_LIVE:
            self._live.ask(channel)

    # Statuses

    def _reporter(self, key: Key) -> Reporter[Any] | None:
        channel = self._channels.get(key)
        if channel is not None:
            return channel
        return self._rules.get(key)
