"""Where the lines of the as-run log go: standard output, and a file for each day.

Nothing waits for it: lines are queued, and written to the file by a thread. What cannot be written
is told, and tried again. A line that is in a file is never written again, also over restarts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import time
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.displayable import displayable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import FileIO

    from controller.channels.metrics import ChannelMetrics

__all__ = ["AS_RUN_LOGGER", "AsRunLog", "file_name", "set_up_as_run_logging"]

AS_RUN_LOGGER = "twitch_operator.as_run"

logger = logging.getLogger(__name__)
lines_logger = logging.getLogger(AS_RUN_LOGGER)

_MOST_WAITING = 10_000
_MOST_KEYS = 200_000
_RETRY = 5.0
_MOST_DAYS = 31  # that are looked through for what a former process wrote
_DAY = timedelta(days=1)
_KEY = re.compile(rb'\{"key":("(?:[^"\\]|\\.)*")')  # each line begins with it


def set_up_as_run_logging(to: str) -> None:
    """Give the log its own way out: bare JSON lines, as they are.

    Args:
        to: `stdout` or `none`.
    """
    lines_logger.propagate = False
    lines_logger.setLevel(logging.INFO)
    lines_logger.handlers[:] = []
    if to == "stdout":
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(message)s"))
        lines_logger.addHandler(handler)
    else:
        lines_logger.addHandler(logging.NullHandler())


def file_name(day: date) -> str:
    """Name of the file of a day, in UTC."""
    return f"as-run-{day:%Y-%m-%d}.jsonl"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line on its way; day: of the break, in UTC, before which it cannot have been written."""

    key: str
    text: str
    day: date


class AsRunLog:
    """Takes entries; each is written once, by its key.

    Args:
        folder: Of the daily files; empty: none are written.
        metrics: Counts.
        now: The clock, in seconds since the epoch.
    """

    def __init__(
        self, folder: str, metrics: ChannelMetrics, *, now: Callable[[], float] = time.time
    ) -> None:
        self._folder = Path(folder) if folder else None
        self._metrics = metrics
        self._now = now
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._known_from: date | None = None
        self._waiting: deque[_Line] = deque()
        self._more = asyncio.Event()
        self._writing: asyncio.Task[bool] | None = None
        self._told: str | None = None

    @property
    def remembers(self) -> bool:
        """Whether lines of a former process are known, so that none is written twice."""
        return self._folder is not None

    def write(self, entry: Mapping[str, Any]) -> None:
        """Write a line, unless its key was written before; returns at once."""
        key = str(entry["key"])
        if key in self._keys:
            return
        line = _Line(key, _as_line(entry), self._day_of(entry))
        if self._folder is None:
            self._written(line)
            return
        self._waiting.append(line)
        self._drop_surplus()
        self._more.set()

    async def run(self) -> None:
        """Write to the files until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            if not await self._write_out():
                await asyncio.sleep(_RETRY)
                self._more.set()

    async def flush(self, within: float = 5.0) -> None:
        """Write what waits, once; `run` must have ended.

        Args:
            within: Seconds that a disk which hangs is waited for.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                if self._writing is not None:
                    await asyncio.shield(self._writing)  # what `run` was about
                await self._write_out()
        if self._waiting:
            logger.error("lines of the as-run log that are in no file: %d", len(self._waiting))
            while self._waiting:
                self._drop()

    async def _write_out(self) -> bool:
        """Write what waits; whether that worked.

        A cancellation does not reach the thread that writes, so it must not reach what keeps its
        result: what is written would be written again.
        """
        self._writing = asyncio.get_running_loop().create_task(self._write_all())
        return await asyncio.shield(self._writing)

    async def _write_all(self) -> bool:
        while self._waiting and self._folder is not None:
            batch = list({line.key: line for line in self._waiting}.values())
            self._waiting.clear()
            try:
                await self._learn(self._folder, min(line.day for line in batch))
                new = [line for line in batch if line.key not in self._keys]
                await asyncio.to_thread(_append, self._folder / file_name(self._today()), new)
            except OSError as error:
                self._failed(batch, error.strerror or str(error))
                return False
            except Exception as error:
                # A fault of ours: told, and the operator goes on.
                logger.exception("lines of the as-run log were not written")
                self._failed(batch, repr(error))
                return False
            self._told = None
            for line in new:
                self._written(line)
        return True

    async def _learn(self, folder: Path, day: date) -> None:
        """Know the keys of the files from a day on, and of yesterday's and today's at least."""
        until = self._known_from or self._today() + _DAY
        begin = max(min(day, self._today() - _DAY), self._today() - _MOST_DAYS * _DAY)
        if begin >= until:
            return
        days = [begin + number * _DAY for number in range((until - begin).days)]
        for key in await asyncio.to_thread(_known_keys, [folder / file_name(day) for day in days]):
            self._note(key)
        self._known_from = begin

    def _failed(self, batch: list[_Line], why: str) -> None:
        self._waiting.extendleft(reversed(batch))
        self._drop_surplus()
        self._count("failed")
        if why != self._told:
            told = "the as-run log cannot be written to %s: %s; retrying"
            logger.error(told, self._folder, why)
            self._told = why

    def _drop_surplus(self) -> None:
        while len(self._waiting) > _MOST_WAITING:
            self._drop()

    def _drop(self) -> None:
        """Give up the oldest line; it still goes to standard output."""
        lines_logger.info("%s", self._waiting.popleft().text)
        self._count("dropped")

    def _written(self, line: _Line) -> None:
        self._note(line.key)
        self._count("written")
        lines_logger.info("%s", line.text)

    def _note(self, key: str) -> None:
        self._keys[key] = None
        while len(self._keys) > _MOST_KEYS:
            self._keys.popitem(last=False)

    def _count(self, result: str) -> None:
        self._metrics.as_run_lines.labels(result).inc()

    def _today(self) -> date:
        return datetime.fromtimestamp(self._now(), UTC).date()

    def _day_of(self, entry: Mapping[str, Any]) -> date:
        began = entry.get("due") or entry.get("confirmed")
        return date.fromisoformat(str(began)[:10]) if began else self._today()


def _as_line(entry: Mapping[str, Any]) -> str:
    """Write an entry as JSON that every reader takes."""
    try:
        text = json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError):  # NaN, or a number of thousands of digits
        return json.dumps({name: _tame(value) for name, value in entry.items()})
    # Half of a character, and what many readers take for the end of a line, become escapes.
    return displayable(text)


def _tame(value: object) -> object:
    """What JSON cannot express, as text."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError):
        return hex(value) if isinstance(value, int) else ascii(value)
    return value


def _append(path: Path, lines: list[_Line]) -> None:
    """Append whole lines, or none: what a full disk cut short is taken back."""
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        begin = file.seek(0, os.SEEK_END)
        # A line that a crash cut short must not swallow the next one.
        text = "".join(line.text + "\n" for line in lines)
        rest = memoryview((("\n" if _is_torn(file) else "") + text).encode())
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(begin)
            raise


def _is_torn(file: FileIO) -> bool:
    size = file.tell()
    if size == 0:
        return False
    file.seek(size - 1)
    return file.read(1) != b"\n"


def _known_keys(paths: list[Path]) -> list[str]:
    """The keys of the lines of files, oldest first; what is no line is passed over."""
    keys = (key for path in paths if path.is_file() for key in _keys_of(path))
    return list(deque(keys, maxlen=_MOST_KEYS))


def _keys_of(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for line in file:
            begin = _KEY.match(line)
            if begin and line.endswith(b"}\n"):
                yield str(json.loads(begin[1].decode(errors="replace")))
