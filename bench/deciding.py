"""What deciding an event costs: 10,000 rules, of which 1,000 listen to the event's topic.

The CPU time of the operator's own way from the event to the verdict: candidates, tests, `when`, the
channel's arbiter, and the decision for the rule's status. The rules are dry runs, so that nothing
waits for a network. A shape is what tells the thousand rules of one topic apart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import httpx

from bench import objects
from bench.command import Options, Size, run
from bench.report import Measure, say
from controller.actions.base import Services
from controller.actions.commercial.performer import CommercialPerformer
from controller.arbiter.arbiter import Arbiter
from controller.channels.airtime import Airtime
from controller.clients.extensions import Extensions
from controller.clients.helix import Helix
from controller.events import Event
from controller.resources.commercials import CommercialPolicy
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.rules.index import RuleIndex
from controller.runtime.resource import Key, Resource
from controller.runtime.signals import Signals
from controller.settings import Settings
from controller.term import Term
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.followers import Followers
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controller.channels.channel import Channel

__all__ = ["benchmark", "measure"]

Json = dict[str, Any]

_TOPICS = 10
_NAMESPACE = "default"
_TARGET = 1.0  # milliseconds


class _Shape(NamedTuple):
    """What tells rules apart: the tests beside the common ones, and `when`, of rule n."""

    name: str
    tests: Callable[[int], list[Json]]
    when: Callable[[int], str | None]
    target: float | None = _TARGET


def _nothing(_number: int) -> None:
    return None


_SHAPES = (
    _Shape("feed_code", lambda n: [{"field": "data.feed_code", "equals": f"F{n}"}], _nothing),
    _Shape("glob", lambda n: [{"field": "data.asset_id", "glob": f"Ad_{n}_*"}], _nothing),
    _Shape("regex", lambda n: [{"field": "data.asset_id", "regex": f"^Ad_{n}_[a-z]+$"}], _nothing),
    _Shape("suffix", lambda n: [{"field": "data.asset_id", "suffix": f"_{n}_a"}], _nothing),
    # Each of the thousand is evaluated: what it costs where nothing can be looked up.
    _Shape("when alone", lambda _: [], lambda n: f'event.data.asset_id == "Ad_{n}_a"', None),
    _Shape("gt alone", lambda n: [{"field": "data.duration_sec", "gt": 1000 + n}], _nothing, None),
)
_COMMON = [{"field": "msg_type", "equals": "video"}, {"field": "action", "equals": "started"}]


@dataclass(frozen=True, slots=True)
class _Stand:
    """As much of a channel as deciding looks at."""

    resource: Resource
    airtime: Airtime
    policy: CommercialPolicy


class _Table:
    """All rules of one shape, and the way of an event through them."""

    def __init__(self, shape: _Shape, rules: int, http: httpx.AsyncClient) -> None:
        settings = Settings()
        helix = Helix(http, settings)
        self._rules: dict[Key, Rule] = {}
        self._channels: dict[Key, _Stand] = {}
        self._index: RuleIndex[Key] = RuleIndex()
        for number in range(rules):
            rule = _rule(shape, number)
            key = rule.resource.key
            assert rule.compiled is not None, rule.resource.spec
            self._rules[key] = rule
            self._channels[key] = _stand(number, helix)
            self._index.add(key, [_topic(number)], rule.compiled)
        self.decided = 0
        services = Services(
            rule=self._rules.get,
            channels=cast("Mapping[Key, Channel]", self._channels),
            extension_of=lambda *_: "there is none",
            extensions=Extensions(http, settings),
            signals=Signals(),
            term=Term(0.0),
        )
        performer = CommercialPerformer(services)
        self._dispatcher = Dispatcher(
            self._rules.get,
            self._targets,
            Followers(self._note),
            RuleMetrics(),
            {"commercial": performer},
        )

    async def take(self, event: Event) -> None:
        """What the feed does with an event."""
        found = self._index.candidates(event.topic, event.payload)
        await self._dispatcher.event([key for key, _ in found], (), event)
        await self._dispatcher.drained()

    def _targets(self, rule: Rule, _event: Event) -> Sequence[Channel]:
        return [cast("Channel", self._channels[rule.resource.key])]

    def _note(self, *_: object) -> None:
        self.decided += 1


async def benchmark(options: Options) -> list[Measure]:
    """As the command line asks for it."""
    rules, events = {
        Size.FULL: (10_000, 500),
        Size.QUICK: (10_000, 100),
        Size.SMOKE: (200, 20),
    }[options.size]
    return await measure(rules, events)


async def measure(rules: int = 10_000, events: int = 500) -> list[Measure]:
    """Run the benchmark."""
    logging.getLogger("controller").setLevel(logging.WARNING)
    found = []
    async with httpx.AsyncClient() as http:
        for shape in _SHAPES:
            table = _Table(shape, rules, http)
            count = events if shape.target is not None else events // 10
            milliseconds = await _cost(table, rules, count)
            say(f"deciding: {shape.name} {milliseconds:.3f} ms")
            note = f"{rules} rules, {rules // _TOPICS} on the topic, mean of {count} events"
            name = f"CPU to decide an event, by {shape.name}"
            found.append(Measure(name, milliseconds, "ms", shape.target, note))
    return found


async def _cost(table: _Table, rules: int, count: int) -> float:
    """Milliseconds of CPU an event; each matches one rule, or none where only the cost is shown."""
    events = [_event(number * _TOPICS % rules, number) for number in range(count)]
    await table.take(_event(0, count))  # what is made once is made
    await asyncio.sleep(0)
    began = time.process_time()
    for event in events:
        await table.take(event)
    return 1000 * (time.process_time() - began) / count


def _topic(number: int) -> str:
    return f"playout.{number % _TOPICS}"


def _rule(shape: _Shape, number: int) -> Rule:
    spec: Json = {
        "channelRef": {"name": objects.name(number)},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": [_topic(number)]}},
        "match": [*_COMMON, *shape.tests(number)],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
        "mode": "DryRun",
    }
    if (when := shape.when(number)) is not None:
        spec["when"] = when
    begin = time.time() - 3600
    key = Key(RULE, _NAMESPACE, objects.name(number))
    resource = Resource(key, f"uid-{number}", 1, begin, None, spec, {})
    return Rule(resource, Term(begin), lambda _: Surroundings((), None, None))


def _stand(number: int, helix: Helix) -> _Stand:
    key = Key(CHANNEL, _NAMESPACE, objects.name(number))
    airtime = Airtime(
        str(key),
        helix=helix,
        signer=cast("Channel", None),  # nothing is signed in a dry run
        broadcaster_id=str,
        arbiter=Arbiter(CommercialPolicy(), Term(0.0), 10.0),
    )
    airtime.settle(CommercialPolicy(), None)
    resource = Resource(key, f"uid-{number}", 1, 0.0, None, {}, {})
    return _Stand(resource, airtime, CommercialPolicy())


def _event(number: int, serial: int) -> Event:
    now = time.time()
    payload = objects.message(1, 60, f"cue-{serial}", now)
    payload["data"] |= {"feed_code": f"F{number}", "asset_id": f"Ad_{number}_a"}
    return Event(_topic(number), str(serial), now, time.monotonic(), payload)


if __name__ == "__main__":
    run({"deciding": benchmark})
