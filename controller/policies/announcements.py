"""Which changes of the conditions are worth an Event: what a user would want to have been told.

Only transitions count: what holds or the reason changed. A message that changed alone is told by
the condition itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from controller.policies.extension_conditions import REVOKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.resources.common import Condition

__all__ = ["Announcement", "announcements", "revocation", "rotation"]

_AUTHORIZE = "Authorize"
_RECONCILE = "Reconcile"
_PAUSED = "Paused"
# What may come by itself, and as often is a name that somebody got wrong.
_MISSING = frozenset({"SecretNotFound", "ChannelNotFound", "ExtensionNotFound"})
_ROTATE = "Rotate"
_PENDING = "not authorized yet: the condition Authorized in the status tells what is waited for"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an Event says.

    Attributes:
        type: Warning where something is the matter.
        reason: CamelCase, for programs.
        note: For people; the condition's message, which names the remedy, at its full length.
        action: What the operator was at.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    action: str


def announcements(
    before: Iterable[Condition], after: Iterable[Condition], codes: Iterable[str] = ()
) -> tuple[Announcement, ...]:
    """Tell what became of a resource between two of its statuses.

    Args:
        before: Conditions as the API server held them; none: the resource is new.
        after: Conditions as it holds them now.
        codes: That a broadcaster is to type: an Event outlives them, and more people may read it,
            so that they are in none.
    """
    old = {condition.type: condition for condition in before}
    new = {condition.type: condition for condition in after}
    authorized, ready = _changed("Authorized", old, new), _changed("Ready", old, new)
    secrets = _changed("SecretsCurrent", old, new)
    told = (
        _of_authorized(authorized) if authorized is not None else None,
        _of_ready(ready, old, new) if ready is not None else None,
        _of_secrets(secrets) if secrets is not None else None,
    )
    return tuple(_without(codes, each) for each in told if each is not None)


def _without(codes: Iterable[str], news: Announcement) -> Announcement:
    note = news.note
    for code in codes:
        note = note.replace(code, "(see status.authorization.userCode)")
    return replace(news, note=note)


def rotation(before: Mapping[str, Any], after: Mapping[str, Any]) -> Announcement | None:
    """Tell of a new shared secret between two statuses of an ExtensionApp.

    Args:
        before: As the API server held it.
        after: As it holds it now.
    """
    made = after.get("lastRotationTime")
    if made is None or made == before.get("lastRotationTime"):
        return None
    newest = max(after.get("secrets") or (), key=lambda s: s.get("activeTime") or "", default=None)
    if newest is None:
        return None
    note = (
        f"shared secret {newest.get('fingerprint')} was made; it is active from"
        f" {newest.get('activeTime')}"
    )
    return Announcement("Normal", "SecretRotated", note, _ROTATE)


def revocation(before: Mapping[str, Any], after: Mapping[str, Any]) -> Announcement | None:
    """Tell of another revocation while one is under way, which is no transition.

    Args:
        before: Status of an ExtensionApp as the API server held it.
        after: As it holds it now.
    """
    if after.get("lastHandledRevokeAt") == before.get("lastHandledRevokeAt"):
        return None
    was, is_ = _reason_of_secrets(before), _reason_of_secrets(after)
    if was != REVOKED or is_ != REVOKED:
        return None
    message = next(c["message"] for c in after["conditions"] if c["type"] == "SecretsCurrent")
    return Announcement("Warning", REVOKED, message, _ROTATE)


def _reason_of_secrets(status: Mapping[str, Any]) -> str | None:
    conditions = status.get("conditions") or ()
    return next((c["reason"] for c in conditions if c["type"] == "SecretsCurrent"), None)


def _of_secrets(is_: Condition) -> Announcement | None:
    """What is the matter though the secrets serve on: all else is told by Ready."""
    if is_.status != "True" or is_.reason == "Succeeded":
        return None
    return Announcement("Warning", is_.reason, is_.message, _ROTATE)


def _changed(aspect: str, old: dict[str, Condition], new: dict[str, Condition]) -> Condition | None:
    """The condition, if it made a transition; whether it is False or Unknown is all the same."""
    is_, was = new.get(aspect), old.get(aspect)
    if is_ is None or was is None:
        return is_
    same = (is_.status == "True", is_.reason) == (was.status == "True", was.reason)
    return None if same else is_


def _of_authorized(is_: Condition) -> Announcement:
    if is_.status == "True" and is_.reason == "Succeeded":
        return Announcement("Normal", "Authorized", is_.message, _AUTHORIZE)
    if is_.reason == "AuthorizationPending":
        # The message may have a code to type, which runs out long before the Event is gone.
        return Announcement("Normal", is_.reason, _PENDING, _AUTHORIZE)
    # Even where it holds: the former grant serves on, but something is the matter.
    return Announcement("Warning", is_.reason, is_.message, _AUTHORIZE)


def _of_ready(
    is_: Condition, old: dict[str, Condition], new: dict[str, Condition]
) -> Announcement | None:
    authorized, was, stalled = new.get("Authorized"), old.get("Ready"), new.get("Stalled")
    holds = is_.status == "True"
    if was is not None and was.reason == _PAUSED and is_.reason != "Suspended":
        told = "cues start commercials again" if holds else f"Ready={is_.status}"
        return Announcement("Normal", "Resumed", f"resumed: {told} ({is_.reason})", _RECONCILE)
    echo = authorized is not None and authorized.message == is_.message
    if echo and (not holds or _changed("Authorized", old, new) is not None):
        return None  # told by Authorized, now or before
    if holds:
        recovered = was is not None and was.status != "True"
        return Announcement("Normal", "Ready", is_.message, _RECONCILE) if recovered else None
    if is_.reason == REVOKED:
        return None  # told by SecretsCurrent
    if is_.reason in ("Suspended", _PAUSED):
        return Announcement("Normal", is_.reason, is_.message, _RECONCILE)
    stalls = stalled is not None and (stalled.status, stalled.reason) == ("True", is_.reason)
    if stalls or is_.reason in _MISSING:
        return Announcement("Warning", is_.reason, is_.message, _RECONCILE)
    return None  # it waits for what may come by itself
