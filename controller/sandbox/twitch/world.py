"""The simulated Twitch as a whole, still without sockets: what a test or a user does to it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.sandbox.twitch.ads import Ads, Commercial
from controller.sandbox.twitch.extension_tokens import helper_token
from controller.sandbox.twitch.extensions import Extension, Extensions
from controller.sandbox.twitch.faults import Fault, FaultPlan
from controller.sandbox.twitch.grants import App, Grants, Tokens
from controller.sandbox.twitch.journal import Journal
from controller.sandbox.twitch.limits import RateLimiter
from controller.sandbox.twitch.logins import Logins
from controller.sandbox.twitch.options import AdHabits, Options
from controller.sandbox.twitch.state import Broadcaster, BroadcasterType, Channels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.sandbox.twitch.wire import Call

__all__ = ["DEFAULT_REDIRECT_URI", "DEFAULT_SCOPES", "Twitch"]

DEFAULT_REDIRECT_URI = "http://localhost:3000/auth/twitch/callback"
DEFAULT_SCOPES = ("channel:edit:commercial", "channel:read:ads")


class Twitch:
    """Apps, broadcasters and what happens to them. Names that do not exist raise `Refusal`.

    Args:
        options: Where the real Twitch was seen to behave in more than one way.
        clock: Gives seconds since the epoch.
        keep: So many calls, and so many commercials, are remembered.

    Attributes:
        options: May be changed at any time, as in `twitch.options.cooldown = 0`.
        faults: What is ordered to go wrong.
        journal: The last calls; iterate over it.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        clock: Callable[[], float] = time.time,
        keep: int = 10_000,
    ) -> None:
        self.options = options or Options()
        self.clock = clock
        self.channels = Channels()
        self.ads = Ads(self.options, keep)
        self.grants = Grants(self.options)
        self.logins = Logins(self.grants)
        self.limits = RateLimiter()
        self.extensions = Extensions(self.options)
        self.faults = FaultPlan()
        self.journal = Journal(keep)
        self.signed_in: str | None = None

    # Apps

    def add_app(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        one_time_refresh_tokens: bool = True,
        redirect_uris: Iterable[str] = (DEFAULT_REDIRECT_URI,),
    ) -> App:
        """Register an app.

        Args:
            client_id: Its public name.
            client_secret: None makes it a public client.
            one_time_refresh_tokens: Each refresh replaces the refresh token, and the old one is
                refused from then on: the harder of the two ways Twitch was seen to work. A public
                client's always are.
            redirect_uris: Where GET /oauth2/authorize may send the browser.
        """
        app = App(client_id, client_secret, one_time_refresh_tokens, tuple(redirect_uris))
        self.grants.add_app(app)
        return app

    def regenerate_client_secret(self, client_id: str) -> str:
        """Give a confidential app another secret, and return it; the old one gets 403."""
        return self.grants.regenerate_secret(self.grants.named_app(client_id))

    # Broadcasters

    def add_broadcaster(
        self,
        login: str,
        *,
        broadcaster_id: str | None = None,
        display_name: str | None = None,
        broadcaster_type: BroadcasterType = "partner",
        live: bool = True,
    ) -> Broadcaster:
        """Add a broadcaster.

        Args:
            login: Unique, kept in lower case.
            broadcaster_id: None: a free one is chosen.
            display_name: None: the login as given.
            broadcaster_type: "" for neither affiliate nor partner.
            live: Begin with a running stream.
        """
        return self.channels.add(
            login, broadcaster_id, display_name, broadcaster_type, live=live, now=self.clock()
        )

    def set_live(self, login: str, live: bool = True) -> None:
        """Begin the broadcaster's stream, or end it."""
        broadcaster, now = self.channels.named(login), self.clock()
        self.ads.catch_up(broadcaster, now)
        self.channels.set_live(broadcaster, now, live=live)

    def set_type(self, login: str, broadcaster_type: BroadcasterType) -> None:
        """Make the broadcaster "partner", "affiliate" or neither ("")."""
        self.channels.set_type(self.channels.named(login), broadcaster_type)

    def rename(self, login: str, new_login: str) -> None:
        """Give the broadcaster another login; id, grants and stream stay."""
        self.channels.rename(self.channels.named(login), new_login)

    def reset_stream_key(self, login: str) -> str:
        """Give the broadcaster another stream key, and return it."""
        broadcaster = self.channels.named(login)
        self.channels.reset_stream_key(broadcaster)
        return broadcaster.stream_key

    # Consent

    def consent(self, login: str, client_id: str, scopes: Iterable[str] = DEFAULT_SCOPES) -> Tokens:
        """The broadcaster agrees to an app, as if in a browser.

        Returns:
            An access token and a refresh token.
        """
        app, broadcaster = self.grants.named_app(client_id), self.channels.named(login)
        return self.grants.consent(app, broadcaster.id, scopes, self.clock())

    def sign_in(self, login: str | None) -> None:
        """Who sits at the browser, and says yes to every app; None: nobody, who says no."""
        self.signed_in = self.channels.named(login).login if login is not None else None

    def approve_device(self, user_code: str, login: str) -> None:
        """The broadcaster types the code that a device shows."""
        self.logins.approve_device(user_code, self.channels.named(login).id, self.clock())

    def deny_device(self, user_code: str) -> None:
        """The broadcaster says no to the code that a device shows."""
        self.logins.deny_device(user_code, self.clock())

    def change_password(self, login: str) -> int:
        """Change the broadcaster's password: all grants die. Returns how many."""
        return self.grants.kill(self.channels.named(login).id)

    def disconnect(self, login: str, client_id: str) -> int:
        """The broadcaster disconnects the app: its grants die. Returns how many."""
        app = self.grants.named_app(client_id)
        return self.grants.kill(self.channels.named(login).id, app)

    def expire_access_tokens(self, login: str | None = None, client_id: str | None = None) -> int:
        """End access tokens before their time: of one broadcaster or all, of one app or all.

        Returns:
            How many ended.
        """
        user_id = None if login is None else self.channels.named(login).id
        app = None if client_id is None else self.grants.named_app(client_id)
        return self.grants.expire(user_id, app)

    # Extensions

    def add_extension(self, client_id: str, owner_id: str, secret: str | None = None) -> Extension:
        """Add an extension, as its console does.

        Args:
            client_id: Its client id.
            owner_id: User id of its owner.
            secret: Its first shared secret, base64 text; None: a new one.

        Returns:
            What Twitch holds of it; `secrets[0].content` is what its console shows.
        """
        return self.extensions.add(client_id, owner_id, secret, self.clock())

    def helper_token(  # noqa: PLR0913 - the claims of such a token
        self,
        client_id: str,
        channel_id: str,
        role: str = "broadcaster",
        *,
        user_id: str | None = None,
        opaque_user_id: str | None = None,
        lifetime: float = 3600,
        is_unlinked: bool | None = None,
    ) -> str:
        """A JWT as Twitch's extension helper hands it to the front end of a viewer.

        Args:
            client_id: Of the extension.
            channel_id: Where the viewer is.
            role: broadcaster, moderator, viewer or external.
            user_id: Of a viewer who shares their identity.
            opaque_user_id: None: made of the user id.
            lifetime: Seconds; negative: it has expired.
            is_unlinked: None: whether there is no user id.
        """
        now = self.clock()
        claims: dict[str, object] = {
            "exp": int(now + lifetime),
            "opaque_user_id": opaque_user_id or f"U{user_id or 'ABCDEFG'}",
            "channel_id": channel_id,
            "role": role,
            "is_unlinked": user_id is None if is_unlinked is None else is_unlinked,
            "pubsub_perms": {"listen": ["broadcast", "global"]},
        }
        claims |= {"user_id": user_id} if user_id is not None else {}
        return helper_token(self.extensions.named(client_id), claims, now)

    # Ads

    def start_ad(self, login: str, length: int) -> Commercial:
        """Run an ad by hand, as the broadcaster can: it moves the cooldown and `last_ad_at`."""
        return self.ads.run_by_hand(self.channels.named(login), length, self.clock())

    def schedule_ad(
        self,
        login: str,
        next_ad_at: float | None,
        *,
        duration: int = 60,
        snooze_count: int = 3,
        snooze_refresh_at: float | None = None,
        preroll_free_time: int | None = None,
    ) -> None:
        """Plan the next ad, as the ads manager does: when its time comes it runs by itself.

        It runs cooldown or not, and moves the cooldown; off air, the plan lapses.

        Args:
            login: On whose channel.
            next_ad_at: Seconds since the epoch; None: nothing planned.
            duration: Seconds that it runs.
            snooze_count: What GET /channels/ads tells of that.
            snooze_refresh_at: The same; None: none due.
            preroll_free_time: The same, in seconds; None: what the last ad earned.
        """
        broadcaster = self.channels.named(login)
        self.ads.catch_up(broadcaster, self.clock())
        broadcaster.next_ad = next_ad_at
        broadcaster.next_ad_length = duration if next_ad_at is not None else 0
        broadcaster.snooze_count, broadcaster.snooze_refresh = snooze_count, snooze_refresh_at
        broadcaster.preroll_free = preroll_free_time

    def set_ad_habits(self, login: str, habits: AdHabits) -> None:
        """Let commercials of one broadcaster go otherwise: what is set counts, not the options.

        Without anything set, the options count again.
        """
        self.channels.named(login).ad_habits = habits.model_dump(exclude_unset=True)

    def exhaust_points(self, login: str, seconds: float, client_id: str | None = None) -> float:
        """Refuse the broadcaster's Helix calls, of one app or of all, as if no point was left.

        Returns:
            When that ends; it is told as Ratelimit-Reset.
        """
        broadcaster, until = self.channels.named(login), self.clock() + seconds
        apps = [self.grants.named_app(client_id)] if client_id else self.grants.apps()
        for app in apps:
            self.limits.exhaust((app.client_id, broadcaster.id), until)
        return until

    def starts(self, login: str) -> int:
        """How many commercials ran on the channel because a client asked for them."""
        return self.channels.named(login).starts

    @property
    def commercials(self) -> list[Commercial]:
        """The commercials that Twitch took or ran, oldest first."""
        now = self.clock()
        for broadcaster in self.channels.all():
            self.ads.catch_up(broadcaster, now)
        return sorted(self.ads.commercials, key=lambda one: one.start)

    # Faults and calls

    def order_fault(self, fault: Fault) -> int:
        """Let something go wrong.

        Returns:
            An id for `clear_faults`.
        """
        if fault.login is not None:
            self.channels.named(fault.login)
        return self.faults.order(fault)

    def clear_faults(self, fault_id: int | None = None) -> int:
        """Take back one fault, or all. Returns how many there were."""
        return self.faults.clear(fault_id)

    def calls(self, method: str = "", path: str = "", login: str = "") -> list[Call]:
        """The remembered calls with this method, path and broadcaster; "" stands for any."""
        return self.journal.find(method, path, login)

    def browser_user(self, login: str) -> Broadcaster | None:
        """Who says yes in a browser: the one named, else the one signed in, else nobody."""
        return self.channels.by_login(login or self.signed_in or "")
