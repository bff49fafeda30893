"""What is known about a channel's grant, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.policies.problems import Blocked
    from controller.sensitive import Sensitive

__all__ = ["Consent", "Device", "Grant", "GrantFacts", "Holding", "Input", "Known", "RevokedGrant"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens of a channel.

    Attributes:
        access: Access token.
        refresh: Refresh token; a public client's works once.
        expires_at: When the access token ends.
        lifetime: Seconds it was given for; 0 where that is not known.
        scopes: What the broadcaster consented to; None: not known before the first validation.
    """

    access: Sensitive
    refresh: Sensitive
    expires_at: float
    lifetime: float
    scopes: tuple[str, ...] | None

    def expired(self, now: float) -> bool:
        """Whether the access token's time is over."""
        return now >= self.expires_at

    def without_access(self) -> Grant:
        """The same grant, its access token known to be refused."""
        return replace(self, expires_at=0.0)


@dataclass(frozen=True, slots=True)
class Device:
    """A device code that the broadcaster has not answered yet.

    Attributes:
        code: What the tokens are asked for with.
        user_code: What the broadcaster types.
        verification_uri: Where.
        expires_at: When it runs out.
        interval: Seconds between two polls, at least.
        client_id: Application that it was made for.
        scopes: What it asks for.
    """

    code: Sensitive
    user_code: str
    verification_uri: str
    expires_at: float
    interval: float
    client_id: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holding:
    """What the token Secret keeps.

    Attributes:
        grant: The tokens; None: none (any more).
        device: A consent under way.
        input_sha256: Fingerprint of the input that the grant came from; it is not taken again.
        revoke_request: Value of the last wish to end the grant that was carried out.
    """

    grant: Grant | None = None
    device: Device | None = None
    input_sha256: str = ""
    revoke_request: str = ""

    def without_access(self) -> Holding:
        """The same, the access token known to be refused."""
        return self if self.grant is None else replace(self, grant=self.grant.without_access())


@dataclass(frozen=True, slots=True)
class Consent:
    """Where a consent comes from: for messages, and for a device code.

    Attributes:
        way: As the spec has it: refreshToken, authorizationCode or deviceCode.
        command: What to run for a new consent.
        scopes: What a new consent is asked for.
        client_id: Of the application; "": not known.
        login: Whose it must be; None: anybody's.
    """

    way: str
    command: str
    scopes: tuple[str, ...]
    client_id: str = ""
    login: str | None = None

    @property
    def by_device(self) -> bool:
        """Whether the operator itself asks for it, by a code to type."""
        return self.way == "deviceCode"


@dataclass(frozen=True, slots=True)
class Input:
    """A refresh token or an authorization code that the user gave.

    Attributes:
        credential: The token or the code.
        redirect_uri: That of the code's consent; None: it is a refresh token.
    """

    credential: Sensitive
    redirect_uri: str | None = None

    @property
    def sha256(self) -> str:
        """What the token Secret remembers it by."""
        return self.credential.sha256()

    @property
    def key(self) -> tuple[str, str | None]:
        """What a refusal holds for: a code may be refused for its redirect URI."""
        return self.sha256, self.redirect_uri


@dataclass(frozen=True, slots=True)
class Known:
    """The broadcaster who was found under `spec.login`: from then on the id says who it is.

    Attributes:
        id: Twitch's id of the user.
        login: The `spec.login` of then.
    """

    id: str
    login: str


@dataclass(frozen=True, slots=True)
class RevokedGrant:
    """Twitch refused to refresh the grant, for good.

    Attributes:
        told: Its words.
        since: When.
    """

    told: str
    since: float


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """What is known about a grant.

    Attributes:
        consent: Where a new one comes from.
        blocked: Why the token Secret cannot be used; None: it can.
        no_app: Why the application's Secret cannot be used; None: it can.
        rejected: Twitch refuses the application: with it nothing can be fetched or refreshed.
        given: What the user gave; Blocked: why it cannot be read; None: a device code needs none.
        refusals: What Twitch refused, and why.
        holding: What is in hand.
        unsaved: It is newer than the token Secret.
        dead: Twitch will not refresh the grant.
        validated_at: When this process last validated the access token; None: not yet.
        login: Of the grant's user; None: not known.
        renamed: That user is the wanted one all the same: the login was changed.
        revoke_request: Value of the wish to end the grant; "": none was told.
        asked: A human asked for a new consent.
        polled_at: When Twitch was last asked about the device code, or first could have been.
        slower: Seconds that Twitch wants added to the device code's interval.
        jitter: 0..1, steady for the channel.
    """

    consent: Consent
    given: Input | Blocked | None
    holding: Holding
    unsaved: bool
    validated_at: float | None
    jitter: float
    blocked: Blocked | None = None
    no_app: Blocked | None = None
    rejected: Blocked | None = None
    refusals: Mapping[tuple[str, str | None], Blocked] = field(default_factory=dict)
    dead: RevokedGrant | None = None
    login: str | None = None
    renamed: bool = False
    revoke_request: str = ""
    asked: bool = False
    polled_at: float = 0.0
    slower: float = 0.0
