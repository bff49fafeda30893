"""A TriggerRule that runs: its spec, compiled, and what it makes of an event."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from controller.actions.registry import compile_action
from controller.errors import InvalidExpression
from controller.events import Ruling
from controller.feeds.registry import topics_of
from controller.policies.problems import Blocked
from controller.resources.common import InvalidSpec
from controller.resources.triggerrule import TriggerRuleSpec, TriggerRuleStatus
from controller.rules.compiled import compile_rule
from controller.triggers.history import RuleHistory
from controller.triggers.meter import MOST
from controller.triggers.policies.conditions import TOO_EXPENSIVE
from controller.triggers.policies.deciding import RulePolicy, decide, is_old_news
from controller.triggers.reporter import RuleReporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.actions.base import Action, DoneBefore
    from controller.events import Event
    from controller.feeds.base import Source
    from controller.rules.compiled import CompiledRule
    from controller.rules.expressions import CelView
    from controller.rules.payloads import Refusal
    from controller.runtime.resource import Key, Resource
    from controller.term import Term
    from controller.triggers.policies.deciding import Matched
    from controller.triggers.reporter import Surroundings

__all__ = ["Rule"]

# Seconds by which a feed's clock may be ahead of this machine's: what a former process may have
# done must not be taken for new.
_CLOCKS = 1.0
# Seconds of the past that are heard again for what is done at most once: far longer than a status
# takes to be written, so that what a process did right before it was killed is found in the feed.
_RECALL = 60.0
_CHEAPER_TESTS = "use equals, prefix and suffix, or smaller globs and regexes"
_CHEAPER = {
    "spec.when": "compare shorter fields, and leave out comprehensions over long lists",
    "spec.action": "compute less in data, and take shorter fields",
}


class Rule:
    """One rule.

    Args:
        resource: As the API server holds it.
        term: Since when this process decides.
        surroundings: Finds what the rule depends on.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be.
        compiled: None where spec or an expression is wrong.
        action: What it does, compiled; None where `compiled` is.
        problem: Why it cannot be used; None: it can.
        source: What its feed listens at; None: not known (yet).
        feed_blocked: Why the key set cannot be read.
        delay: Seconds of the longest delay of its channels.
        history: What it decided, did and met.
        reporter: Tells its status.
    """

    # Ten thousand of them: attributes in a dict take five times as much memory.
    __slots__ = (
        "_created", "_named", "_parked", "_policy", "_since", "_term", "action", "compiled",
        "delay", "feed_blocked", "history", "problem", "reporter", "resource", "seen_at", "source",
        "spec",
    )  # fmt: skip

    def __init__(
        self,
        resource: Resource,
        term: Term,
        surroundings: Callable[[Rule], Surroundings],
    ) -> None:
        status = TriggerRuleStatus.from_status(resource.status)
        self.resource = resource
        self.spec: TriggerRuleSpec | None = None
        self.compiled: CompiledRule | None = None
        self.action: Action[Any] | None = None
        self.problem: Blocked | None = None
        self.source: Source | None = None
        self.feed_blocked: Blocked | None = None
        self.delay = 0.0
        self.seen_at = time.monotonic()
        self.history = RuleHistory(status, resource.generation)
        self.reporter = RuleReporter(self, partial(surroundings, self), status)
        self._term = term
        # On this machine's clock; the API server's may be ahead.
        self._created = min(resource.created, time.time())
        self._since: dict[str, float] = {}
        self._named: tuple[str, ...] | None = None
        self._parked = _parked_before(status, resource.generation)
        self._policy = RulePolicy(max_age=0, dry_run=True, suspended=True)
        self.update(resource)

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        changed = resource.generation != self.resource.generation
        self.resource = resource.kept()
        self.spec = self.compiled = self.action = self.problem = None
        try:
            self.spec = spec = TriggerRuleSpec.from_spec(resource.spec)
            self._policy = RulePolicy.of(resource.key.name, spec)
            self.compiled, self.action = compile_rule(spec), compile_action(spec)
            # Compiled they are twice as large; ten thousand rules need them but once.
            self.spec = spec.model_copy(update={"match": (), "cancel_on": ()})
        except InvalidSpec as error:
            self.problem = Blocked("InvalidSpec", str(error), human=True)
        except InvalidExpression as error:
            self.compiled = self.action = None
            self.problem = Blocked("InvalidExpression", str(error), human=True)
        self.history.follow(self.spec, changed=changed)
        if self._parked is not None and self._parked[0] == resource.generation:
            self._stop(self._parked[1])
        self._note_topics()

    def recall(self, resource: Resource) -> None:
        """Take over what another process wrote to the status; nothing of this one is under way."""
        status = TriggerRuleStatus.from_status(resource.status)
        self.resource = resource.kept()
        self.history = RuleHistory(status, resource.generation)
        self.history.follow(self.spec, changed=False)
        self.reporter.recall(status)
        self._parked = _parked_before(status, resource.generation)
        if self._parked is not None:
            self._stop(self._parked[1])

    def park(self, part: str, took: float, event: Event) -> None:
        """Take it out of service until its spec changes: it took too long for an event.

        Args:
            part: The field that took the time.
            took: Seconds of CPU.
            event: The event.
        """
        message = (
            f"{part} took {1000 * took:.0f} ms of CPU for event {event.id}, and"
            f" {1000 * MOST:.0f} ms are allowed; the rule starts nothing until its spec changes:"
            f" {_CHEAPER.get(part, _CHEAPER_TESTS)}"
        )
        self._parked = self.resource.generation, Blocked(TOO_EXPENSIVE, message, human=True)
        self._stop(self._parked[1])

    def _stop(self, problem: Blocked) -> None:
        self.compiled, self.action, self.problem = None, None, problem

    def _note_topics(self) -> None:
        """What was said on a topic before the rule named it was not meant for it."""
        usable = self.spec if self.compiled is not None else None
        named = topics_of(usable.feed) if usable is not None else ()
        if self._named is not None:
            new = {topic: time.time() for topic in named if topic not in self._named}
            self._since = {t: at for t, at in self._since.items() if t in named} | new
        self._named = named

    @property
    def topics(self) -> tuple[str, ...]:
        """What it listens to: nothing where it cannot be used."""
        usable = self.compiled is not None and self.source is not None
        return topics_of(self.spec.feed) if self.spec is not None and usable else ()

    @property
    def priority(self) -> int:
        """Between rules that want the same channel at once."""
        return self._policy.priority

    @property
    def window(self) -> float:
        """Seconds of the past that are to be heard at the start.

        They are those in which a cue may still fire; for what is done at most once also those in
        which it may have been done for an event whose twin is still to come.
        """
        if not self._at_most_once:
            return self._oldest
        return max(self._oldest, self._policy.same_within, _RECALL)

    @property
    def _at_most_once(self) -> bool:
        return self.action is not None and self.action.at_most_once

    @property
    def _oldest(self) -> float:
        """Seconds after which a cue starts nothing."""
        return self._policy.max_age + self.delay

    def decide(
        self, event: Event, now: float, view: Callable[[], CelView | Refusal] | None = None
    ) -> Matched | None:
        """Decide about an event that matches; None: it was dealt with before.

        Args:
            event: The event.
            now: The present time.
            view: Gives the event as CEL sees it, where it was looked at already.
        """
        if self.compiled is None or self.action is None:
            return None
        matched = decide(self.compiled, self.action, self._policy, event, now, view)
        since, started = self._since.get(event.topic, self._created), self._term.since
        asks = not isinstance(matched.outcome, Ruling)
        once = self._at_most_once and asks and not self._policy.dry_run
        if once:
            started += _CLOCKS
        if event.published >= max(since, started):
            return matched
        if not once and matched.cue_id in self.history.untold:
            return matched
        old = is_old_news(
            matched,
            event,
            created=since,
            started=started,
            decided=self._decided(),
            last_event=self.history.told_until,
            max_age=self._oldest,
            now=now,
        )
        if once and event.published >= since:
            return replace(matched, outcome=self.action.past(matched.outcome), known=old)
        return None if old else matched

    def _decided(self) -> frozenset[str]:
        """Identities of the events with which a former process was done."""
        if self._at_most_once:
            return self.history.told | self.history.messages.before
        selects = self.spec is not None and self.spec.channel_selector is not None
        return frozenset() if selects else self.history.told  # another channel may wait

    def remember(self, done: DoneBefore, channel: str) -> None:
        """Something was done on a channel, or may have been: the status tells it."""
        self.history.messages.add(done, channel)

    @property
    def done_before(self) -> list[tuple[str, DoneBefore]]:
        """What was done on which channel ("": all), as the status tells it; oldest first."""
        return self.history.messages.sent()

    @property
    def needs(self) -> Key | None:
        """The resource, beside its channels, without which its action cannot be done."""
        return self.action.needs(self.resource.key.namespace) if self.action is not None else None

    def no_channel(self, event: Event) -> str:
        """Why an event is for no channel."""
        spec = self.spec
        if spec is None or spec.channel_ref is not None or self.compiled is None:
            return "there is no such TwitchChannel"
        wanted = self.compiled.wanted_labels(event.payload)
        told = ", ".join(f"{label}={value or '(absent)'}" for label, value in wanted.items())
        return "spec.channelSelector picks no TwitchChannel" + (f" for {told}" if told else "")

    @property
    def suspended(self) -> bool:
        """Whether the user paused it."""
        return self.spec is not None and self.spec.suspend

    @property
    def dry_run(self) -> bool:
        """Whether it decides and reports, and calls nothing."""
        return self.spec is not None and self.spec.mode == "DryRun"

    @property
    def usable(self) -> bool:
        """Whether spec and expressions are right."""
        return self.problem is None


def _parked_before(status: TriggerRuleStatus, generation: int) -> tuple[int, Blocked] | None:
    """Tell whether a former process parked the rule as it is now: a restart makes it no cheaper."""
    for condition in status.conditions:
        told = condition.type == "Stalled" and condition.reason == TOO_EXPENSIVE
        if told and condition.observed_generation == generation:
            return generation, Blocked(TOO_EXPENSIVE, condition.message, human=True)
    return None
