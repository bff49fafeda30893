"""Broadcasters and their streams: a state machine without I/O or clock.

Instants are seconds since the epoch, lengths whole seconds.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from controller.sandbox.twitch.wire import Refusal

__all__ = ["Broadcaster", "BroadcasterType", "Channels"]

BroadcasterType = Literal["", "affiliate", "partner"]

PREROLL_FREE_PER_AD_SECOND = 20  # 30 s of ads buy 10 minutes without pre-rolls
_FIRST_ID = 700_000_000


@dataclass(slots=True)
class Broadcaster:
    """A broadcaster and what Twitch knows of the channel.

    Attributes:
        id: The user id, for good.
        login: Lower case; may be renamed.
        display_name: As it is shown.
        type: "" (commercials do nothing), `affiliate` or `partner`.
        created: When the account was made.
        stream_key: What an encoder streams with; whoever has it can.
        live_since: When the stream began; None while off air.
        stream_id: Of the running stream.
        eligible: From when on Twitch takes the next commercial.
        last_ad: When the last ad began that is told of; None before the first.
        last_ad_length: How long that one ran.
        next_ad: When the ads manager plans the next one; None for no plan.
        next_ad_length: How long that one would run.
        snooze_count: How often it may still be put off.
        snooze_refresh: When one more snooze is given; None where none is due.
        preroll_free: What is told of the time without pre-rolls; None: what the last ad earned.
        untold: Ads that are not told of yet: when they will be, when they began, how long they ran.
        ad_habits: What differs from the options, by the names of `AdHabits`.
        starts: Commercials that ran because a client asked for them.
    """

    id: str
    login: str
    display_name: str
    type: BroadcasterType
    created: float
    stream_key: str = field(repr=False)
    live_since: float | None = None
    stream_id: str = ""
    eligible: float = -math.inf
    last_ad: float | None = None
    last_ad_length: int = 0
    next_ad: float | None = None
    next_ad_length: int = 0
    snooze_count: int = 3
    snooze_refresh: float | None = None
    preroll_free: int | None = None
    untold: list[tuple[float, float, int]] = field(default_factory=list)
    ad_habits: dict[str, Any] = field(default_factory=dict)
    starts: int = 0

    def preroll_free_time(self, now: float) -> int:
        """Seconds for which new viewers still see no pre-roll."""
        if self.preroll_free is not None:
            return self.preroll_free
        if self.last_ad is None:
            return 0
        end = self.last_ad + PREROLL_FREE_PER_AD_SECOND * self.last_ad_length
        return max(0, int(end - now))


class Channels:
    """All broadcasters."""

    def __init__(self) -> None:
        self._by_id: dict[str, Broadcaster] = {}
        self._by_login: dict[str, Broadcaster] = {}
        self._streams = 0

    def all(self) -> list[Broadcaster]:
        """Every broadcaster, in the order they came."""
        return list(self._by_id.values())

    def by_id(self, broadcaster_id: str) -> Broadcaster | None:
        """The broadcaster with this user id, if there is one."""
        return self._by_id.get(broadcaster_id)

    def by_login(self, login: str) -> Broadcaster | None:
        """The broadcaster with this login (in any case), if there is one."""
        return self._by_login.get(login.lower())

    def named(self, login: str) -> Broadcaster:
        """The broadcaster with this login.

        Raises:
            Refusal: 404, there is none.
        """
        broadcaster = self.by_login(login)
        if broadcaster is None:
            msg = f"no broadcaster {login!r}: add it first (POST /_sandbox/broadcasters)"
            raise Refusal(404, msg)
        return broadcaster

    def add(
        self,
        login: str,
        broadcaster_id: str | None,
        display_name: str | None,
        broadcaster_type: BroadcasterType,
        *,
        live: bool,
        now: float,
    ) -> Broadcaster:
        """Add a broadcaster; see `Twitch.add_broadcaster`.

        Raises:
            Refusal: 409, the login or the id is taken; 400, the type is none of Twitch's.
        """
        if broadcaster_id is None:
            broadcaster_id = str(_FIRST_ID + len(self._by_id))
        _check_type(broadcaster_type)
        self._check_free(login)
        if broadcaster_id in self._by_id:
            raise Refusal(409, f"broadcaster id {broadcaster_id!r} is taken: choose another")
        broadcaster = Broadcaster(
            broadcaster_id,
            login.lower(),
            display_name or login,
            broadcaster_type,
            now,
            _new_stream_key(broadcaster_id),
        )
        self._by_id[broadcaster.id] = self._by_login[broadcaster.login] = broadcaster
        if live:
            self.set_live(broadcaster, now, live=True)
        return broadcaster

    def rename(self, broadcaster: Broadcaster, login: str) -> None:
        """Give a broadcaster another login; the id stays.

        Raises:
            Refusal: 409, the login is taken.
        """
        self._check_free(login)
        del self._by_login[broadcaster.login]
        broadcaster.login = login.lower()
        self._by_login[broadcaster.login] = broadcaster

    def set_type(self, broadcaster: Broadcaster, broadcaster_type: BroadcasterType) -> None:
        """Make the broadcaster a partner, an affiliate or neither.

        Raises:
            Refusal: 400, the type is none of Twitch's.
        """
        _check_type(broadcaster_type)
        broadcaster.type = broadcaster_type

    def reset_stream_key(self, broadcaster: Broadcaster) -> None:
        """Give a broadcaster another stream key; the old one is good for nothing."""
        broadcaster.stream_key = _new_stream_key(broadcaster.id)

    def set_live(self, broadcaster: Broadcaster, now: float, *, live: bool) -> None:
        """Begin a stream, or end it; a stream that runs already goes on."""
        if not live:
            broadcaster.live_since = None
        elif broadcaster.live_since is None:
            self._streams += 1
            broadcaster.live_since = now
            broadcaster.stream_id = str(40_000_000_000 + self._streams)

    def _check_free(self, login: str) -> None:
        if login.lower() in self._by_login:
            raise Refusal(409, f"login {login!r} is taken: choose another")


def _new_stream_key(broadcaster_id: str) -> str:
    return f"live_{broadcaster_id}_{secrets.token_hex(15)}"


def _check_type(broadcaster_type: str) -> None:
    if broadcaster_type not in get_args(BroadcasterType):
        raise Refusal(400, f'broadcaster_type {broadcaster_type!r}: "", affiliate or partner')
