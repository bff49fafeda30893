"""The queue of keys to be worked on."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from controller.errors import OperatorError, PermanentError, RateLimited, TransientError
from controller.runtime.workqueue import WorkQueue
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class Work:
    """What was worked on, and what is to come of it."""

    done: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0
    outcomes: list[float | BaseException | None] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, key: str) -> float | None:
        self.done.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@asynccontextmanager
async def working(
    *outcomes: float | BaseException | None, workers: int = 10, gate: bool = True
) -> AsyncIterator[tuple[Work, WorkQueue[str]]]:
    work = Work(outcomes=list(outcomes))
    if gate:
        work.gate.set()
    queue = WorkQueue(work, workers, most=0.2)
    task = asyncio.create_task(queue.run())
    yield work, queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert work.running == 0


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_key_is_worked_on_at_once_and_only_once() -> None:
    async with working() as (work, queue):
        queue.add("a")
        queue.add("a")
        queue.add("b")
        await eventually(lambda: len(work.done) == 2)
        await settle()
        assert work.done == ["a", "b"]


async def test_what_was_added_before_the_start_is_worked_on() -> None:
    work = Work()
    work.gate.set()
    queue = WorkQueue(work, 1)
    queue.add("a")
    task = asyncio.create_task(queue.run())
    await eventually(lambda: work.done == ["a"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_later_instant_is_waited_for_and_the_earlier_one_counts() -> None:
    async with working() as (work, queue):
        begin = time.monotonic()
        queue.add("a", begin + 600)
        queue.add("a", begin + 0.1)
        queue.add("a", begin + 600)
        queue.add("b", begin + 600)
        await eventually(lambda: work.done == ["a"])
        assert time.monotonic() - begin >= 0.1
        queue.add("b")
        await eventually(lambda: work.done == ["a", "b"])


async def test_a_round_may_say_when_to_come_back() -> None:
    begin = time.time()
    async with working(begin + 0.1) as (work, queue):
        queue.add("a")
        await eventually(lambda: len(work.done) == 2)
        assert time.time() - begin >= 0.1


async def test_a_key_has_one_worker_and_what_comes_meanwhile_leads_to_one_more_round() -> None:
    async with working(gate=False) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.running == 1)
        for _ in range(3):
            queue.add("a")
            await settle()
        assert work.done == ["a"]
        work.gate.set()
        await eventually(lambda: len(work.done) == 2)
        await settle()
        assert (work.done, work.most) == (["a", "a"], 1)


async def test_no_more_keys_are_worked_on_at_once_than_there_are_workers() -> None:
    async with working(workers=3, gate=False) as (work, queue):
        for n in range(10):
            queue.add(str(n))
        await eventually(lambda: work.running == 3)
        await settle()
        assert work.running == 3
        work.gate.set()
        await eventually(lambda: len(work.done) == 10)
        assert work.most == 3


async def test_a_slow_key_does_not_hold_the_others_up() -> None:
    async with working(workers=2, gate=False) as (work, queue):
        queue.add("slow")
        await eventually(lambda: work.running == 1)
        work.gate.set()
        queue.add("quick")
        await eventually(lambda: "quick" in work.done)


@pytest.mark.parametrize("error", [TransientError("x"), PermanentError("x"), ZeroDivisionError()])
async def test_a_failure_is_tried_again_after_a_pause(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(error) as (work, queue):
        begin = time.time()
        queue.add("a")
        await eventually(lambda: len(work.done) == 2)
        assert time.time() - begin >= 0.15
        assert ("work on a failed" in caplog.text) == (not isinstance(error, OperatorError))


async def test_pauses_grow_and_a_success_ends_that() -> None:
    queue = WorkQueue(Work(), 1)
    grown = [queue._pause("a") for _ in range(5)]
    assert all(later > earlier for earlier, later in itertools.pairwise(grown))
    async with working() as (_, queue):
        queue._pause("a")
        queue.add("a")
        await eventually(lambda: "a" not in queue._failures)


async def test_a_failure_waits_at_least_as_long_as_the_service_asked_for() -> None:
    async with working(RateLimited("x", retry_after=30)) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.done)
        await settle()
        assert queue._due["a"] == pytest.approx(time.monotonic() + 30, abs=3)


@pytest.mark.parametrize("asked", [80_000.0, 86_400_000.0, float("inf")])
async def test_no_service_parks_anything_for_longer_than_a_minute(asked: float) -> None:
    async with working(TransientError("x", retry_after=asked)) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.done)
        await settle()
        assert queue._due["a"] == pytest.approx(time.monotonic() + 60, abs=3)


async def test_what_is_asked_for_ends_the_pause_after_a_failure() -> None:
    async with working(RateLimited("x", retry_after=30)) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.done)
        await settle()
        queue.add("a")
        await eventually(lambda: len(work.done) == 2)


async def test_a_forgotten_key_is_not_worked_on() -> None:
    async with working() as (work, queue):
        queue.add("a", time.monotonic() + 0.05)
        queue.forget("a")
        queue.add("b", time.monotonic() + 0.1)
        await eventually(lambda: work.done)
        assert work.done == ["b"]


async def test_a_forgotten_key_does_not_come_back_by_itself_after_its_round() -> None:
    async with working(time.time() + 0.05, gate=False) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.running == 1)
        queue.forget("a")
        work.gate.set()
        await eventually(lambda: work.running == 0)
        await settle()
        assert "a" not in queue._due


async def test_a_key_that_was_forgotten_and_asked_for_again_meanwhile_is_worked_on() -> None:
    async with working(time.time() + 60, gate=False) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.running == 1)
        queue.forget("a")
        queue.add("a")
        work.gate.set()
        await eventually(lambda: work.done == ["a", "a"])


async def test_a_round_that_is_cancelled_from_within_is_a_failure_like_any_other() -> None:
    async with working(asyncio.CancelledError()) as (work, queue):
        queue.add("a")
        await eventually(lambda: work.done)
        await settle()
        queue.add("a")
        await eventually(lambda: len(work.done) == 2)


async def test_ending_the_queue_ends_the_rounds_under_way() -> None:
    async with working(gate=False) as (work, queue):
        queue.add("a")
        queue.add("b")
        await eventually(lambda: work.running == 2)
