"""Commercials and ads of the other Twitch (see `other_twitch`); no sockets.

What goes wrong is ordered by its outcome, and per broadcaster: `order("mst3k", "down", "lost")`
spoils the next two calls for a commercial on that channel, and no other.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tests.other_identity import OtherIdentity, Refused

if TYPE_CHECKING:
    from tests.other_identity import Grant, User

__all__ = ["Commercial", "CommercialCall", "OtherAds", "Outcome", "own"]

Outcome = Literal[
    "cooldown-400",
    "cooldown-429",
    "not-live",
    "not-eligible",
    "length",
    "unauthorized",
    "scope",
    "rate-limit",
    "down",
    "unknown",
    "error",  # it failed before it acted
    "error-ran",  # it failed once it had acted
    "lost",  # the connection goes before it acted
    "lost-ran",  # the connection goes once it had acted
    "slow",  # it sleeps, and then acts
    "slow-ran",  # it acts, and then sleeps
]

_REFUSALS: dict[str, tuple[int, str]] = {
    "cooldown-400": (400, "The channel has recently ran a commercial: be patient"),
    "cooldown-429": (429, "Too soon after the one before"),
    "not-live": (400, "TO START A COMMERCIAL, THE BROADCASTER MUST BE STREAMING LIVE."),
    "not-eligible": (403, "Commercials are for Affiliates and Partners"),
    "length": (400, "Missing Required Parameter: length"),
    "unauthorized": (401, "invalid access token"),
    "scope": (401, "missing scope: channel:edit:commercial"),
    "down": (503, "upstream"),
    "unknown": (400, "The stars stand ill"),
    "error": (502, ""),
    "error-ran": (500, "recorded, and then lost"),
}


@dataclass(frozen=True)
class Commercial:
    """One that ran: for whom, the seconds asked for, and when (since the epoch); who asked."""

    login: str
    length: int
    time: float
    by_api: bool = True


@dataclass
class CommercialCall:
    """One POST /channels/commercial: when it came, for whom, and its status; None: unanswered."""

    time: float
    login: str
    length: Any
    status: int | None = None


@dataclass
class _Channel:
    """What is known of one broadcaster's ads; an ad is (when it is told, when it began)."""

    ads: list[tuple[float, float]] = field(default_factory=list)
    free_from: float = 0.0
    plan: tuple[float, int] | None = None
    limited_until: float = 0.0
    outcomes: deque[Outcome] = field(default_factory=deque)


