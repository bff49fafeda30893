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
    """When the operator replaces the shared secret."""

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
    """Time between the activations of two secrets, minus up to a tenth that spreads rotations: a
    duration from 10s to 8760h, such as 720h."""

    activation_delay: Annotated[float, Duration("1s", "45m")] = 600.0
    """Time between the creation of a secret and its first use by Twitch: a duration from the
    operator's setting MIN_ACTIVATION_DELAY (Twitch accepts at least 300s) to 45m. Twitch retires
    the former secret within one hour of the creation; the rest of that hour is for consumers that
    still sign with it."""

    @model_validator(mode="after")
    def _has_time(self) -> Self:
        if self.interval < 2 * self.activation_delay:
            raise ValueError(self.rules[0].message)
        return self


class Secrets(SpecModel):
    """The extension's shared secret, which signs its JWTs."""

    bootstrap_secret_ref: SecretKeyReference
    """Secret and key of a valid shared secret from the console (dev.twitch.tv/console, Extension
    Settings), as a base64 string. The operator uses it at first, and if all others are lost."""

    target_secret_name: ObjectName
    """Secret that the operator writes: current (sign with it), next and previous, each a base64
    string as Twitch returns it, and secrets.json with all secrets for verification. Immutable."""

    rotation: Rotation = Rotation()
    """When the operator replaces the shared secret."""

    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the target Secret is kept (Retain) or deleted (Delete) together with this object."""


class RequiredConfiguration(SpecModel):
    """String that a channel needs before its broadcaster can activate the extension, set by API.

    You choose one of two modes in the extension's console. In this one, a channel counts as
    configured once the API has set the string from the console. In the other, the versions of the
    segments count (configuration.*.version): omit this field.
    """

    value: Annotated[str, Field(min_length=1, max_length=64)]
    """The string that the console has as required configuration of spec.version."""


class Segment(SpecModel):
    """Content of a configuration segment. Everyone who opens the extension can read it."""

    version: ContentVersion = ""
    """Version of the content, which the extension helper passes to the front end."""

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
    """A string, often JSON; at most 5,120 bytes of UTF-8. It is public: store no secrets here."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.content.encode("utf-8", "replace")) > MAX_CONTENT:
            msg = f"content {_FITS}"
            raise ValueError(msg)
        return self


class ChannelSegment(Segment):
    """A segment of one channel."""

    channel_ref: ChannelReference
    """The TwitchChannel of the broadcaster."""

    segment: Literal["developer", "broadcaster"]
    """developer: data of the developer for the channel. broadcaster: data that the broadcaster may
    change on the extension's configuration page."""

    policy: Literal["Enforce", "IfAbsent"] | None = None
    """Enforce sets the segment whenever Twitch has other content. IfAbsent sets it only if Twitch
    has none. The default is IfAbsent for a broadcaster segment, to keep the broadcaster's own
    choice, and Enforce for a developer segment."""

    @property
    def enforced(self) -> bool:
        """Whether it is set where Twitch has something else."""
        return (self.policy or _POLICIES[self.segment]) == "Enforce"


_POLICIES = {"developer": "Enforce", "broadcaster": "IfAbsent"}


