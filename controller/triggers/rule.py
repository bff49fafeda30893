"""A TriggerRule that runs: its compiled form, what it decided, its status."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from controller.errors import InvalidExpression
from controller.events import Decision, Verdict
from controller.policies.problems import Blocked
from controller.resources.common import InvalidSpec
from controller.resources.triggerrule import (
    RECENT_DECISIONS,
    Counts,
    NearestMiss,
    RecentDecision,
    TriggerRuleSpec,
    TriggerRuleStatus,
)
from controller.rules.compiled import compile_rule
from controller.rules.messages import Message
from controller.rules.misses import nearest_miss
from controller.runtime.conditions import to_conditions
from controller.runtime.resource import pack, unpack
from controller.triggers.meter import MOST
from controller.triggers.policies.conditions import (
    EXPRESSION_FAILED,
    TOO_EXPENSIVE,
    RuleFacts,
    rule_findings,
)
from controller.triggers.policies.deciding import RulePolicy, decide, is_old_news
from controller.triggers.reach import reachable
from controller.triggers.recent_messages import RecentMessages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from controller.arbiter.memory import Memory
    from controller.channels.channel import Channel
    from controller.events import Event
    from controller.feeds.health import FeedHealth
    from controller.feeds.pubnub.feed import PubNubKeys
    from controller.policies.findings import Finding
    from controller.rules.compiled import CompiledRule, MatchResult
    from controller.rules.expressions import CelView
    from controller.rules.ledger import SentBefore
    from controller.rules.payloads import Refusal
    from controller.runtime.resource import Resource
    from controller.triggers.policies.deciding import Matched
    from controller.triggers.topic_memory import Heard

__all__ = ["Rule", "Surroundings", "result_of"]

# Seconds by which PubNub's clock may be ahead of this machine's: what a former process may have
# sent must not be taken for new.
_CLOCKS = 1.0
# Seconds of the past that are heard again for messages: far longer than a status takes to be
# written, so that what a process sent right before it was killed is found in the feed.
_RECALL = 60.0
_CHEAPER_TESTS = "use equals, prefix and suffix, or smaller globs and regexes"
_CHEAPER = {
    "spec.when": "compare shorter fields, and leave out comprehensions over long lists",
    "spec.action": "compute less in data, and take shorter fields",
}
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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule depends on beside its own resource.

    Attributes:
        channels: Those that it is for.
        health: Of its feed; None: it listens to none.
        silent_since: When its topics last brought anything; None: it listens to none.
        extension: Whether the secrets of the ExtensionApp that it names are current; None: there is
            no such ExtensionApp, or it names none.
    """

    channels: Sequence[Channel]
    health: FeedHealth | None
    silent_since: Heard | None
    extension: Finding | None = None


