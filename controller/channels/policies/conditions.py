"""Conditions from facts: ordered checks, each answering with a reason and the remedy.

`Ready` is the summary. `Stalled` is True if and only if a human must change something;
`Reconciling` is True while waiting for what may come by itself. A channel that cools down or is off
air is Ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.policies.findings import Finding, Status, with_summary
from controller.resources.common import rfc3339
from controller.resources.twitchchannel import COMMERCIAL_SCOPE, READ_ADS_SCOPE, STREAM_KEY_SCOPE

if TYPE_CHECKING:
    from controller.policies.problems import Blocked

__all__ = ["ChannelFacts", "channel_findings", "commercials_ready"]


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is known about a channel.

    Attributes:
        spec_problem: Why the spec cannot be read; None: it can.
        suspended: `spec.suspend`.
        paused: Who paused it, when, why, and how to end that; None: it is not paused.
        blocked: Why there is no grant to use.
        failure: What passed wrong last, if it may pass.
        expires_at: When the access token ends, if its time is not over; None: there is none.
        ending: Why the grant ends with it; None: it will be refreshed.
        refused_input: Why a new input is not used, while the former grant is.
        remedy: What to do where a consent is missing.
        scopes: Of the grant; None: not known before it is validated.
        wanted_scopes: What a consent is asked for.
        wanted_login: `spec.login`.
        login: Of the grant's user; None: not known yet.
        renamed: That user is the wanted one all the same: the login was changed.
        broadcaster_type: partner, affiliate or empty; None: not known yet.
        conflict: The channel that holds the same broadcaster and is older.
        live: Whether a stream runs; None: not known.
        stream_key: Whether the stream key is in its Secret; None: it is not wanted.
        stream_key_problem: Why it is not; None: it will be soon.
        owner_problem: Why the owner of one of its Secrets is not as the spec has it.
        next_ad: When Twitch's Ads Manager means to run an ad, if that is near; None: it is not.
    """

    spec_problem: str | None
    suspended: bool
    blocked: Blocked | None
    failure: str | None
    expires_at: float | None
    ending: Blocked | None
    refused_input: Blocked | None
    remedy: str
    scopes: tuple[str, ...] | None
    wanted_scopes: tuple[str, ...]
    wanted_login: str | None
    login: str | None
    broadcaster_type: str | None
    conflict: str | None
    live: bool | None
    stream_key: bool | None = None
    stream_key_problem: Blocked | None = None
    paused: str | None = None
    next_ad: float | None = None
    owner_problem: Blocked | None = None
    renamed: bool = False


def channel_findings(facts: ChannelFacts) -> tuple[Finding, ...]:
    """All conditions of a TwitchChannel."""
    authorized = _authorized(facts)
    parts = (authorized, _live(facts.live), _ads_manager(facts.next_ad))
    ready, stream_key = _channel_ready(facts, authorized), _stream_key(facts)
    if stream_key is not None and ready.status == "True" and stream_key.status != "True":
        message = f"{stream_key.message}; commercials run"
        ready = Finding("Ready", "False", stream_key.reason, message, stream_key.human)
    told = parts if stream_key is None else (*parts, stream_key)
    return with_summary(told, ready, facts.suspended, authorized if authorized.human else None)


def commercials_ready(facts: ChannelFacts) -> Finding:
    """Whether cues may start commercials: Ready without what concerns other matters."""
    return _channel_ready(facts, _authorized(facts))


def _authorized(facts: ChannelFacts) -> Finding:
    problem = _unusable(facts) or _unfit(facts)
    if problem is not None:
        return problem
    told = f"authorized by {facts.login}"
    if facts.ending is not None and facts.expires_at is not None:
        until = rfc3339(round(facts.expires_at))
        message = f"{told} until {until}, and no longer: {facts.ending.message}"
        return _authorization("True", "Expiring", message, human=True)
    if facts.refused_input is not None:
        message = f"{told}, by the former grant; the new one is refused: "
        return _authorization(
            "True", "InputRefused", message + facts.refused_input.message, human=True
        )
    if facts.owner_problem is not None:
        message = f"{told}; {facts.owner_problem.message}"
        return _authorization("True", facts.owner_problem.reason, message, human=True)
    if facts.renamed:
        message = (
            f"{told}, the broadcaster of spec.login {facts.wanted_login} under a new login;"
            f" commercials run: correct spec.login to {facts.login}"
        )
        return _authorization("True", "LoginChanged", message, human=True)
    return _authorization("True", "Succeeded", told + _wished_for(facts))


