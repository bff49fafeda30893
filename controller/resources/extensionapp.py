"""ExtensionApp: a Twitch extension, its secrets, its configuration and its backend."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from controller.durations import DURATION_PATTERN
from controller.resources.common import (
    ObjectName,
    ObjectStatus,
    SecretKeyReference,
    SecretReference,
    SpecModel,
    StatusModel,
)
from controller.resources.fields import Clip, Duration, Flag, Matching, Rule, WholeInstant
from controller.resources.kind import Column, Kind
from controller.resources.selector import ChannelReference

__all__ = [
    "EXTENSION",
    "EXTENSION_APP",
    "MAX_CHANNEL_SEGMENTS",
    "MAX_CONTENT",
    "ChannelSegment",
    "Configuration",
    "ExtensionAppSpec",
    "ExtensionAppStatus",
    "ExtensionSecret",
    "Gateway",
    "OAuth",
    "RequiredConfiguration",
    "Rotation",
    "SecretState",
    "Secrets",
    "Segment",
    "SegmentStatus",
]

MAX_CONTENT = 5 * 1024
"""Bytes of UTF-8 that a configuration segment holds at most."""

MAX_CHANNEL_SEGMENTS = 100

_FITS = f"must be at most {MAX_CONTENT} bytes of UTF-8, which is what Twitch stores"

Content = Annotated[str, Field(max_length=MAX_CONTENT)]
ContentVersion = Annotated[str, Field(max_length=64)]


class Rotation(SpecModel):
    """When the shared secret is replaced."""

    rules: ClassVar = (
        Rule(
            # What is not a duration at all is told by the field's own rule.
            f"!self.interval.matches(r'{DURATION_PATTERN}')"
            f" || !self.activationDelay.matches(r'{DURATION_PATTERN}')"
            " || duration(self.interval) >= duration(self.activationDelay) +"
            " duration(self.activationDelay)",
            "interval must be at least twice activationDelay: a new secret is active before the"
            " next is made",
            ".interval",
        ),
    )

    interval: Annotated[float, Duration("10s", "8760h")] = 2_592_000.0
    """From the activation of one secret to that of the next, less up to a tenth that spreads what
    would fall together: a duration from 10s to 8760h, such as 720h."""

    activation_delay: Annotated[float, Duration("1s", "45m")] = 600.0
    """How long a new secret is known before Twitch signs with it: a duration from the operator's
    setting MIN_ACTIVATION_DELAY (Twitch takes none below 300s) to 45m. Twitch retires the former
    secret within one hour of the new one's creation: what is left of that hour is for those who
    still sign with it."""

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.interval < 2 * self.activation_delay:
            raise ValueError(self.rules[0].message)
        return self


class Secrets(SpecModel):
    """The extension's shared secret, with which its JWTs are signed."""

    bootstrap_secret_ref: SecretKeyReference
    """Where a valid secret of the extension is, as its console (dev.twitch.tv/console, Extension
    Settings) gives it: base64 text. It is used to begin with, and where all others are lost."""

    target_secret_name: ObjectName
    """Secret that the operator makes and keeps: current (sign with this), next and previous, each
    base64 text as Twitch gives it, and secrets.json with all that Twitch knows, for those who
    verify. Immutable."""

    rotation: Rotation = Rotation()
    """When the shared secret is replaced."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the target Secret stays when this object is deleted (Retain), or goes with it
    (Delete)."""


class RequiredConfiguration(SpecModel):
    """The mark without which Twitch lets no broadcaster activate the extension, set by API.

    Twitch has two modes, chosen in the extension's console. In this one a channel counts as
    configured once the API has set the text that the console names as required. In the other,
    the versions of the segments count (configuration.*.version): leave this out.
    """

    value: Annotated[str, Field(min_length=1, max_length=64)]
    """The text that the console has as required configuration of spec.version."""


