"""An extension's configuration is kept as declared, at a Twitch that speaks real HTTP."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from aiohttp import web

from controller.clients.extension_jwt import Extension, InvalidExtensionSecret
from controller.clients.extensions import Extensions, NoAnswer, NotSent
from controller.clients.http import new_http_client
from controller.errors import TransientError
from controller.extensions.configuration import ConfigurationManager
from controller.resources.extensionapp import EXTENSION, ExtensionAppSpec
from controller.runtime.resource import Key
from controller.sandbox.twitch import TwitchSimulator
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.resources.extensionapp import SegmentStatus

KEY = Key(EXTENSION, "tv", "deck-tracker")
EXTENSION_OF_MINE = Extension("d72h", "1", Sensitive("c2VjcmV0" * 6))
INTERVAL = 600.0


@dataclass
class Trouble:
    """An answer that a call gets instead of its own; `after`: it acts before that."""

    method: str
    status: int
    after: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    place: str | None = None


class Twitch:
    """The configuration service of one extension."""

    def __init__(self) -> None:
        self.holds: dict[tuple[str, str | None], tuple[str, str]] = {}
        self.required: list[tuple[str, dict[str, Any]]] = []
        self.calls: list[str] = []
        self.trouble: list[Trouble] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/helix/extensions/configurations", self._get)
        app.router.add_put("/helix/extensions/configurations", self._put)
        app.router.add_put("/helix/extensions/required_configuration", self._require)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/helix"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def count(self, method: str) -> int:
        return sum(call.startswith(method) for call in self.calls)

    def _strike(self, request: web.Request, place: str | None) -> Trouble | None:
        for trouble in self.trouble:
            if trouble.method == request.method and trouble.place in (None, place):
                self.trouble.remove(trouble)
                return trouble
        return None

    def _answer(self, request: web.Request, trouble: Trouble) -> web.Response:
        if trouble.status == 0:
            assert request.transport is not None
            request.transport.abort()
        text = {"message": "that is wrong"}
        return web.json_response(text, status=trouble.status or 500, headers=trouble.headers)

    async def _get(self, request: web.Request) -> web.Response:
        segments = request.query.getall("segment")
        place = request.query.get("broadcaster_id")
        self.calls.append(f"GET {place} {','.join(segments)}")
        if trouble := self._strike(request, place):
            return self._answer(request, trouble)
        data: list[dict[str, str]] = []
        for segment in segments:
            if held := self.holds.get((segment, place)):
                more = {"broadcaster_id": place} if place is not None else {}
                data.append({"segment": segment, "content": held[0], "version": held[1], **more})
        return web.json_response({"data": data})

    async def _put(self, request: web.Request) -> web.Response:
        body = await request.json()
        place = body.get("broadcaster_id")
        self.calls.append(f"PUT {place} {body['segment']}")
        trouble = self._strike(request, place)
        if trouble is None or trouble.after:
            self.holds[body["segment"], place] = body["content"], body["version"]
        return self._answer(request, trouble) if trouble else web.Response(status=204)

    async def _require(self, request: web.Request) -> web.Response:
        place = request.query["broadcaster_id"]
        self.calls.append(f"REQUIRE {place}")
        if trouble := self._strike(request, f"required {place}"):
            return self._answer(request, trouble)
        self.required.append((place, await request.json()))
        return web.Response(status=204)


def spec(
    *entries: dict[str, Any], everywhere: str | None = None, required: str | None = None
) -> ExtensionAppSpec:
    configuration: dict[str, Any] = {"channels": list(entries)}
    if everywhere is not None:
        configuration["global"] = {"content": everywhere, "version": "1"}
    declared: dict[str, Any] = {
        "clientId": "d72h",
        "ownerId": "1",
        "version": "1.3.0",
        "secret": {
            "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
            "targetSecretName": "target",
        },
        "configuration": configuration,
    }
    if required is not None:
        declared["requiredConfiguration"] = {"value": required}
    return ExtensionAppSpec.from_spec(declared)


def entry(
    channel: str = "mst3k", segment: str = "developer", content: str = "{}", **more: str
) -> dict[str, Any]:
    return {"channelRef": {"name": channel}, "segment": segment, "content": content, **more}


@dataclass
class Desk:
    """A keeper, called as the operator would; `begin_again` is a restart of the operator."""

    twitch: Twitch
    extensions: Extensions
    settings: Settings
    ids: dict[str, str] = field(default_factory=lambda: {"mst3k": "11", "rifftrax": "22"})

    def __post_init__(self) -> None:
        self.keeper = ConfigurationManager(KEY, self.extensions, self.settings)

    async def round(
        self, declared: ExtensionAppSpec, extension: Extension = EXTENSION_OF_MINE
    ) -> float | None:
        return await self.keeper.reconcile(declared, extension, self.ids.get)

    def begin_again(self) -> None:
        written = tuple(
            type(status).model_validate(status.to_status()) for status in self.keeper.segments()
        )
        self.keeper = ConfigurationManager(KEY, self.extensions, self.settings, written)

    def states(self) -> list[str]:
        return [status.state for status in self.keeper.segments()]

    def status(self, segment: str, channel: str | None = "mst3k") -> SegmentStatus:
        found = self.keeper.segments()
        return next(s for s in found if (s.segment, s.channel) == (segment, channel))

    def reason(self) -> tuple[str, str, bool]:
        found = self.keeper.finding
        assert found is not None
        return found.status, found.reason, found.human


SYNCED = ("True", "Succeeded", False)


@pytest.fixture
async def twitch() -> AsyncIterator[Twitch]:
    async with Twitch() as twitch:
        yield twitch


@pytest.fixture
async def desk(twitch: Twitch) -> AsyncIterator[Desk]:
    settings = Settings(
        helix_url=twitch.url, call_timeout=PATIENCE, extension_check_interval=INTERVAL
    )
    async with new_http_client(settings) as http:
        yield Desk(twitch, Extensions(http, settings), settings)


def soon(again: float | None) -> float:
    """In how many seconds it comes back."""
    assert again is not None
    return again - time.time()


async def test_what_is_declared_is_set_once_and_looked_at_again_after_the_interval(
    desk: Desk,
) -> None:
    declared = spec(entry(content="a"), entry(segment="broadcaster"), everywhere="dark")
    assert desk.keeper.finding is None
    again = await desk.round(declared)
    assert 0.8 * INTERVAL < soon(again) <= INTERVAL
    assert desk.twitch.holds == {
        ("global", None): ("dark", "1"),
        ("developer", "11"): ("a", ""),
        ("broadcaster", "11"): ("{}", ""),
    }
    assert desk.twitch.calls == [
        "GET None global", "PUT None global",
        "GET 11 developer,broadcaster", "PUT 11 developer", "PUT 11 broadcaster",
    ]  # fmt: skip
    assert desk.reason() == SYNCED
    assert desk.states() == ["Synced"] * 3
    assert desk.status("global", None).version == "1"
    assert desk.status("global", None).last_set_time == pytest.approx(time.time(), abs=30)
    await desk.round(declared)
    assert len(desk.twitch.calls) == 5, "it looked again though nothing was due"


async def test_a_restart_looks_and_sets_nothing_where_nothing_differs(desk: Desk) -> None:
    declared = spec(entry(content="a"), everywhere="dark", required="COMPLETE")
    await desk.round(declared)
    before, told = desk.twitch.calls.copy(), desk.keeper.segments()
    desk.begin_again()
    assert [s.sha256 for s in desk.keeper.segments()] == [s.sha256 for s in told]
    await desk.round(declared)
    assert desk.twitch.calls[len(before) :] == ["GET None global", "GET 11 developer"]
    assert desk.reason() == SYNCED
    assert [s.to_status() for s in desk.keeper.segments()] == [s.to_status() for s in told]


async def test_drift_is_put_right_and_a_broadcasters_choice_is_not_drift(desk: Desk) -> None:
    declared = spec(
        entry(content="a"), entry(segment="broadcaster"),
        entry("rifftrax", segment="broadcaster", policy="Enforce"),
    )  # fmt: skip
    await desk.round(declared)
    for key in desk.twitch.holds:
        desk.twitch.holds[key] = ("mine", "7")
    desk.keeper.recheck()
    await desk.round(declared)
    assert desk.twitch.holds == {
        ("developer", "11"): ("a", ""),
        ("broadcaster", "11"): ("mine", "7"),
        ("broadcaster", "22"): ("{}", ""),
    }
    kept = desk.status("broadcaster")
    assert (kept.state, kept.version) == ("Kept", "7")
    assert desk.reason() == SYNCED


async def test_a_channel_that_becomes_known_is_set_then(desk: Desk) -> None:
    desk.ids.clear()
    declared = spec(entry(), everywhere="dark", required="COMPLETE")
    await desk.round(declared)
    assert desk.reason() == ("False", "ChannelNotReady", False)
    assert desk.states() == ["Synced", "Pending", "Pending"]
    desk.ids["mst3k"] = "11"
    await desk.round(declared)
    assert desk.reason() == SYNCED
    assert desk.twitch.required == [
        (
            "11",
            {
                "extension_id": "d72h",
                "extension_version": "1.3.0",
                "required_configuration": "COMPLETE",
            },
        )
    ]


async def test_required_configuration_waits_for_the_segments_and_is_set_once(desk: Desk) -> None:
    declared = spec(entry(), required="COMPLETE")
    desk.twitch.trouble.append(Trouble("PUT", 400, place="11"))
    await desk.round(declared)
    assert desk.twitch.required == []
    desk.keeper.recheck()
    await desk.round(declared)
    await desk.round(declared)
    desk.begin_again()
    await desk.round(declared)
    assert len(desk.twitch.required) == 1
    await desk.round(spec(entry(), required="OTHER"))
    assert len(desk.twitch.required) == 2
    assert desk.status("required").version == "1.3.0"


async def test_what_twitch_refuses_is_told_and_the_rest_is_done(desk: Desk) -> None:
    desk.twitch.trouble.append(Trouble("PUT", 400, place="11"))
    desk.twitch.trouble.append(Trouble("PUT", 404, place="required 22"))
    declared = spec(entry(), entry("rifftrax"), required="COMPLETE")
    again = await desk.round(declared)
    assert soon(again) > 0.8 * INTERVAL
    assert desk.reason() == ("False", "ConfigurationRefused", True)
    assert desk.states() == ["Failed", "Synced", "Pending", "Failed"]
    refused = desk.status("developer").message or ""
    assert refused.endswith("with 400: that is wrong")
    wrong = desk.status("required", "rifftrax").message or ""
    assert wrong.endswith("with 404: that is wrong")
    calls = len(desk.twitch.calls)
    await desk.round(declared)
    assert len(desk.twitch.calls) == calls, "what is refused is not asked again at once"
    await desk.round(spec(entry(content="better"), entry("rifftrax"), required="COMPLETE"))
    assert desk.status("developer").state == "Synced"


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_the_rate_limit_is_waited_for(desk: Desk, method: str) -> None:
    desk.twitch.trouble.append(Trouble(method, 429, headers={"Retry-After": "7"}))
    again = await desk.round(spec(entry()))
    assert 5 < soon(again) <= 7
    assert desk.reason() == ("Unknown", "Pending", False)
    calls = len(desk.twitch.calls)
    await desk.round(spec(entry()))
    assert len(desk.twitch.calls) == calls


async def test_no_more_than_twenty_calls_of_a_kind_are_made_in_a_minute(desk: Desk) -> None:
    desk.ids = {f"channel-{number}": str(number) for number in range(30)}
    declared = spec(*(entry(channel) for channel in desk.ids))
    again = await desk.round(declared)
    assert (desk.twitch.count("GET"), desk.twitch.count("PUT")) == (20, 20)
    assert 50 < soon(again) <= 61
    assert desk.reason() == ("Unknown", "Pending", False)
    desk.begin_again()
    assert desk.states() == ["Synced"] * 20 + ["Pending"] * 10


async def test_a_lost_answer_is_looked_into_before_the_segment_is_set_again(desk: Desk) -> None:
    desk.twitch.trouble.append(Trouble("PUT", 0, after=True))
    declared = spec(entry(segment="broadcaster"))
    with pytest.raises(NoAnswer):
        await desk.round(declared)
    assert desk.reason() == ("False", "TransientError", False)
    desk.twitch.holds["broadcaster", "11"] = ("the broadcaster's", "2")
    await desk.round(declared)
    assert desk.twitch.calls == ["GET 11 broadcaster", "PUT 11 broadcaster", "GET 11 broadcaster"]
    assert desk.states() == ["Kept"]


async def test_trouble_with_one_channel_does_not_keep_the_others_waiting(desk: Desk) -> None:
    desk.twitch.trouble += [Trouble("GET", 503, place="11") for _ in range(3)]
    declared = spec(entry(), entry("rifftrax"))
    for _ in range(3):
        with pytest.raises(TransientError):
            await desk.round(declared)
    assert desk.states() == ["Pending", "Synced"]
    await desk.round(declared)
    assert desk.reason() == SYNCED


async def test_a_failure_of_required_configuration_is_raised_and_tried_again(desk: Desk) -> None:
    desk.twitch.trouble.append(Trouble("PUT", 500, place="required 11"))
    with pytest.raises(TransientError):
        await desk.round(spec(entry(), required="COMPLETE"))
    assert desk.states() == ["Synced", "Pending"]
    await desk.round(spec(entry(), required="COMPLETE"))
    assert desk.reason() == SYNCED


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("method", "place", "states", "told"),
    [
        ("GET", "11", ["Failed", "Pending"], "GET /extensions/configurations"),
        ("PUT", "11", ["Failed", "Pending"], "PUT /extensions/configurations (developer)"),
        ("PUT", "required 11", ["Synced", "Failed"], "PUT /extensions/required_configuration"),
    ],
)
async def test_a_call_that_is_not_allowed_is_tried_again_after_the_interval(
    desk: Desk, status: int, method: str, place: str, states: list[str], told: str
) -> None:
    desk.twitch.trouble += [Trouble(method, status, place=place) for _ in range(2)]
    declared = spec(entry(), required="COMPLETE")
    again = await desk.round(declared)
    assert 0.8 * INTERVAL < soon(again) <= INTERVAL
    assert desk.states() == states
    assert desk.reason() == ("False", "ConfigurationRefused", True)
    assert desk.keeper.finding is not None
    words = f"Twitch answered {told} with {status}: that is wrong"
    assert words in desk.keeper.finding.message
    assert desk.keeper.doubted, "only a look at the secrets tells whether the secret is lost"
    calls = desk.twitch.calls.copy()
    await desk.round(declared)
    assert desk.twitch.calls == calls, "what is refused is not asked again at once"
    assert not desk.keeper.doubted
    # Another secret signs, and is refused as well; then somebody asks.
    other = Extension("d72h", "1", Sensitive("b3RoZXJz" * 6))
    await desk.round(declared, other)
    assert desk.reason() == ("False", "ConfigurationRefused", True)
    assert desk.twitch.calls.count(calls[-1]) == 2
    desk.keeper.recheck()
    await desk.round(declared, other)
    assert desk.reason() == SYNCED


async def test_an_outage_leaves_what_was_found_and_ends_by_itself(
    desk: Desk, twitch: Twitch
) -> None:
    declared = spec(entry())
    await desk.round(declared)
    await twitch.stop()
    desk.begin_again()
    with pytest.raises(NotSent):
        await desk.round(declared)
    assert desk.reason() == SYNCED
    with pytest.raises(NotSent):
        await desk.round(spec(entry(content="new")))
    assert desk.reason() == ("False", "TransientError", False)


async def test_a_secret_that_does_not_sign_is_told_to_the_caller(desk: Desk) -> None:
    with pytest.raises(InvalidExtensionSecret):
        await desk.round(spec(entry()), Extension("d72h", "1", Sensitive("no base64 %")))


async def test_what_is_not_declared_any_more_is_left_alone_and_not_told(desk: Desk) -> None:
    await desk.round(spec(entry(), everywhere="dark"))
    held = desk.twitch.holds.copy()
    assert await desk.round(spec()) is None
    assert desk.keeper.segments() == ()
    assert desk.keeper.finding is None
    assert desk.twitch.holds == held


async def test_text_of_all_kinds_comes_through_as_it_is(desk: Desk) -> None:
    text = '{"theme": "дарк ☕ \\u0000", "n": 1.0}'
    await desk.round(spec(entry(content=text)))
    assert desk.twitch.holds["developer", "11"] == (text, "")
    desk.keeper.recheck()
    await desk.round(spec(entry(content=text)))
    assert desk.twitch.count("PUT") == 1


async def test_the_simulator_that_ships_is_content_with_it() -> None:
    secret = EXTENSION_OF_MINE.secret.reveal()
    async with TwitchSimulator() as simulator:
        extension = simulator.add_extension("d72h", "1", secret)
        settings = Settings(helix_url=simulator.helix_url, call_timeout=PATIENCE)
        async with new_http_client(settings) as http:
            keeper = ConfigurationManager(KEY, Extensions(http, settings), settings)
            declared = spec(
                entry(content="a"), entry(segment="broadcaster"), everywhere="dark", required="DONE"
            )
            for _ in range(2):
                await keeper.reconcile(declared, EXTENSION_OF_MINE, {"mst3k": "11"}.get)
                keeper.recheck()
        assert keeper.finding is not None
        assert keeper.finding.status == "True"
        assert sorted(extension.segments.values()) == [("a", ""), ("dark", "1"), ("{}", "")]
        assert extension.required == {"11": ("1.3.0", "DONE")}
        puts = simulator.calls("PUT", "/helix/extensions/configurations")
        assert len(puts) == 3