class Configuration(SpecModel):
    """Content of Twitch's configuration service. All of it is public."""

    rules: ClassVar = (
        Rule(
            "!has(self.channels) || self.channels.all(one, self.channels.exists_one(other,"
            " other.channelRef.name == one.channelRef.name && other.segment == one.segment))",
            "channels has a segment of a channel twice: remove one",
            ".channels",
        ),
    )

    global_: Segment | None = None
    """The segment for all channels."""

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
    """Provider that validates the bearer tokens of /send/."""

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
    """Introspection endpoint (RFC 7662). It must be https at a public address, or at a host of the
    operator's setting ALLOWED_FETCH_HOSTS."""

    secret_ref: SecretReference | None = None
    """Secret with the keys client-id and client-secret for the introspection endpoint. The gateway
    sends it only to the host in the Secret's annotation twitch-operator.dev/allowed-host:
    <host>."""

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
    """Issuer of the tokens, which are JWTs. The gateway finds its keys by OpenID Connect
    discovery."""

    audience: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Required value of the tokens' claim aud. Without it, the gateway accepts any token of the
    issuer, including those for other services."""

    channels_claim: Annotated[str, Field(min_length=1, max_length=128)] = "twitch_channels"
    """Claim of the token that lists the ids of the channels that its account is linked to."""

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
    """Whether the gateway serves this extension."""

    oauth: OAuth | None = None
    """Provider that validates the bearer tokens of /send/. Without it, /send/ rejects all
    requests."""

    allowed_origins: Annotated[
        tuple[Origin, ...],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Origins of web pages whose scripts may read the answers (CORS), such as https://<client
    id>.ext-twitch.tv; at most 16."""


class ExtensionAppSpec(SpecModel):
    """A Twitch extension: its identity, its secrets, its configuration and its backend."""

    rules: ClassVar = (
        Rule("self.clientId == oldSelf.clientId", "clientId is immutable", ".clientId"),
        Rule(
            "self.secret.targetSecretName == oldSelf.secret.targetSecretName",
            "secret.targetSecretName is immutable: others mount it; delete this ExtensionApp and"
            " recreate it with the other name",
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
    """Version of the extension to configure."""

    secret: Secrets
    """The extension's shared secret, which signs its JWTs."""

    required_configuration: RequiredConfiguration | None = None
    """String that Twitch requires of a configured channel, if the console asks for one."""

    configuration: Configuration | None = None
    """Content of Twitch's configuration service. All of it is public."""

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
    """The first twelve hexadecimal digits of the SHA-256 of its base64 string."""

    active_time: WholeInstant | None = None
    """Start of its validity."""

    expiration_time: WholeInstant | None = None
    """End of its validity."""

    state: SecretState
    """Active: it signs calls. Pending: it is not active yet. Retiring: a newer one is active, and
    this one still verifies. Revoked: it no longer verifies."""


class SegmentStatus(StatusModel):
    """One configuration segment."""

    segment: Annotated[str, Clip(32)]
    """global, developer or broadcaster; required for the required configuration."""

    channel: Annotated[str, Clip(253)] | None = None
    """Name of the TwitchChannel; absent for the global segment."""

    state: Annotated[str, Clip(32)]
    """Synced: Twitch has the declared content. Kept: the operator keeps the broadcaster's own
    content. Pending: not checked yet. Failed: see the message."""

    version: Annotated[str, Clip(64)] | None = None
    """Version that Twitch has."""

    message: Annotated[str, Clip(512)] | None = None
    """Why it is not Synced."""

    last_set_time: WholeInstant | None = None
    """When the operator last set it."""

    sha256: Annotated[str, Clip(64)] | None = None
    """Hash of the declared content when it was last found or set; for the required configuration,
    when it was set."""


class ExtensionAppStatus(ObjectStatus):
    """Observed state. Only the operator writes it."""

    secrets: Annotated[tuple[ExtensionSecret, ...], Clip(20)] = ()
    """The shared secrets that Twitch knows, newest first, by fingerprint."""

    last_rotation_time: WholeInstant | None = None
    """When the newest secret was created."""

    next_rotation_time: WholeInstant | None = None
    """When the operator creates the next secret."""

    last_handled_revoke_at: Annotated[str, Clip(1024)] | None = None
    """Last value of the annotation twitch-operator.dev/revokeRequestedAt that the operator
    handled."""

    helper_tokens_refused_until: WholeInstant | None = None
    """After a revocation: when the new secret becomes active. Until then the gateway rejects the
    JWTs of Twitch's extension helper, because Twitch signs them with a revoked secret."""

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
