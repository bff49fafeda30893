"""How a TwitchChannel comes by its broadcaster's grant."""

from typing import Annotated, ClassVar

from pydantic import Field

from controller.resources.common import SecretKeyReference, SecretReference, SpecModel
from controller.resources.fields import Matching

__all__ = [
    "App",
    "Authorization",
    "AuthorizationCode",
    "DeviceCode",
    "RefreshToken",
    "Scope",
]

Scope = Annotated[
    str,
    Field(max_length=64),
    Matching(
        "^[a-z_]+(:[a-z_]+)*$",
        "must be a scope as Twitch's documentation writes it, such as channel:edit:commercial",
    ),
]


class App(SpecModel):
    """The registered Twitch application with which the operator calls Twitch."""

    secret_ref: SecretReference
    """Secret with the keys client-id and client-secret of the application (dev.twitch.tv/console).
    For a public client, omit client-secret."""


class RefreshToken(SpecModel):
    """A refresh token from an earlier consent of the broadcaster."""

    secret_key_ref: SecretKeyReference
    """Secret and key of the refresh token. The operator reads it once, and again whenever it
    changes, so a new consent goes here. Twitch may replace the token at each use; the operator
    keeps the newest one in the Secret of spec.token."""


class AuthorizationCode(SpecModel):
    """The code that Twitch added to the redirect URI after the consent."""

    secret_key_ref: SecretKeyReference
    """Secret and key of the code. The operator exchanges it once, and again whenever it changes. A
    code is valid for a few minutes. `kubectl twitch authorize` stores it here."""

    redirect_uri: Annotated[
        str,
        Field(max_length=512),
        Matching(
            r"^https?://[^\s/?#@]+(/[^\s#]*)?$",
            "must be the redirect URI that the application registered, letter by letter, such as"
            " http://localhost:3000/auth/twitch/callback",
        ),
    ]
    """Redirect URI that the consent was requested with, exactly as registered for the application
    (dev.twitch.tv/console)."""


class DeviceCode(SpecModel):
    """Needs no input. The status shows an address and a code to type there."""


class Authorization(SpecModel):
    """How the operator obtains the broadcaster's grant."""

    exactly_one_of: ClassVar = ("refresh_token", "authorization_code", "device_code")

    refresh_token: RefreshToken | None = None
    """A refresh token in a Secret. The broadcaster must have granted it to the application of
    spec.app with the scope channel:edit:commercial."""

    authorization_code: AuthorizationCode | None = None
    """An authorization code in a Secret, which the operator exchanges for tokens. The application
    needs a client-secret."""

    device_code: DeviceCode | None = None
    """The broadcaster opens an address on any device and types a code. status.authorization shows
    both, and a new code when one expires. Write {}."""

    @property
    def secret_key_ref(self) -> SecretKeyReference | None:
        """Where the user's input is; None for a device code, which needs none."""
        given = self.refresh_token or self.authorization_code
        return given.secret_key_ref if given is not None else None

    @property
    def way(self) -> str:
        """Name of the way in, as the spec has it, such as refreshToken."""
        return self.aliases(*(n for n in self.exactly_one_of if getattr(self, n) is not None))[0]
