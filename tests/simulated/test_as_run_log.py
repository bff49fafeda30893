"""The as-run log's files: each line once, whatever happens to process and disk."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from logging.handlers import BufferingHandler
from typing import TYPE_CHECKING

from controller.channels import as_run
from controller.channels.as_run import AsRunLog, file_name
from controller.channels.metrics import ChannelMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import pytest


@asynccontextmanager
async def running(
    folder: Path | None, metrics: ChannelMetrics | None = None
) -> AsyncIterator[AsRunLog]:
    log = AsRunLog(str(folder) if folder else "", metrics or ChannelMetrics())
    task = asyncio.get_running_loop().create_task(log.run())
    try:
        yield log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await log.flush()


def keys(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line)["key"] for file in files for line in file.read_text().splitlines()]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - files tell nobody
            await asyncio.sleep(0.01)


async def test_each_line_is_written_once_by_its_key(tmp_path: Path) -> None:
    async with running(tmp_path) as log:
        for key in ("a", "b", "a"):
            log.write({"key": key, "user_data": "ü"})
        await until(lambda: len(keys(tmp_path)) >= 2)
        log.write({"key": "b"})
    assert keys(tmp_path) == ["a", "b"]
    assert (tmp_path / file_name(datetime.now(UTC))).exists()


async def test_what_a_former_process_wrote_yesterday_or_today_is_not_written_again(
    tmp_path: Path,
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    (tmp_path / file_name(yesterday)).write_text('{"key":"old"}\n')
    (tmp_path / file_name(datetime.now(UTC))).write_text('{"key":"today"}\n{"key":"to')
    async with running(tmp_path) as log:
        for key in ("old", "today", "new"):
            log.write({"key": key})
        path = tmp_path / file_name(datetime.now(UTC))
        await until(lambda: '"new"' in path.read_text())
    # A line that a crash cut short stays by itself.
    assert path.read_text().splitlines() == ['{"key":"today"}', '{"key":"to', '{"key":"new"}']


async def test_a_folder_that_cannot_be_written_is_told_once_and_the_lines_come_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_run, "_RETRY", 0.02)
    folder, metrics = tmp_path / "as-run", ChannelMetrics()
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.ERROR):
        async with running(folder, metrics) as log:
            log.write({"key": "a"})
            failed = metrics.as_run_lines.labels("failed")
            await until(lambda: failed._value.get() >= 3)
            log.write({"key": "b"})
            folder.unlink()
            await until(lambda: folder.is_dir() and len(keys(folder)) == 2)
    assert keys(folder) == ["a", "b"]
    assert len([r for r in caplog.records if "cannot be written" in r.getMessage()]) == 1


async def test_without_a_folder_the_lines_go_to_the_logger_alone() -> None:
    logger, handler = logging.getLogger(as_run.AS_RUN_LOGGER), BufferingHandler(100)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with running(None) as log:
            assert not log.remembers
            log.write({"key": "a", "user_data": "token=verbatim"})
            log.write({"key": "a"})
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    told = [record.getMessage() for record in handler.buffer]
    assert told == ['{"key":"a","user_data":"token=verbatim"}']


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_run, "_MOST_WAITING", 3)
    metrics = ChannelMetrics()
    log = AsRunLog(str(tmp_path), metrics)
    for key in "abcde":
        log.write({"key": key})
    await log.flush()
    assert keys(tmp_path) == ["c", "d", "e"]
    assert metrics.as_run_lines.labels("dropped")._value.get() == 2