class Segment(SpecModel):
    """What a configuration segment holds; anybody who opens the extension can read it."""

    version: ContentVersion = ""
    """Version of the content, as the extension's helper gives it to the front end."""

    content: Annotated[
        Content,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    {"rule": f"size(bytes(self)) <= {MAX_CONTENT}", "message": _FITS}
                ]
            }
        ),
    ]
    """Text, often JSON; at most 5,120 bytes of UTF-8. It is public: no secrets belong here."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.content.encode("utf-8", "replace")) > MAX_CONTENT:
            msg = f"content {_FITS}"
            raise ValueError(msg)
        return self


class ChannelSegment(Segment):
    """A segment of one channel."""

    channel_ref: ChannelReference
    """The TwitchChannel whose broadcaster it is for."""

    segment: Literal["developer", "broadcaster"]
    """developer: what the developer keeps for the channel. broadcaster: what the broadcaster may
    change on the extension's configuration page."""

    policy: Literal["Enforce", "IfAbsent"] | None = None
    """Enforce sets it whenever Twitch has something else; IfAbsent only where Twitch has nothing.
    By default IfAbsent for a broadcaster segment, lest the broadcaster's own choice be lost, and
    Enforce for a developer segment."""

    @property
    def enforced(self) -> bool:
        """Whether it is set where Twitch has something else."""
        return (self.policy or _POLICIES[self.segment]) == "Enforce"


_POLICIES = {"developer": "Enforce", "broadcaster": "IfAbsent"}


