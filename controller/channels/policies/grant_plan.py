"""What a channel's grant needs next: a pure function of what is known about it.

The order of the checks is the order of the user's steps: the application, the token Secret's owner,
the wish to leave, the consent, the token itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.channels.policies.grant_facts import Input
from controller.policies import problems
from controller.policies.clocks import is_ahead
from controller.policies.problems import Blocked
from controller.policies.rest import Rest

if TYPE_CHECKING:
    from controller.channels.policies.grant_facts import Device, Grant, GrantFacts

__all__ = [
    "Import",
    "Plan",
    "PollDevice",
    "Refresh",
    "Revoke",
    "StartDevice",
    "Store",
    "Validate",
    "ends",
    "plan",
    "refresh_time",
    "remedy",
    "shown_device",
]

_REFRESH_SHARE = 0.25
_REFRESH_JITTER = 0.1
_REFRESH_AT_LEAST = 30.0
_UNHURRIED_POLL = 30.0  # while the former grant still does its work


@dataclass(frozen=True, slots=True)
class Import:
    """Exchange what the user gave for tokens."""

    given: Input


@dataclass(frozen=True, slots=True)
class Refresh:
    """Exchange the stored refresh token."""


@dataclass(frozen=True, slots=True)
class Store:
    """Write what is in hand to the token Secret."""


@dataclass(frozen=True, slots=True)
class Validate:
    """Ask Twitch whose token it is."""


@dataclass(frozen=True, slots=True)
class Revoke:
    """End the grant at Twitch, and forget it; `request` is the wish that is carried out."""

    request: str


@dataclass(frozen=True, slots=True)
class StartDevice:
    """Ask for a code that the broadcaster can type in."""


@dataclass(frozen=True, slots=True)
class PollDevice:
    """Ask whether the broadcaster has typed it in."""


Plan = Rest | Import | Refresh | Store | Validate | Revoke | StartDevice | PollDevice


def plan(facts: GrantFacts, now: float, validate_interval: float) -> Plan:
    """The next step for a grant.

    Args:
        facts: What is known.
        now: The present time.
        validate_interval: Seconds between two validations.
    """
    if facts.blocked is not None:
        return Rest(None, facts.blocked)
    if facts.unsaved:
        return Store()
    if facts.no_app is not None:
        return Rest(None, facts.no_app)
    if facts.revoke_request not in ("", facts.holding.revoke_request):
        return Revoke(facts.revoke_request)
    if facts.rejected is not None:
        return _grant_step(facts, now, validate_interval)
    if isinstance(facts.given, Input) and _is_new(facts, facts.given) and _is_judged(facts, now):
        return Import(facts.given)
    login = _login_step(facts, now)
    if isinstance(login, StartDevice | PollDevice):
        return login
    return _sooner(_grant_step(facts, now, validate_interval), login)


def _is_new(facts: GrantFacts, given: Input) -> bool:
    return given.sha256 != facts.holding.input_sha256 and given.key not in facts.refusals


def _is_judged(facts: GrantFacts, now: float) -> bool:
    """Whether it is known what a new grant would take the place of: a living one is validated."""
    grant = facts.holding.grant
    lives = grant is not None and facts.dead is None and not grant.expired(now)
    return not lives or facts.validated_at is not None


def shown_device(facts: GrantFacts, now: float) -> Device | None:
    """The device code that the broadcaster is to type; None: none is asked about."""
    consent, device = facts.consent, facts.holding.device
    if not consent.by_device or device is None or now >= device.expires_at:
        return None
    if (device.client_id, device.scopes) != (consent.client_id, consent.scopes):
        return None
    return device if _wants_login(facts, shown=True) else None


def _login_step(facts: GrantFacts, now: float) -> StartDevice | PollDevice | float | None:
    """What a consent by device code needs; else when to poll (None: there is nothing to poll)."""
    device = shown_device(facts, now)
    if device is None:
        wanted = facts.consent.by_device and _wants_login(facts, shown=False)
        return StartDevice() if wanted else None
    polled_at = min(facts.polled_at, now)  # the clock may have been set back since
    due = polled_at + device.interval + facts.slower
    grant = facts.holding.grant
    if grant is not None and not grant.expired(now):
        due = max(due, polled_at + _UNHURRIED_POLL)
    return PollDevice() if now >= due else min(due, device.expires_at)


def _wants_login(facts: GrantFacts, *, shown: bool) -> bool:
    """Whether the broadcaster is to consent (anew); `shown`: a code for it is there already."""
    grant = facts.holding.grant
    if grant is None:
        # Who left is not asked to come back, unless somebody says so.
        return shown or facts.asked or not facts.holding.revoke_request
    if facts.dead is not None:
        return True
    if facts.validated_at is None:
        return False  # its scopes and its user are not known yet
    wanted, lacks = facts.consent.login, set(facts.consent.scopes) - set(grant.scopes or ())
    return bool(lacks) or not (facts.renamed or wanted in (None, facts.login))


def _grant_step(facts: GrantFacts, now: float, validate_interval: float) -> Plan:
    grant, dead = facts.holding.grant, facts.dead
    if grant is None:
        return Rest(None, facts.rejected or _no_grant(facts, now))
    ending = ends(facts, now)
    if ending is not None and grant.expired(now):
        return Rest(None, ending)
    # A token cannot live longer than it was given for: the clock was set back since.
    set_back = grant.lifetime > 0 and is_ahead(grant.expires_at - grant.lifetime, now)
    if ending is None and (set_back or now >= refresh_time(grant, facts.jitter)):
        return Refresh()
    due = 0.0
    if facts.validated_at is not None and not is_ahead(facts.validated_at, now):
        due = facts.validated_at + validate_interval
    if dead is not None and (facts.validated_at or 0.0) < dead.since:
        due = 0.0  # the access token may live on for hours, or have died with the refresh token
    if now >= due:
        return Validate()
    return Rest(min(due, refresh_time(grant, facts.jitter) if ending is None else grant.expires_at))


def ends(facts: GrantFacts, now: float) -> Blocked | None:
    """Why the grant ends with its access token; None: it will be refreshed."""
    if facts.dead is not None:
        return problems.revoked(facts.dead.told, remedy(facts, now))
    return facts.rejected


def remedy(facts: GrantFacts, now: float) -> str:
    """What to do where a consent is missing."""
    device = shown_device(facts, now)
    if device is not None:
        return problems.type_code(device.verification_uri, device.user_code, device.expires_at)
    return problems.consent_anew(facts.consent.command)


def _no_grant(facts: GrantFacts, now: float) -> Blocked:
    given = facts.given
    if shown_device(facts, now) is not None:
        return problems.pending(remedy(facts, now))
    if isinstance(given, Input) and given.key in facts.refusals:
        return facts.refusals[given.key]
    if facts.holding.revoke_request:
        return problems.left(remedy(facts, now))
    if isinstance(given, Blocked):
        return given
    # What was given was taken, and its tokens are lost: the token Secret was emptied.
    return problems.revoked("the tokens are gone", remedy(facts, now))


def _sooner(step: Plan, at: float | None) -> Plan:
    if not isinstance(step, Rest) or at is None:
        return step
    return replace(step, until=at if step.until is None else min(step.until, at))


def refresh_time(grant: Grant, jitter: float) -> float:
    """When to refresh: with a quarter of the lifetime left, spread by the channel's jitter.

    A failed refresh is tried again many times before the old token ends.
    """
    share = _REFRESH_SHARE + _REFRESH_JITTER * jitter
    # A token that lives shortly must not be refreshed as soon as it is there.
    least = min(_REFRESH_AT_LEAST, grant.lifetime / 2) if grant.lifetime else _REFRESH_AT_LEAST
    return grant.expires_at - max(grant.lifetime * share, least)
