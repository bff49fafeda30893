"""The HLS feed at a simulated origin, over HTTP: what it tells, and what goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import pytest
from aiohttp import web

from controller.clients.kube import Secret
from controller.errors import InvalidSecret
from controller.feeds.base import HealthChanged, Malformed
from controller.feeds.hls.feed import HlsFeed
from controller.feeds.hls.keys import HlsKey
from controller.feeds.hls.spec import HlsSettings, HlsSpec
from controller.resources.kind import ALLOWED_HOST
from controller.sandbox.faults import Fault
from controller.sandbox.hls import Dialect, HlsSimulator, StreamOptions
from controller.settings import Settings
from tests.simulated.harness import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.events import Event
    from controller.feeds.base import News

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
HOST = "127.0.0.1"


@dataclass
class Heard:
    """A feed and all that it told."""

    events: list[Event] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    feed: HlsFeed = field(init=False)

    async def put(self, event: Event) -> None:
        self.events.append(event)

    def tell(self, news: News) -> None:
        match news:
            case HealthChanged(topics):
                self.reasons.append(self.feed.health_of(topics).reason)
            case Malformed(reason):
                self.malformed.append(reason)

    def shapes(self, topic: str = "") -> list[tuple[str, float | None]]:
        """Type and length of what happened in a playlist."""
        told = [each.payload for each in self.events if each.topic.startswith(topic)]
        return [(each["type"], each.get("duration_sec")) for each in told]


def key_of(secret: Secret | None = None, **spec: Any) -> HlsKey:  # noqa: ANN401 - fields of the spec
    whole = {"url": f"http://{HOST}/x.m3u8", **spec}
    if secret is not None:
        whole["secretRef"] = {"name": "origin"}
    return HlsKey.read(HlsSpec.from_spec(whole), secret)


@asynccontextmanager
async def following(
    *urls: str, key: HlsKey | None = None, within: float = 30.0
) -> AsyncIterator[Heard]:
    heard = Heard()
    settings = Settings(allowed_fetch_hosts=(HOST,)).with_parts(HlsSettings(timeout=within))
    heard.feed = HlsFeed(key or key_of(), settings, heard)
    heard.feed.want(dict.fromkeys(urls, 30.0), ())
    try:
        yield heard
        assert heard.feed.alive
    finally:
        await heard.feed.close()


@pytest.fixture
async def hls() -> AsyncIterator[HlsSimulator]:
    async with HlsSimulator() as simulator:
        yield simulator


def stream(name: str = "live", **options: Any) -> StreamOptions:  # noqa: ANN401 - fields of the options
    return StreamOptions.model_validate({"name": name, "target": 0.5, **options})


async def test_each_dialect_is_one_break(hls: HlsSimulator) -> None:
    for dialect in DIALECTS:
        hls.begin(stream(dialect, dialect=dialect))
    hls.begin(stream("undated", dates=False))
    hls.begin(stream("blocking", blocking=True))
    names = [*DIALECTS, "undated", "blocking"]
    async with following(*map(hls.url_of, names)) as heard:
        await eventually(lambda: heard.reasons.count("Succeeded") == len(names))
        for name in names:
            hls.advertise(name, 2.0)
        await eventually(lambda: len(heard.events) >= 2 * len(names) - 1)
        await asyncio.sleep(1.0)  # what would be told twice would be told by now
        for name in names:
            whole = [("stitched_ad", 2.0)] if name == "twitch" else [
                ("ad_break_start", 2.0), ("ad_break_end", 2.0)
            ]  # fmt: skip
            assert heard.shapes(hls.url_of(name)) == whole, name
        start = next(e for e in heard.events if e.topic == hls.url_of("enhanced"))
        assert start.payload["scte35"]["splice_event_id"] == 1000
        assert abs(start.published - hls.streams["enhanced"].begins(8)) < 60


async def test_a_stream_that_goes_off_air_and_returns_is_told(hls: HlsSimulator) -> None:
    hls.begin(stream())
    async with following(hls.url_of("live")) as heard:
        await eventually(lambda: "Succeeded" in heard.reasons)
        hls.streams["live"].end(time.time())
        await eventually(lambda: heard.reasons[-1] == "StreamOffline")
        hls.begin(stream())
        await eventually(lambda: heard.reasons[-1] == "Succeeded")
        assert [kind for kind, _ in heard.shapes()] == ["stream_offline", "stream_online"]


async def test_a_playlist_that_stands_still_is_told(hls: HlsSimulator) -> None:
    hls.begin(stream())
    async with following(hls.url_of("live")) as heard:
        await eventually(lambda: "Succeeded" in heard.reasons)
        text = hls.streams["live"].media(time.time())
        hls.faults.add(Fault(path="/live/*", times=None, status=200, body=text))
        await eventually(lambda: heard.reasons[-1] == "FeedStale")
        assert [kind for kind, _ in heard.shapes()] == ["stalled"]
        hls.faults.clear()
        await eventually(lambda: heard.reasons[-1] == "Succeeded")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(times=None, status=404), "PlaylistNotFound"),
        (Fault(times=None, status=403), "AccessDenied"),
        (Fault(times=None, status=500), "TransientError"),
        (Fault(times=None, drop=True), "TransientError"),
        (Fault(times=None, status=200, body="<html>"), "InvalidPlaylist"),
        (Fault(times=None, status=200, body=""), "InvalidPlaylist"),
        (
            Fault(times=None, status=302, headers={"Location": "/live/master.m3u8"}),
            "TransientError",
        ),
        (Fault(times=None, status=302, headers={"Location": "http://10.0.0.1/"}), "HostNotAllowed"),
        (
            Fault(
                times=None, status=200, body="#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmaster.m3u8\n"
            ),
            "InvalidPlaylist",
        ),
        (
            Fault(times=None, status=200, body="#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"),
            "InvalidPlaylist",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_goes_wrong_is_told_and_passes(
    hls: HlsSimulator, fault: Fault, reason: str
) -> None:
    hls.begin(stream())
    hls.faults.add(fault)
    async with following(hls.url_of("live")) as heard:
        await eventually(lambda: reason in heard.reasons)
        assert not heard.feed.health_of([hls.url_of("live")]).connected
        hls.faults.clear()
        await eventually(lambda: heard.reasons[-1] == "Succeeded")
        assert heard.events == []


async def test_a_rendition_that_is_gone_is_looked_for_in_the_master(hls: HlsSimulator) -> None:
    hls.begin(stream())
    async with following(hls.url_of("live")) as heard:
        await eventually(lambda: heard.reasons == ["Succeeded"])
        hls.faults.add(Fault(path="/live/audio_only.m3u8", status=404))
        masters = sum(seen.path.endswith("master.m3u8") for seen in hls.requests)
        await eventually(
            lambda: sum(seen.path.endswith("master.m3u8") for seen in hls.requests) > masters
        )
        hls.advertise("live", 60.0)
        await eventually(lambda: heard.events)
        assert heard.reasons == ["Succeeded"]
        assert heard.shapes() == [("ad_break_start", 60.0)]


async def test_a_server_that_never_answers_holds_up_no_other_playlist(hls: HlsSimulator) -> None:
    hls.begin(stream("slow"))
    hls.begin(stream("fine"))
    hls.faults.add(Fault(path="/slow/*", times=None, hang=True))
    async with following(hls.url_of("slow"), hls.url_of("fine"), within=0.5) as heard:
        await eventually(lambda: set(heard.reasons) >= {"TransientError", "Succeeded"})


async def test_an_origin_that_counts_anew_tells_no_break_twice(hls: HlsSimulator) -> None:
    hls.begin(stream(window=10))
    async with following(hls.url_of("live")) as heard:
        await eventually(lambda: "Succeeded" in heard.reasons)
        hls.advertise("live", 3.0)
        await eventually(lambda: heard.events)
        hls.streams["live"].restart(time.time())
        await eventually(lambda: len(heard.events) == 2)
        assert heard.shapes() == [("ad_break_start", 3.0), ("ad_break_end", 3.0)]


# Bodies


@asynccontextmanager
async def serving(answer: web.Response) -> AsyncIterator[str]:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    app = web.Application()
    app.router.add_get("/live.m3u8", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}/live.m3u8"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"#EXTM3U\n" + bytes(20_000_000)),
        b"#EXTM3U\n",
        b"\x1f\x8bnot gzip",
        gzip.compress(b"#EXTM3U\n#EXTINF:6,\ns.ts\n")[:-9],
        gzip.compress(b"#EXTM3U\n") + gzip.compress(b"#EXTINF:6,\ns.ts\n"),
    ],
    ids=["bomb", "not packed", "broken", "cut off", "of two parts"],
)
async def test_gzip_that_is_none_or_a_bomb_is_refused(body: bytes) -> None:
    answer = web.Response(body=body, headers={"Content-Encoding": "gzip"})
    async with serving(answer) as url, following(url) as heard:
        await eventually(lambda: heard.reasons == ["TransientError"])


async def test_a_huge_playlist_is_refused() -> None:
    answer = web.Response(body=b"#EXTM3U\n" + b"#\n" * 4_000_000)
    async with serving(answer) as url, following(url) as heard:
        await eventually(lambda: heard.reasons == ["TransientError"])
        assert "more than" in heard.feed.health_of([url]).message


# Renditions and headers


@pytest.mark.parametrize(
    ("rendition", "wanted"),
    [
        (None, "/live/audio_only.m3u8"),
        ({"height": 720}, "/live/720p.m3u8"),
        ({"name": "360p"}, "/live/360p.m3u8"),
        ({"audioOnly": True}, "/live/audio_only.m3u8"),
    ],
)
async def test_the_chosen_rendition_is_read(
    hls: HlsSimulator, rendition: dict[str, Any] | None, wanted: str
) -> None:
    hls.begin(stream())
    async with following(hls.url_of("live"), key=key_of(rendition=rendition)) as heard:
        await eventually(lambda: "Succeeded" in heard.reasons)
    assert {seen.path for seen in hls.requests} == {"/live/master.m3u8", wanted}


async def test_a_rendition_that_is_not_offered_is_told_with_those_that_are(
    hls: HlsSimulator,
) -> None:
    hls.begin(stream())
    async with following(hls.url_of("live"), key=key_of(rendition={"height": 480})) as heard:
        await eventually(lambda: heard.reasons == ["RenditionNotFound"])
        told = heard.feed.health_of([hls.url_of("live")]).message
    assert "audio_only (audio only), 360p (360 lines), 720p (720 lines)" in told


def secret(host: str = HOST, **data: str) -> Secret:
    values = {key: value.encode() for key, value in data.items()}
    return Secret(values, {}, (), "1", "uid", {ALLOWED_HOST: host} if host else {})


async def test_the_headers_of_the_secret_go_to_its_host(hls: HlsSimulator) -> None:
    hls.begin(stream())
    key = key_of(secret(Authorization="Bearer of tidings"))
    async with following(hls.url_of("live"), key=key) as heard:
        await eventually(lambda: "Succeeded" in heard.reasons)
    assert {seen.authorization for seen in hls.requests} == {"Bearer of tidings"}


async def test_the_headers_of_the_secret_go_to_no_other_host(hls: HlsSimulator) -> None:
    hls.begin(stream())
    answer = web.Response(status=302, headers={"Location": hls.url_of("live")})
    async with serving(answer) as url:
        elsewhere = url.replace(HOST, "localhost")
        key = key_of(secret("localhost", Authorization="Bearer of tidings"), url=elsewhere)
        settings = Settings(allowed_fetch_hosts=(HOST, "localhost"))
        heard = Heard()
        heard.feed = HlsFeed(key, settings, heard)
        heard.feed.want({elsewhere: 30.0}, ())
        await eventually(lambda: "Succeeded" in heard.reasons)
        await heard.feed.close()
    assert {seen.authorization for seen in hls.requests} == {""}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (secret("", Authorization="x"), "is not sent to 127.0.0.1 unless it says so itself"),
        (secret("example.com", Authorization="x"), "is not sent to 127.0.0.1"),
        (secret(**{"no header": "x"}), "each the name of an HTTP header: no header is not one"),
        (secret(Host="x"), "Host is not one"),
        (secret(), "it has 0"),
        (secret(Authorization="a\nb"), "not plain text"),
    ],
)
def test_a_secret_that_is_not_for_this_host_is_refused(given: Secret, problem: str) -> None:
    with pytest.raises(InvalidSecret, match=problem):
        key_of(given)
