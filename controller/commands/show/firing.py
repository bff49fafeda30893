"""What became of a commercial that was asked for by hand, and what to do where it did not run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from controller.commands.show.text import clock
from controller.events import Verdict
from controller.resources.common import find_condition

if TYPE_CHECKING:
    from controller.resources.twitchchannel import TwitchChannelStatus

__all__ = ["Outcome", "find_outcome", "fire_value", "remedy"]


class Outcome(NamedTuple):
    """The operator's answer.

    Attributes:
        verdict: In one word.
        detail: Why, as a sentence; "": nothing is told.
    """

    verdict: str
    detail: str

    @property
    def ran(self) -> bool:
        """Whether Twitch accepted a commercial, as far as is known."""
        return self.verdict in (Verdict.FIRED, Verdict.CONFIRMED)


def fire_value(instant: str, length: int) -> str:
    """Return the annotation that asks for a commercial.

    Args:
        instant: When it is asked for, in RFC 3339.
        length: Whole seconds.
    """
    return f"{instant}/{length}s"


def find_outcome(status: TwitchChannelStatus, value: str) -> Outcome | None:
    """Return what became of a request.

    Args:
        status: Of the channel.
        value: The annotation's.

    Returns:
        None where it is not answered yet, or goes on.
    """
    if status.last_handled_fire_at != value:
        return None
    told = status.last_fire
    outcome = None
    if told is not None and told.requested_at == value:
        outcome = Outcome(told.verdict, told.detail or "")
    if outcome is None or outcome.verdict == Verdict.WAITING:
        return _called_for(status, value)
    return outcome


def _called_for(status: TwitchChannelStatus, value: str) -> Outcome | None:
    cues = status.commercials.recent_cues if status.commercials is not None else ()
    called = next((each for each in cues if each.cue_id == f"fire/{value}"), None)
    if called is None:
        return None
    return Outcome(called.result, f"commercial of {called.length_seconds or 0} s")


def remedy(verdict: str, status: TwitchChannelStatus, place: str) -> str:
    """Return what to do about a commercial that did not run, as a sentence without its full stop.

    Args:
        verdict: What became of it.
        status: Of the channel.
        place: Arguments that name the channel, such as `mst3k -n playout`.
    """
    match verdict:
        case Verdict.COOLING_DOWN:
            eligible = status.commercials.next_eligible_time if status.commercials else None
            return f"run it again after {clock(eligible)}" if eligible else _AGAIN
        case Verdict.PAUSED:
            return f"the channel is paused: kubectl twitch resume {place}"
        case Verdict.CHANNEL_NOT_READY:
            ready = find_condition(status.conditions, "Ready")
            told = f": {ready.reason}: {ready.message}" if ready and ready.status != "True" else ""
            return f"see kubectl describe tch {place}{told}"
        case _:
            return _REMEDIES.get(verdict, f"see kubectl describe tch {place}")


_AGAIN = "run it again in a while"
_RUNNING = "an ad break is on already: nothing needs to be done"

_REMEDIES: dict[str, str] = {
    Verdict.SUSPENDED: "set spec.suspend of the channel to false",
    Verdict.NOT_LIVE: "Twitch runs commercials during a stream only: start the stream",
    Verdict.NOT_ELIGIBLE: "Twitch runs commercials for affiliates and partners only",
    Verdict.TOO_SHORT: "ask for more (--length), or lower spec.commercials.minLength",
    Verdict.QUIET_HOURS: "wait for their end, or change spec.commercials.quietHours",
    Verdict.BUDGET_SPENT: (
        "wait, or raise spec.commercials.maxPerHour and spec.commercials.maxSecondsPerHour"
    ),
    Verdict.EXPIRED: (
        "a request lives for 30 s: run it again; if that does not help, compare the clocks of this"
        " machine and of the operator's"
    ),
    Verdict.DUPLICATE: _RUNNING,
    Verdict.SAME_BREAK: _RUNNING,
    Verdict.OUTRANKED: _RUNNING,
    Verdict.UNKNOWN: "it may have run: look at the stream before you run it again",
    Verdict.UNCONFIRMED: (
        "Twitch accepted it, and shows no ad: look at the stream before you run it again"
    ),
    Verdict.CANCELLED: "an off cue came: run it again if it is wanted still",
    Verdict.FAILED: _AGAIN,
}
