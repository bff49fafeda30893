"""Ads of the simulated Twitch: asked for, started by hand, planned. No I/O and no clock.

What a plan brings about and what is told late is caught up with when somebody looks.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from controller.sandbox.twitch.options import AdHabits, Options
    from controller.sandbox.twitch.state import Broadcaster

__all__ = ["LONGEST_AD", "STANDARD_LENGTHS", "Ads", "Commercial", "Reply", "Source"]

LONGEST_AD = 180
STANDARD_LENGTHS = frozenset(range(30, LONGEST_AD + 1, 30))

Source = Literal["api", "twitch", "manager"]

_STARTING = (
    "Starting commercial break. Keep in mind you are still live and not all viewers will receive "
    "a commercial."
)


@dataclass(frozen=True, slots=True)
class _Words:
    """How a commercial is refused; `{}` stands for the broadcaster's id."""

    cooldown: str
    off_air: str
    length: str


_WORDS = {
    "api": _Words(
        'channel for id "{}" has recently ran a commercial',
        "To start a commercial, the broadcaster must be streaming live.",
        'Missing required parameter "length"',
    ),
    "mock-api": _Words(
        "Please try again later",
        "User is not currently live and must be to run commercials",
        "Length is an invalid value",
    ),
    "strange": _Words(
        "Breaks are rationed: {} has had its share",
        "Nobody is at the other end",
        "That number is not on the menu",
    ),
}


@dataclass(frozen=True, slots=True)
class Commercial:
    """A commercial that Twitch took, or ran by itself.

    Attributes:
        login: Of the broadcaster, at that time.
        broadcaster_id: The same one's user id.
        requested: Length asked for.
        ran: Length that ran: at most 180, and 0 where nothing ran despite the 200.
        start: When it began.
        source: `api`; `twitch` for an ad that was started by hand in the simulator; `manager` for
            one that was planned.
    """

    login: str
    broadcaster_id: str
    requested: int
    ran: int
    start: float
    source: Source


@dataclass(frozen=True, slots=True)
class Reply:
    """What POST /channels/commercial answers with 200.

    Attributes:
        length: Seconds that were accepted; 0: nothing runs.
        message: In Twitch's words.
        retry_after: Whole seconds until the next one may be asked for.
    """

    length: int
    message: str
    retry_after: int


class Ads:
    """The ads of all broadcasters.

    Args:
        options: How Twitch behaves where the broadcaster's own habits do not say; read at each
            call.
        keep: So many commercials are remembered.
    """

    def __init__(self, options: Options, keep: int) -> None:
        self._options = options
        self.commercials: deque[Commercial] = deque(maxlen=keep)
        self.count = 0

    def request(self, broadcaster: Broadcaster, length: int, now: float) -> Reply:
        """Start a commercial the way POST /channels/commercial does.

        Args:
            broadcaster: On whose channel.
            length: Seconds asked for; more than 180 runs 180.
            now: Seconds since the epoch.

        Raises:
            Refusal: 400 for an unusable length or a channel off air; the option's status within
                the cooldown.
        """
        self.catch_up(broadcaster, now)
        habits = self._habits(broadcaster)
        words, mock = _WORDS[habits.dialect], habits.dialect == "mock-api"
        thirties = habits.standard_lengths_only or mock
        if length < 1 or (thirties and length not in STANDARD_LENGTHS):
            raise Refusal(400, words.length)
        if broadcaster.live_since is None:
            raise Refusal(400, words.off_air)
        if broadcaster.type == "":
            if habits.refuse_ineligible:
                raise Refusal(400, "The broadcaster must be an affiliate or partner.")
            # Twitch answers these as if all were well; nothing runs, so nothing cools down.
            self._record(broadcaster, length, 0, now, "api")
            return Reply(length, _STARTING, math.ceil(habits.cooldown))
        if now < broadcaster.eligible:
            if mock:
                return Reply(0, words.cooldown, math.ceil(broadcaster.eligible - now))
            raise Refusal(habits.cooldown_status, words.cooldown.format(broadcaster.id))
        accepted = min(length, habits.accept_at_most)
        told = length if habits.accept_at_most == LONGEST_AD else accepted
        if habits.ad_lag is None:
            self._record(broadcaster, length, 0, now, "api")
            return Reply(told, _STARTING, math.ceil(_cool(broadcaster, habits, accepted, now)))
        broadcaster.starts += 1
        cooldown = self._run(broadcaster, length, now, "api", most=habits.accept_at_most)
        return Reply(told, _STARTING, math.ceil(cooldown))

    def run_by_hand(self, broadcaster: Broadcaster, length: int, now: float) -> Commercial:
        """Run an ad that no client asked for, cooldown or not, as the broadcaster can.

        Raises:
            Refusal: 400, the channel is off air or the length is none.
        """
        self.catch_up(broadcaster, now)
        if broadcaster.live_since is None:
            raise Refusal(400, f"{broadcaster.login} is off air: set it live first")
        if length < 1:
            raise Refusal(400, "length must be at least 1 second")
        self._run(broadcaster, length, now, "twitch")
        return self.commercials[-1]

    def catch_up(self, broadcaster: Broadcaster, now: float) -> None:
        """Run the ad that was planned by now, and tell of those whose time to be told has come."""
        planned = broadcaster.next_ad
        if planned is not None and planned <= now:
            broadcaster.next_ad = None
            if broadcaster.live_since is not None and broadcaster.next_ad_length:
                self._run(broadcaster, broadcaster.next_ad_length, planned, "manager")
            broadcaster.next_ad_length = 0
        for told, start, length in broadcaster.untold:
            if told <= now:
                broadcaster.last_ad, broadcaster.last_ad_length = start, length
        broadcaster.untold = [ad for ad in broadcaster.untold if ad[0] > now]

    def _habits(self, broadcaster: Broadcaster) -> AdHabits:
        own = broadcaster.ad_habits
        return self._options.model_copy(update=own) if own else self._options

    def _run(
        self,
        broadcaster: Broadcaster,
        length: int,
        now: float,
        source: Source,
        most: int = LONGEST_AD,
    ) -> float:
        habits, ran = self._habits(broadcaster), min(length, most)
        self._record(broadcaster, length, ran, now, source)
        if habits.ad_lag:
            broadcaster.untold.append((now + habits.ad_lag, now, ran))
        else:
            broadcaster.last_ad, broadcaster.last_ad_length = now, ran
        return _cool(broadcaster, habits, ran, now)

    def _record(
        self, broadcaster: Broadcaster, requested: int, ran: int, now: float, source: Source
    ) -> None:
        self.count += 1
        self.commercials.append(
            Commercial(broadcaster.login, broadcaster.id, requested, ran, now, source)
        )


def _cool(broadcaster: Broadcaster, habits: AdHabits, length: int, now: float) -> float:
    cooldown = habits.cooldown
    if cooldown and habits.cooldown_covers_ad:
        cooldown = max(cooldown, min(length, LONGEST_AD))
    broadcaster.eligible = now + cooldown
    return cooldown
