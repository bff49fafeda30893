"""Which changes of a channel's status are worth an Event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from controller.policies.announcements import Announcement, announce_ready, transitions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.policies.announcements import Transitions
    from controller.resources.common import Condition

__all__ = ["announce_channel", "announcements"]

_AUTHORIZE = "Authorize"
_PAUSED = "Paused"
_PENDING = "not authorized yet: see the condition Authorized in the status"


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Announcement, ...]:
    """Tell what became of a channel between two of its statuses.

    Args:
        before: As the API server held it.
        after: As it holds it now.
    """
    found = transitions(before, after)
    codes = {code for each in (before, after) if (code := _user_code(each))}
    return announce_channel(found, codes) if found is not None else ()


def announce_channel(found: Transitions, codes: Iterable[str] = ()) -> tuple[Announcement, ...]:
    """Tell of the transitions of a channel's conditions.

    Args:
        found: The transitions.
        codes: That a broadcaster is to type: an Event outlives them, and more people may read it,
            so that they are in none.
    """
    authorized = found.of("Authorized")
    told = (_of_authorized(authorized) if authorized is not None else None, _of_ready(found))
    return tuple(_without(codes, each) for each in told if each is not None)


def _user_code(status: Mapping[str, Any]) -> str | None:
    """The code that the broadcaster is to type, where one is shown."""
    code = (status.get("authorization") or {}).get("userCode")
    return code if isinstance(code, str) else None


def _without(codes: Iterable[str], news: Announcement) -> Announcement:
    note = news.note
    for code in codes:
        note = note.replace(code, "(see status.authorization.userCode)")
    return replace(news, note=note)


def _of_authorized(is_: Condition) -> Announcement:
    if is_.status == "True" and is_.reason == "Succeeded":
        return Announcement("Normal", "Authorized", is_.message, _AUTHORIZE)
    if is_.reason == "AuthorizationPending":
        # The message may have a code to type, which runs out long before the Event is gone.
        return Announcement("Normal", is_.reason, _PENDING, _AUTHORIZE)
    # Even where it holds: the former grant serves on, but something is the matter.
    return Announcement("Warning", is_.reason, is_.message, _AUTHORIZE)


def _of_ready(found: Transitions) -> Announcement | None:
    is_, was, authorized = (
        found.of("Ready"),
        found.before.get("Ready"),
        found.after.get("Authorized"),
    )
    if is_ is None:
        return None
    holds = is_.status == "True"
    if was is not None and was.reason == _PAUSED and is_.reason != "Suspended":
        told = "cues start commercials again" if holds else f"Ready={is_.status}"
        return Announcement("Normal", "Resumed", f"resumed: {told} ({is_.reason})")
    echo = authorized is not None and authorized.message == is_.message
    if echo and (not holds or found.of("Authorized") is not None):
        return None  # told by Authorized, now or before
    return announce_ready(found)
