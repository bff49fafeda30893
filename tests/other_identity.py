"""How the other Twitch (see `other_twitch`) keeps apps, consents, codes and tokens; no sockets."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["CALLBACK", "Grant", "OtherIdentity", "Refused", "Tokens"]

CALLBACK = "http://localhost:3000/auth/twitch/callback"


@dataclass(frozen=True)
class Tokens:
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(eq=False)
class App:
    client_id: str
    secret: str | None
    redirect_uris: tuple[str, ...]


@dataclass(eq=False)
class User:
    id: str
    login: str
    type: str = "partner"
    live: bool = True
    last_ad: float = 0.0
    stream_key: str = field(default_factory=lambda: secrets.token_hex(12), repr=False)


@dataclass(eq=False)
class Grant:
    app: App
    user: User
    scopes: tuple[str, ...]
    alive: bool = True


@dataclass(eq=False)
class Offer:
    """A code, for a browser or a device: whoever brings it back gets the tokens."""

    app: App
    scopes: tuple[str, ...]
    expires: float
    user: User | None = None
    redirect_uri: str = ""
    user_code: str = ""
    denied: bool = False
    next_poll: float = 0.0
    interval: float = 5.0


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class OtherIdentity:
    """Whom it knows, and what it gave them; lifetimes in seconds, for what comes after.

    Args:
        rotates: A refresh gives a confidential client, too, another refresh token and takes the
            old one; False: it keeps the one it has, and is not told it again.
    """

    def __init__(self, *, rotates: bool = True) -> None:
        self.rotates = rotates
        self.clock: Callable[[], float] = time.time
        self.token_lifetime, self.code_lifetime, self.device_lifetime = 14_400.0, 300.0, 900.0
        self.signed_in: str | None = None
        self._apps: dict[str, App] = {}
        self._users: dict[str, User] = {}
        self._access: dict[str, tuple[Grant, float]] = {}
        self._refresh: dict[str, Grant] = {}
        self._offers: dict[str, Offer] = {}
        self._answers = 0

    # What people do

    def add_app(
        self, client_id: str, secret: str | None = None, redirect_uris: Iterable[str] = (CALLBACK,)
    ) -> None:
        self._apps[client_id] = App(client_id, secret, tuple(redirect_uris))

    def regenerate_secret(self, client_id: str) -> str:
        self._apps[client_id].secret = secret = secrets.token_hex(20)
        return secret

    def add_broadcaster(self, login: str, *, type: str = "partner", live: bool = True) -> str:  # noqa: A002 - Twitch's name
        """Returns the id."""
        self._users[login] = User(str(9_000_000 + len(self._users)), login, type, live)
        return self._users[login].id

    def set_live(self, login: str, *, live: bool) -> None:
        self._users[login].live = live

    def consent(self, login: str, client_id: str, scopes: Iterable[str]) -> Tokens:
        return self._grant(self._apps[client_id], self._users[login], tuple(scopes))

    def code(
        self, login: str, client_id: str, scopes: Iterable[str], redirect_uri: str = CALLBACK
    ) -> str:
        """What the browser comes back with when the broadcaster agrees."""
        offer = Offer(
            self._apps[client_id], tuple(scopes), self.clock() + self.code_lifetime,
            self._users[login], redirect_uri,
        )  # fmt: skip
        return self._offered(offer)

    def approve(self, user_code: str, login: str) -> None:
        self._typed(user_code).user = self._users[login]

    def deny(self, user_code: str) -> None:
        self._typed(user_code).denied = True

    def change_password(self, login: str) -> None:
        for grant in {*self._refresh.values(), *(grant for grant, _ in self._access.values())}:
            if grant.user.login == login:
                grant.alive = False

    def expire_access_tokens(self) -> None:
        self._access.clear()

    def _typed(self, user_code: str) -> Offer:
        return next(offer for offer in self._offers.values() if offer.user_code == user_code)

    def _offered(self, offer: Offer) -> str:
        code = secrets.token_urlsafe(24)
        self._offers[code] = offer
        return code

    def _grant(self, app: App, user: User, scopes: tuple[str, ...]) -> Tokens:
        grant, refresh_token = Grant(app, user, scopes), secrets.token_urlsafe(36)
        self._refresh[refresh_token] = grant
        return Tokens(self._access_token(grant), refresh_token)

    def _access_token(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(24)
        self._access[token] = grant, self.clock() + self.token_lifetime
        return token

    # What it answers

    def whose(self, form: Mapping[str, str]) -> str:
        """The login that a call of /token is about; "" where nobody can say."""
        offer = self._offers.get(form.get("code") or form.get("device_code") or "")
        found = offer or self._refresh.get(form.get("refresh_token", ""))
        return found.user.login if found is not None and found.user is not None else ""

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        app = self._app(form)
        kind = form.get("grant_type", "").rpartition(":")[2]
        if kind != "device_code":
            self._check_secret(app, form, kind)
        self._answers += 1
        lifetime = {"expires_in": self.token_lifetime} if self._answers % 2 else {}
        return self._tokens(kind, app, form) | {"token_type": "Bearer"} | lifetime

    def _tokens(self, kind: str, app: App, form: Mapping[str, str]) -> dict[str, Any]:
        if kind == "refresh_token":
            return self._refreshed(app, form.get("refresh_token", ""))
        if kind == "authorization_code":
            offer = self._take_code(app, form)
            scope: object = " ".join(offer.scopes)
        elif kind == "device_code":
            offer = self._take_device(app, form.get("device_code", ""))
            scope = [*reversed(offer.scopes)]
        else:
            raise Refused(400, "Unsupported grant")
        if offer.user is None:
            raise Refused(500, "nobody agreed")
        return {"scope": scope, **vars(self._grant(app, offer.user, offer.scopes))}

    def _refreshed(self, app: App, token: str) -> dict[str, Any]:
        grant = self._refresh.get(token)
        if grant is None or grant.app is not app:
            raise Refused(401, "INVALID REFRESH TOKEN")
        if not grant.alive:
            raise Refused(401, "Gone: the user took the permission back")
        access = {"access_token": self._access_token(grant)}
        if app.secret is not None and not self.rotates:
            return access
        renewed = secrets.token_urlsafe(36)
        self._refresh[renewed] = self._refresh.pop(token)
        return {"refresh_token": renewed, **access}

    def _take_code(self, app: App, form: Mapping[str, str]) -> Offer:
        code = form.get("code", "")
        offer = self._offers.get(code)
        if offer is None or offer.user_code or offer.app is not app or self._late(offer):
            raise Refused(400, "The Authorization Code is Invalid")
        if form.get("redirect_uri") != offer.redirect_uri:
            raise Refused(400, "Redirect URI Mismatch")
        return self._offers.pop(code)

    def _take_device(self, app: App, code: str) -> Offer:
        offer, now = self._offers.get(code), self.clock()
        if offer is None or not offer.user_code or offer.app is not app:
            raise Refused(400, "Unknown Device Code")
        if self._late(offer):
            raise Refused(400, "expired_token: this device code was shown for too long")
        if offer.denied:
            raise Refused(400, "No tokens for this device code: access_denied")
        if offer.user is not None:
            return self._offers.pop(code)
        hasty, offer.next_poll = now < offer.next_poll, now + offer.interval - 0.5
        if hasty:
            offer.interval += 5
            raise Refused(400, "The device code is asked about too often: SLOW_DOWN")
        raise Refused(400, "Nobody typed it in yet (authorization_pending), this device code")

    def _late(self, offer: Offer) -> bool:
        return self.clock() >= offer.expires

    def device(self, form: Mapping[str, str]) -> dict[str, Any]:
        scopes, user_code = tuple(form.get("scopes", "").split()), secrets.token_hex(3).upper()
        expires = self.clock() + self.device_lifetime
        code = self._offered(Offer(self._app(form), scopes, expires, user_code=user_code))
        # Without `interval`, which RFC 8628 makes 5 seconds.
        where = f"https://www.twitch.example/activate?public=true&device-code={user_code}"
        told = {"verification_uri": where, "user_code": user_code, "device_code": code}
        return told | {"expires_in": self.device_lifetime}

    def revoke(self, form: Mapping[str, str]) -> None:
        if form.get("client_id") not in self._apps:
            raise Refused(404, "Unknown application")
        token = form.get("token", "")
        grant = self._refresh.get(token) or self._access.get(token, (None, 0))[0]
        if grant is None or not grant.alive or grant.app.client_id != form["client_id"]:
            raise Refused(400, "Bad Token")
        grant.alive = False  # the whole of it, as RFC 7009 lets a server do

    def validate(self, authorization: str) -> dict[str, Any]:
        grant, expires = self.living(authorization, "oauth")
        scopes = list(grant.scopes) or None
        who = {"user_id": grant.user.id, "login": grant.user.login, "scopes": scopes}
        return {"expires_in": expires - self.clock(), **who, "client_id": grant.app.client_id}

    def living(self, authorization: str, scheme: str) -> tuple[Grant, float]:
        """The grant behind a header's access token, and when the token expires."""
        given, _, token = authorization.partition(" ")
        grant, expires = self._access.get(token, (None, 0.0))
        alive = grant is not None and grant.alive and self.clock() < expires
        if grant is None or not alive or given.lower() != scheme:
            raise Refused(401, "This token is not, or no longer, valid")
        return grant, expires

    def authorize(self, query: Mapping[str, str]) -> str:
        """Where the browser is sent back to; `signed_in` sits at it, and agrees."""
        user = self._users.get(self.signed_in or "")
        app, back = self._apps.get(query.get("client_id", "")), query.get("redirect_uri", "")
        if app is None or back not in app.redirect_uris:
            raise Refused(400, "No such application, or none with that address")
        scopes = query.get("scope", "")
        result = {"error_description": "The user said no", "error": "access_denied"}
        if user is not None:
            code = self.code(user.login, app.client_id, scopes.split(), back)
            result = {"scope": scopes, "code": code}
        return f"{back}?{urlencode({'state': query.get('state', '')} | result)}"

    def _app(self, form: Mapping[str, str]) -> App:
        app = self._apps.get(form.get("client_id", ""))
        if app is None:
            raise Refused(401, "Invalid Client")  # RFC 6749, section 5.2
        return app

    def _check_secret(self, app: App, form: Mapping[str, str], kind: str) -> None:
        given = form.get("client_secret", "")
        if not given and (app.secret is not None or kind != "refresh_token"):
            raise Refused(400, "Missing Client Secret")
        if given and given != app.secret:
            raise Refused(403, "Invalid Client Secret")
