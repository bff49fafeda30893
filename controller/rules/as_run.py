"""The as-run log: what a break on air led to, in a line that traffic reconciles with.

A line is a JSON object. Instants are RFC 3339 in UTC, lengths are seconds, and what the playout
system sent along for its own books stands in it verbatim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.resources.common import rfc3339
from controller.rules.fieldpath import MISSING, FieldPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.rules.breaks import Break
    from controller.rules.budget import Ad

__all__ = ["Station", "break_entry", "foreign_entry", "key_of"]

_VERBATIM = {
    "customer": FieldPath.parse("customer"),
    "headend": FieldPath.parse("headend"),
    "feed_code": FieldPath.parse("feed_code"),
    "event_id": FieldPath.parse("data.event_id"),
    "asset_id": FieldPath.parse("data.asset_id"),
    "cookie": FieldPath.parse("common.cookie"),
    "reconcile_id": FieldPath.parse("common.reconcile_id"),
    "user_data": FieldPath.parse("common.user_data"),
}


@dataclass(frozen=True, slots=True)
class Station:
    """Whose break it is.

    Attributes:
        uid: Of the TwitchChannel.
        namespace: Of the TwitchChannel.
        channel: Its name.
        broadcaster_id: Twitch's id of the broadcaster; empty: not known.
    """

    uid: str
    namespace: str
    channel: str
    broadcaster_id: str


def key_of(station: Station, brk: Break) -> str:
    """What tells the line of a break from all others, also over a restart.

    When it began, as identities may come again on another day; and the cue that was called for, as
    the channel's status remembers that one alone; where none was, the first.
    """
    cue = brk.by if brk.by is not None and brk.called is not None else brk.cues[0]
    return f"{station.uid}/{rfc3339(brk.due)}/{cue.id}"


def break_entry(station: Station, brk: Break) -> dict[str, Any]:
    """Return the line of a break that is over."""
    cue = brk.by or brk.cues[0]
    ran = brk.ruling is not None and brk.ruling.verdict.started
    accepted = brk.accepted if ran else None
    return {
        "key": key_of(station, brk),
        "kind": "break",
        **_station(station),
        "feed": cue.topic or None,
        "rule": cue.rule or None,
        **{name: _verbatim(path, cue.payload) for name, path in _VERBATIM.items()},
        "cue_ids": [each.id for each in brk.cues],
        "due": rfc3339(brk.due),
        "called": _instant(brk.called),
        "confirmed": _instant(brk.confirmed),
        "break_seconds": round(brk.seconds, 3),
        "asked_seconds": brk.asked,
        "accepted_seconds": accepted,
        "uncovered_seconds": round(_uncovered(brk, accepted), 3),
        "verdict": brk.ruling.verdict.value if brk.ruling is not None else None,
        "reason": brk.ruling.detail if brk.ruling is not None else None,
    }


def foreign_entry(station: Station, ad: Ad) -> dict[str, Any]:
    """Return the line of an ad that was not ours."""
    began = rfc3339(ad.started)
    nothing = dict.fromkeys(_VERBATIM)
    return {
        "key": f"{station.uid}/ad/{began}",
        "kind": "foreign",
        **_station(station),
        "feed": None,
        "rule": None,
        **nothing,
        "cue_ids": [],
        "due": None,
        "called": None,
        "confirmed": began,
        "break_seconds": None,
        "asked_seconds": None,
        "accepted_seconds": None,
        "uncovered_seconds": None,
        "verdict": None,
        "reason": "an ad that no rule started: by hand, or by Twitch's Ads Manager",
    }


def _station(station: Station) -> dict[str, str | None]:
    return {
        "namespace": station.namespace,
        "channel": station.channel,
        "broadcaster_id": station.broadcaster_id or None,
    }


def _verbatim(path: FieldPath, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    value = path.get(payload)
    return None if value is MISSING else value


def _instant(instant: float | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _uncovered(brk: Break, accepted: int | None) -> float:
    """Seconds of the break in which no commercial ran."""
    known = [at for at in (brk.called, brk.confirmed) if at is not None]
    if accepted is None or not known:
        return brk.seconds
    # Twitch tells whole seconds, which may lie before the call.
    began = max(known)
    covered = min(brk.end, began + accepted) - max(brk.due, began)
    return max(0.0, brk.seconds - max(0.0, covered))
