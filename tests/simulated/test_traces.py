"""Traces of cues at a collector, and the log lines that go with them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from controller.channels.signals import CommercialSettled
from controller.events import Event
from controller.feeds.registry import FEEDS
from controller.logs import set_up_logging
from controller.resources.common import rfc3339
from controller.resources.kind import FIRE_REQUESTED
from controller.resources.triggerrule import RULE
from controller.resources.twitchchannel import CHANNEL
from controller.runtime.resource import Key
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from controller.tracing.start import traces
from controller.tracing.tracer import NO_TRACER
from tests.leaks import leaks, quoting
from tests.simulated import toy_note, toy_ticker
from tests.simulated.collector import Collector, attributes
from tests.simulated.harness import eventually, settings_for
from tests.simulated.whole_operator import Api, a_resource, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from controller.channels.controller import ChannelController
    from controller.clients.http import HttpClient
    from controller.sandbox.pubnub import PubNubSimulator
    from controller.sandbox.twitch import TwitchSimulator
    from controller.settings import Settings
    from controller.triggers.controller import RuleController
    from tests.simulated.whole_operator import Stage

SECRET = "client-secret-0123456789"
HEADER = "collector-key-9f02a8"
OWN = "twitch_operator."


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, library = logging.getLogger(), logging.getLogger("opentelemetry")
    before = root.handlers[:], root.level, library.handlers[:], library.propagate
    yield
    root.handlers[:], library.handlers[:] = before[0], before[2]
    root.setLevel(before[1])
    library.propagate = before[3]


@pytest.fixture(autouse=True)
def exports_end() -> Iterator[None]:
    """A thread that still exports would go on within the next tests."""
    yield
    deadline = time.monotonic() + 60
    while any(thread.name.startswith("OtelBatch") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing of OpenTelemetry is set, and what a test sets is sent soon."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    return monkeypatch


@dataclass
class Scene:
    """An operator with channels and rules, whose traces go to a collector."""

    api: Api
    stage: Stage
    pubnub: PubNubSimulator

    def publish(self, topic: str, name: str, length: float = 60) -> None:
        self.pubnub.publish(topic, {"kind": "spot", "id": name, "seconds": length})

    def verdicts(self, channel: str) -> dict[str, str]:
        told = self.api.statuses.get(f"spots-on-{channel}", {}).get("recentDecisions", [])
        return {each["eventId"]: each["verdict"] for each in told}

    async def until(self, channel: str, name: str, verdict: str) -> None:
        await eventually(lambda: self.verdicts(channel).get(name) == verdict)


def a_rule(channel: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the spec
    """A rule `spots-on-…` of a channel, and of the topic of the same name."""
    spec = {
        "channelRef": {"name": channel},
        "feed": {"pubnub": {"secretRef": {"name": "playout"}, "topics": [channel]}},
        "match": [{"field": "kind", "equals": "spot"}],
        "idField": "id",
        "action": {"commercial": {"lengthField": "seconds"}},
    }
    return a_resource(RULE, f"spots-on-{channel}", spec | changes)


def a_channel(name: str, **commercials: str) -> dict[str, Any]:
    grant = {"refreshToken": {"secretKeyRef": {"name": f"{name}-grant", "key": "refresh-token"}}}
    app = {"secretRef": {"name": "app"}}
    spec = {"login": name, "app": app, "authorization": grant, "commercials": commercials}
    return a_resource(CHANNEL, name, spec)


@dataclass
class World:
    """All that a scene is made of."""

    twitch: TwitchSimulator
    pubnub: PubNubSimulator
    settings: Settings
    http: HttpClient
    api: Api

    @asynccontextmanager
    async def scene(self) -> AsyncIterator[Scene]:
        """Run an operator until all channels and feeds are ready."""
        FEEDS.load()
        with traces(os.environ) as tracer:
            async with running(self.api, self.settings, self.http, tracer) as stage:
                rules = [each["metadata"]["name"] for each in self.api.held[RULE]]
                await eventually(
                    lambda: all(
                        self.api.condition(rule, kind).get("status") == "True"
                        for rule in rules
                        for kind in ("Ready", "FeedConnected")
                    )
                )
                # No cue is taken for one that a former process may have called for.
                stage.operator._kernel.term.begin(time.time() - 10)
                yield Scene(self.api, stage, self.pubnub)


@pytest.fixture
def world(
    twitch: TwitchSimulator, pubnub: PubNubSimulator, settings: Settings, http: HttpClient
) -> World:
    twitch.add_broadcaster("late")
    settings = settings_for(pubnub, **settings.model_dump())
    secrets = {
        "app": {"client-id": "client", "client-secret": SECRET},
        "playout": {"subscribe-key": SUBSCRIBE_KEY},
    }
    for name in ("mst3k", "late"):
        secrets[f"{name}-grant"] = {"refresh-token": twitch.consent(name, "client").refresh_token}
    channels = [a_channel("mst3k", onCooldown="Skip"), a_channel("late", delay="1s")]
    rules = [a_rule("mst3k"), a_rule("late")]
    return World(twitch, pubnub, settings, http, Api(secrets, {RULE: rules, CHANNEL: channels}))


def chain(span: Span, spans: list[Span]) -> list[str]:
    """The names from a span up to the root."""
    by_id = {each.span_id: each for each in spans}
    names = [span.name]
    while span.parent_span_id:
        span = by_id[span.parent_span_id]
        names.append(span.name)
    return names


def lines_about(err: str, cue_id: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in err.splitlines()]
    return [line for line in told if line.get("cue_id") == cue_id]


async def test_a_commercial_has_one_trace_from_the_cue_to_the_call_and_its_confirmation(
    world: World, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("INFO", "json")
    async with Collector() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with world.scene() as scene:
            scene.publish("mst3k", "break-1", 90)
            await scene.until("mst3k", "break-1", "Fired")
            channels = cast("ChannelController", scene.stage.operator._kernel.controllers[CHANNEL])
            channel = channels.objects[Key(CHANNEL, "default", "mst3k")]
            [record] = channel.airtime.arbiter.memory.recent
            settled = CommercialSettled(channel, record)
            scene.stage.operator._kernel.signals.send(settled)
            await eventually(lambda: collector.named("confirm"))
    [fired, confirmed] = lines_about(capsys.readouterr().err, "break-1")
    assert fired["trace_id"] == confirmed["trace_id"]
    spans = collector.of(fired["trace_id"])
    assert len(spans) == len(collector.spans) == 5
    [call], [confirm], [decide], [cue] = (
        collector.named(name) for name in ("call", "confirm", "decide", "cue")
    )
    assert chain(call, spans) == ["call", "decide", "match", "cue"]
    assert chain(confirm, spans) == ["confirm", "cue"]
    assert {key: fired[key] for key in ("namespace", "rule", "channel", "verdict")} == {
        "namespace": "default", "rule": "spots-on-mst3k", "channel": "mst3k", "verdict": "Fired",
    }  # fmt: skip
    assert fired["detail"] == "commercial of 90 s"
    assert 0 < fired["latency_seconds"] < 5
    told = attributes(decide)
    for name in ("namespace", "rule", "channel", "cue_id", "verdict", "detail"):
        assert told[OWN + name] == fired[name], name
    heard = attributes(cue)
    assert heard["messaging.destination.name"] == "mst3k"
    assert heard[OWN + "publish_to_receipt_seconds"] < 5
    assert attributes(call) == {
        "http.request.method": "POST",
        "url.full": world.twitch.helix_url + "/channels/commercial",
        "server.address": "127.0.0.1",
        "server.port": int(world.twitch.helix_url.split(":")[2].split("/")[0]),
        "http.response.status_code": 200,
    }
    assert cue.start_time_unix_nano <= decide.start_time_unix_nano <= call.start_time_unix_nano
    assert call.end_time_unix_nano <= decide.end_time_unix_nano
    assert collector.resource["service.name"] == "twitch-operator"


async def test_a_wait_is_an_event_and_what_follows_it_a_linked_span(
    world: World, environment: pytest.MonkeyPatch
) -> None:
    async with Collector() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with world.scene() as scene:
            scene.publish("late", "break-1")
            await scene.until("late", "break-1", "Fired")
            await eventually(lambda: len(collector.named("decide")) == 2)
    waiting, fired = collector.named("decide")
    [wait] = waiting.events
    assert wait.name == "wait"
    assert attributes(wait)[OWN + "detail"].startswith("due at")
    assert attributes(waiting)[OWN + "verdict"] == "Waiting"
    assert attributes(fired)[OWN + "verdict"] == "Fired"
    assert [link.span_id for link in fired.links] == [waiting.span_id]
    [call] = collector.named("call")
    assert call.parent_span_id == fired.span_id
    assert chain(call, collector.spans) == ["call", "decide", "match", "cue"]
    seconds = [span.end_time_unix_nano - span.start_time_unix_nano for span in collector.spans]
    assert max(seconds) < 0.9e9, "a span lasts as long as the wait"


async def test_refusals_are_errors_and_no_span_holds_a_credential(
    world: World, environment: pytest.MonkeyPatch
) -> None:
    async with Collector() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={HEADER}")
        async with world.scene() as scene:
            access = world.api.secrets["mst3k-twitch-token"]["access-token"]
            refusal = quoting(409, "I was told", access)
            world.twitch.order_fault(
                refusal.model_copy(update={"path": "/helix/channels/commercial"})
            )
            scene.publish("mst3k", "break-1")
            await scene.until("mst3k", "break-1", "Failed")
            scene.publish("mst3k", f"access_token={HEADER}\ud800\x1b[31m")
            await eventually(lambda: len(collector.named("decide")) == 2)
    grants = [world.api.secrets[f"{name}-grant"]["refresh-token"] for name in ("mst3k", "late")]
    credentials = [access, *grants, SECRET, SUBSCRIBE_KEY, HEADER]
    found = leaks(credentials, {"spans": "\n".join(collector.texts)})
    assert not found, "\n".join(found)
    failed = collector.named("decide")[0]
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    called = {attributes(span)["url.full"]: span for span in collector.named("call")}
    assert [url.removeprefix(world.twitch.helix_url) for url in called] == [
        "/channels/commercial", "/channels/ads", "/streams",
    ]  # fmt: skip
    refused = called[world.twitch.helix_url + "/channels/commercial"]
    assert attributes(refused)["error.type"] == "409"
    assert refused.status.code == refused.status.STATUS_CODE_ERROR


async def test_a_request_by_hand_has_a_trace(
    world: World, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("INFO", "json")
    async with Collector() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with world.scene() as scene:
            request = f"{rfc3339(time.time())}/60s"
            channel = a_channel("mst3k")
            channel["metadata"] |= {
                "annotations": {FIRE_REQUESTED: request},
                "resourceVersion": "2",
            }
            scene.stage.operator.notify(CHANNEL, "MODIFIED", channel)
            await eventually(lambda: collector.named("decide"))
    [line] = lines_about(capsys.readouterr().err, f"fire/{request}")
    assert (line["verdict"], line["channel"]) == ("Fired", "mst3k")
    assert "rule" not in line
    [call] = collector.named("call")
    assert chain(call, collector.of(line["trace_id"])) == ["call", "decide", "cue"]


async def test_a_feed_and_an_action_that_know_nothing_of_traces_have_them(
    settings: Settings, http: HttpClient, environment: pytest.MonkeyPatch
) -> None:
    spec = {
        "feed": {"ticker": {"secretRef": {"name": "tape"}, "symbols": ["TWCH"]}},
        "action": {"note": {"text": "sold"}},
    }
    async with Collector() as collector:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        with toy_ticker.registered() as ticker, toy_note.registered(), traces(os.environ) as tracer:
            api = Api({"tape": {"password": ticker.tape.password}})
            api.held = {RULE: [a_rule("mst3k", **spec)], CHANNEL: [a_channel("mst3k")]}
            async with running(api, settings, http, tracer):
                await eventually(
                    lambda: api.condition("spots-on-mst3k", "FeedConnected").get("status") == "True"
                )
                ticker.tape.print("TWCH", json.dumps({"kind": "spot", "id": "one"}))
                ticker.tape.print("TWCH", json.dumps({"kind": "other", "id": "two"}))
                ticker.tape.print("TWCH", json.dumps({"kind": "spot", "id": "one"}))
                await eventually(lambda: len(collector.named("decide")) == 2)
    fired, again = collector.named("decide")
    assert chain(fired, collector.spans) == ["decide", "match", "cue"]
    assert [attributes(span)[OWN + "verdict"] for span in (fired, again)] == ["Fired", "Duplicate"]
    assert len(collector.spans) == 6


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "silent"])
async def test_a_dead_collector_holds_up_no_cue_and_does_not_fill_the_log(
    world: World, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gone: bool
) -> None:
    set_up_logging("INFO", "json")
    for name, value in (("MAX_QUEUE_SIZE", "16"), ("MAX_EXPORT_BATCH_SIZE", "8")):
        environment.setenv(f"OTEL_BSP_{name}", value)
    environment.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "8")
    async with Collector(silent=True) as collector:
        url = "http://127.0.0.1:9" if gone else collector.url
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        async with world.scene() as scene:
            scene.publish("mst3k", "break-1")
            await scene.until("mst3k", "break-1", "Fired")
            if not gone:
                await eventually(lambda: collector.asked)
            rules = cast("RuleController", scene.stage.operator._kernel.controllers[RULE])
            began = time.monotonic()
            for number in range(200):
                payload = {"kind": "spot", "id": f"more-{number}", "seconds": 60}
                event = Event("mst3k", str(number), time.time(), time.monotonic(), payload)
                await rules._dispatcher.event([Key(RULE, "default", "spots-on-mst3k")], (), event)
            assert time.monotonic() - began < 5  # the export's timeout is 8
            ending = time.monotonic()
        assert time.monotonic() - ending < 10
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines_about("\n".join(map(json.dumps, told)), "more-199")) == 1
    about = [line for line in told if line["message"].startswith("traces:")]
    # The library holds back by itself what it said less than 20 s ago, in whatever test.
    assert len(about) in ({1} if gone else {0, 1}), about
    assert not [line for line in told if line["logger"].startswith("opentelemetry")]


async def test_what_cannot_be_used_is_told_once_with_the_remedy(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("INFO", "json")
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with environment.context() as missing:
        missing.delitem(sys.modules, "controller.tracing.export", raising=False)
        missing.setitem(sys.modules, exporter, None)
        with traces(os.environ) as tracer:
            assert tracer is NO_TRACER
    environment.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    with traces(os.environ) as tracer:
        assert tracer is NO_TRACER
    with traces(os.environ | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) as tracer:
        assert tracer is NO_TRACER
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in told] == ["WARNING"] * 3
    parts = ("install twitch-operator[otel]", "max_queue_size must be", "use http/protobuf")
    for line, part in zip(told, parts, strict=True):
        assert part in line["message"]


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    code = (
        "import os, sys\n"
        "import controller.commands.run\n"
        "from controller.tracing.start import traces\n"
        "with traces(os.environ):\n"
        "    print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
