"""Apps, consents and tokens: Twitch's side of OAuth as a state machine, without I/O or clock.

consent ──▶ Grant ──refresh──▶ access token, and (one-time) the next refresh token
              └─ password changed, app disconnected ──▶ dead: 401 for good
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.sandbox.twitch.options import Options

__all__ = ["Access", "App", "Grant", "Grants", "Tokens"]

_ACCESS_TOKENS_PER_GRANT = 50  # Twitch forgets the oldest beyond that


@dataclass(slots=True)
class App:
    """A registered application.

    Attributes:
        client_id: Its public name.
        secret: None for a public client.
        one_time_refresh_tokens: Each refresh replaces the refresh token; always so for a public
            client.
        redirect_uris: Where an authorization code may be sent.
    """

    client_id: str
    secret: str | None = field(repr=False)
    one_time_refresh_tokens: bool
    redirect_uris: tuple[str, ...]


@dataclass(slots=True)
class Grant:
    """One consent of a user to an app; for an app's own tokens `user_id` is "".

    Attributes:
        app: To whom it was given.
        user_id: By whom.
        scopes: For what, in the order asked for.
        refresh_token: The one that is good now.
        dead: The password was changed, the app disconnected, or the code used twice.
        access_tokens: The living and the expired, oldest first.
    """

    app: App
    user_id: str
    scopes: tuple[str, ...]
    refresh_token: str = field(default="", repr=False)
    dead: bool = False
    access_tokens: deque[str] = field(default_factory=deque, repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """What an access token stands for: its grant, and when it expires (seconds since the epoch)."""

    grant: Grant
    expires: float


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client gets.

    Attributes:
        access_token: For Helix.
        refresh_token: For the next one; "" for an app token.
        expires_in: Seconds that the access token lives.
        scopes: What the user consented to.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scopes: tuple[str, ...]


class Grants:
    """Everything that may call in somebody's name.

    Attributes:
        options: Lifetimes; read at each call.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._apps: dict[str, App] = {}
        self._app_grants: dict[str, Grant] = {}
        self._user_grants: list[Grant] = []
        self._by_refresh: dict[str, Grant] = {}
        self._by_access: dict[str, Access] = {}

    def add_app(self, app: App) -> None:
        """Register an app.

        Raises:
            Refusal: 409, the client id is taken.
        """
        if app.client_id in self._apps:
            raise Refusal(409, f"client id {app.client_id!r} is taken: choose another")
        self._apps[app.client_id] = app
        self._app_grants[app.client_id] = Grant(app, "", ())

    def apps(self) -> list[App]:
        """Every app, in the order they came."""
        return list(self._apps.values())

    def app(self, client_id: str) -> App | None:
        """The app of this client id, if there is one."""
        return self._apps.get(client_id)

    def named_app(self, client_id: str) -> App:
        """The app of this client id.

        Raises:
            Refusal: 404, there is none.
        """
        app = self._apps.get(client_id)
        if app is None:
            raise Refusal(404, f"no app {client_id!r}: add it first (POST /_sandbox/apps)")
        return app

    def regenerate_secret(self, app: App) -> str:
        """Give the app another secret; tokens live on, refreshing needs the new one.

        Raises:
            Refusal: 400, a public client has none.
        """
        if app.secret is None:
            raise Refusal(400, f"{app.client_id} is a public client: it has no secret")
        app.secret = _random(30)
        return app.secret

    def consent(self, app: App, user_id: str, scopes: Iterable[str], now: float) -> Tokens:
        """The user agrees: a new grant beside those the app may have already."""
        return self.issue(self.agree(app, user_id, scopes), now)

    def agree(self, app: App, user_id: str, scopes: Iterable[str]) -> Grant:
        """A new grant, of which no token was handed out yet."""
        grant = Grant(app, user_id, tuple(dict.fromkeys(scopes)))
        self._user_grants.append(grant)
        self._renew_refresh_token(grant)
        return grant

    def issue(self, grant: Grant, now: float) -> Tokens:
        """The grant's refresh token, and another access token."""
        return self._issue(grant, self.options.token_lifetime, now)

    def app_token(self, app: App, now: float) -> Tokens:
        """A token of the app itself."""
        grant = self._app_grants[app.client_id]
        return self._issue(grant, self.options.app_token_lifetime, now)

    def refresh(self, app: App, refresh_token: str, now: float) -> Tokens:
        """Trade a refresh token for an access token.

        Raises:
            Refusal: 400, the token is unknown, used up or another app's; 401 (or 400, see
                `Options.dead_grant`), its grant is dead.
        """
        grant = self._by_refresh.get(refresh_token)
        if grant is None or grant.app is not app:
            raise Refusal(400, "Invalid refresh token")
        if grant.dead:
            told = self.options.dead_grant
            raise Refusal(400 if told == "Invalid grant" else 401, told)
        if app.secret is None or app.one_time_refresh_tokens:
            del self._by_refresh[refresh_token]
            self._renew_refresh_token(grant)
        return self.issue(grant, now)

    def access(self, access_token: str, now: float) -> Access | None:
        """What a living access token stands for; None for a dead or unknown one."""
        access = self._by_access.get(access_token)
        return access if access is not None and now < access.expires else None

    def owner(self, token: str) -> str:
        """User id behind an access or a refresh token, expired ones included; else ""."""
        access = self._by_access.get(token)
        grant = access.grant if access else self._by_refresh.get(token)
        return grant.user_id if grant else ""

    def has_consent(self, app: App, user_id: str, scope: str) -> bool:
        """Whether the user has given this scope to the app, by whatever living grant."""
        return any(
            grant.app is app and grant.user_id == user_id and scope in grant.scopes
            for grant in self._user_grants
        )

    def revoke(self, app: App, access_token: str, now: float) -> None:
        """End one access token; its grant stays, and can be refreshed.

        Raises:
            Refusal: 400, the token is not a living one of this app.
        """
        access = self.access(access_token, now)
        if access is None or access.grant.app is not app:
            raise Refusal(400, "Invalid token")
        del self._by_access[access_token]
        access.grant.access_tokens.remove(access_token)

    def kill(self, user_id: str, app: App | None = None) -> int:
        """End the user's grants, for one app or all, with every token.

        Returns:
            How many there were.
        """
        dying = self._chosen(user_id, app)
        self.end(*dying)
        return len(dying)

    def end(self, *dying: Grant) -> None:
        """End grants with every token; those that are dead stay so."""
        for grant in dying:
            grant.dead = True
            self._forget_access_tokens(grant)
        self._user_grants = [grant for grant in self._user_grants if not grant.dead]

    def expire(self, user_id: str | None = None, app: App | None = None) -> int:
        """End access tokens early; their refresh tokens stay good.

        Args:
            user_id: Of one user; None: of all, the apps' own included.
            app: Of one app; None: of all.

        Returns:
            How many access tokens ended.
        """
        own = list(self._app_grants.values()) if user_id is None else []
        chosen = self._chosen(user_id, app) + [g for g in own if app in (None, g.app)]
        return sum(self._forget_access_tokens(grant) for grant in chosen)

    def _chosen(self, user_id: str | None, app: App | None) -> list[Grant]:
        return [
            grant
            for grant in self._user_grants
            if user_id in (None, grant.user_id) and (app is None or grant.app is app)
        ]

    def _renew_refresh_token(self, grant: Grant) -> None:
        grant.refresh_token = _random(50)
        self._by_refresh[grant.refresh_token] = grant

    def _issue(self, grant: Grant, lifetime: int, now: float) -> Tokens:
        token = _random(30)
        self._by_access[token] = Access(grant, now + lifetime)
        grant.access_tokens.append(token)
        if len(grant.access_tokens) > _ACCESS_TOKENS_PER_GRANT:
            del self._by_access[grant.access_tokens.popleft()]
        return Tokens(token, grant.refresh_token, lifetime, grant.scopes)

    def _forget_access_tokens(self, grant: Grant) -> int:
        count = len(grant.access_tokens)
        for token in grant.access_tokens:
            del self._by_access[token]
        grant.access_tokens.clear()
        return count


def _random(length: int) -> str:
    return secrets.token_hex((length + 1) // 2)[:length]
