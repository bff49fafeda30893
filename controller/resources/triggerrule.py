"""TriggerRule: which events of a feed lead to which action."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from controller.resources.common import (
    ObjectStatus,
    SpecModel,
    StatusModel,
)
from controller.resources.fields import (
    WHOLE,
    Clip,
    Duration,
    Flag,
    Instant,
    KeysMatching,
    Rule,
    WholeInstant,
)
from controller.resources.kind import Column, Kind
from controller.resources.matcher import FieldPath, Matcher
from controller.resources.one_of import Chosen, OneOf
from controller.resources.selector import ChannelReference, ChannelSelector, EventLabel

__all__ = [
    "ACTION",
    "FEED",
    "RECENT_DECISIONS",
    "RECENT_MESSAGES",
    "RULE",
    "TRIGGER_RULE",
    "ActionSpec",
    "ChannelReference",
    "ChannelSelector",
    "Counts",
    "Dedupe",
    "EventLabel",
    "NearestMiss",
    "RecentDecision",
    "RecentMessage",
    "TriggerRuleSpec",
    "TriggerRuleStatus",
]

RECENT_DECISIONS = 10
RECENT_MESSAGES = 50


class Dedupe(SpecModel):
    """A second identity of a cue, for main and backup headends that announce the same break."""

    key: Annotated[
        tuple[FieldPath, ...],
        Field(min_length=1, max_length=8, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """Paths of 1 to 8 fields of the event, such as feed_code and data.event_id. Cues with equal
    values in all of them announce the same break. If a field is absent, only idField applies."""

    window: Annotated[float, Duration("1s", "10m")] = 60.0
    """Maximum time between such cues: a duration from 1s to 10m."""


FEED: Final = OneOf("Feed")
"""Kinds of feeds register here."""


ACTION: Final = OneOf("Action")
"""Kinds of actions register here."""


class ActionSpec(SpecModel):
    """The spec of a kind of action that depends on the rest of its rule.

    Attributes:
        whole: Rules that the API server checks of the whole TriggerRule.
    """

    whole: ClassVar[tuple[Rule, ...]] = ()

    def problem_in(self, rule: "TriggerRuleSpec") -> str | None:
        """Return the message of the first of `whole` that a rule breaks; None: it is fine."""
        raise NotImplementedError


AS_RUN_FIELDS: Final = (
    *("key", "kind", "namespace", "channel", "broadcaster_id", "feed", "rule", "cue_ids"),
    *("due", "called", "confirmed", "due_utc", "verdict", "reason"),
    *("break_seconds", "asked_seconds", "accepted_seconds"),
    *("uncovered_seconds", "overrun_seconds"),
)
"""What each line of the as-run log says by itself, and no column of a rule's may be called."""

_COLUMN = "each key must be the name of a column: lower-case letters, digits and _, such as spot_id"


