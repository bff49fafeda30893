"""Which changes of an ExtensionApp's status are worth an Event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.extensions.policies.conditions import REVOKED
from controller.policies.announcements import Announcement, announce_ready, transitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.policies.announcements import Transitions

__all__ = ["announce_extension", "announcements", "revocation", "rotation"]

_ROTATE = "Rotate"


def announcements(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Announcement, ...]:
    """Tell what became of an ExtensionApp between two of its statuses.

    Args:
        before: As the API server held it.
        after: As it holds it now.
    """
    found = transitions(before, after)
    told = announce_extension(found) if found is not None else ()
    counted = rotation(before, after), revocation(before, after)
    return (*told, *(each for each in counted if each is not None))


def announce_extension(found: Transitions) -> tuple[Announcement, ...]:
    """Tell of the transitions of an ExtensionApp's conditions."""
    ready = found.of("Ready")
    revoked = ready is not None and ready.status != "True" and ready.reason == REVOKED
    told = (announce_ready(found) if not revoked else None, _of_secrets(found))
    return tuple(each for each in told if each is not None)


def rotation(before: Mapping[str, Any], after: Mapping[str, Any]) -> Announcement | None:
    """Tell of a new shared secret between two statuses.

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
        before: The status as the API server held it.
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


def _of_secrets(found: Transitions) -> Announcement | None:
    """What is the matter though the secrets serve on: all else is told by Ready."""
    is_ = found.of("SecretsCurrent")
    if is_ is None or is_.status != "True" or is_.reason == "Succeeded":
        return None
    return Announcement("Warning", is_.reason, is_.message, _ROTATE)
