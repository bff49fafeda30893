"""Broadcasters, their streams and their commercials: a state machine without I/O or clock.

Instants are seconds since the epoch, lengths whole seconds.
"""

from __future__ import annotations

import math
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from controller.sandbox.twitch.options import Options

__all__ = ["Broadcaster", "BroadcasterType", "Channels", "Commercial"]

BroadcasterType = Literal["", "affiliate", "partner"]

LONGEST_AD = 180
STANDARD_LENGTHS = frozenset(range(30, LONGEST_AD + 1, 30))
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
        last_ad: When the last ad began; None before the first.
        last_ad_length: How long that one ran.
        next_ad: When the ads manager plans the next one; None for no plan.
        next_ad_length: How long that one would run.
        snooze_count: How often it may still be put off.
        snooze_refresh: When one more snooze is given; None where none is due.
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

    def preroll_free_time(self, now: float) -> int:
        """Seconds for which new viewers still see no pre-roll."""
        if self.last_ad is None:
            return 0
        end = self.last_ad + PREROLL_FREE_PER_AD_SECOND * self.last_ad_length
        return max(0, int(end - now))


@dataclass(frozen=True, slots=True)
class Commercial:
    """A commercial that Twitch took, or ran by itself.

    Attributes:
        login: Of the broadcaster, at that time.
        broadcaster_id: The same one's user id.
        requested: Length asked for.
        ran: Length that ran: at most 180, and 0 where nothing ran despite the 200.
        start: When it began.
        source: `api`, or `twitch` for an ad that was started by hand in the simulator.
    """

    login: str
    broadcaster_id: str
    requested: int
    ran: int
    start: float
    source: Literal["api", "twitch"]


class Channels:
    """All broadcasters.

    Args:
        options: How long the cooldown is, and the like; read at each call.
        keep: So many commercials are remembered.
    """

    def __init__(self, options: Options, keep: int) -> None:
        self._options = options
        self._by_id: dict[str, Broadcaster] = {}
        self._by_login: dict[str, Broadcaster] = {}
        self._streams = 0
        self.commercials: deque[Commercial] = deque(maxlen=keep)
        self.commercial_count = 0

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

    def add(  # noqa: PLR0913 - what a user of Twitch has
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

    def request_commercial(self, broadcaster: Broadcaster, length: int, now: float) -> float:
        """Start a commercial the way POST /channels/commercial does.

        Args:
            broadcaster: On whose channel.
            length: Seconds asked for; more than 180 runs 180.
            now: Seconds since the epoch.

        Returns:
            Seconds until the next one may be asked for.

        Raises:
            Refusal: 400 for an unusable length or a channel off air; the option's status within
                the cooldown.
        """
        if length < 1 or (self._options.standard_lengths_only and length not in STANDARD_LENGTHS):
            raise Refusal(400, 'Missing required parameter "length"')
        if broadcaster.live_since is None:
            raise Refusal(400, "To start a commercial, the broadcaster must be streaming live.")
        if broadcaster.type == "":
            # Twitch answers these as if all were well; nothing runs, so nothing cools down.
            self._record(broadcaster, length, 0, now, "api")
            return self._options.cooldown
        if now < broadcaster.eligible:
            message = f'channel for id "{broadcaster.id}" has recently ran a commercial'
            raise Refusal(self._options.cooldown_status, message)
        return self._run(broadcaster, length, now, "api")

    def run_ad(self, broadcaster: Broadcaster, length: int, now: float) -> Commercial:
        """Run an ad that nobody asked for, cooldown or not, as the ads manager does.

        Raises:
            Refusal: 400, the channel is off air or the length is none.
        """
        if broadcaster.live_since is None:
            raise Refusal(400, f"{broadcaster.login} is off air: set it live first")
        if length < 1:
            raise Refusal(400, "length must be at least 1 second")
        self._run(broadcaster, length, now, "twitch")
        return self.commercials[-1]

    def _run(
        self, broadcaster: Broadcaster, length: int, now: float, source: Literal["api", "twitch"]
    ) -> float:
        ran = min(length, LONGEST_AD)
        cooldown = self._options.cooldown
        if cooldown and self._options.cooldown_covers_ad:
            cooldown = max(cooldown, ran)
        broadcaster.last_ad, broadcaster.last_ad_length = now, ran
        broadcaster.eligible = now + cooldown
        self._record(broadcaster, length, ran, now, source)
        return cooldown

    def _record(
        self,
        broadcaster: Broadcaster,
        requested: int,
        ran: int,
        now: float,
        source: Literal["api", "twitch"],
    ) -> None:
        self.commercial_count += 1
        self.commercials.append(
            Commercial(broadcaster.login, broadcaster.id, requested, ran, now, source)
        )

    def _check_free(self, login: str) -> None:
        if login.lower() in self._by_login:
            raise Refusal(409, f"login {login!r} is taken: choose another")


def _new_stream_key(broadcaster_id: str) -> str:
    return f"live_{broadcaster_id}_{secrets.token_hex(15)}"


def _check_type(broadcaster_type: str) -> None:
    if broadcaster_type not in get_args(BroadcasterType):
        raise Refusal(400, f'broadcaster_type {broadcaster_type!r}: "", affiliate or partner')
