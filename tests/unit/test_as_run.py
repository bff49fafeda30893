"""The lines of the as-run log: what they say of a break, and how traffic gets at them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import replace
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from controller.__main__ import main
from controller.arbiter.as_run import (
    COLUMNS,
    ChannelIdentity,
    break_entry,
    foreign_entry,
    uncovered,
)
from controller.arbiter.breaks import Break
from controller.arbiter.budget import Ad
from controller.arbiter.steps import Cue
from controller.commands.as_run import broadcast_day
from controller.events import Ruling, Verdict
from controller.resources.common import parse_instant
from controller.resources.triggerrule import AS_RUN_FIELDS
from controller.rules.fieldpath import FieldPath

if TYPE_CHECKING:
    from collections.abc import Mapping

DUE = parse_instant("2026-11-23T10:00:00Z")
MESSAGES = Path(__file__).parents[2] / "examples" / "messages"
STATION = ChannelIdentity("uid-1", "playout", "mst3k", "642998111")
NEW_YORK = ZoneInfo("America/New_York")


def a_cue(name: str = "cue-1", payload: Mapping[str, Any] | None = None) -> Cue:
    return Cue(name, DUE, 125.1, 30.0, rule="splices", topic="mst3k", payload=payload or {})


def a_break(verdict: Verdict = Verdict.CONFIRMED, cue: Cue | None = None) -> Break:
    brk = Break(DUE, DUE + 125.1, [cue or a_cue()])
    brk.ruling = Ruling(verdict, "commercial of 125 s")
    brk.called, brk.asked, brk.accepted, brk.confirmed = DUE + 0.2, 125, 125, DUE + 1
    return brk


def test_a_line_has_what_traffic_reconciles_with_verbatim() -> None:
    message = json.loads((MESSAGES / "scte35.json").read_text())
    message["common"]["user_data"] = {"spot": ["a", 1.50], "note": "token=abc"}
    entry = break_entry(STATION, a_break(cue=a_cue(payload=message)))
    assert entry["customer"] == message["customer"]
    assert (entry["headend"], entry["feed_code"]) == ("MST3K_101", "MST3K")
    assert (entry["event_id"], entry["asset_id"], entry["cookie"]) == (414, None, "3827-50")
    assert (entry["reconcile_id"], entry["user_data"]) == ("", message["common"]["user_data"])
    assert (entry["broadcaster_id"], entry["rule"], entry["feed"]) == (
        "642998111", "splices", "mst3k",
    )  # fmt: skip


def test_a_line_tells_what_was_asked_accepted_and_left_uncovered() -> None:
    entry = break_entry(STATION, a_break())
    assert entry["key"] == "uid-1/2026-11-23T10:00:00Z/cue-1"
    assert (entry["due"], entry["called"]) == ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.200Z")
    assert entry["confirmed"] == "2026-11-23T10:00:01Z"
    assert (entry["break_seconds"], entry["asked_seconds"]) == (125.1, 125)
    assert (entry["accepted_seconds"], entry["uncovered_seconds"]) == (125, 1.0)
    assert (entry["verdict"], entry["reason"]) == ("Confirmed", "commercial of 125 s")


def test_a_break_without_commercial_is_uncovered_as_a_whole() -> None:
    brk = Break(DUE, DUE + 60, [a_cue()])
    brk.ruling = Ruling(Verdict.COOLING_DOWN, "not before 10:05:00Z")
    entry = break_entry(STATION, brk)
    assert (entry["called"], entry["accepted_seconds"], entry["uncovered_seconds"]) == (
        None, None, 60,
    )  # fmt: skip
    assert entry["verdict"] == "CoolingDown"


def test_what_overlaps_the_end_of_a_break_covers_only_the_break() -> None:
    brk = a_break()
    brk.called = brk.confirmed = DUE + 100
    assert break_entry(STATION, brk)["uncovered_seconds"] == 100


def test_twitchs_whole_seconds_leave_nothing_uncovered_that_ran() -> None:
    brk = a_break()
    brk.due, brk.called, brk.confirmed = DUE + 0.77, DUE + 0.77, DUE
    brk.end = brk.due + 125
    assert break_entry(STATION, brk)["uncovered_seconds"] == 0


def by_hand(begin: float, seconds: int) -> Break:
    brk = Break(DUE + begin, DUE + begin + seconds, [Cue("fire/x", DUE + begin, seconds, 30.0)])
    brk.ruling = Ruling(Verdict.CONFIRMED, f"commercial of {seconds} s")
    brk.called, brk.asked, brk.accepted = DUE + begin, seconds, seconds
    return brk


def test_a_commercial_by_hand_covers_the_break_in_which_it_ran() -> None:
    failed = a_break(Verdict.FAILED)
    failed.end, failed.accepted = DUE + 133, None
    hand = by_hand(20, 30)
    told, manual = (break_entry(STATION, each, [failed, hand]) for each in (failed, hand))
    assert (told["kind"], told["break_seconds"], told["uncovered_seconds"]) == ("break", 133, 103)
    assert (manual["kind"], manual["asked_seconds"]) == ("manual", 30)
    # It is no break on air: nothing of it is counted twice.
    assert (manual["break_seconds"], manual["uncovered_seconds"]) == (None, None)


def test_ads_that_overlap_cover_a_break_once() -> None:
    assert uncovered(10, 110, [(0, 20), (15, 40), (30, 35), (100, 200)]) == 60
    assert uncovered(10, 110, []) == 100
    assert uncovered(10, 10, [(0, 20)]) == 0


def test_what_runs_on_after_an_off_cue_is_told() -> None:
    brk = a_break()
    brk.called = brk.confirmed = DUE
    brk.accepted, brk.end, brk.closed = 90, DUE + 20, True
    entry = break_entry(STATION, brk)
    assert (entry["break_seconds"], entry["uncovered_seconds"]) == (20, 0)
    assert entry["overrun_seconds"] == 70


def test_a_rule_says_which_fields_of_the_event_are_columns() -> None:
    payload = {"spot": {"id": 9007199254740993}, "customer": "acme"}
    columns = {"spot_id": FieldPath.parse("spot.id"), "agency": FieldPath.parse("agency")}
    entry = break_entry(STATION, a_break(cue=replace(a_cue(payload=payload), as_run=columns)))
    assert (entry["spot_id"], entry["agency"]) == (9007199254740993, None)
    assert "customer" not in entry
    assert set(entry) - set(columns) == set(AS_RUN_FIELDS) - {"due_utc"}
    assert set(break_entry(STATION, a_break())) == {*AS_RUN_FIELDS, *COLUMNS} - {"due_utc"}


def test_a_csv_has_the_columns_of_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = break_entry(STATION, replace_columns({"spot_id": FieldPath.parse("spot")}))
    foreign = foreign_entry(STATION, Ad(DUE, 30, ours=False))
    (tmp_path / "log").write_text(f"{json.dumps(entry)}\n{json.dumps(foreign)}\n")
    ours, other = the_rows(capsys, str(tmp_path / "log"))
    assert (ours["spot_id"], other["spot_id"], other["kind"]) == ("s-1", "", "foreign")
    assert "customer" not in ours


def replace_columns(columns: Mapping[str, FieldPath]) -> Break:
    return a_break(cue=replace(a_cue(payload={"spot": "s-1"}), as_run=columns))


def test_an_ad_that_was_not_ours_has_a_line_with_the_same_columns() -> None:
    ours, foreign = break_entry(STATION, a_break()), foreign_entry(STATION, Ad(DUE, 30, ours=False))
    assert list(ours) == list(foreign)
    assert (foreign["kind"], foreign["confirmed"]) == ("foreign", "2026-11-23T10:00:00Z")


def a_line(name: str, due: str, **changes: object) -> str:
    entry = break_entry(STATION, a_break(cue=a_cue(name))) | {"due": due} | changes
    return json.dumps(entry)


def the_rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    assert main(["asrun", *arguments]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_a_broadcast_day_begins_at_its_hour_in_its_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dues = {
        "before": "2026-11-23T10:59:59.999Z",  # 05:59:59.999 in New York
        "first": "2026-11-23T11:00:00Z",
        "last": "2026-11-24T10:59:59Z",
        "after": "2026-11-24T11:00:00Z",
    }
    file = tmp_path / "as-run.jsonl"
    file.write_text("\n".join(a_line(name, due) for name, due in dues.items()))
    day = ["--date", "2026-11-23", "--tz", "America/New_York", "--day-start", "06:00"]
    rows = the_rows(capsys, str(file), "--channel", "mst3k", *day, "-o", "csv")
    assert [row["cue_ids"] for row in rows] == ["first", "last"]
    assert rows[0]["due"] == "2026-11-23T06:00:00.000-05:00"
    assert rows[0]["due_utc"] == "2026-11-23T11:00:00Z"
    assert the_rows(capsys, str(file), "--channel", "other", *day) == []
    assert len(the_rows(capsys, str(file), "--channel", "playout/mst3k", *day)) == 2


def test_a_broadcast_day_over_a_clock_change_has_23_or_25_hours() -> None:
    start = time(0)
    spring, autumn = (broadcast_day(date(2026, *day), NEW_YORK, start) for day in ((3, 8), (11, 1)))
    assert (spring[1] - spring[0]) / 3600 == 23
    assert (autumn[1] - autumn[0]) / 3600 == 25


def test_what_stands_in_several_files_counts_once_and_other_lines_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = a_line("cue", "2026-11-23T11:00:00Z", verdict="Fired")
    again = a_line("cue", "2026-11-23T11:00:00Z", verdict="Confirmed")
    (tmp_path / "log").write_text(f"2026 INFO controller: running\n{first}\n{{torn\n")
    with gzip.open(tmp_path / "log.gz", "wt") as file:
        file.write(f"2026 INFO twitch_operator.as_run: {again}\n")
    (row,) = the_rows(capsys, str(tmp_path / "log"), str(tmp_path / "log.gz"))
    assert row["verdict"] == "Confirmed"


def test_a_cell_cannot_become_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = a_line("cue", "2026-11-23T11:00:00Z", cookie="=HYPERLINK(1)", user_data=-5)
    (tmp_path / "log").write_text(evil)
    (row,) = the_rows(capsys, str(tmp_path / "log"))
    assert (row["cookie"], row["user_data"]) == ("'=HYPERLINK(1)", "-5")


def test_totals_and_faults_go_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "log").write_text(a_line("cue", "2026-11-23T11:00:00Z"))
    main(["asrun", str(tmp_path / "log"), "-o", "table"])
    out, err = capsys.readouterr()
    assert out.split()[:2] == ["DUE", "CHANNEL"]
    assert err == (
        "1 break, 1 with a commercial, of 125 s in all; 1 s uncovered; 1 s overrun;"
        " 0 requests by hand; 0 ads not ours\n"
    )
    assert main(["asrun", str(tmp_path / "absent")]) == 1
    assert "absent: No such file" in capsys.readouterr().err
    for wrong in (["--date", "23.11."], ["--tz", "Mars"], ["--day-start", "6am"]):
        with pytest.raises(SystemExit):
            main(["asrun", "x", *wrong])
