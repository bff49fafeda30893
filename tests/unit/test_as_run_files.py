"""The as-run log's files: whole lines, none twice, over days, restarts and full disks."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
from datetime import date
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING, Any

import pytest

from controller.arbiter.as_run import ChannelIdentity, break_entry
from controller.arbiter.breaks import Break
from controller.arbiter.steps import Cue, CueRecord
from controller.channels.as_run import AS_RUN_LOGGER, AsRunLog, file_name
from controller.channels.metrics import ChannelMetrics
from controller.events import Ruling, Verdict
from controller.resources.common import parse_instant, rfc3339
from controller.rules.payloads import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TODAY = parse_instant("2026-11-23T10:00:00Z")
DAY = 86400.0


def a_log(folder: Path, now: float = TODAY, metrics: ChannelMetrics | None = None) -> AsRunLog:
    return AsRunLog(str(folder), metrics or ChannelMetrics(), now=lambda: now)


def an_entry(key: str, due: str = "2026-11-23T10:00:00Z", **more: object) -> dict[str, Any]:
    return {"key": key, "kind": "break", "due": due, **more}


def keys(folder: Path) -> dict[str, list[str]]:
    return {
        file.name: [json.loads(line)["key"] for line in file.read_text().splitlines()]
        for file in sorted(folder.glob("*.jsonl"))
    }


def count(metrics: ChannelMetrics, result: str) -> float:
    return float(metrics.as_run_lines.labels(result)._value.get())


@pytest.fixture
def told() -> Iterator[BufferingHandler]:
    """What goes to standard output."""
    logger, handler = logging.getLogger(AS_RUN_LOGGER), BufferingHandler(1000)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


async def test_each_day_has_its_file_by_utc(tmp_path: Path) -> None:
    now = parse_instant("2026-11-23T23:59:59.999Z")
    log = AsRunLog(str(tmp_path), ChannelMetrics(), now=lambda: now)
    log.write(an_entry("a"))
    await log.flush()
    now += 0.001
    log.write(an_entry("b"))
    log.write(an_entry("a"))
    await log.flush()
    assert keys(tmp_path) == {"as-run-2026-11-23.jsonl": ["a"], "as-run-2026-11-24.jsonl": ["b"]}


async def test_a_break_of_last_week_that_is_recalled_is_not_written_again(tmp_path: Path) -> None:
    week = TODAY - 7 * DAY
    first = a_log(tmp_path, week)
    first.write(an_entry("old", "2026-11-16T10:00:00Z"))
    await first.flush()
    second = a_log(tmp_path)
    second.write(an_entry("new"))
    await second.flush()  # it knows of yesterday and today by now
    second.write(an_entry("old", "2026-11-16T10:00:00Z"))
    second.write(an_entry("lost", "2026-11-16T11:00:00Z"))
    await second.flush()
    assert keys(tmp_path) == {
        "as-run-2026-11-16.jsonl": ["old"],
        "as-run-2026-11-23.jsonl": ["new", "lost"],
    }


async def test_a_key_is_found_again_whatever_stands_in_it(tmp_path: Path) -> None:
    names = ['uid/with "quotes" and \\', "uid/ümlaut", "uid/half \ud800", "uid/tab\t"]
    for _ in range(2):
        log = a_log(tmp_path)
        for name in names:
            log.write(an_entry(name))
        await log.flush()
    assert keys(tmp_path) == {"as-run-2026-11-23.jsonl": names}


async def test_a_full_disk_is_told_and_the_lines_still_go_to_standard_output(
    tmp_path: Path, told: BufferingHandler, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = ChannelMetrics()
    (tmp_path / file_name(date(2026, 11, 23))).symlink_to("/dev/full")
    log = a_log(tmp_path, metrics=metrics)
    log.write(an_entry("a"))
    await log.flush()
    assert "No space left on device" in caplog.text
    assert "lines of the as-run log that are in no file: 1" in caplog.text
    assert [json.loads(record.getMessage())["key"] for record in told.buffer] == ["a"]
    assert (count(metrics, "failed"), count(metrics, "dropped")) == (1, 1)


async def test_what_a_full_disk_cut_short_is_taken_back_and_written_whole_later(
    tmp_path: Path,
) -> None:
    before = a_log(tmp_path)
    before.write(an_entry("before"))
    await before.flush()
    log, metrics = a_log(tmp_path), ChannelMetrics()
    log._metrics = metrics
    names = [f"cue-{number}" for number in range(100)]
    for name in names:
        log.write(an_entry(name))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        task = asyncio.get_running_loop().create_task(log.run())
        async with asyncio.timeout(60):
            while not count(metrics, "failed"):  # noqa: ASYNC110 - the metric tells nobody
                await asyncio.sleep(0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert keys(tmp_path) == {"as-run-2026-11-23.jsonl": ["before"]}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await log.flush()
    assert keys(tmp_path) == {"as-run-2026-11-23.jsonl": ["before", *names]}


async def test_an_end_while_lines_are_written_writes_none_twice(tmp_path: Path) -> None:
    for number in range(20):
        log = a_log(tmp_path)
        task = asyncio.get_running_loop().create_task(log.run())
        log.write(an_entry(f"cue-{number}"))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await log.flush()
    written = keys(tmp_path)["as-run-2026-11-23.jsonl"]
    assert written == [f"cue-{number}" for number in range(20)]


async def test_a_line_holds_nothing_that_a_reader_may_take_for_its_end(tmp_path: Path) -> None:
    title = "a\u2028b\u2029c\x85d\x1be\x7f"
    log = a_log(tmp_path)
    log.write(an_entry("k", asset_id=title))
    await log.flush()
    (line,) = (tmp_path / file_name(date(2026, 11, 23))).read_text().splitlines()
    assert json.loads(line)["asset_id"] == title
    assert line.isprintable()


async def test_what_json_cannot_express_harms_no_line(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    log.write(an_entry("nan", cookie=float("nan"), user_data={"a": [float("inf")]}))
    log.write(an_entry("long", event_id=10**5000))
    log.write(an_entry("half", cookie="\ud800"))
    log.write(an_entry("last", cookie="3827-50"))
    await log.flush()
    lines = (tmp_path / file_name(date(2026, 11, 23))).read_text().splitlines()
    cookies = [strict_json(line).get("cookie") for line in lines]
    assert cookies == ["nan", None, "\ud800", "3827-50"]


def test_a_break_keeps_its_key_over_a_restart() -> None:
    station = ChannelIdentity("uid-1", "playout", "mst3k", "642998111")
    bumper, spot = (Cue(name, TODAY, length, 30.0) for name, length in (("a", 5.0), ("b", 60.0)))
    brk = Break(TODAY, TODAY + 60, [bumper, spot])
    brk.ruling, brk.by, brk.called = Ruling(Verdict.FIRED, ""), spot, TODAY
    recalled = Break(TODAY, TODAY + 60)
    recalled.recall(CueRecord("b", TODAY, TODAY, 60, Verdict.FIRED, TODAY, 60.0, 60))
    assert (
        break_entry(station, brk)["key"]
        == break_entry(station, recalled)["key"]
        == f"uid-1/{rfc3339(brk.due)}/b"
    )
    assert break_entry(station, brk)["cue_ids"] == ["a", "b"]


def test_a_break_without_a_call_is_named_by_its_first_cue() -> None:
    station = ChannelIdentity("uid-1", "playout", "mst3k", "642998111")
    brk = Break(TODAY, TODAY + 60, [Cue("a", TODAY, 5.0, 30.0), Cue("b", TODAY, 60.0, 30.0)])
    brk.ruling, brk.by = Ruling(Verdict.EXPIRED, ""), brk.cues[1]
    assert break_entry(station, brk)["key"] == f"uid-1/{rfc3339(brk.due)}/a"
