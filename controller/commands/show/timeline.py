"""On-air breaks beside commercials: from statuses, and from lines of the as-run log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.arbiter.as_run import uncovered
from controller.commands.show.text import aligned, clock, distance, moment, seconds, span
from controller.events import Verdict
from controller.resources.common import parse_instant, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.resources.triggerrule import RecentDecision, TriggerRuleStatus
    from controller.resources.twitchchannel import RecentCue, TwitchChannelStatus

__all__ = [
    "Row",
    "RuleStatus",
    "as_run_row",
    "next_times",
    "rows_from_statuses",
    "timeline",
    "timeline_for_people",
    "timeline_for_programs",
]

_RAN = frozenset({Verdict.FIRED, Verdict.CONFIRMED, Verdict.UNCONFIRMED})
# They speak of a break that another cue announced.
_NO_BREAK_OF_THEIR_OWN = frozenset({Verdict.DUPLICATE, Verdict.SAME_BREAK, Verdict.OUTRANKED})
_NOT_OURS = "NotOurs"
_BY_HAND = "(by hand)"
# An ad that began this near to a call is the call's.
_EARLY, _LATE = 2.0, 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """A break on air and the commercial that ran in it, or either alone.

    Attributes:
        at: Where it belongs in time.
        due: When the break was due; None: not known, or there was none.
        break_seconds: Of the break; None: not known.
        cue: Identity of the cue.
        rule: Name of the rule.
        started: When the commercial was asked for, or when it began; None: there was none.
        asked: Seconds that were asked for.
        accepted: Seconds that Twitch's answer told.
        result: In one word.
        reason: As a sentence.
        uncovered: Seconds of the break without commercial; None: not known.
        overrun: Seconds that the commercial ran on after the break; None: not known.
    """

    at: float
    due: float | None = None
    break_seconds: float | None = None
    cue: str = ""
    rule: str = ""
    started: float | None = None
    asked: float | None = None
    accepted: float | None = None
    result: str = ""
    reason: str = ""
    uncovered: float | None = None
    overrun: float | None = None

    @property
    def end(self) -> float | None:
        """When the break is over."""
        known = self.due is not None and self.break_seconds is not None
        return (self.due or 0.0) + (self.break_seconds or 0.0) if known else None


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """A rule, as far as it tells of channels.

    Attributes:
        name: Its name.
        channel: That it names; None: a selector picks them.
        status: Its status.
    """

    name: str
    channel: str | None
    status: TriggerRuleStatus

    def decisions_on(self, channel: str) -> list[RecentDecision]:
        """What it decided for one channel."""
        told = self.status.recent_decisions
        if self.channel is not None:
            return list(told) if self.channel == channel else []
        return [each for each in told if each.channel == channel]


def timeline(told: Sequence[Row], recorded: Sequence[Row], since: float) -> list[Row]:
    """Put rows in order, each break once.

    Args:
        told: From statuses.
        recorded: From the as-run log, which says more.
        since: An instant: what was before is left out.
    """
    known = {row.cue for row in recorded if row.cue}
    ads = [row.started for row in recorded if row.started is not None]
    fresh = [
        row
        for row in told
        if row.cue not in known and not (row.result == _NOT_OURS and _near(row.at, ads))
    ]
    kept = (row for row in (*recorded, *fresh) if row.at >= since)
    return sorted(kept, key=lambda row: row.at)


def rows_from_statuses(
    channel: str, status: TwitchChannelStatus, rules: Iterable[RuleStatus]
) -> list[Row]:
    """Return what the statuses of a channel and of its rules tell, in any order."""
    cues = status.commercials.recent_cues if status.commercials is not None else ()
    decisions = [(rule, each) for rule in rules for each in rule.decisions_on(channel)]
    details = {each.event_id: each.detail or "" for _, each in decisions}
    ads = [ad for ad in map(_commercial, cues) if ad is not None]
    rows = [_called(cue, details.get(cue.cue_id, ""), ads) for cue in cues]
    called = {cue.cue_id for cue in cues}
    rows += [
        Row(each.time, cue=each.event_id, rule=rule.name, result=each.verdict,
            reason=each.detail or "")
        for rule, each in decisions
        if each.event_id not in called and each.verdict not in _NO_BREAK_OF_THEIR_OWN
    ]  # fmt: skip
    last = status.ad_schedule.last_ad_time if status.ad_schedule is not None else None
    if last is not None and not _near(last, [row.started for row in rows if row.started]):
        rows.append(_foreign(last))
    return rows


def as_run_row(line: Mapping[str, Any]) -> Row | None:
    """Read a line of the as-run log; None: it tells of nothing.

    Raises:
        ValueError: It is none; the message says why.
    """
    due, called, confirmed = (_instant(line, name) for name in ("due", "called", "confirmed"))
    at = due if due is not None else called if called is not None else confirmed
    if at is None:
        return None
    # The key ends in the cue that was called for, by which the status knows the break.
    cue = str(line.get("key") or "").split("/", 2)[-1] if line.get("kind") != "foreign" else ""
    return Row(
        at=at,
        due=due,
        break_seconds=_number(line, "break_seconds"),
        cue=cue,
        rule=str(line.get("rule") or ""),
        started=confirmed if called is None else called,
        asked=_number(line, "asked_seconds"),
        accepted=_number(line, "accepted_seconds"),
        result=str(line.get("verdict") or ""),
        reason=str(line.get("reason") or ""),
        uncovered=_number(line, "uncovered_seconds"),
        overrun=_number(line, "overrun_seconds"),
    )


def timeline_for_people(rows: Sequence[Row]) -> str:
    """Lay out the rows as a table, in UTC."""
    header = ("ON AIR (UTC)", "BREAK", "CUE", "RULE", "COMMERCIAL", "ASKED", "RESULT", "UNCOVERED",
              "OVERRUN", "REASON")  # fmt: skip
    return aligned(header, (_cells(row) for row in rows))


def timeline_for_programs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The same as JSON; what is not known is null."""
    return [
        {
            "due": _text(row.due),
            "end": _text(row.end),
            "breakSeconds": row.break_seconds,
            "cueId": row.cue or None,
            "rule": row.rule or None,
            "commercialTime": _text(row.started),
            "askedSeconds": row.asked,
            "acceptedSeconds": row.accepted,
            "result": row.result,
            "reason": row.reason or None,
            "uncoveredSeconds": row.uncovered,
            "overrunSeconds": row.overrun,
        }
        for row in rows
    ]


