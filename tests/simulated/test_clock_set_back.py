"""Somebody sets the clock back by an hour: what is due is done all the same."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.twitchchannel import TwitchChannelStatus
from controller.runtime.call_priority import CallPriority
from controller.runtime.metrics import Metrics
from controller.runtime.resource import Key, Resource
from controller.runtime.secret_cache import SecretStore
from controller.runtime.statuses import StatusWriter
from controller.runtime.workqueue import WorkQueue
from controller.settings import Settings
from tests.simulated.harness import eventually
from tests.simulated.test_kube_answers import META, as_json, served, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Mapping

CHANNEL = Key("TwitchChannel", "tv", "a")


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a function
    """Sets the wall clock back by an hour."""
    real = time.time
    return lambda: monkeypatch.setattr(time, "time", lambda: real() - 3600)


@asynccontextmanager
async def running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_round_that_was_to_come_back_comes_back(set_back: Any) -> None:  # noqa: ANN401
    rounds: deque[str] = deque()

    async def work(key: str) -> float | None:
        rounds.append(key)
        return time.time() + 0.3 if len(rounds) == 1 else None

    queue: WorkQueue[str] = WorkQueue(work, 1)
    async with running(queue.run()):
        queue.add("a")
        await eventually(lambda: rounds)
        await asyncio.sleep(0)
        set_back()
        await eventually(lambda: len(rounds) == 2)


async def test_secrets_are_read_again(set_back: Any) -> None:  # noqa: ANN401
    settings = Settings.model_validate({"secret_check_interval": 0.2})
    told: list[object] = []
    changed = whole("Secret") | {"metadata": META | {"resourceVersion": "2"}}
    first, then = (200, as_json(whole("Secret"))), (200, as_json(changed))
    async with served(first, then) as (kube, _):
        store = SecretStore(kube, settings, told.append)
        await store.get("tv", "a", "dependant")
        set_back()
        async with running(store.run()):
            await eventually(lambda: told == ["dependant"])


class Reporter:
    """Has news whenever it is asked."""

    resource = Resource.from_body("TwitchChannel", json.loads(as_json({
        "metadata": META | {"creationTimestamp": "2026-11-23T10:00:00Z"}, "spec": {}, "status": {},
    })))  # fmt: skip

    def __init__(self) -> None:
        self.writes = 0

    def compose(self, now: float) -> TwitchChannelStatus:  # noqa: ARG002 - as it is called
        return TwitchChannelStatus(observed_generation=self.writes + 1)

    def written(self, body: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.writes += 1


async def test_urgent_statuses_do_not_wait_for_an_hour(set_back: Any) -> None:  # noqa: ANN401
    reporter = Reporter()
    async with served((200, as_json(whole("TwitchChannel")))) as (kube, _):
        writer = StatusWriter(
            kube,
            Metrics(),
            CallPriority(),
            3600.0,
            reporter=lambda _: reporter,
            on_result=lambda *_: None,
        )
        async with running(writer.run()):
            writer.mark(CHANNEL, urgent=True)
            await eventually(lambda: reporter.writes == 1)
            set_back()
            writer.mark(CHANNEL, urgent=True)
            await eventually(lambda: reporter.writes == 2)
