"""The pool of feeds: rules that share a listener, and what each is told of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from controller.engine.feeds import FeedPool
from controller.engine.metrics import Metrics
from controller.engine.resource import RULE, Key, Resource
from controller.engine.rules import Rule
from controller.settings import Settings
from tests.simulated.harness import KEYS, eventually

if TYPE_CHECKING:
    from controller.events import Event
    from controller.sandbox.pubnub import PubNubSimulator


def rule(name: str, topic: str) -> Rule:
    spec: dict[str, Any] = {
        "channelRef": {"name": "mst3k"},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": [topic]}},
        "match": [{"field": "msg_type", "equals": "scte35"}],
        "action": {"commercial": {"length": "60s"}},
    }
    resource = Resource(Key(RULE, "default", name), name, 1, time.time(), None, spec, {})
    made = Rule(resource, time.time(), lambda _: (None, None))
    made.keys = KEYS
    return made


def connected(pool: FeedPool, one: Rule) -> bool | None:
    health = pool.health(one.resource.key)
    return health.connected if health is not None else None


async def nothing(_keys: list[Key], _event: Event) -> None:
    return


async def test_a_rule_that_joins_a_connected_feed_is_told_so(pubnub: PubNubSimulator) -> None:
    told: list[Key] = []
    settings = Settings(pubnub_origin=pubnub.origin, pubnub_tls=False)
    pool = FeedPool(settings, Metrics(), nothing, told.append)
    first, second = rule("first", "a"), rule("second", "b")
    try:
        pool.use(first)
        await eventually(lambda: connected(pool, first))
        told.clear()
        pool.use(second)
        assert connected(pool, second) is None
        await eventually(lambda: second.resource.key in told)
        assert connected(pool, second)
    finally:
        await pool.close()
