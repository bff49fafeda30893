"""Channels that somebody paused: what the annotation says, and what its reader is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.displayable import displayable
from controller.resources.kind import PAUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["find_pause", "paused_message", "written_pause"]

_MOST = 256  # characters of a reason, and of an annotation that somebody wrote by hand


def find_pause(annotations: Mapping[str, str] | None) -> str | None:
    """Return what the annotation says of a pause; None: the channel is not paused."""
    value = (annotations or {}).get(PAUSED, "false")
    return None if value == "false" else value


def written_pause(instant: str, who: str, reason: str) -> str:
    """Return the annotation of a paused channel: when, by whom and why.

    Args:
        instant: In RFC 3339.
        who: Name of the user; "": not known.
        reason: In the user's words; "": none was given.
    """
    return instant + (f" by {who}" if who else "") + (f": {reason[:_MOST]}" if reason else "")


def paused_message(value: str, name: str, namespace: str, *, what: str = "commercials") -> str:
    """Say who paused a channel, when and why, and how to end that.

    Args:
        value: Of the annotation, as `written_pause` or somebody by hand made it.
        name: Of the TwitchChannel.
        namespace: Its namespace.
        what: Is held back, in the plural.
    """
    told = displayable(value[: 2 * _MOST])
    dated = told[:4].isdecimal()  # begins with an instant
    since = f"since {told}" if dated else f"by the annotation {PAUSED}={told}"
    return f"{what} are held back {since}; to end that: kubectl twitch resume {name} -n {namespace}"
