"""What a channel's status says about a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.resources.common import rfc3339

if TYPE_CHECKING:
    from controller.resources.common import Condition
    from controller.resources.twitchchannel import TwitchChannelStatus

__all__ = [
    "Done",
    "Failed",
    "Request",
    "Verdict",
    "Waiting",
    "judge_authorization",
    "judge_revocation",
]

# What a channel that waits for its broadcaster may suffer from: the consent is the cure.
_CONSENT_CURES = frozenset(
    {
        "AuthorizationPending",
        "AuthorizationRevoked",
        "Expiring",
        "LoginChanged",  # it concerns the spec, and no consent
        "LoginMismatch",
        "ScopeMissing",
        "Succeeded",  # it lacks a scope that is only wished for
    }
)

# Reasons of a channel that is not Ready because somebody wants it so: its grant goes on.
_HELD = {
    "Paused": "It is paused: {}",  # the message names the command that ends it
    "Suspended": "It is suspended: cues start nothing (spec.suspend)",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked of the operator.

    Attributes:
        channel: Name of the TwitchChannel.
        value: Of the annotation, by which the status answers.
        by_device: The broadcaster is to type a code that the status shows.
        before: The conditions as they stood when it was asked.
    """

    channel: str
    value: str
    by_device: bool = False
    before: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """It was done.

    Attributes:
        text: For the user.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not be done unless a human acts.

    Attributes:
        text: For the user; names the remedy.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """It goes on.

    Attributes:
        text: What is the matter; "": nothing has been heard yet.
        unhurried: A human is at work, who may take any time.
        address: What the human is to open.
    """

    text: str
    unhurried: bool = False
    address: str = ""


Verdict = Done | Failed | Waiting


def judge_authorization(status: TwitchChannelStatus, request: Request, now: float) -> Verdict:
    """What became of a new consent.

    Args:
        status: Of the channel.
        request: What was asked.
        now: The present time.
    """
    if status.last_handled_reconcile_at != request.value:
        return _unanswered(status, request)
    ready, authorized = _condition(status, "Ready"), _condition(status, "Authorized")
    if ready is None or authorized is None:
        return Waiting("the operator has begun")
    if request.by_device and authorized.reason in _CONSENT_CURES and (code := _code(status, now)):
        return _because(authorized, code)
    stalled = _condition(status, "Stalled")
    if stalled is not None and stalled.status == "True" and stalled.reason != "LoginChanged":
        # Perhaps beside Ready: a new consent that is refused, while the former goes on.
        return Failed(f"{stalled.reason}: {stalled.message}")
    name = f"twitchchannel/{request.channel}"
    if ready.status == "True":
        return Done(f"{name} is Ready: {_authorized_by(status, authorized)}")
    held = _HELD.get(ready.reason)
    if held is not None and authorized.status == "True":
        return Done(f"{name} is {_authorized_by(status, authorized)}\n{held.format(ready.message)}")
    told = ready if held is None else authorized
    unhurried = request.by_device and told.reason == "AuthorizationPending"
    return Waiting(f"{told.reason}: {told.message}", unhurried)


def judge_revocation(status: TwitchChannelStatus, request: Request) -> Verdict:
    """What became of the wish to end a grant.

    Args:
        status: Of the channel.
        request: What was asked.
    """
    if status.last_handled_revoke_at != request.value:
        return _unanswered(status, request)
    return Done(f"twitchchannel/{request.channel}: the grant was revoked at Twitch")


def _unanswered(status: TwitchChannelStatus, request: Request) -> Waiting:
    """Without an answer, only a condition that changed is a sign of life."""
    ready = _condition(status, "Ready")
    if ready is None or status.conditions == request.before:
        return Waiting("")
    return Waiting(f"{ready.reason}: {ready.message}")


def _code(status: TwitchChannelStatus, now: float) -> Waiting | None:
    """What the broadcaster is to type, if anything."""
    shown = status.authorization
    if shown is None or not shown.verification_uri or not shown.user_code:
        return None
    end = shown.user_code_expiration_time
    if end is not None and end <= now:
        return None
    until = f", until {rfc3339(end)}; then a new code is shown here" if end is not None else ""
    text = f"Let the broadcaster open {shown.verification_uri} and type {shown.user_code}{until}"
    return Waiting(text, unhurried=True, address=shown.verification_uri)


def _because(authorized: Condition, code: Waiting) -> Waiting:
    """Say first why a code is to be typed (again): whose consent it was, or what that lacked."""
    if authorized.reason not in ("LoginMismatch", "ScopeMissing"):
        return code
    why = authorized.message.partition(":")[0]
    return replace(code, text=f"{why[:1].upper()}{why[1:]}. {code.text}")


def _authorized_by(status: TwitchChannelStatus, authorized: Condition) -> str:
    plain = f"authorized by {status.broadcaster.login if status.broadcaster else 'its broadcaster'}"
    # The message may add what the grant lacks, if that is only wished for.
    told = authorized.message if authorized.message.startswith(plain) else plain
    scopes = status.authorization.scopes if status.authorization is not None else ()
    return f"{told}\nScopes: {', '.join(scopes)}" if scopes else told


def _condition(status: TwitchChannelStatus, kind: str) -> Condition | None:
    return next((each for each in status.conditions if each.type == kind), None)