def next_times(status: TwitchChannelStatus, now: float) -> list[str]:
    """Tell when the next commercial may run, and when the Ads Manager means to."""
    eligible = status.commercials.next_eligible_time if status.commercials is not None else None
    cooling = eligible is not None and eligible > now
    may = f"{moment(eligible)} ({distance(eligible, now)})" if eligible and cooling else "now"
    schedule = status.ad_schedule
    if schedule is None:
        planned = "not known (it takes the scope channel:read:ads)"
    elif schedule.next_ad_time is None or schedule.next_ad_time <= now:
        planned = "none is scheduled"
    else:
        planned = f"about {moment(schedule.next_ad_time)} ({distance(schedule.next_ad_time, now)})"
    return [f"next commercial possible: {may}", f"next ad of Twitch's Ads Manager: {planned}"]


def _commercial(cue: RecentCue) -> tuple[float, float] | None:
    """When the commercial of a call began and ended; None: none ran, or it is not known."""
    length = cue.accepted_seconds if cue.accepted_seconds is not None else cue.length_seconds
    start = cue.start_time if cue.start_time is not None else cue.due_time
    if cue.result not in _RAN or start is None:
        return None
    return start, start + (length or 0)


def _called(cue: RecentCue, detail: str, ads: Sequence[tuple[float, float]]) -> Row:
    due = cue.due_time
    at = due if due is not None else cue.start_time
    bare = overrun = None
    known = cue.result in _RAN or cue.result == Verdict.FAILED
    if cue.rule and known and due is not None and cue.break_seconds is not None:
        end, own = due + cue.break_seconds, _commercial(cue)
        bare = round(uncovered(due, end, ads), 1)
        overrun = 0.0 if own is None else round(max(0.0, own[1] - max(end, own[0])), 1)
    return Row(
        at=at if at is not None else cue.publish_time,
        due=due if cue.rule else None,  # who asks by hand announces no break on air
        break_seconds=cue.break_seconds if cue.rule else None,
        cue=cue.cue_id,
        rule=cue.rule or _BY_HAND,
        started=cue.start_time,
        asked=cue.length_seconds,
        accepted=cue.accepted_seconds,
        result=cue.result,
        reason=detail,
        uncovered=bare,
        overrun=overrun,
    )


def _foreign(began: float) -> Row:
    return Row(began, started=began, result=_NOT_OURS, reason="an ad ran that no rule started")


def _near(ad: float, calls: Iterable[float | None]) -> bool:
    return any(call is not None and -_EARLY <= ad - call <= _LATE for call in calls)


def _cells(row: Row) -> tuple[str, ...]:
    # A decision without a call knows only when it was made.
    at = row.due if row.due is not None else (row.at if row.result != _NOT_OURS else None)
    return (
        span(at, row.end) if at is not None else "-",
        seconds(row.break_seconds),
        row.cue,
        row.rule,
        clock(row.started),
        seconds(row.asked),
        row.result,
        seconds(row.uncovered),
        seconds(row.overrun),
        row.reason,
    )


def _instant(line: Mapping[str, Any], name: str) -> float | None:
    value = line.get(name)
    return parse_instant(value) if isinstance(value, str) and value else _number(line, name)


def _number(line: Mapping[str, Any], name: str) -> float | None:
    value = line.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} is {value!r}, and must be a number of seconds"
        raise ValueError(msg)
    return value


def _text(instant: float | None) -> str | None:
    return None if instant is None else rfc3339(instant)