class Rule:
    """One rule.

    Args:
        resource: As the API server holds it.
        started: When this process began.
        surroundings: Finds what the rule depends on.

    Attributes:
        resource: As the API server holds it.
        spec: Parsed; None where it cannot be.
        compiled: None where spec or an expression is wrong.
        keys: The feed's key set; None: not known (yet).
        feed_blocked: Why the key set cannot be read.
        concluded: There is something to tell.
        delay: Seconds of the longest delay of its channels.
        handled: The last request to reconcile that a round has answered.
        status: As last written, or as found.
    """

    # Objects of more than 30 attributes do not share their keys: 1.5 KiB instead of 0.3.
    __slots__ = (
        "_counts", "_created", "_decisions", "_errors", "_expression", "_in_a_row", "_last_event",
        "_last_fired", "_matched_at", "_messages", "_named", "_nearest_miss", "_parked", "_policy",
        "_problem", "_refused", "_since", "_skew", "_started", "_status", "_surroundings", "_told",
        "_told_until", "_untold", "_worked", "compiled", "concluded", "delay", "feed_blocked",
        "handled", "keys", "resource", "seen_at", "spec",
    )  # fmt: skip

    def __init__(
        self,
        resource: Resource,
        started: float,
        surroundings: Callable[[Rule], Surroundings],
    ) -> None:
        self._surroundings = surroundings
        status = TriggerRuleStatus.from_status(resource.status)
        self._status = pack(resource.status)
        self.handled = status.last_handled_reconcile_at
        self.resource = resource
        self.spec: TriggerRuleSpec | None = None
        self.compiled: CompiledRule | None = None
        self.keys: PubNubKeys | None = None
        self.feed_blocked: Blocked | None = None
        self.concluded = False
        self.delay = 0.0
        self.seen_at = time.monotonic()
        self._started = started
        # On this machine's clock; the API server's may be ahead.
        self._created = min(resource.created, time.time())
        self._since: dict[str, float] = {}
        self._named: tuple[str, ...] | None = None
        self._problem: Blocked | None = None
        self._parked = _parked_before(status, resource.generation)
        self._policy = RulePolicy(max_age=0, dry_run=True, suspended=True)
        self._counts = status.counts or Counts()
        self._errors = self._counts.expression_errors or 0
        self._decisions = list(status.recent_decisions)
        self._told, self._untold = _settled(self._decisions)
        self._messages = RecentMessages(status.recent_messages or ())
        self._skew: float | None = None
        self._nearest_miss = status.nearest_miss
        self._expression = _failed_before(status, resource.generation)
        self._in_a_row = 0  # events for which `when` failed
        self._refused: int | None = None  # generation
        self._matched_at = (
            status.last_event_time if status.observed_generation == resource.generation else None
        )
        self._worked = self._matched_at is not None
        self._last_event = self._told_until = status.last_event_time
        self._last_fired = status.last_fired_time
        self.update(resource)

    def update(self, resource: Resource) -> None:
        """Take a new state of the resource."""
        if resource.generation != self.resource.generation:
            self._expression, self._worked, self._matched_at = None, False, None
            self._in_a_row = 0
        self.resource = resource.kept()
        self.spec = self.compiled = None
        try:
            self.spec = spec = TriggerRuleSpec.from_spec(resource.spec)
            self._policy = RulePolicy.of(resource.key.name, spec)
            self.compiled = compile_rule(spec)
            # Compiled they are twice as large; ten thousand rules need them but once.
            self.spec = spec.model_copy(update={"match": (), "cancel_on": ()})
            self._problem = None
        except InvalidSpec as error:
            self._problem = Blocked("InvalidSpec", str(error), human=True)
        except InvalidExpression as error:
            self._problem = Blocked("InvalidExpression", str(error), human=True)
        if self._parked is not None and self._parked[0] == resource.generation:
            self._stop(self._parked[1])
        self._note_topics()

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
        self.compiled, self._problem = None, problem

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, for people; None: it can."""
        return self._problem.message if self._problem is not None else None

    def _note_topics(self) -> None:
        """What was said on a topic before the rule named it was not meant for it."""
        usable = self.spec if self.compiled is not None else None
        named = usable.feed.pubnub.topics if usable is not None else ()
        if self._named is not None:
            new = {topic: time.time() for topic in named if topic not in self._named}
            self._since = {t: at for t, at in self._since.items() if t in named} | new
        self._named = named

    @property
    def topics(self) -> tuple[str, ...]:
        """What it listens to: nothing where it cannot be used."""
        usable = self.compiled is not None and self.keys is not None
        return self.spec.feed.pubnub.topics if self.spec is not None and usable else ()

    @property
    def priority(self) -> int:
        """Between rules that want the same channel at once."""
        return self._policy.priority

    @property
    def window(self) -> float:
        """Seconds of the past that are to be heard at the start.

        They are those in which a cue may still fire; for messages also those in which one may have
        been sent whose twin is still to come.
        """
        if not self.sends:
            return self._oldest
        return max(self._oldest, self._policy.same_within, _RECALL)

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
        if self.compiled is None:
            return None
        matched = decide(self.compiled, self._policy, event, now, view)
        since, started = self._since.get(event.topic, self._created), self._started
        sent = isinstance(matched.outcome, Message) and not matched.outcome.dry_run
        if sent:
            started += _CLOCKS
        if event.published >= max(since, started):
            return matched
        if not sent and matched.cue_id in self._untold:
            return matched
        old = is_old_news(
            matched,
            event,
            created=since,
            started=started,
            decided=self._decided(),
            last_event=self._told_until,
            max_age=self._oldest,
            now=now,
        )
        if isinstance(matched.outcome, Message) and sent and event.published >= since:
            return replace(matched, outcome=replace(matched.outcome, past=True), known=old)
        return None if old else matched

    def _decided(self) -> frozenset[str]:
        """Identities of the events with which a former process was done."""
        if self.sends:
            return self._told | self._messages.before
        return frozenset() if self._selects else self._told  # another channel may wait

    def remember(self, message: Message, channel: str) -> None:
        """A message of it was sent to a channel, or may have been: the status tells it."""
        self._messages.add(message, channel)

    @property
    def sent_before(self) -> list[tuple[str, SentBefore]]:
        """What was sent to which channel ("": all), as the status tells it; oldest first."""
        return self._messages.sent()

    def no_channel(self, event: Event) -> str:
        """Why an event is for no channel."""
        spec = self.spec
        if spec is None or spec.channel_ref is not None or self.compiled is None:
            return "there is no such TwitchChannel"
        wanted = self.compiled.wanted_labels(event.payload)
        told = ", ".join(f"{label}={value or '(absent)'}" for label, value in wanted.items())
        return "spec.channelSelector picks no TwitchChannel" + (f" for {told}" if told else "")

    def record(self, decision: Decision, event: Event, event_time: float) -> None:
        """Keep a decision for the status.

        Args:
            decision: One that is Waiting is replaced by what comes of it.
            event: What it is about.
            event_time: When that happened, by its own clock.
        """
        # A clock of the playout system that is ahead must not hide what comes after.
        self._last_event = max(self._last_event or 0.0, min(event_time, decision.time))
        if self.spec is not None and self.spec.time_field:
            self._skew = event_time - event.published
        self._nearest_miss, self._matched_at = None, self._last_event
        if decision.verdict is not Verdict.WAITING:
            self._count(decision)
        ended = decision.verdict is not Verdict.DUPLICATE  # of one that waits: it waits on
        self._decisions = [
            RecentDecision(
                event_id=decision.event_id,
                time=decision.time,
                verdict=decision.verdict.value,
                detail=decision.detail,
                latency_milliseconds=round(max(0.0, decision.latency) * 1000, 1),
                channel=decision.channel if self._selects else None,
            ),
            *(
                d
                for d in self._decisions
                if not (ended and _is_open(d) and self._is_about(d, decision))
            ),
        ][:RECENT_DECISIONS]

    def _count(self, decision: Decision) -> None:
        result, counts = result_of(decision.verdict), self._counts
        self._counts = counts.with_changes(
            matched=counts.matched + 1, **{result: getattr(counts, result) + 1}
        )
        if decision.verdict is Verdict.FIRED:
            self._last_fired = decision.time

    def is_silent(self) -> bool:
        """Whether its feed brought nothing for longer than it expects."""
        expected = self.spec.expect_every if self.spec is not None else None
        since = self._surroundings(self).silent_since
        if expected is None or since is None:
            return False
        return time.monotonic() - since.monotonic > expected

    @property
    def sends(self) -> bool:
        """Whether its action is a message."""
        return self.extension is not None

    @property
    def extension(self) -> str | None:
        """Name of the ExtensionApp by which it sends messages; None: it sends none."""
        plan = self.compiled.message if self.compiled is not None else None
        return plan.extension if plan is not None else None

    @property
    def _selects(self) -> bool:
        return self.spec is not None and self.spec.channel_selector is not None

    def _is_about(self, told: RecentDecision, decision: Decision) -> bool:
        same_channel = not self._selects or told.channel == decision.channel
        return same_channel and told.event_id == decision.event_id

    def confirm(self, cue_id: str, channel: str, result: Verdict) -> bool:
        """A commercial that a cue started was Confirmed, or was not; whether that is news here."""
        for at, told in enumerate(self._decisions):
            same_channel = not self._selects or told.channel == channel
            called = told.verdict in (Verdict.FIRED, Verdict.UNKNOWN)
            if told.event_id == cue_id and same_channel and called:
                self._decisions[at] = told.with_changes(verdict=result.value)
                return True
        return False

    def note(self, result: MatchResult) -> bool:
        """Take note of what `match` came to; whether the conditions change by it.

        A `when` that is right fails for some events only: they lack a field. One that gave a
        number, or met types that it cannot compare, and never yet true or false, counts as wrong;
        so does one that fails for many events in a row, until it gives an answer again.
        """
        before = self._expression
        tries = result.failed is None and self.compiled is not None and self.compiled.when
        if result.error is not None:
            self._errors += 1
            if tries:
                self._in_a_row += 1
                self._expression = self._why_wrong(result.error, result.lasting) or before
        elif tries:
            self._worked, self._expression, self._in_a_row = True, None, 0
        return (before is None) != (self._expression is None)

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
        before, self._refused = self._refused, self.resource.generation
        return before != self._refused

    def look_for_misses(self, events: Iterable[Event]) -> None:
        """Find out which of these events came nearest to matching."""
        if self.compiled is None:
            return
        self._nearest_miss = None
        if self._matched_at is not None and time.time() - self._matched_at < _MATCHES:
            return  # it works, and what it does not match is meant for others
        miss = nearest_miss(self.compiled, events)
        if miss is not None:
            self._nearest_miss = NearestMiss(
                event_id=miss.event_id,
                time=miss.time,
                topic=miss.topic,
                passed=miss.passed,
                tests=miss.tests,
                detail=miss.detail,
            )

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
        return self._problem is None

    def compose(self, now: float) -> TriggerRuleStatus | None:
        """What the status should say now; None: nothing yet."""
        return self._new_status(now) if self.concluded else None

    @property
    def status(self) -> TriggerRuleStatus:
        """What was last written, or found; few ask for it, so that it is parsed when they do."""
        return TriggerRuleStatus.from_status(unpack(self._status))

    def written(self, body: Mapping[str, Any]) -> None:
        """Take note of what the API server holds now."""
        self._status = pack(body)
        self.resource = self.resource.kept(self._status)

    def _new_status(self, now: float) -> TriggerRuleStatus:
        around = self._surroundings(self)
        findings = rule_findings(self._facts(around))
        nearest = None if self.sends else _soonest(around.channels)
        return TriggerRuleStatus(
            observed_generation=self.resource.generation,
            last_handled_reconcile_at=self.handled,
            conditions=to_conditions(
                findings, self.status.conditions, self.resource.generation, now
            ),
            channels=self._target(len(around.channels)),
            last_event_time=self._last_event,
            last_fired_time=self._last_fired,
            retry_after_seconds=_whole(nearest.retry_after) if nearest else None,
            next_eligible_time=nearest.next_eligible if nearest else None,
            counts=self._counts.with_changes(expression_errors=self._errors or None),
            recent_decisions=tuple(self._decisions),
            recent_messages=self._messages.told(),
            nearest_miss=self._nearest_miss,
        )

    def _target(self, number: int) -> str | None:
        """Which channels it is for, for the column of that name."""
        if self.spec is None:
            return None
        if self.spec.channel_ref is not None:
            return self.spec.channel_ref.name
        return f"{self.spec.channel_selector} ({number})"

    def _facts(self, around: Surroundings) -> RuleFacts:
        spec, health = self.spec, around.health
        since = around.silent_since
        silent = since.wall if since is not None and self.is_silent() else None
        told = ((channel, self._readiness(channel)) for channel in around.channels)
        one = next((each for each in told if each[1].status == "True"), None)
        if one is None and around.channels:
            one = around.channels[0], self._readiness(around.channels[0])
        reference = spec.channel_ref if spec is not None else None
        return RuleFacts(
            problem=self._problem,
            expression=self._expression,
            suspended=self.suspended,
            feed_blocked=self.feed_blocked,
            feed_connected=health.connected if health is not None else None,
            feed_reason=health.reason if health is not None else "Connecting",
            feed_message=self._feed_message(health),
            channel=reference.name if reference is not None else None,
            channel_ready=one[1] if one is not None else None,
            selected=len(around.channels),
            unready=one[0].resource.key.name if one is not None else "",
            namespace=self.resource.key.namespace,
            silent_since=silent,
            skew=self._skew if spec is not None and spec.time_field else None,
            extension=self.extension,
            extension_ready=around.extension,
        )

    def _readiness(self, channel: Channel) -> Finding:
        if self.compiled is None or self.compiled.message is None:
            return channel.ready
        return reachable(channel, everywhere=self.compiled.message.target == "global")

    def _feed_message(self, health: FeedHealth | None) -> str:
        if health is None or self.spec is None:
            return "the feed is being connected"
        secret = f"Secret {self.spec.feed.pubnub.secret_ref.name} (spec.feed.pubnub.secretRef)"
        match health.reason:
            case "AccessDenied":
                remedy = f"check subscribe-key and auth-key in {secret} and the topics' access"
            case "DecryptionFailed":
                remedy = f"cipher-key in {secret} must be the key that the publishers encrypt with"
            case _:
                return health.message
        return f"{health.message}: {remedy}"


def _parked_before(status: TriggerRuleStatus, generation: int) -> tuple[int, Blocked] | None:
    """Tell whether a former process parked the rule as it is now: a restart makes it no cheaper."""
    for condition in status.conditions:
        told = condition.type == "Stalled" and condition.reason == TOO_EXPENSIVE
        if told and condition.observed_generation == generation:
            return generation, Blocked(TOO_EXPENSIVE, condition.message, human=True)
    return None


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


def _soonest(channels: Sequence[Channel]) -> Memory | None:
    """What the channel remembers that may run a commercial first."""
    memories = (channel.airtime.arbiter.memory for channel in channels)
    return min(memories, key=lambda memory: memory.next_eligible or 0.0, default=None)


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