def _wished_for(facts: ChannelFacts) -> str:
    """What a grant that suffices lacks all the same."""
    told, scopes = [], facts.scopes or ()
    if READ_ADS_SCOPE not in scopes:
        told.append(
            f"without the scope {READ_ADS_SCOPE} it cannot be confirmed that a commercial ran"
        )
    known = {COMMERCIAL_SCOPE, READ_ADS_SCOPE, STREAM_KEY_SCOPE}  # these are told by themselves
    if others := sorted({*facts.wanted_scopes} - {*scopes} - known):
        told.append(f"the grant lacks what spec.scopes asks for: {', '.join(others)}")
    return f"; {'; '.join(told)}: {facts.remedy}" if told else ""


def _authorization(status: Status, reason: str, message: str, *, human: bool = False) -> Finding:
    return Finding("Authorized", status, reason, message, human)


_FETCHED = "the grant is being fetched"


def _unusable(facts: ChannelFacts) -> Finding | None:
    """Why there is no grant that a call could be signed with."""
    if facts.spec_problem is not None:
        return _authorization("False", "InvalidSpec", facts.spec_problem, human=True)
    if facts.blocked is not None:
        reason, message = facts.blocked.reason, facts.blocked.message
        return _authorization("False", reason, message, human=facts.blocked.human)
    if facts.expires_at is None and facts.failure is not None:
        return _authorization("False", "TransientError", f"{facts.failure}; retrying")
    if None in (facts.expires_at, facts.login, facts.scopes):
        told = f"{facts.failure}; retrying" if facts.failure else _FETCHED
        return _authorization("Unknown", "AuthorizationPending", told)
    return None


def _unfit(facts: ChannelFacts) -> Finding | None:
    """Why the grant is not the one that is needed."""
    if COMMERCIAL_SCOPE not in (facts.scopes or ()):
        message = f"the grant lacks the scope {COMMERCIAL_SCOPE}: {facts.remedy}"
        return _authorization("False", "ScopeMissing", message, human=True)
    if facts.wanted_login not in (None, facts.login) and not facts.renamed:
        message = (
            f"the grant is of {facts.login}, spec.login is {facts.wanted_login}: correct"
            f" spec.login, or, signed in as {facts.wanted_login}, {facts.remedy}"
        )
        return _authorization("False", "LoginMismatch", message, human=True)
    if facts.conflict is not None:
        message = f"TwitchChannel {facts.conflict} has this broadcaster: delete one of the two"
        return _authorization("False", "Conflict", message, human=True)
    return None


def _stream_key(facts: ChannelFacts) -> Finding | None:
    if facts.stream_key is None:
        return None
    kind, problem = "StreamKeySynced", facts.stream_key_problem
    if problem is not None:
        return Finding(kind, "False", problem.reason, problem.message, problem.human)
    if not facts.stream_key:
        message = "the stream key is being fetched (spec.streamKeySecretName)"
        return Finding(kind, "Unknown", "Pending", message)
    return Finding(kind, "True", "Succeeded", "")


def _live(live: bool | None) -> Finding:
    if live is None:
        return Finding("Live", "Unknown", "NotChecked", "")
    if live:
        return Finding("Live", "True", "Streaming", "")
    return Finding("Live", "False", "NotStreaming", "a commercial runs only while a stream is live")


def _channel_ready(facts: ChannelFacts, authorized: Finding) -> Finding:
    if facts.suspended:
        message = "spec.suspend is true: cues start nothing, the grant is kept alive"
        return Finding("Ready", "False", "Suspended", message)
    if facts.paused is not None:
        return Finding("Ready", "False", "Paused", facts.paused)
    if authorized.status != "True":
        return Finding("Ready", "False", authorized.reason, authorized.message, authorized.human)
    if not facts.broadcaster_type:
        message = (
            f"{facts.login} is neither affiliate nor partner: Twitch runs no commercials on the"
            " channel until it is"
        )
        return Finding("Ready", "False", "NotEligible", message, human=True)
    return Finding("Ready", "True", authorized.reason, authorized.message)


def _ads_manager(next_ad: float | None) -> Finding:
    kind = "AdsManagerScheduled"
    if next_ad is None:
        return Finding(kind, "False", "NotScheduled", "")
    message = (
        f"Twitch's Ads Manager means to run an ad at about {rfc3339(round(next_ad))}: it burns the"
        " cooldown of eight minutes, in which no break can start a commercial. Turn its automatic"
        " ads off for the channel (Creator Dashboard, Settings, Ads Manager), or snooze that one"
    )
    return Finding(kind, "True", "Scheduled", message)
