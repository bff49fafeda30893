"""What there is to tell of an extension's configuration: states of segments, and the condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controller.extensions.policies.configuration_facts import REQUIRED, found, is_settled
from controller.plurals import counted
from controller.policies.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.extensions.policies.configuration_facts import (
        ConfigurationFacts,
        Failure,
        Mark,
        Want,
    )

__all__ = ["Told", "finding", "remembered", "states"]

State = Literal["Synced", "Kept", "Pending", "Failed"]

_KIND = "ConfigurationSynced"
_REFUSED, _FAILING, _NO_CHANNEL, _PENDING = (
    "ConfigurationRefused",
    "TransientError",
    "ChannelNotReady",
    "Pending",
)
_ORDER = (_REFUSED, _FAILING, _NO_CHANNEL, _PENDING)  # the worst first


@dataclass(frozen=True, slots=True)
class Told:
    """What holds of one segment, or of a channel's required configuration.

    Attributes:
        segment: global, developer, broadcaster or required.
        channel: Name of the TwitchChannel; None for global.
        state: As in the status.
        version: That Twitch has; "": none, or not known.
        reason: CamelCase; "": all is well.
        message: For the user; "": there is nothing to say.
        sha256: Of what is declared, where it is Synced or Kept.
    """

    segment: str
    channel: str | None
    state: State
    version: str = ""
    reason: str = ""
    message: str = ""
    sha256: str | None = None


def remembered(
    segment: str, channel: str | None, state: str, version: str | None, sha256: str | None
) -> Told | None:
    """What a status tells of a segment; None: nothing that holds until it is looked at."""
    if sha256 is None or state not in ("Synced", "Kept"):
        return None
    settled: State = "Synced" if state == "Synced" else "Kept"
    return Told(segment, channel, settled, version or "", sha256=sha256)


def states(
    facts: ConfigurationFacts, before: Mapping[tuple[str, str | None], Told]
) -> tuple[Told, ...]:
    """What holds of each segment and mark that is declared.

    Args:
        facts: What is known.
        before: What a former process told, by segment and channel: it holds until the segment is
            looked at, if what is declared is still the same.
    """
    told = [_segment(facts, want, before.get((want.segment, want.channel))) for want in facts.wants]
    return (*told, *(_mark(facts, mark) for mark in facts.marks))


def finding(told: Sequence[Told]) -> Finding | None:
    """The condition ConfigurationSynced; None: no segment is declared."""
    if not told:
        return None
    wrong = [one for one in told if one.reason]
    if not wrong:
        segments = [one for one in told if one.segment != REQUIRED]
        kept = sum(one.state == "Kept" for one in segments)
        message = f"{_count(len(segments) - kept)} as declared"
        if kept:
            message += f"; {_count(kept)} left as Twitch has it (policy IfAbsent)"
        return Finding(_KIND, "True", "Succeeded", message)
    worst = min(wrong, key=lambda one: _ORDER.index(one.reason))
    message = f"{_name(worst)}: {worst.message}"
    if len(wrong) > 1:
        message += f" (and {len(wrong) - 1} more: see status.configuration)"
    status: Literal["False", "Unknown"] = "Unknown" if worst.reason == _PENDING else "False"
    return Finding(_KIND, status, worst.reason, message, human=worst.reason == _REFUSED)


def _segment(facts: ConfigurationFacts, want: Want, before: Told | None) -> Told:
    failure = facts.failures.get(want.key)
    have = found(facts, want)
    unseen = failure is not None and failure.of is None and not failure.passing
    if have is not None and is_settled(facts, want) and not unseen:
        state: State = "Synced" if have == want.content else "Kept"
        return Told(want.segment, want.channel, state, have.version, sha256=want.sha256)
    if not want.reachable:
        return _waiting(want.segment, want.channel or "")
    outage = failure is None or (failure.passing and failure.of is None)
    if have is None and outage and before is not None and before.sha256 == want.sha256:
        return before  # that nobody could look is no drift
    return _unsettled(
        want.segment, want.channel, failure, want.sha256, have.version if have is not None else ""
    )


def _mark(facts: ConfigurationFacts, mark: Mark) -> Told:
    if facts.marked.get(mark.channel) == mark.sha256:
        return Told(REQUIRED, mark.channel, "Synced", mark.version, sha256=mark.sha256)
    if mark.broadcaster_id is None:
        return _waiting(REQUIRED, mark.channel)
    return _unsettled(REQUIRED, mark.channel, facts.failures.get(mark.key), mark.sha256, "")


def _waiting(segment: str, channel: str) -> Told:
    message = (
        f"TwitchChannel {channel} does not exist, or its broadcaster is not known yet (see its"
        " conditions); retrying until both are known"
    )
    return Told(segment, channel, "Pending", reason=_NO_CHANNEL, message=message)


def _unsettled(
    segment: str, channel: str | None, failure: Failure | None, sha256: str, version: str
) -> Told:
    # What was refused of a former declaration says nothing about the present one.
    if failure is None or failure.of not in (None, sha256):
        message = "it is looked at and set in turn: Twitch takes 20 such calls a minute"
        return Told(segment, channel, "Pending", version, _PENDING, message)
    if failure.passing:
        message = f"{failure.message}; retrying"
        return Told(segment, channel, "Pending", version, _FAILING, message)
    return Told(segment, channel, "Failed", version, _REFUSED, failure.message)


def _name(told: Told) -> str:
    if told.channel is None:
        return "spec.configuration.global"
    if told.segment == REQUIRED:
        return f"spec.requiredConfiguration, for {told.channel}"
    return f"spec.configuration.channels, {told.segment} of {told.channel}"


def _count(number: int) -> str:
    return counted(number, "segment", "are")
