"""A kind of feeds that lives in tests alone: `ticker` reads what is printed on a tape."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from controller.clients.secret_values import text_of_key
from controller.events import Event
from controller.feeds.base import FeedHealth, FeedKind, HealthChanged, Malformed, Past, SecretNeed
from controller.feeds.registry import FEEDS
from controller.resources.common import SecretReference, SpecModel
from controller.settings import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from controller.clients.kube import Secret
    from controller.feeds.base import Sink, Span
    from controller.sensitive import Sensitive
    from controller.settings import Settings

__all__ = ["Tape", "TickerKind", "registered"]

_FINE = FeedHealth(True, "Succeeded", "connected")
_TORN = FeedHealth(False, "TapeTorn", "the tape is torn")


class TickerSettings(Part):
    """What the environment sets."""

    interval: Annotated[float, Field(gt=0)] = 0.01
    """Seconds between two looks at the tape."""


class TickerSpec(SpecModel):
    """Symbols on a tape."""

    secret_ref: SecretReference
    """Secret with the key password."""

    symbols: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=8)], ...],
        Field(min_length=1, max_length=10),
    ]
    """What is read: 1 to 10 symbols."""


@dataclass
class Tape:
    """The service: what was printed, by whose password it may be read, and whether it is whole."""

    password: str = "open sesame"
    printed: list[tuple[float, str, str]] = field(default_factory=list)
    torn: bool = False

    def print(self, symbol: str, text: str) -> None:
        """Print a line; JSON, as a rule."""
        self.printed.append((time.time(), symbol, text))


def _event(number: int, line: tuple[float, str, str]) -> Event | Malformed:
    published, symbol, text = line
    try:
        payload = json.loads(text)
    except ValueError:
        return Malformed(f"on {symbol}: not JSON")
    return Event(symbol, f"line-{number}", published, time.monotonic(), payload)


class Ticker:
    """Reads a tape for all rules with one password."""

    def __init__(self, tape: Tape, password: Sensitive, interval: float, sink: Sink) -> None:
        self._tape = tape
        self._sink = sink
        self._granted = password.reveal() == tape.password
        self._interval = interval
        self._from: dict[str, float] = {}
        self._position = 0
        self._last_poll: float | None = None
        self._health = FeedHealth(None, "Connecting", "the first look is under way")
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def alive(self) -> bool:
        return not self._task.done()

    def want(self, windows: Mapping[str, float], gone: Iterable[str]) -> None:
        for symbol, window in windows.items():
            self._from.setdefault(symbol, time.time() - window)
        for symbol in gone:
            del self._from[symbol]

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        del topics
        return self._health

    def last_poll_of(self, topics: Iterable[str]) -> float | None:
        del topics
        return self._last_poll

    def check(self, now: float) -> None:
        del now

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if not self._granted:
                self._tell(FeedHealth(False, "WrongPassword", "the tape is locked"))
                continue
            self._tell(_TORN if self._tape.torn else _FINE)
            self._last_poll = time.time()
            while not self._tape.torn and self._position < len(self._tape.printed):
                number, line = self._position, self._tape.printed[self._position]
                if line[0] >= self._from.get(line[1], float("inf")):
                    event = _event(number, line)
                    if isinstance(event, Malformed):
                        self._sink.tell(event)
                    else:
                        await self._sink.put(event)
                self._position += 1

    def _tell(self, health: FeedHealth) -> None:
        if health != self._health:
            self._health = health
            self._sink.tell(HealthChanged(tuple(self._from)))


class TickerKind(FeedKind[TickerSpec, "Sensitive"]):
    """The kind; `tape` is what its feeds read."""

    name = "ticker"
    title = "the ticker"
    description = "Lines of a tape."
    spec_model = TickerSpec
    settings = TickerSettings
    redactions: ClassVar = {r"(sesame)-\w+": r"\1-***"}

    def __init__(self) -> None:
        self.tape = Tape()

    def topics(self, spec: TickerSpec) -> tuple[str, ...]:
        return spec.symbols

    def secret(self, spec: TickerSpec) -> SecretNeed:
        return SecretNeed("spec.feed.ticker.secretRef", spec.secret_ref.name, "password")

    def key(self, spec: TickerSpec, secret: Secret | None) -> Sensitive:
        assert secret is not None
        return text_of_key(secret, spec.secret_ref.name, "password")

    def open(self, key: Sensitive, settings: Settings, sink: Sink) -> Ticker:
        return Ticker(self.tape, key, settings.part(TickerSettings).interval, sink)

    def remedy(self, spec: TickerSpec, reason: str) -> str | None:
        wrong = reason == "WrongPassword"
        return f"correct password in Secret {spec.secret_ref.name}" if wrong else None

    async def read_past(
        self,
        spec: TickerSpec,
        key: Sensitive,
        settings: Settings,
        span: Span,
        progress: Callable[[int], None],
    ) -> Past:
        del spec, key, settings
        read = [
            _event(number, line)
            for number, line in enumerate(self.tape.printed)
            if line[1] in span.topics and span.begin <= line[0] < span.end
        ]
        progress(len(read))
        return Past(
            [event for event in read if isinstance(event, Event)],
            [told.reason for told in read if isinstance(told, Malformed)],
        )


@contextmanager
def registered() -> Iterator[TickerKind]:
    """Let rules have the feed `ticker`."""
    kind = TickerKind()
    FEEDS.add(kind)
    try:
        yield kind
    finally:
        FEEDS.remove(kind.name)