class Configuration(SpecModel):
    """Twitch's configuration service, as declared here. All of it is public."""

    rules: ClassVar = (
        Rule(
            "!has(self.channels) || self.channels.all(one, self.channels.exists_one(other,"
            " other.channelRef.name == one.channelRef.name && other.segment == one.segment))",
            "channels has a segment of a channel twice: remove one",
            ".channels",
        ),
    )

    global_: Segment | None = None
    """The segment that is the same for all channels."""

    channels: Annotated[
        tuple[ChannelSegment, ...],
        Field(
            max_length=MAX_CHANNEL_SEGMENTS,
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    """Segments of single channels, at most 100; each channel and segment once."""

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: set[tuple[str, str]] = set()
        for entry in self.channels:
            name = (entry.channel_ref.name, entry.segment)
            if name in seen:
                msg = f"channels has the {name[1]} segment of {name[0]} twice: remove one"
                raise ValueError(msg)
            seen.add(name)
        return self


class OAuth(SpecModel):
    """Who vouches for the bearer tokens of /send/."""

    exactly_one_of: ClassVar = ("introspection_url", "issuer")
    rules: ClassVar = (
        Rule(
            "has(self.introspectionUrl) == has(self.secretRef)",
            "secretRef goes with introspectionUrl: give both, or issuer alone",
            ".secretRef",
        ),
        Rule(
            "!has(self.audience) || has(self.issuer)",
            "audience is for the tokens of an issuer: remove it, or give issuer",
            ".audience",
        ),
    )

    introspection_url: (
        Annotated[
            str,
            Field(max_length=512),
            Matching(
                r"^https?://[^\s/?#@\\]+(/[^\s#\\]*)?$",
                "must be an https URL without user and fragment, such as"
                " https://id.example.com/oauth2/introspect",
            ),
        ]
        | None
    ) = None
    """Where a token is asked about (RFC 7662); https, and a public address or a host of the
    operator's setting ALLOWED_FETCH_HOSTS."""

    secret_ref: SecretReference | None = None
    """Secret with the keys client-id and client-secret, with which the gateway logs in there. It
    is sent to that host alone if the Secret says so, by the annotation
    twitch-operator.dev/allowed-host: <host>."""

    issuer: (
        Annotated[
            str,
            Field(max_length=512),
            Matching(
                r"^https?://[^\s/?#@\\]+(/[^\s?#\\]*)?$",
                "must be an https URL without user, query and fragment, such as"
                " https://id.example.com",
            ),
        ]
        | None
    ) = None
    """Who issues the tokens, which are JWTs; its keys are found by OpenID Connect discovery."""

    audience: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Whom the issuer's tokens must be for (their claim aud). Without it, any token of the issuer
    will do, also one that was issued for another service."""

    channels_claim: Annotated[str, Field(min_length=1, max_length=128)] = "twitch_channels"
    """Claim of the token with the list of the channel ids that its account is linked to."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.introspection_url is None) != (self.secret_ref is None):
            raise ValueError(self.rules[0].message)
        if self.audience is not None and self.issuer is None:
            raise ValueError(self.rules[1].message)
        return self


Origin = Annotated[
    str,
    Field(max_length=256),
    Matching(
        r"^https?://[^\s/?#@\\*]+$",
        "must be an origin: scheme, host and port, without a path, such as"
        " https://d72hk844mgvex3kbfhrgjtdoeqrh0t.ext-twitch.tv",
    ),
]


class Gateway(SpecModel):
    """The extension's backend service: `twitch-operator gateway` serves /send/ and /setup/."""

    enabled: Flag = True
    """Whether it is served."""

    oauth: OAuth | None = None
    """Who vouches for the bearer tokens of /send/. Without it, /send/ lets nobody in."""

    allowed_origins: Annotated[
        tuple[Origin, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Origins of web pages whose scripts may call (CORS), such as
    https://<client id>.ext-twitch.tv; at most 16. Others are left to their browsers to refuse."""


class ExtensionAppSpec(SpecModel):
    """A Twitch extension: its identity, its secrets, its configuration and its backend."""

    rules: ClassVar = (
        Rule("self.clientId == oldSelf.clientId", "clientId is immutable", ".clientId"),
        Rule(
            "self.secret.targetSecretName == oldSelf.secret.targetSecretName",
            "secret.targetSecretName is immutable: others mount it; delete this ExtensionApp and"
            " make it anew with the other name",
            ".secret.targetSecretName",
        ),
        Rule(
            "self.secret.targetSecretName != self.secret.bootstrapSecretRef.name",
            "secret.targetSecretName must be another Secret than secret.bootstrapSecretRef names:"
            " the operator writes only the Secrets that it made",
            ".secret.targetSecretName",
        ),
    )

    client_id: Annotated[
        str,
        Field(min_length=1, max_length=64),
        Matching(
            r"^[A-Za-z0-9_-]*$",
            "must be the extension's client id, as its console gives it: letters and digits",
        ),
    ]
    """The extension's client id (dev.twitch.tv/console, Extensions). Immutable."""

    owner_id: Annotated[
        str,
        Field(min_length=1, max_length=20),
        Matching(r"^[0-9]*$", 'must be the owner\'s user id: digits in quotes, such as "27419011"'),
    ]
    """Twitch's user id of the extension's owner, in quotes."""

    version: Annotated[
        str,
        Field(min_length=1, max_length=32),
        Matching(
            r"^[A-Za-z0-9._+-]*$",
            "must be a version of the extension as its console has it, such as 1.3.0",
        ),
    ]
    """Version of the extension that is configured."""

    secret: Secrets
    """The extension's shared secret, with which its JWTs are signed."""

    required_configuration: RequiredConfiguration | None = None
    """The mark that Twitch requires of a configured channel, where the console asks for one."""

    configuration: Configuration | None = None
    """Twitch's configuration service, as declared here. All of it is public."""

    gateway: Gateway | None = None
    """The extension's backend service."""

    @model_validator(mode="after")
    def _two_secrets(self) -> Self:
        if self.secret.target_secret_name == self.secret.bootstrap_secret_ref.name:
            raise ValueError(self.rules[2].message)
        return self


SecretState = Literal["Active", "Pending", "Retiring", "Revoked"]


class ExtensionSecret(StatusModel):
    """One shared secret that Twitch knows."""

    fingerprint: Annotated[str, Clip(64)]
    """The first twelve hexadecimal digits of the SHA-256 of its base64 text."""

    active_time: WholeInstant | None = None
    """From when on it counts."""

    expiration_time: WholeInstant | None = None
    """Until when it counts."""

    state: SecretState
    """Active: calls are signed with it. Pending: it is not active yet. Retiring: a newer one is
    active, and it is still good for verifying. Revoked: it verifies nothing any more."""


class SegmentStatus(StatusModel):
    """One configuration segment."""

    segment: Annotated[str, Clip(32)]
    """global, developer or broadcaster; required for the required configuration."""

    channel: Annotated[str, Clip(253)] | None = None
    """Name of the TwitchChannel; none for the global segment."""

    state: Annotated[str, Clip(32)]
    """Synced: Twitch has what is declared. Kept: the broadcaster's own content is left alone.
    Pending: not looked at yet. Failed: see the message."""

    version: Annotated[str, Clip(64)] | None = None
    """Version that Twitch has."""

    message: Annotated[str, Clip(512)] | None = None
    """Why it is not synced."""

    last_set_time: WholeInstant | None = None
    """When the operator last set it."""

    sha256: Annotated[str, Clip(64)] | None = None
    """Of what is declared, when it was last found or set; of the required configuration, when it
    was set."""


class ExtensionAppStatus(ObjectStatus):
    """What the operator found and did; written by the operator alone."""

    secrets: Annotated[tuple[ExtensionSecret, ...], Clip(20)] = ()
    """The shared secrets that Twitch knows, newest first, without the secrets themselves."""

    last_rotation_time: WholeInstant | None = None
    """When the newest secret was made."""

    next_rotation_time: WholeInstant | None = None
    """When the next will be made."""

    last_handled_revoke_at: Annotated[str, Clip(1024)] | None = None
    """Last value of the annotation twitch-operator.dev/revokeRequestedAt that was acted on."""

    helper_tokens_refused_until: WholeInstant | None = None
    """After a revocation: when the new secret becomes active. Until then the gateway refuses the
    JWTs of Twitch's extension helper, which Twitch still signs with a revoked secret."""

    configuration: Annotated[tuple[SegmentStatus, ...], Clip(2 * MAX_CHANNEL_SEGMENTS + 1)] = ()
    """The configuration segments."""


EXTENSION_APP = Kind(
    name="ExtensionApp",
    plural="extensionapps",
    short="extapp",
    description=(
        "An ExtensionApp is one Twitch extension: the operator rotates its shared secret into a"
        " Secret, keeps its configuration segments as declared, and the gateway serves its backend."
    ),
    spec=ExtensionAppSpec,
    status=ExtensionAppStatus,
    columns=(
        Column("READY", '.status.conditions[?(@.type=="Ready")].status'),
        Column("SECRETS", '.status.conditions[?(@.type=="SecretsCurrent")].status'),
        Column("CONFIG", '.status.conditions[?(@.type=="ConfigurationSynced")].status'),
        Column("ROTATED", ".status.lastRotationTime", "date"),
        Column("NEXT-ROTATION", ".status.nextRotationTime"),
        Column("REASON", '.status.conditions[?(@.type=="Ready")].reason'),
        Column("CLIENT-ID", ".spec.clientId", wide=True),
        Column("VERSION", ".spec.version", wide=True),
        Column("GATEWAY", '.status.conditions[?(@.type=="GatewayConfigured")].status', wide=True),
        Column("MESSAGE", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        Column("AGE", ".metadata.creationTimestamp", "date", wide=True),
    ),
    rules=(
        Rule(
            "size(self.metadata.name) <= 63",
            "metadata.name must have at most 63 characters: it becomes a label of the target"
            " Secret",
        ),
    ),
)

EXTENSION = EXTENSION_APP.name
"""The kind's name, as in keys and owner references."""