class TriggerRuleSpec(SpecModel):
    """Which events of which feed trigger which action on which channels."""

    exactly_one_of: ClassVar = ("channel_ref", "channel_selector")
    rules: ClassVar = (
        Rule(
            "has(self.when) || (has(self.match) && size(self.match) > 0)",
            "must have match or when: without both, each message of the feed would start a"
            " commercial",
        ),
        Rule(
            f"!has(self.asRun) || self.asRun.all(name, !(name in {list(AS_RUN_FIELDS)}))",
            "asRun names a field that each line has by itself: choose another name for the column",
            ".asRun",
        ),
    )

    @classmethod
    def checks(cls) -> tuple[Rule, ...]:
        """Its own rules, and those that the kinds of actions add."""
        first, *rest = cls.rules
        models = (model for model in ACTION.models if issubclass(model, ActionSpec))
        return (first, *(rule for model in models for rule in model.whole), *rest)

    channel_ref: ChannelReference | None = None
    """The TwitchChannel of the action."""

    channel_selector: ChannelSelector | None = None
    """The TwitchChannels of the action, selected by labels, instead of channelRef. Each channel
    decides separately."""

    feed: Annotated[Chosen, FEED]
    """Source of events; exactly one kind of feed."""

    match: Annotated[
        tuple[Matcher, ...],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Tests of fields, at most 32. An event matches if all tests pass and when is true. A rule
    needs match, when, or both."""

    when: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """CEL expression over the variable event, such as event.data.duration_sec >= 10.0. An event
    matches if the result is true. Numbers of events are doubles: write 10.0, not 10. At most 1024
    characters."""

    cancel_on: Annotated[
        tuple[Matcher, ...],
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Tests of fields, at most 32. An event that passes all of them is an off cue: it ends the
    current break, and cancels a start that waits or is delayed. Such an event is never a start cue,
    even if match passes. A commercial that runs cannot be stopped."""

    id_field: Annotated[str, Field(max_length=256)] = "common.unique_id"
    """Path of the event's field that identifies the cue. A second event with the same value is a
    Duplicate. If it is empty or absent from the event, the feed's own id applies."""

    dedupe: Dedupe | None = None
    """A second identity of a cue, because main and backup headends may announce the same break with
    different ids."""

    time_field: Annotated[str, Field(max_length=256)] = ""
    """Path of the event's field with the time of the cue: seconds or milliseconds since 1970, or
    RFC 3339. If empty, the publish time applies. The condition ClockSkew is True if the two differ
    by more than 5 s."""

    max_age: Annotated[float, Duration("1s", "5m")] = 30.0
    """Maximum age of a cue at its call: a duration from 1s to 5m, such as 30s or 1m30s, counted
    from its due time. An older cue is Expired."""

    expect_every: Annotated[float, Duration("1m", "168h")] | None = None
    """Longest expected silence of the topics: a duration from 1m to 168h, such as 2h. After a
    longer silence the rule is not Ready, with the reason FeedStale."""

    action: Annotated[Chosen, ACTION]
    """What to do about a matching event; exactly one kind of action."""

    priority: Annotated[int, Field(ge=-1000, le=1000), WHOLE] = 0
    """If several rules want one channel at the same time, the highest priority wins, and the others
    are Outranked. From -1000 to 1000."""

    as_run: (
        Annotated[
            Mapping[str, FieldPath],
            Field(max_length=16),
            KeysMatching(r"^[a-z][a-z0-9_]{0,62}$", _COLUMN),
        ]
        | None
    ) = None
    """Columns of the as-run log that are copied from the event: name of the column, such as
    spot_id, and path of the event's field, such as data.spot.id; at most 16. If absent: customer,
    headend, feed_code, event_id, asset_id, cookie, reconcile_id and user_data."""

    mode: Literal["Enforce", "DryRun"] = "Enforce"
    """Enforce performs the action. DryRun decides in the same way, including cooldown and budgets,
    reports what it would have done, and calls nothing."""

    suspend: Flag = False
    """Suspend this rule: matching events are Suspended and trigger nothing."""

    @model_validator(mode="after")
    def _has_a_test(self) -> Self:
        if not self.match and self.when is None:
            raise ValueError(self.rules[0].message)
        action = self.action.spec
        problem = action.problem_in(self) if isinstance(action, ActionSpec) else None
        if problem is not None:
            raise ValueError(problem)
        if any(name in AS_RUN_FIELDS for name in self.as_run or ()):
            raise ValueError(self.rules[-1].message)
        return self


class Counts(StatusModel):
    """Events since the rule was created. Best effort; the metrics are exact."""

    matched: Annotated[int, Field(ge=0)] = 0
    """Events that matched."""

    fired: Annotated[int, Field(ge=0)] = 0
    """Events whose action succeeded."""

    skipped: Annotated[int, Field(ge=0)] = 0
    """Events that matched, but whose action was not due, such as duplicates."""

    failed: Annotated[int, Field(ge=0)] = 0
    """Events whose action failed, or may have failed."""

    expression_errors: Annotated[int, Field(ge=0)] | None = None
    """Events that passed match, but for which when failed, for example because a field is absent.
    Absent means none."""


class RecentDecision(StatusModel):
    """The decision about one event."""

    event_id: Annotated[str, Clip(256)]
    """Identity of the cue: the value of idField, else the feed's own id."""

    time: Instant
    """Time of the decision."""

    verdict: Annotated[str, Clip(64)]
    """Outcome in one word, such as Fired, DryRun, Duplicate, Expired or CoolingDown."""

    detail: Annotated[str, Clip(1024)] | None = None
    """Explanation of the verdict."""

    latency_milliseconds: Annotated[float, Field(ge=0)] | None = None
    """Milliseconds to the call, or to the verdict if there was no call. It counts from the receipt
    of the event or, if spec.commercials.delay or the event postpones the break, from its due
    time."""

    channel: Annotated[str, Clip(253)] | None = None
    """Name of the TwitchChannel, if channelSelector selected it."""


class RecentMessage(StatusModel):
    """An event whose message was sent, or may have been sent."""

    event_id: Annotated[str, Clip(256)]
    """Identity of the event: the value of idField, else the feed's own id."""

    time: Instant
    """Time of the event: the value of timeField, else the publish time."""

    same_as: Annotated[str, Clip(256)] | None = None
    """Its second identity, from dedupe."""

    channels: Annotated[tuple[Annotated[str, Clip(253)], ...], Clip(10)] | None = None
    """Names of the TwitchChannels that received it; absent if there are more than ten."""


class NearestMiss(StatusModel):
    """The event that passed the most tests without matching."""

    event_id: Annotated[str, Clip(256)]
    """Identity of the event: the value of idField, else the feed's own id."""

    time: Instant
    """Publish time."""

    topic: Annotated[str, Clip(256)]
    """Topic of the event."""

    passed: Annotated[int, Field(ge=0)]
    """Number of tests that passed."""

    tests: Annotated[int, Field(ge=0)]
    """Number of tests of the rule, including when."""

    detail: Annotated[str, Clip(1024)]
    """The first test that failed, and the value of the field."""


class TriggerRuleStatus(ObjectStatus):
    """Observed state. Only the operator writes it."""

    quiet: ClassVar = ("nearestMiss",)

    channels: Annotated[str, Clip(256)] | None = None
    """The TwitchChannel of the rule; for a selector, its labels, and in parentheses the number of
    selected channels."""

    last_event_time: WholeInstant | None = None
    """Time of the last matching event."""

    last_fired_time: WholeInstant | None = None
    """Time of the last successful action."""

    retry_after_seconds: Annotated[int, Field(ge=0)] | None = None
    """Cooldown that Twitch's last answer imposed. It does not count down."""

    next_eligible_time: WholeInstant | None = None
    """End of the channel's cooldown. Cues before it are CoolingDown."""

    counts: Counts | None = None
    """Events since the rule was created. Best effort; the metrics are exact."""

    recent_decisions: Annotated[tuple[RecentDecision, ...], Clip(RECENT_DECISIONS)] = ()
    """The last decisions, newest first."""

    recent_messages: Annotated[tuple[RecentMessage, ...], Clip(RECENT_MESSAGES)] | None = None
    """The last events whose messages were sent, newest first. After a restart, none of them is sent
    again. Absent for other actions."""

    nearest_miss: NearestMiss | None = None
    """Of the last events that did not match, the one that passed the most tests. The operator
    computes it when the annotation twitch-operator.dev/requestedAt changes; `kubectl twitch
    explain` sets it."""


TRIGGER_RULE = Kind(
    name="TriggerRule",
    plural="triggerrules",
    short="trule",
    description=(
        "A TriggerRule says which events of a feed start a commercial on a TwitchChannel, and how"
        " long it is."
    ),
    spec=TriggerRuleSpec,
    status=TriggerRuleStatus,
    columns=(
        Column("READY", '.status.conditions[?(@.type=="Ready")].status'),
        Column("FEED", '.status.conditions[?(@.type=="FeedConnected")].status'),
        Column("CHANNEL", ".status.channels"),
        Column("LAST-CUE", ".status.lastEventTime", "date"),
        Column("VERDICT", ".status.recentDecisions[0].verdict"),
        Column("FIRED", ".status.counts.fired", "integer"),
        Column("SKIPPED", ".status.counts.skipped", "integer"),
        Column("FAILED", ".status.counts.failed", "integer"),
        Column("REASON", '.status.conditions[?(@.type=="Ready")].reason'),
        Column("MODE", ".spec.mode", wide=True),
        Column("NEXT-OK", ".status.nextEligibleTime", wide=True),
        Column("DETAIL", ".status.recentDecisions[0].detail", wide=True),
        Column("AGE", ".metadata.creationTimestamp", "date", wide=True),
    ),
)

RULE = TRIGGER_RULE.name
"""The kind's name, as in keys and owner references."""
