"""What is done for a TriggerRule whenever something about it may have changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.clients.kube import KubeError
from controller.errors import OperatorError
from controller.feeds.registry import needed_secret, source_of
from controller.policies.problems import Blocked, secret_refused
from controller.triggers.reporter import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.kube import Secret
    from controller.policies.findings import Finding
    from controller.resources.one_of import Chosen
    from controller.runtime.resource import Key
    from controller.runtime.secret_cache import SecretStore
    from controller.triggers.feed_pool import FeedPool
    from controller.triggers.rule import Rule
    from controller.triggers.targets import Targets

__all__ = ["RuleReconciler"]

_SETTLE = 1.0  # a channel that is applied together with its rule may come a moment later
_PATIENCE = 120.0  # after which a status is written even if a first round has not ended


class RuleReconciler:
    """Runs the rounds of rules.

    Args:
        rule: Finds a rule.
        secrets: The Secrets that rules name.
        feeds: What they listen to.
        targets: The channels that they are for.
        mark: Asks for a rule's status to be written.
        ready: Whether a resource is ready that an action needs; None: it does not exist.
    """

    def __init__(
        self,
        rule: Callable[[Key], Rule | None],
        *,
        secrets: SecretStore,
        feeds: FeedPool,
        targets: Targets,
        mark: Callable[[Key], None],
        ready: Callable[[Key], Finding | None] | None = None,
    ) -> None:
        self._rule = rule
        self._secrets = secrets
        self._feeds = feeds
        self._targets = targets
        self._mark = mark
        self._ready = ready
        self._needing: dict[Key, set[Key]] = {}
        self._needs: dict[Key, Key] = {}
        self._silent: dict[Key, bool] = {}

    async def run(self, rule: Rule) -> float | None:
        """Look at the whole of it, and do what is due.

        Returns:
            When to come back; None: when something changes.

        Raises:
            OperatorError: To be tried again with growing pauses.
        """
        key, requested = rule.resource.key, rule.resource.requested_at
        if rule.spec is None or not rule.usable:
            self._feeds.drop(key)
            self._handled(rule, requested)
            return None
        secret = await self._secret(rule, rule.spec.feed)
        found = source_of(rule.spec.feed, secret, key.namespace)
        if isinstance(found, Blocked):
            rule.source, rule.feed_blocked = None, found
        else:
            rule.source, rule.feed_blocked = found, None
        if self._rule(key) is not rule:
            return None
        self._use(rule)
        self._handled(rule, requested)
        if rule.reporter.concluded:
            return None
        waited = time.monotonic() - rule.seen_at
        return time.time() + (_SETTLE if waited < _SETTLE else _PATIENCE) - waited

    async def _secret(self, rule: Rule, feed: Chosen) -> Secret | None:
        """Read the Secret that a rule's feed needs; None: there is none."""
        key, need = rule.resource.key, needed_secret(feed)
        if need is None:
            self._secrets.release(key)
            return None
        self._secrets.release(key, but={(key.namespace, need.name)})
        try:
            return await self._secrets.get(key.namespace, need.name, key)
        except OperatorError as error:
            if rule.source is None:
                told = f"{need.field}: {error}"
                rule.feed_blocked = (
                    secret_refused(told)
                    if isinstance(error, KubeError)
                    else Blocked("TransientError", told, human=False)
                )
            self.refresh(key)
            raise

    def _handled(self, rule: Rule, requested: str | None) -> None:
        if requested is not None and requested != rule.reporter.handled:
            rule.history.look_for_misses(rule.compiled, self._feeds.recent(rule.resource.key))
        rule.reporter.handled = requested
        self.refresh(rule.resource.key)

    def _use(self, rule: Rule) -> None:
        rule.delay = self._delay(rule)
        self._feeds.use(rule)

    def _delay(self, rule: Rule) -> float:
        action = rule.action
        if action is None:
            return 0.0
        return max((action.delay_on(channel) for channel in self._targets.of(rule)), default=0.0)

    def forget(self, key: Key) -> None:
        """A rule is gone."""
        self._silent.pop(key, None)
        self._file(key, None)

    def needed_changed(self, needed: Key) -> None:
        """A resource came, changed or went: the rules whose action needs it follow."""
        for key in list(self._needing.get(needed, ())):
            self.refresh(key)

    def refresh(self, key: Key) -> None:
        """Something that a rule's status tells may have changed."""
        rule = self._rule(key)
        if rule is None:
            return
        if rule.topics and rule.delay != self._delay(rule):
            self._use(rule)
        rule.reporter.concluded = rule.reporter.concluded or self._has_concluded(rule)
        self._mark(key)

    def look_at_silence(self) -> None:
        """Find rules whose feed has fallen silent, or speaks again."""
        for key, was in list(self._silent.items()):
            rule = self._rule(key)
            if rule is None:
                continue
            silent = rule.reporter.is_silent()
            if silent is not was:
                self._silent[key] = silent
                self._mark(key)

    def expect(self, rule: Rule) -> None:
        """Take note whether a rule expects its feed to speak, and which resource it needs."""
        key = rule.resource.key
        self._file(key, rule.needs)
        if rule.spec is not None and rule.spec.expect_every is not None:
            self._silent.setdefault(key, False)
        else:
            self._silent.pop(key, None)

    def _file(self, key: Key, needed: Key | None) -> None:
        before = self._needs.pop(key, None)
        if before is not None:
            rules = self._needing[before]
            rules.discard(key)
            if not rules:
                del self._needing[before]
        if needed is not None:
            self._needs[key] = needed
            self._needing.setdefault(needed, set()).add(key)

    def _needed(self, rule: Rule) -> Finding | None:
        needs = rule.needs
        return self._ready(needs) if needs is not None and self._ready is not None else None

    def _has_concluded(self, rule: Rule) -> bool:
        """Whether a first status would not be followed by another one at once."""
        waited = time.monotonic() - rule.seen_at
        if not rule.usable or rule.feed_blocked is not None or waited >= _PATIENCE:
            return True
        health = self._feeds.health(rule.resource.key)
        if health is None or health.connected is None:
            return False
        channels, needed = self._targets.of(rule), self._needed(rule)
        if needed is not None and needed.status == "Unknown":
            return False
        if not channels or (rule.needs is not None and needed is None):
            return waited >= _SETTLE
        return all(channel.concluded for channel in channels)

    def surroundings(self, rule: Rule) -> Surroundings:
        """What a rule depends on."""
        key, feeds = rule.resource.key, self._feeds
        return Surroundings(
            self._targets.of(rule),
            feeds.health(key),
            feeds.silent_since(key),
            self._needed(rule),
        )
