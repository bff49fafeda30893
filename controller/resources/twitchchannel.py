"""TwitchChannel: one broadcaster, its grant and its commercials."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controller.resources.authorization import App, Authorization, Scope
from controller.resources.commercials import DEFAULT_POLICY, SharedPolicy
from controller.resources.common import ObjectName, ObjectStatus, SpecModel, StatusModel
from controller.resources.fields import Clip, Flag, Instant, Matching, Rule, WholeInstant
from controller.resources.kind import Column, Kind

__all__ = [
    "CHANNEL",
    "COMMERCIAL_SCOPE",
    "DEFAULT_SCOPES",
    "READ_ADS_SCOPE",
    "RECENT_CUES",
    "STREAM_KEY_SCOPE",
    "TWITCH_CHANNEL",
    "AdScheduleStatus",
    "AuthorizationStatus",
    "Broadcaster",
    "Commercials",
    "LastFire",
    "RecentCue",
    "Token",
    "TwitchChannelSpec",
    "TwitchChannelStatus",
]

RECENT_CUES = 20
DEFAULT_SCOPES = ("channel:edit:commercial", "channel:read:ads")
STREAM_KEY_SCOPE = "channel:read:stream_key"

_TOKEN_SUFFIX = "-twitch-token"  # noqa: S105 - part of a name


def _has_name(whose: str) -> str:
    return f"has({whose}.token) && has({whose}.token.secretName)"


class Token(SpecModel):
    """The Secret in which the operator keeps the tokens."""

    secret_name: ObjectName | None = None
    """Name of the Secret, which the operator creates; default: the name of this object followed by
    -twitch-token. It cannot change after creation, and must not name a Secret of yours."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What happens to the Secret when this object is deleted. Retain keeps it, so that the same
    object, applied again, continues without a new consent. Delete removes it."""


class TwitchChannelSpec(SpecModel):
    """The broadcaster, its grant, and how to run commercials."""

    rules: ClassVar = (
        Rule(
            f"({_has_name('self')}) == ({_has_name('oldSelf')})"
            f" && (!({_has_name('self')}) || self.token.secretName == oldSelf.token.secretName)",
            "token.secretName cannot be changed, added or removed: it holds the newest refresh"
            " token; delete the TwitchChannel and create it with the other name",
            ".token",
        ),
        Rule(
            "!has(self.scopes) || 'channel:edit:commercial' in self.scopes",
            "scopes must contain channel:edit:commercial: without it no commercial can be run",
            ".scopes",
        ),
        Rule(
            "!has(self.streamKeySecretName) || !has(self.scopes)"
            " || 'channel:read:stream_key' in self.scopes",
            "scopes must contain channel:read:stream_key: streamKeySecretName needs it",
            ".scopes",
        ),
    )

    login: (
        Annotated[
            str,
            Field(max_length=25),
            Matching(
                "^[a-z0-9_]+$",
                "must be a login, as in the address of the channel (twitch.tv/<login>): lowercase"
                " letters, digits and '_'",
            ),
        ]
        | None
    ) = None
    """Login of the broadcaster. Optional. If set, the operator rejects a grant of another account
    before a commercial runs."""

    app: App
    """The registered Twitch application with which the operator calls Twitch."""

    authorization: Authorization
    """How the operator obtains the broadcaster's grant; exactly one way."""

    scopes: (
        Annotated[
            tuple[Scope, ...],
            Field(max_length=50, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    """Scopes that a new consent requests. Default: channel:edit:commercial and channel:read:ads,
    and channel:read:stream_key if streamKeySecretName is set. A grant without
    channel:edit:commercial is useless; the condition Authorized lists other missing scopes."""

    token: Token = Token()
    """The Secret in which the operator keeps the tokens."""

    stream_key_secret_name: ObjectName | None = None
    """Name of a Secret that the operator creates, with the channel's stream key under stream-key,
    for an encoder to mount. Optional. It needs the scope channel:read:stream_key. The operator
    reads the stream key every hour. The Secret is deleted with this object, or when this field
    changes."""

    commercials: SharedPolicy = DEFAULT_POLICY
    """How the operator runs commercials on the channel."""

    suspend: Flag = False
    """Suspend this channel: cues of its rules are Suspended and trigger nothing. The operator keeps
    the grant alive."""

    @property
    def wanted_scopes(self) -> tuple[str, ...]:
        """What a consent is asked for."""
        if self.scopes is not None:
            return self.scopes
        return DEFAULT_SCOPES + ((STREAM_KEY_SCOPE,) if self.stream_key_secret_name else ())

    def token_secret_name(self, name: str) -> str:
        """Return the name of the Secret of the tokens.

        Args:
            name: Of the TwitchChannel.
        """
        return self.token.secret_name or name + _TOKEN_SUFFIX


class Broadcaster(StatusModel):
    """The user who gave the grant, as Twitch reports it."""

    id: Annotated[str, Clip(64)]
    """Twitch's id of the user; it never changes."""

    login: Annotated[str, Clip(64)]
    """Name in the address of the channel. Users can change it."""

    display_name: Annotated[str, Clip(256)] | None = None
    """Name as viewers see it."""

    type: Annotated[str, Clip(64)] | None = None
    """partner or affiliate. Absent for others; Twitch runs no commercials for them."""

    matched_login: Annotated[str, Clip(64)] | None = None
    """Value of spec.login that this user had when it was checked. While the spec has that value,
    the id identifies the user, even if the login changes."""


class AuthorizationStatus(StatusModel):
    """The grant and the access token."""

    scopes: Annotated[tuple[Annotated[str, Clip(128)], ...], Clip(100)] = ()
    """Scopes that the broadcaster granted."""

    expiration_time: WholeInstant | None = None
    """When the access token expires. The operator refreshes it earlier."""

    last_refresh_time: WholeInstant | None = None
    """When the access token was last refreshed."""

    last_validation_time: WholeInstant | None = None
    """When Twitch last confirmed the access token."""

    verification_uri: Annotated[str, Clip(1024)] | None = None
    """Address that the broadcaster opens to consent."""

    user_code: Annotated[str, Clip(64)] | None = None
    """Code that the broadcaster types there."""

    user_code_expiration_time: WholeInstant | None = None
    """When that code expires. The operator then shows a new one."""


class RecentCue(StatusModel):
    """A cue for which the operator requested a commercial."""

    cue_id: Annotated[str, Clip(256)]
    """Identity of the cue: the value of the rule's idField, else the feed's own id."""

    publish_time: Instant
    """When the cue was published."""

    start_time: Instant | None = None
    """When the operator requested the commercial."""

    length_seconds: Annotated[int, Field(ge=0)] | None = None
    """Requested length."""

    result: Annotated[str, Clip(64)]
    """Outcome in one word: Fired (Twitch accepted it), then Confirmed (it ran) or Unconfirmed;
    Unknown or Failed."""

    due_time: Instant | None = None
    """Start of the break, including the channel's delay."""

    break_seconds: Annotated[float, Field(ge=0)] | None = None
    """Announced length of the break on air, in seconds."""

    accepted_seconds: Annotated[int, Field(ge=0)] | None = None
    """Length in Twitch's answer."""

    rule: Annotated[str, Clip(253)] | None = None
    """Name of the TriggerRule; absent for a commercial by hand."""


class Commercials(StatusModel):
    """What ran, and when the next commercial is possible."""

    last_start_time: WholeInstant | None = None
    """When the last commercial started."""

    last_length_seconds: Annotated[int, Field(ge=0)] | None = None
    """Its length, according to Twitch."""

    last_message: Annotated[str, Clip(1024)] | None = None
    """Twitch's message about it."""

    retry_after_seconds: Annotated[int, Field(ge=0)] | None = None
    """Cooldown that Twitch's last answer imposed. It does not count down."""

    next_eligible_time: WholeInstant | None = None
    """End of the cooldown. Cues before it are CoolingDown."""

    last_confirmed_time: WholeInstant | None = None
    """Start of the last commercial that Twitch's ad schedule confirmed."""

    recent_cues: Annotated[tuple[RecentCue, ...], Clip(RECENT_CUES)] = ()
    """The last cues for which the operator requested a commercial, newest first. After a restart,
    none of them fires again."""


class AdScheduleStatus(StatusModel):
    """Twitch's ad schedule of the channel. It needs the scope channel:read:ads."""

    last_ad_time: WholeInstant | None = None
    """Start of the last ad of any origin."""

    next_ad_time: WholeInstant | None = None
    """When Twitch's Ads Manager plans the next ad. A forecast, off by minutes."""

    snooze_count: Annotated[int, Field(ge=0)] | None = None
    """How often that ad can still be snoozed."""

    preroll_free_seconds: Annotated[int, Field(ge=0)] | None = None
    """Seconds without pre-roll ads for new viewers. It does not count down."""


class LastFire(StatusModel):
    """Outcome of the last commercial by hand."""

    requested_at: Annotated[str, Clip(1024)]
    """Value of the annotation twitch-operator.dev/fireRequested that the operator handled."""

    verdict: Annotated[str, Clip(64)]
    """Outcome in one word, such as Fired or CoolingDown."""

    detail: Annotated[str, Clip(1024)] | None = None
    """Explanation of the verdict."""


class TwitchChannelStatus(ObjectStatus):
    """Observed state. Only the operator writes it."""

    # The ad schedule is a forecast, and counts down.
    quiet: ClassVar = (
        "authorization.lastValidationTime",
        "adSchedule.nextAdTime",
        "adSchedule.snoozeCount",
        "adSchedule.prerollFreeSeconds",
    )

    last_handled_revoke_at: Annotated[str, Clip(1024)] | None = None
    """Last value of the annotation twitch-operator.dev/revokeRequestedAt that the operator
    handled."""

    last_handled_fire_at: Annotated[str, Clip(1024)] | None = None
    """Last value of the annotation twitch-operator.dev/fireRequested that the operator handled."""

    last_fire: LastFire | None = None
    """Outcome of the last commercial by hand."""

    broadcaster: Broadcaster | None = None
    """The user who gave the grant, as Twitch reports it."""

    authorization: AuthorizationStatus | None = None
    """The grant and the access token."""

    commercials: Commercials | None = None
    """What ran, and when the next commercial is possible."""

    ad_schedule: AdScheduleStatus | None = None
    """Twitch's ad schedule of the channel."""


_TOKENS = f"self.spec.?token.?secretName.orValue(self.metadata.name + '{_TOKEN_SUFFIX}')"


def _is_not_written_to(reference: str, optional: str = "") -> Rule:
    """A Secret of the user's is none that the operator writes."""
    name = f"self.{reference}.name"
    absent = f"!has(self.{optional}) || " if optional else ""
    return Rule(
        f"{absent}({name} != {_TOKENS} && {name} != self.spec.?streamKeySecretName.orValue(''))",
        f"{reference} names a Secret that the operator writes: set spec.token.secretName or"
        " spec.streamKeySecretName to another name",
        ".spec",
    )


_STREAM_KEY_IS_APART = Rule(
    f"!has(self.spec.streamKeySecretName) || self.spec.streamKeySecretName != {_TOKENS}",
    "spec.streamKeySecretName names the Secret in which the operator keeps the tokens: set it to"
    " another name",
    ".spec.streamKeySecretName",
)


TWITCH_CHANNEL = Kind(
    name="TwitchChannel",
    plural="twitchchannels",
    short="tch",
    description=(
        "A TwitchChannel is one broadcaster on Twitch, its grant and its commercials. TriggerRules"
        " name it, and say which cues start a commercial on it."
    ),
    spec=TwitchChannelSpec,
    status=TwitchChannelStatus,
    columns=(
        Column("READY", '.status.conditions[?(@.type=="Ready")].status'),
        Column("LIVE", '.status.conditions[?(@.type=="Live")].status'),
        Column("LAST-RUN", ".status.commercials.lastStartTime", "date"),
        Column("LENGTH", ".status.commercials.lastLengthSeconds", "integer"),
        Column("CONFIRMED", ".status.commercials.lastConfirmedTime", "date"),
        Column("NEXT-OK", ".status.commercials.nextEligibleTime"),
        Column("REASON", '.status.conditions[?(@.type=="Ready")].reason'),
        Column("LOGIN", ".status.broadcaster.login", wide=True),
        Column("BROADCASTER", ".status.broadcaster.id", wide=True),
        Column("TYPE", ".status.broadcaster.type", wide=True),
        Column("EXPIRES", ".status.authorization.expirationTime", wide=True),
        Column("USER-CODE", ".status.authorization.userCode", wide=True),
        Column("LAST-RESULT", ".status.commercials.recentCues[0].result", wide=True),
        Column("NEXT-AD", ".status.adSchedule.nextAdTime", wide=True),
        Column("AGE", ".metadata.creationTimestamp", "date", wide=True),
    ),
    rules=(
        Rule(
            "size(self.metadata.name) <= 63",
            "metadata.name must have at most 63 characters: it becomes a label of the token Secret",
        ),
        _is_not_written_to("spec.app.secretRef"),
        *(
            _is_not_written_to(f"{way}.secretKeyRef", optional=way)
            for way in ("spec.authorization.refreshToken", "spec.authorization.authorizationCode")
        ),
        _STREAM_KEY_IS_APART,
    ),
)


COMMERCIAL_SCOPE = "channel:edit:commercial"


READ_ADS_SCOPE = "channel:read:ads"

CHANNEL = TWITCH_CHANNEL.name
"""The kind's name, as in keys and owner references."""
