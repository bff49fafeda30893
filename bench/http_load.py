"""HTTP requests at next to no cost: connections by hand, one request at a time on each."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["Load", "at_rate", "saturate"]


@dataclass(slots=True)
class Load:
    """What came of it.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Of each answer, in seconds; at a rate: from when its request was due.
        bad: Answers that were not 200.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    bad: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def note(self, status: int, begin: float) -> None:
        """Count an answer that is just there."""
        self.latencies.append(time.perf_counter() - begin)
        self.bad += status != 200


class _Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._parser: httptools.HttpResponseParser | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed"))

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        assert self._answer is not None
        self._answer.set_result(self._parser.get_status_code())

    async def ask(self, request: bytes) -> int:
        """Send a request; returns the status of its answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


async def saturate(port: int, requests: Iterator[bytes], connections: int, count: int) -> Load:
    """As many requests as it takes, always one on each connection.

    Args:
        port: On this machine.
        requests: Each as it goes over the wire.
        connections: At once.
        count: Requests in all.
    """
    load, numbers = Load(), iter(range(count))

    async def work(connection: _Connection) -> None:
        for _ in numbers:
            begin = time.perf_counter()
            load.note(await connection.ask(next(requests)), begin)

    return await _run(load, port, connections, work)


async def at_rate(
    port: int, requests: Iterator[bytes], connections: int, rate: float, count: int
) -> Load:
    """So many requests a second, whether or not those before have their answers.

    Args:
        port: On this machine.
        requests: Each as it goes over the wire.
        connections: At once; where all are busy a request waits, and that counts.
        rate: Requests a second.
        count: Requests in all.
    """
    load, numbers = Load(), iter(range(count))
    first = time.perf_counter()

    async def work(connection: _Connection) -> None:
        for number in numbers:
            due = first + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            load.note(await connection.ask(next(requests)), due)

    return await _run(load, port, connections, work)


async def _run(
    load: Load, port: int, count: int, work: Callable[[_Connection], Coroutine[None, None, None]]
) -> Load:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(_Connection, "127.0.0.1", port) for _ in range(count)]
    begin = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for _, connection in made:
                group.create_task(work(connection))
        load.seconds = time.perf_counter() - begin
    finally:
        for transport, _ in made:
            transport.close()
    return load
