"""Messages on their way to Twitch: each at most once, whatever the network does."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import jwt
import pytest
from aiohttp import web

from controller.actions.base import Services
from controller.actions.extension_message.messenger import Messenger
from controller.channels.signals import CommercialCalled
from controller.clients.extension_jwt import Extension
from controller.clients.extensions import Extensions
from controller.clients.http import new_http_client
from controller.events import Event, Ruling, Verdict
from controller.policies.findings import Finding
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Key, Resource
from controller.runtime.signals import Signals
from controller.sensitive import Sensitive
from controller.settings import Settings
from controller.term import Term
from controller.triggers.dispatcher import Dispatcher
from controller.triggers.followers import Followers
from controller.triggers.metrics import RuleMetrics
from controller.triggers.reporter import Surroundings
from controller.triggers.rule import Rule
from tests.simulated.harness import MOMENT, NEVER, PATIENCE, eventually
from tests.unit.message_cases import a_message_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from controller.channels.channel import Channel

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY = b"shared secret of the extension!!"
EXTENSION = Extension("ext-client", "27419011", Sensitive(base64.b64encode(KEY).decode()))
OVERLAYS = Key(RULE, "default", "overlays")


@dataclass
class Upstream:
    """Extension PubSub by real HTTP; `answers` are given in turn, then 204."""

    url: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, KEY, algorithms=["HS256"], options={"require": ["exp"]})
        body = await request.json()
        self.calls.append(body | {"claims": claims, "client": request.headers["Client-Id"]})
        if self.answers:
            return await self.answers.pop(0)(request)
        return web.Response(status=204)

    def names(self) -> list[str]:
        """What the messages carried, in the order of their calls."""
        return [json.loads(call["message"])["data"]["n"] for call in self.calls]


@asynccontextmanager
async def serving() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_post("/helix/extensions/pubsub", upstream.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/helix"
    try:
        yield upstream
    finally:
        await runner.cleanup()


NOT_READY = Finding("Ready", "False", "AuthorizationPending", "consent")


@dataclass
class Stand:
    """As much of a channel as messages look at."""

    resource: Resource
    broadcaster_id: str | None = "642998111"
    spec: object = "any"
    suspended: bool = False
    conflict: str | None = None
    stopped: bool = False
    pause: str | None = None
    ready: Finding = NOT_READY


@dataclass
class Stage:
    """Rules, channels and a messenger between an event and Twitch."""

    upstream: Upstream
    messenger: Messenger
    dispatcher: Dispatcher
    rules: dict[Key, Rule]
    channels: list[Stand]
    decisions: list[Ruling]
    extension: list[Extension | str]
    asked: list[CommercialCalled]
    started: float

    def rule(self, **changes: object) -> Rule:
        action = {"data": '{"n": event.common.unique_id}'} | cast(
            "dict[str, Any]", changes.pop("action", {})
        )
        spec = a_message_spec(**{"maxAge": "20s", "action": action, **changes})
        resource = Resource(OVERLAYS, "uid", 1, self.started - 9, None, spec, {})
        if OVERLAYS in self.rules:
            self.rules[OVERLAYS].update(resource)
        else:
            self.rules[OVERLAYS] = Rule(
                resource, Term(self.started), lambda _: Surroundings((), None, None)
            )
        return self.rules[OVERLAYS]

    async def event(self, name: str, age: float = 0.0, **data: object) -> None:
        payload = {"msg_type": "video", "common": {"unique_id": name}, "data": data}
        now = time.time()
        event = Event("mst3k", f"{name}{now}", now - age, time.monotonic(), payload)
        await self.dispatcher.event([OVERLAYS], (), event)

    async def verdicts(self, count: int) -> list[Verdict]:
        """The verdicts so far, which become so many."""
        await eventually(lambda: len(self.decisions) >= count)
        assert len(self.decisions) == count
        return [decision.verdict for decision in self.decisions]

    async def verdict(self) -> tuple[Verdict, str]:
        """The one verdict."""
        (verdict,) = await self.verdicts(1)
        return verdict, self.decisions[0].detail


@asynccontextmanager
async def on_stage(
    upstream: Upstream, *, started: float, url: str = "", call_timeout: float = PATIENCE
) -> AsyncIterator[Stage]:
    settings = Settings(helix_url=url or upstream.url, call_timeout=call_timeout)
    rules: dict[Key, Rule] = {}
    decisions: list[Ruling] = []
    asked: list[CommercialCalled] = []
    signals = Signals()
    signals.subscribe(CommercialCalled, asked.append)
    channels = [Stand(a_channel("mst3k"))]
    extension: list[Extension | str] = [EXTENSION]

    async with new_http_client(settings) as http:
        messenger = Messenger(
            Services(
                rule=rules.get,
                channels={},
                extension_of=lambda _namespace, _name: extension[-1],
                extensions=Extensions(http, settings),
                signals=signals,
                term=Term(started),
            )
        )
        dispatcher = Dispatcher(
            rules.get,
            lambda _rule, _event: cast("list[Channel]", channels),
            Followers(lambda decided: decisions.append(decided.progress.ruling)),
            RuleMetrics(),
            {"extensionMessage": messenger},
        )
        yield Stage(
            upstream, messenger, dispatcher, rules, channels, decisions, extension, asked, started
        )
        await messenger.drain(0)


def a_channel(name: str) -> Resource:
    return Resource(Key(CHANNEL, "default", name), f"uid-{name}", 1, 0.0, None, {}, {})


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with serving() as upstream, on_stage(upstream, started=time.time() - 60) as made:
        made.rule()
        yield made


async def hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def say_nothing(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(NEVER)
    return web.Response()


def refuse(status: int, message: str = "no", **headers: str) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": message}, status=status, headers=headers)

    return answer


async def test_a_message_is_signed_for_the_channel_and_goes_out_once(stage: Stage) -> None:
    await stage.event("a", seconds=1)
    assert await stage.verdict() == (Verdict.FIRED, "ad-break of 48 bytes to the channel")
    (call,) = stage.upstream.calls
    assert call["client"] == "ext-client"
    assert call["claims"]["user_id"] == "27419011"
    assert call["claims"]["channel_id"] == "642998111"
    assert call["claims"]["pubsub_perms"] == {"send": ["broadcast"]}
    assert (call["target"], call["broadcaster_id"]) == (["broadcast"], "642998111")
    assert call["message"] == '{"type":"ad-break","data":{"n":"a"},"version":0}'
    await stage.event("a")
    assert await stage.verdicts(2) == [Verdict.FIRED, Verdict.DUPLICATE]
    assert len(stage.upstream.calls) == 1


async def test_no_commercial_is_taken_for_asked_for(stage: Stage) -> None:
    await stage.event("a")
    await stage.verdicts(1)
    assert stage.asked == []


async def test_a_second_announcement_while_the_first_is_under_way_is_a_duplicate(
    stage: Stage,
) -> None:
    for _ in range(5):
        await stage.event("a")
    told = await stage.verdicts(5)
    assert sorted(told) == [*[Verdict.DUPLICATE] * 4, Verdict.FIRED]
    assert stage.upstream.names() == ["a"]


async def test_a_global_message_goes_to_all_and_needs_no_broadcaster(stage: Stage) -> None:
    stage.rule(action={"target": "global"})
    stage.channels[0].broadcaster_id = None
    await stage.event("a")
    assert (await stage.verdict())[0] is Verdict.FIRED
    (call,) = stage.upstream.calls
    assert call["claims"]["channel_id"] == "all"
    assert call["claims"]["pubsub_perms"] == {"send": ["global"]}
    assert call["is_global_broadcast"] is True
    assert "broadcaster_id" not in call


async def test_a_whisper_goes_to_the_one_viewer_whom_nobody_is_told(stage: Stage) -> None:
    stage.rule(action={"target": "whisper", "opaqueIdField": "data.viewer"})
    await stage.event("a", viewer="U1234")
    verdict, detail = await stage.verdict()
    assert verdict is Verdict.FIRED
    assert "U1234" not in detail
    (call,) = stage.upstream.calls
    assert call["target"] == ["whisper-U1234"]
    assert call["claims"]["pubsub_perms"] == {"send": ["whisper-U1234"]}


async def test_each_channel_gets_its_own(stage: Stage) -> None:
    stage.channels.append(Stand(a_channel("other"), "77"))
    await stage.event("a")
    await stage.event("a")
    told = await stage.verdicts(4)
    assert told.count(Verdict.FIRED) == 2
    assert {call["broadcaster_id"] for call in stage.upstream.calls} == {"642998111", "77"}


# What the network does


@pytest.mark.parametrize("lost", [hang_up, refuse(500), refuse(502), refuse(504)])
async def test_a_lost_answer_is_unknown_and_never_repeated(stage: Stage, lost: Answer) -> None:
    stage.upstream.answers.append(lost)
    await unknown_and_not_repeated(stage)


async def test_an_answer_that_does_not_come_in_time_is_unknown_and_never_repeated() -> None:
    began = time.time() - 60
    async with (
        serving() as upstream,
        on_stage(upstream, started=began, call_timeout=MOMENT) as stage,
    ):
        stage.rule()
        upstream.answers.append(say_nothing)
        await unknown_and_not_repeated(stage)


async def unknown_and_not_repeated(stage: Stage) -> None:
    await stage.event("a")
    verdict, detail = await stage.verdict()
    assert verdict is Verdict.UNKNOWN
    assert "not repeated" in detail
    await stage.event("a")
    assert (await stage.verdicts(2))[1] is Verdict.DUPLICATE
    await eventually(lambda: len(stage.upstream.calls) == 1)


@pytest.mark.parametrize("status", [400, 401, 403, 422, 503])
async def test_a_refusal_is_failed_with_twitchs_words_and_not_repeated(
    stage: Stage, status: int
) -> None:
    token = jwt.encode({"exp": 1}, KEY, algorithm="HS256")
    stage.upstream.answers.append(refuse(status, f"bad {token} thing\n"))
    await stage.event("a")
    verdict, detail = await stage.verdict()
    assert verdict is Verdict.FAILED
    assert detail == f"Twitch answered {status}: bad *** thing"
    await stage.event("a")
    assert (await stage.verdicts(2))[1] is Verdict.DUPLICATE
    assert len(stage.upstream.calls) == 1


async def test_twitchs_own_limit_empties_the_bucket_of_the_channel(stage: Stage) -> None:
    stage.upstream.answers.append(refuse(429, "slow down"))
    await stage.event("a")
    assert (await stage.verdict())[0] is Verdict.BUDGET_SPENT
    await stage.event("b")
    assert (await stage.verdicts(2))[1] is Verdict.BUDGET_SPENT
    assert len(stage.upstream.calls) == 1
    async with asyncio.timeout(60):
        while stage.decisions[-1].verdict is not Verdict.FIRED:  # in a second there is one more
            await stage.event("a")
            await asyncio.sleep(0.05)
    assert stage.upstream.names() == ["a", "a"]


async def test_a_burst_beyond_the_limit_never_reaches_twitch() -> None:
    began = time.time() - 60
    async with serving() as upstream, on_stage(upstream, started=began) as stage:
        stage.rule(maxAge="5m")
        for n in range(105):
            await stage.event(f"{n}")
        told = await stage.verdicts(105)
        fired = told.count(Verdict.FIRED)
        assert 100 <= fired <= 100 + math.ceil(time.time() - began - 60)
        assert told.count(Verdict.BUDGET_SPENT) == 105 - fired
        assert len(upstream.calls) == fired


async def test_what_did_not_leave_is_tried_once_more() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with serving() as upstream:
        url = f"http://127.0.0.1:{port}/helix"
        async with on_stage(upstream, started=time.time() - 60, url=url) as stage:
            stage.rule()
            await stage.event("a")
            verdict, detail = await stage.verdict()
            assert verdict is Verdict.FAILED
            assert detail.endswith(", 2 times")
            # Nothing left: one that repeats it has its own chance, and no Duplicate.
            await stage.event("a")
            assert await stage.verdicts(2) == [Verdict.FAILED, Verdict.FAILED]


# What speaks against it


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"broadcaster_id": None}, Verdict.CHANNEL_NOT_READY),
        ({"conflict": "other/mst3k"}, Verdict.CHANNEL_NOT_READY),
        ({"spec": None}, Verdict.CHANNEL_NOT_READY),
        ({"suspended": True}, Verdict.SUSPENDED),
        ({"pause": "true"}, Verdict.PAUSED),
    ],
)
async def test_a_channel_that_takes_none_gets_none(
    stage: Stage, changes: dict[str, Any], verdict: Verdict
) -> None:
    stage.channels[0] = replace(stage.channels[0], **changes)
    await stage.event("a")
    assert (await stage.verdict())[0] is verdict
    stage.channels[0] = Stand(a_channel("mst3k"))
    await stage.event("a")
    assert (await stage.verdicts(2))[1] is Verdict.FIRED
    assert stage.upstream.names() == ["a"]


async def test_a_rule_without_a_channel_sends_nothing(stage: Stage) -> None:
    stage.channels.clear()
    await stage.event("a")
    assert (await stage.verdict())[0] is Verdict.CHANNEL_NOT_READY


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({"mode": "DryRun"}, Verdict.DRY_RUN), ({"suspend": True}, Verdict.SUSPENDED)],
)
async def test_a_rule_that_must_not_sends_nothing(
    stage: Stage, changes: dict[str, object], verdict: Verdict
) -> None:
    stage.rule(**changes)
    await stage.event("a")
    assert (await stage.verdict())[0] is verdict
    stage.rule()
    await stage.event("a")
    assert (await stage.verdicts(2))[1] is Verdict.FIRED
    assert stage.upstream.names() == ["a"]


async def test_an_old_event_is_expired(stage: Stage) -> None:
    await stage.event("a", age=21)
    assert (await stage.verdict())[0] is Verdict.EXPIRED
    assert stage.upstream.calls == []


async def test_an_extension_that_cannot_sign_fails_with_its_reason(stage: Stage) -> None:
    stage.extension.append("SecretLost: make a new one")
    await stage.event("a")
    assert await stage.verdict() == (Verdict.FAILED, "SecretLost: make a new one")
    stage.extension.append(EXTENSION)
    await stage.event("a")
    assert (await stage.verdicts(2))[1] is Verdict.FIRED


# Begin and end


async def test_a_process_that_has_just_begun_waits_for_the_secrets() -> None:
    async with serving() as upstream, on_stage(upstream, started=time.time() - 1) as stage:
        rule = stage.rule()
        stage.extension.append("Pending: Twitch is being asked")
        for name in ("a", "a", "b"):
            await stage.event(name)
        stage.extension.append(EXTENSION)
        told = await stage.verdicts(3)
        assert sorted(told) == [Verdict.DUPLICATE, Verdict.FIRED, Verdict.FIRED]
        assert sorted(upstream.names()) == ["a", "b"]
        stage.extension.append("Pending: Twitch is being asked")
        await stage.event("c")
        del stage.rules[rule.resource.key]
        assert (await stage.verdicts(4))[3] is Verdict.SUSPENDED


async def test_what_was_published_before_the_start_is_not_sent() -> None:
    async with serving() as upstream, on_stage(upstream, started=time.time()) as stage:
        stage.rule()
        await stage.event("a", age=3)
        assert (await stage.verdict())[0] is Verdict.UNKNOWN
        assert upstream.calls == []


@pytest.mark.parametrize(("max_age", "verdict"), [("1m", "Unknown"), ("1s", "Expired")])
async def test_what_may_have_been_sent_before_is_in_the_status_for_the_next_start(
    max_age: str, verdict: str
) -> None:
    async with serving() as upstream, on_stage(upstream, started=time.time()) as stage:
        rule = stage.rule(maxAge=max_age)
        await stage.event("a", age=3)
        assert (await stage.verdict())[0] == verdict
        assert [(channel, sent.id) for channel, sent in rule.done_before] == [("mst3k", "a")]
        assert upstream.calls == []


async def test_only_what_left_is_in_the_status(stage: Stage) -> None:
    stage.upstream.answers += [hang_up, refuse(429)]
    for count, name in enumerate("abc", 1):
        await stage.event(name)
        await stage.verdicts(count)
    rule = stage.rules[OVERLAYS]
    assert [sent.id for _, sent in rule.done_before] == ["a"]


async def test_at_the_end_what_is_under_way_gets_its_answer(stage: Stage) -> None:
    async def slow(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(status=204)

    stage.upstream.answers += [slow] * 3
    for name in "abc":
        await stage.event(name)
    await stage.messenger.drain(PATIENCE)
    assert await stage.verdicts(3) == [Verdict.FIRED] * 3


async def test_the_end_does_not_wait_for_ever(stage: Stage) -> None:
    stage.upstream.answers.append(say_nothing)
    await stage.event("a")
    await eventually(lambda: stage.upstream.calls)
    await stage.messenger.drain(0.1)
    assert stage.decisions == []
