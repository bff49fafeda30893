"""On-air breaks beside commercials, from statuses and from the as-run log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from controller.commands.show.timeline import (
    Row,
    RuleStatus,
    as_run_row,
    next_times,
    rows_from_statuses,
    timeline,
    timeline_for_people,
    timeline_for_programs,
)
from controller.commands.timeline import _read_as_run
from controller.resources.triggerrule import TriggerRuleStatus
from controller.resources.twitchchannel import TwitchChannelStatus

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def at(minutes: float) -> str:
    seconds = round(minutes * 60)
    return f"2027-01-15T{7 + seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def cue(cue_id: str, minutes: float, **changes: object) -> dict[str, object]:
    return {
        "cueId": cue_id,
        "publishTime": at(minutes),
        "dueTime": at(minutes),
        "startTime": at(minutes),
        "breakSeconds": 125.1,
        "lengthSeconds": 125,
        "result": "Confirmed",
        "rule": "spots",
    } | changes


def channel(*cues: dict[str, object], **status: object) -> TwitchChannelStatus:
    return TwitchChannelStatus.from_status({"commercials": {"recentCues": list(cues)}} | status)


def rule(
    *decisions: tuple[str, float, str], channel: str | None = "mst3k", on: str = ""
) -> RuleStatus:
    told = [
        {"eventId": event, "time": at(minutes), "verdict": verdict, "detail": f"{verdict} it is"}
        | ({"channel": on} if on else {})
        for event, minutes, verdict in decisions
    ]
    return RuleStatus("spots", channel, TriggerRuleStatus.from_status({"recentDecisions": told}))


def rows(status: TwitchChannelStatus, *rules: RuleStatus, since: float = 0.0) -> list[Row]:
    return timeline(rows_from_statuses("mst3k", status, rules), [], since)


def test_a_call_tells_its_break_and_what_of_it_was_uncovered() -> None:
    (row,) = rows(channel(cue("a", 10)))
    assert (row.break_seconds, row.asked, row.result, row.uncovered) == (
        125.1, 125, "Confirmed", 0.1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "uncovered"),
    [
        ({"startTime": at(10.5), "lengthSeconds": 95}, 30.1),
        ({"acceptedSeconds": 90}, 35.1),
        ({"startTime": at(13)}, 125.1),  # it ran outside of its break
        ({"result": "Failed"}, 125.1),
        ({"result": "Unknown"}, None),
        ({"breakSeconds": None}, None),  # written by an older version
    ],
)
def test_what_is_uncovered_follows_from_what_ran(
    changes: dict[str, object], uncovered: float | None
) -> None:
    (row,) = rows(channel(cue("a", 10, **changes)))
    assert row.uncovered == uncovered


def test_a_commercial_by_hand_covers_the_break_whose_own_start_failed() -> None:
    failed = cue("a", 10, breakSeconds=133.0, lengthSeconds=133, result="Failed")
    hand = cue("fire/x", 11, lengthSeconds=30, breakSeconds=30.0, rule=None)
    told, manual = rows(channel(hand, failed))
    assert (told.result, told.break_seconds, told.uncovered) == ("Failed", 133, 103)
    assert (manual.rule, manual.break_seconds, manual.uncovered) == ("(by hand)", None, None)


def test_what_runs_on_after_its_break_is_told() -> None:
    (row,) = rows(channel(cue("a", 10, breakSeconds=20.0, lengthSeconds=90)))
    assert (row.uncovered, row.overrun) == (0, 70)


def test_breaks_that_were_skipped_stand_among_the_others_with_the_reason() -> None:
    told = rows(
        channel(cue("b", 20), cue("a", 10)),
        rule(("c", 30, "CoolingDown"), ("b", 20, "Confirmed"), ("z", 5, "TooShort")),
    )
    assert [(row.cue, row.result) for row in told] == [
        ("z", "TooShort"),
        ("a", "Confirmed"),
        ("b", "Confirmed"),
        ("c", "CoolingDown"),
    ]
    assert told[0].reason == "TooShort it is"
    assert told[2].reason == "Confirmed it is"


def test_repeats_of_a_break_are_no_breaks() -> None:
    repeats = rule(("b", 10.1, "SameBreak"), ("a", 10.2, "Duplicate"), ("c", 10.3, "Outranked"))
    assert [row.cue for row in rows(channel(cue("a", 10)), repeats)] == ["a"]


def test_only_rules_of_the_channel_count() -> None:
    others = [
        rule(("x", 1, "TooShort"), channel="another"),
        rule(("y", 2, "TooShort"), channel=None, on="another"),
        rule(("mine", 3, "TooShort"), channel=None, on="mst3k"),
    ]
    assert [row.cue for row in rows(channel(), *others)] == ["mine"]


def test_an_ad_that_nobody_called_for_is_told_and_one_of_a_call_is_not() -> None:
    called = channel(cue("a", 10), adSchedule={"lastAdTime": at(10.5)})
    assert [row.result for row in rows(called)] == ["Confirmed"]
    by_hand = channel(cue("a", 10), adSchedule={"lastAdTime": at(20)})
    assert [row.result for row in rows(by_hand)] == ["Confirmed", "NotOurs"]


def test_what_was_before_is_left_out() -> None:
    status = channel(cue("new", 50), cue("old", 10))
    assert [row.cue for row in rows(status, since=NOW - 1800)] == ["new"]


def test_the_as_run_log_counts_where_both_tell_of_a_break() -> None:
    line = {
        "key": "uid-1/2026-11-23T10:00:00Z/a",
        "kind": "break",
        "channel": "mst3k",
        "cue_ids": ["a0", "a", "a2"],
        "due": at(10),
        "called": at(10),
        "confirmed": at(10),
        "break_seconds": 125.1,
        "asked_seconds": 125,
        "accepted_seconds": 120,
        "uncovered_seconds": 5.1,
        "verdict": "Confirmed",
        "reason": None,
    }
    recorded = as_run_row(line)
    assert recorded is not None
    told = rows_from_statuses("mst3k", channel(cue("b", 20), cue("a", 10)), ())
    merged = timeline(told, [recorded], 0.0)
    assert [(row.cue, row.uncovered) for row in merged] == [("a", 5.1), ("b", 0.1)]


def test_an_ad_of_the_as_run_log_is_not_told_twice() -> None:
    ad = as_run_row({"confirmed": at(20), "asked_seconds": 30, "verdict": "NotOurs"})
    assert ad is not None
    told = rows_from_statuses("mst3k", channel(adSchedule={"lastAdTime": at(20)}), ())
    assert timeline(told, [ad], 0.0) == [ad]


@pytest.mark.parametrize(
    "line", [{"due": "yesterday"}, {"due": at(1), "break_seconds": "125"}, {"due": [1]}]
)
def test_a_line_that_is_none_of_the_log_is_refused(line: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"yesterday|break_seconds|due"):
        as_run_row(line)


def test_a_line_without_any_time_tells_nothing() -> None:
    assert as_run_row({"verdict": "Fired"}) is None


def test_the_table_is_aligned_and_in_utc() -> None:
    by_hand = cue("fire/x", 20, lengthSeconds=60, breakSeconds=60, result="Fired", rule=None)
    table = timeline_for_people(rows(channel(by_hand, cue("a", 10)), rule(("z", 30, "TooShort"))))
    header, *lines = table.splitlines()
    assert header.split("  ")[0] == "ON AIR (UTC)"
    assert lines[0].startswith("2027-01-15 07:10:00 - 07:12:05Z   125.1 s   a ")
    assert "(by hand)" in lines[1]
    assert lines[2].startswith("2027-01-15 07:30:00Z")
    assert lines[2].endswith("TooShort it is")
    at_result = header.index("RESULT")
    assert [line[at_result:].split()[0] for line in lines] == ["Confirmed", "Fired", "TooShort"]


def test_programs_get_the_same_as_json() -> None:
    (told,) = timeline_for_programs(rows(channel(cue("a", 10))))
    assert told["due"] == "2027-01-15T07:10:00Z"
    assert told["end"] == "2027-01-15T07:12:05.100Z"
    assert (told["askedSeconds"], told["acceptedSeconds"], told["reason"]) == (125, None, None)


def test_when_the_next_may_run_and_what_the_ads_manager_means_to_do() -> None:
    cooling = TwitchChannelStatus.from_status(
        {"commercials": {"nextEligibleTime": at(65)}, "adSchedule": {"nextAdTime": at(70)}}
    )
    assert next_times(cooling, NOW) == [
        "next commercial possible: 2027-01-15 08:05:00Z (in 5m)",
        "next ad of Twitch's Ads Manager: about 2027-01-15 08:10:00Z (in 10m)",
    ]
    free = TwitchChannelStatus.from_status({"adSchedule": {}})
    assert next_times(free, NOW) == [
        "next commercial possible: now",
        "next ad of Twitch's Ads Manager: none is scheduled",
    ]
    assert "not known" in next_times(TwitchChannelStatus(), NOW)[1]


def test_other_lines_of_a_log_and_separators_of_unicode_are_no_trouble(tmp_path: Path) -> None:
    line = {"key": "k", "kind": "break", "channel": "mst3k", "due": at(10), "verdict": "Fired"}
    text = json.dumps(line | {"asset_id": "a\u2028b\x85c"}, ensure_ascii=False)
    assert "\u2028" in text
    file = tmp_path / "as-run.jsonl"
    file.write_text(f"\ufeff{text}\nstarting\n\nlevel=INFO {text}\n", "utf-8")
    rows = _read_as_run(str(file), "mst3k", "playout")
    assert len(rows) == 2
