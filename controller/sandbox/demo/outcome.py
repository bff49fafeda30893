"""What must have come of the demo, as statuses and simulators tell it.

One commercial ran on each channel; the extension's secret rotated while its messages arrived.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.sandbox.demo.extension import Found
    from controller.sandbox.demo.script import Script

__all__ = [
    "COOLDOWN",
    "LENGTH",
    "Check",
    "DemoFacts",
    "check_outcome",
    "condition",
    "epoch",
    "judge",
]

LENGTH = 125
"""Seconds of the commercial that both messages ask for."""

COOLDOWN = 480
"""Seconds from one commercial to the next."""

_KINDS = {"TwitchChannel": 2, "TriggerRule": 2, "ExtensionApp": 1}
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
class DemoFacts:
    """What is known in the end.

    Args:
        resources: All TwitchChannels, TriggerRules and ExtensionApps, as kubectl gives them.
        commercials: What Twitch was asked to run, as simulated Twitch gives it.
        log: The operator's.
        now: Seconds since the epoch.
        broken: Login of the broadcaster whose password was changed.
        broken_at: When, in seconds since the epoch; None: it was not.
        extension: What became of the extension.
    """

    resources: Sequence[Resource]
    commercials: Sequence[Mapping[str, Any]]
    log: str
    now: float
    broken: str
    broken_at: float | None
    extension: Found


def check_outcome(facts: DemoFacts) -> list[Check]:
    """Compare what is known with what must be."""
    channels = [each for each in facts.resources if each["kind"] == "TwitchChannel"]
    rules = [each for each in facts.resources if each["kind"] == "TriggerRule"]
    return [
        _all_ready(facts.resources),
        *(_at_twitch(each, facts.commercials) for each in channels),
        *(_channel(each, facts.now) for each in channels),
        *(_rule(each) for each in rules),
        *(_healed(each, facts.broken_at) for each in channels if _login(each) == facts.broken),
        _rotated(facts.extension),
        _arrived(facts.extension),
        _log("operator", facts.log),
        _log("gateway", facts.extension.log),
    ]


def judge(script: Script, facts: DemoFacts) -> int:
    """Check the outcome, and tell it; returns the exit code."""
    checks = check_outcome(facts)
    script.step("Is that what had to come of it?")
    for check in checks:
        script.check(check.text, holds=check.holds)
    if all(check.holds for check in checks):
        return 0
    script.say("\nThe operator's log:", "bold")
    script.say(facts.log, "dim")
    return 1


def condition(resource: Resource, kind: str) -> Mapping[str, str]:
    """The condition of a type; empty where there is none."""
    found = resource.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {})


def epoch(instant: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 instant; None for none."""
    return datetime.fromisoformat(instant).timestamp() if instant else None


def _all_ready(resources: Sequence[Resource]) -> Check:
    kinds = Counter(each["kind"] for each in resources)
    text = ", ".join(f"{kinds[kind]} {kind}{'s' * (kinds[kind] != 1)}" for kind in _KINDS)
    waiting = [
        f"{each['kind']} {each['metadata']['name']}: {ready.get('message', 'no word of it yet')}"
        for each in resources
        if (ready := condition(each, "Ready")).get("status") != "True"
    ]
    if waiting:
        return Check(False, f"{text}, not Ready: {'; '.join(waiting)}")
    return Check(kinds == _KINDS, f"{text}, all Ready")


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


def _rotated(found: Found) -> Check:
    before, after = found.before.get("current"), found.after.get("current")
    text = "the extension's secret: "
    if before is None or after is None or before == after:
        return Check(False, f"{text}current is {after or 'missing'}, as it was")
    if unknown := set(found.after.values()) - found.known:
        return Check(False, f"{text}Twitch does not know {', '.join(sorted(unknown))}")
    return Check(True, f"{text}current was {before} and is {after}, which Twitch knows")


def _arrived(found: Found) -> Check:
    count = len(found.received)
    text = f"Twitch got {count} message{'s' if count != 1 else ''} of the extension"
    return Check(found.sent == found.received and count > 0, f"{text}: {', '.join(found.received)}")


def _log(whose: str, log: str) -> Check:
    errors = [line for line in log.splitlines() if _LOG_ERROR.search(line)]
    if errors:
        return Check(False, f"the {whose}'s log has errors, the first: {errors[0]}")
    return Check(True, f"the {whose}'s log has no error")