class OtherAds(OtherIdentity):
    """What runs, and what was asked for.

    Attributes:
        commercials: What ran.
        commercial_calls: What was asked, in the order it came.
        cooldown: Seconds from one commercial to the next.
        cooldown_status: 400 or 429.
        standard_only: Logins that take no lengths but 30, 60, 90, 120, 150, 180.
        ad_lag: Seconds until an ad is told; infinite: never.
        reset: Seconds that an ordered rate limit lasts.
        slowness: Seconds that an ordered slow answer takes.
    """

    def __init__(self, *, rotates: bool = True) -> None:
        super().__init__(rotates=rotates)
        self.commercials: list[Commercial] = []
        self.commercial_calls: list[CommercialCall] = []
        self.cooldown, self.cooldown_status = 480.0, 429
        self.standard_only: set[str] = set()
        self.ad_lag, self.reset, self.slowness = 0.0, 2.0, 30.0
        self._channels: defaultdict[str, _Channel] = defaultdict(_Channel)
        self._ads_told = 0

    # Orders

    def order(self, login: str, *outcomes: Outcome) -> None:
        """How the next calls for a commercial end, one after the other."""
        self._channels[login].outcomes.extend(outcomes)

    def run_ad(self, login: str, length: int) -> None:
        """Somebody runs an ad by hand."""
        self._run(self._users[login], length, self.clock(), by_api=False)

    def plan_ad(self, login: str, at: float, length: int) -> None:
        """The ads manager will run an ad by itself, if the channel is on air then."""
        self._channels[login].plan = (at, length)

    def forget_ads(self, login: str) -> None:
        """As if the broadcaster were new: no ad, no cooldown, no orders."""
        del self._channels[login]

    def user_id(self, login: str) -> str:
        """The broadcaster's id."""
        return self._users[login].id

    # State

    def refused(self, outcome: Outcome | None) -> Refused | None:
        """The refusal that an outcome is; None: it is none."""
        known = _REFUSALS.get(outcome or "")
        return Refused(*known) if known else None

    def next_outcome(self, login: str) -> Outcome | None:
        """Takes it off the queue; a rate limit begins with it."""
        channel = self._channels[login]
        outcome = channel.outcomes.popleft() if channel.outcomes else None
        if outcome == "rate-limit":
            channel.limited_until = math.ceil(self.clock() + self.reset)
        return outcome

    def limited_until(self, login: str) -> float:
        """Until when all calls of this user are refused."""
        return self._channels[login].limited_until

    def ad_schedule(self, grant: Grant) -> dict[str, Any]:
        """Times as RFC 3339, as numbers and as texts, in turn; numbers as texts."""
        user, now = grant.user, self.clock()
        self._catch_up(user, now)
        channel, self._ads_told = self._channels[user.login], self._ads_told + 1
        last = max((start for told, start in channel.ads if told <= now), default=0.0)
        planned = (self._form(channel.plan[0]), channel.plan[1]) if channel.plan else ("", "0")
        return {
            "preroll_free_time": 0,
            "last_ad_at": self._form(last),
            "duration": str(planned[1]),
            "next_ad_at": planned[0],
            "snooze_refresh_at": "",
            "snooze_count": "3",
        }

    def start(self, grant: Grant, length: object) -> dict[str, Any]:
        """What POST /channels/commercial does."""
        user, now = grant.user, self.clock()
        self._catch_up(user, now)
        if type(length) is not int or length < 1:
            raise Refused(*_REFUSALS["length"])
        if user.login in self.standard_only and length not in range(30, 181, 30):
            raise Refused(400, "Invalid value for length: 30, 60, 90, 120, 150 or 180")
        if not user.live:
            raise Refused(*_REFUSALS["not-live"])
        if now < self._channels[user.login].free_from:
            raise Refused(*_REFUSALS[f"cooldown-{self.cooldown_status}"])
        if user.type:  # the others get the same answer, and no ad
            self._run(user, length, now, by_api=True)
        return {"retry_after": self.cooldown, "length": length, "message": ""}

    def _form(self, moment: float) -> str | int:
        if not moment:
            return ("", 0, "0")[self._ads_told % 3]
        text = datetime.fromtimestamp(moment, UTC).isoformat()  # with +00:00, and microseconds
        return (text, int(moment), str(int(moment)))[self._ads_told % 3]

    def _catch_up(self, user: User, now: float) -> None:
        channel = self._channels[user.login]
        if channel.plan is not None and channel.plan[0] <= now:
            (at, length), channel.plan = channel.plan, None
            if user.live:
                self._run(user, length, at, by_api=False)

    def _run(self, user: User, length: int, now: float, *, by_api: bool) -> None:
        channel = self._channels[user.login]
        channel.ads.append((now + self.ad_lag, now))
        channel.free_from = now + (max(self.cooldown, min(length, 180)) if self.cooldown else 0)
        self.commercials.append(Commercial(user.login, length, now, by_api))


def own(grant: Grant, broadcaster_id: object, scope: str) -> None:
    """Raises `Refused` unless the grant covers the scope and is this broadcaster's."""
    if scope not in grant.scopes:
        raise Refused(401, f"missing scope: {scope}")
    if broadcaster_id != grant.user.id:
        raise Refused(401, "broadcaster_id: not the user of this token")
