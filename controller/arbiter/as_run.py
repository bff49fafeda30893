"""The as-run log: what a break on air led to, in a line that traffic reconciles with.

A line is a JSON object. Instants are RFC 3339 in UTC, lengths are seconds, and what the playout
system sent along for its own books stands in it verbatim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from controller.resources.common import rfc3339
from controller.rules.fieldpath import MISSING, FieldPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.arbiter.breaks import Break
    from controller.arbiter.budget import Ad

__all__ = ["COLUMNS", "ChannelIdentity", "break_entry", "foreign_entry", "key_of", "uncovered"]

COLUMNS: Final[Mapping[str, FieldPath]] = {
    "customer": FieldPath.parse("customer"),
    "headend": FieldPath.parse("headend"),
    "feed_code": FieldPath.parse("feed_code"),
    "event_id": FieldPath.parse("data.event_id"),
    "asset_id": FieldPath.parse("data.asset_id"),
    "cookie": FieldPath.parse("common.cookie"),
    "reconcile_id": FieldPath.parse("common.reconcile_id"),
    "user_data": FieldPath.parse("common.user_data"),
}
"""What a line has of the event, verbatim, where the rule does not say otherwise (`spec.asRun`)."""


@dataclass(frozen=True, slots=True)
class ChannelIdentity:
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


def key_of(station: ChannelIdentity, brk: Break) -> str:
    """What tells the line of a break from all others, also over a restart.

    When it began, as identities may come again on another day; and the cue that was called for, as
    the channel's status remembers that one alone; where none was, the first.
    """
    cue = brk.by if brk.by is not None and brk.called is not None else brk.cues[0]
    return f"{station.uid}/{rfc3339(brk.due)}/{cue.id}"


def break_entry(
    station: ChannelIdentity, brk: Break, others: Iterable[Break] = ()
) -> dict[str, Any]:
    """Return the line of a break that is over, or of a commercial by hand outside of all breaks.

    Args:
        station: Whose it is.
        brk: The break.
        others: Of the same channel: a commercial that somebody asked for by hand, after the
            break's own start had failed, covers the break all the same.
    """
    cue = brk.by or brk.cues[0]
    # A request by hand that came first knows nothing of the event.
    source = next((each for each in (cue, *brk.cues) if each.payload), cue)
    columns = COLUMNS if source.as_run is None else source.as_run
    return {
        "key": key_of(station, brk),
        "kind": "manual" if brk.by_hand else "break",
        **_station(station),
        "feed": cue.topic or None,
        "rule": cue.rule or None,
        **{name: _verbatim(path, source.payload) for name, path in columns.items()},
        "cue_ids": [each.id for each in brk.cues],
        "due": rfc3339(brk.due),
        "called": _instant(brk.called),
        "confirmed": _instant(brk.confirmed),
        "break_seconds": None if brk.by_hand else round(brk.seconds, 3),
        "asked_seconds": brk.asked,
        "accepted_seconds": brk.accepted if brk.ran else None,
        "uncovered_seconds": None if brk.by_hand else round(_uncovered(brk, others), 3),
        "overrun_seconds": None if brk.by_hand else round(_overrun(brk), 3),
        "verdict": brk.ruling.verdict.value if brk.ruling is not None else None,
        "reason": brk.ruling.detail if brk.ruling is not None else None,
    }


def foreign_entry(station: ChannelIdentity, ad: Ad) -> dict[str, Any]:
    """Return the line of an ad that was not ours."""
    began = rfc3339(ad.started)
    nothing = dict.fromkeys(COLUMNS)
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
        "overrun_seconds": None,
        "verdict": None,
        "reason": "an ad that no rule started: by hand, or by Twitch's Ads Manager",
    }


def _station(station: ChannelIdentity) -> dict[str, str | None]:
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


def _uncovered(brk: Break, others: Iterable[Break]) -> float:
    """Seconds of the break in which no commercial ran."""
    ads = (each.commercial for each in (brk, *(other for other in others if other is not brk)))
    return uncovered(brk.due, brk.end, (ad for ad in ads if ad is not None))


def _overrun(brk: Break) -> float:
    """Seconds that the break's commercial ran on after its end, over the programme."""
    if brk.commercial is None:
        return 0.0
    began, ended = brk.commercial
    return max(0.0, ended - max(brk.end, began))


def uncovered(begin: float, end: float, ads: Iterable[tuple[float, float]]) -> float:
    """Return the seconds between two instants in which no ad ran.

    Args:
        begin: The first instant.
        end: The second instant.
        ads: When each began and ended; they may overlap.
    """
    bare, at = 0.0, begin
    for start, stop in sorted(ads):
        bare += max(0.0, min(start, end) - at)
        at = max(at, min(stop, end))
    return bare + max(0.0, end - at)
