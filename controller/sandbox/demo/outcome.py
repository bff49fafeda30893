"""What must have come of the demo: one commercial on each channel, and statuses that say so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["COOLDOWN", "LENGTH", "Check", "Facts", "check_outcome", "condition", "epoch"]

LENGTH = 125
"""Seconds of the commercial that both messages ask for."""

COOLDOWN = 480
"""Seconds from one commercial to the next."""

_TOLERANCE = 5  # seconds: instants in a status are whole ones, and a call takes its time
_RAN = (["Fired"], ["Confirmed"])  # accepted; ten seconds later, Twitch's last_ad_at tells of it
_LOG_ERROR = re.compile(r" (ERROR|CRITICAL) |^Traceback ")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """Something that holds, or does not; the text tells what was found in either case."""

    holds: bool
    text: str


@dataclass(frozen=True)
class Facts:
    """What is known in the end.

    Args:
        resources: All TwitchChannels and TriggerRules, as kubectl gives them.
        commercials: What Twitch was asked to run, as simulated Twitch gives it.
        log: The operator's.
        now: Seconds since the epoch.
        broken: Login of the broadcaster whose password was changed.
        broken_at: When, in seconds since the epoch; None: it was not.
    """

    resources: Sequence[Resource]
    commercials: Sequence[Mapping[str, Any]]
    log: str
    now: float
    broken: str
    broken_at: float | None


def check_outcome(facts: Facts) -> list[Check]:
    """Compare what is known with what must be."""
    channels = [each for each in facts.resources if each["kind"] == "TwitchChannel"]
    rules = [each for each in facts.resources if each["kind"] == "TriggerRule"]
    return [
        _all_ready(channels, rules),
        *(_at_twitch(each, facts.commercials) for each in channels),
        *(_channel(each, facts.now) for each in channels),
        *(_rule(each) for each in rules),
        *(_healed(each, facts.broken_at) for each in channels if _login(each) == facts.broken),
        _log(facts.log),
    ]


def condition(resource: Resource, kind: str) -> Mapping[str, str]:
    """The condition of a type; empty where there is none."""
    found = resource.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {})


def epoch(instant: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 instant; None for none."""
    return datetime.fromisoformat(instant).timestamp() if instant else None


def _all_ready(channels: Sequence[Resource], rules: Sequence[Resource]) -> Check:
    text = f"{len(channels)} TwitchChannels and {len(rules)} TriggerRules"
    waiting = [
        f"{each['kind']} {each['metadata']['name']}: {ready.get('message', 'no word of it yet')}"
        for each in (*channels, *rules)
        if (ready := condition(each, "Ready")).get("status") != "True"
    ]
    if waiting:
        return Check(False, f"{text}, not Ready: {'; '.join(waiting)}")
    return Check((len(channels), len(rules)) == (2, 2), f"{text}, all Ready")


def _at_twitch(channel: Resource, commercials: Sequence[Mapping[str, Any]]) -> Check:
    login = _login(channel)
    lengths = [each["requested"] for each in commercials if each["login"] == login]
    ran = ", ".join(f"{length} s" for length in lengths)
    count = f"{len(lengths) or 'no'} commercial{'s' if len(lengths) != 1 else ''}"
    text = f"Twitch was asked for {count} on {login}"
    return Check(lengths == [LENGTH], f"{text}: {ran}" if ran else text)


def _channel(channel: Resource, now: float) -> Check:
    text = f"TwitchChannel {channel['metadata']['name']}: "
    ran = channel.get("status", {}).get("commercials", {})
    results = [cue["result"] for cue in ran.get("recentCues", ())]
    began, until = epoch(ran.get("lastStartTime")), epoch(ran.get("nextEligibleTime"))
    if began is None or until is None:
        return Check(False, text + (", ".join(results) or "nothing ran"))
    holds = (
        results in _RAN
        and ran.get("lastLengthSeconds") == LENGTH
        and abs(until - began - COOLDOWN) <= _TOLERANCE
        and until > now
    )
    text += f"{', '.join(results)}, {ran.get('lastLengthSeconds')} s, again in {until - now:.0f} s"
    return Check(holds, text)


def _rule(rule: Resource) -> Check:
    status = rule.get("status", {})
    told = [
        f"{each['verdict']}, {each['detail']} ({each['latencyMilliseconds']} ms after it came)"
        for each in status.get("recentDecisions", ())
    ]
    verdicts = [each["verdict"] for each in status.get("recentDecisions", ())]
    holds = verdicts in _RAN and status.get("counts", {}).get("fired") == 1
    found = "; ".join(told) or "nothing decided"
    return Check(holds, f"TriggerRule {rule['metadata']['name']}: {found}")


def _healed(channel: Resource, broken_at: float | None) -> Check:
    """The conditions tell when the grant was there again, to the second."""
    text = f"TwitchChannel {channel['metadata']['name']}: "
    authorized = condition(channel, "Authorized")
    since = epoch(authorized.get("lastTransitionTime"))
    if broken_at is None or since is None or since < int(broken_at):
        return Check(False, text + "nothing ended its grant")
    if authorized["status"] != "True":
        return Check(False, f"{text}its grant ended, and there is no other")
    return Check(True, f"{text}consented anew {since - broken_at:.0f} s after its grant had ended")


def _login(channel: Resource) -> str:
    login: str = channel["spec"]["login"]
    return login


def _log(log: str) -> Check:
    errors = [line for line in log.splitlines() if _LOG_ERROR.search(line)]
    if errors:
        return Check(False, f"the operator's log has errors, the first: {errors[0]}")
    return Check(True, "the operator's log has no error")
