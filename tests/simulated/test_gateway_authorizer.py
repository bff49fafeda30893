"""Introspection: whose a token is, how long that counts, and what a provider may answer."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from controller.clients.fetch import Fetcher
from controller.gateway.authorizer import Authorizer
from controller.gateway.providers import InvalidToken, Principal, Provider, ProviderUnavailable
from controller.sensitive import Sensitive
from tests.simulated.harness import MOMENT, NEVER, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOW = 1_900_000_000.0


class Scene:
    """A provider over HTTP, and a gateway's authorizer with a clock of its own."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.now = NOW
        self.asked: list[str] = []
        self.told: Any = {"active": True, "exp": NOW + 600, "twitch_channels": ["1"]}
        self.status = 200
        self.delay = 0.0
        self.authorizer = Authorizer(fetcher, lambda: self.now)
        self.provider = Provider()

    async def serve(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.asked.append(str(form["token"]))
        assert form["token_type_hint"] == "access_token"
        assert request.headers["Authorization"].startswith("Basic ")
        await asyncio.sleep(self.delay)
        body = self.told if isinstance(self.told, str) else json.dumps(self.told)
        return web.Response(status=self.status, text=body, content_type="application/json")

    async def principal(self, token: str = "a-token") -> Principal:
        return await self.authorizer.authorize(self.provider, token)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Fetcher(("127.0.0.1",), PATIENCE) as fetcher:
        scene = Scene(fetcher)
        app = web.Application()
        app.router.add_post("/introspect", scene.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        scene.provider = Provider(
            introspection_url=f"http://127.0.0.1:{runner.addresses[0][1]}/introspect",
            client_id="gateway",
            client_secret=Sensitive("login"),
        )
        yield scene
        await runner.cleanup()


async def test_an_answer_counts_for_a_minute(scene: Scene) -> None:
    for _ in range(3):
        assert (await scene.principal()).channels == ("1",)
    scene.now += 59
    await scene.principal()
    assert len(scene.asked) == 1
    scene.now += 1
    await scene.principal()
    assert len(scene.asked) == 2


async def test_an_answer_counts_no_longer_than_the_token(scene: Scene) -> None:
    scene.told = {"active": True, "exp": NOW + 5, "twitch_channels": ["1"]}
    await scene.principal()
    scene.now += 5
    with pytest.raises(InvalidToken):
        await scene.principal()
    assert len(scene.asked) == 2


async def test_a_refused_token_is_not_asked_about_for_a_moment(scene: Scene) -> None:
    scene.told = {"active": False}
    for _ in range(3):
        with pytest.raises(InvalidToken):
            await scene.principal()
    assert len(scene.asked) == 1
    scene.now += 10
    with pytest.raises(InvalidToken):
        await scene.principal()
    assert len(scene.asked) == 2


@pytest.mark.parametrize(
    ("claim", "channels"),
    [
        (["1", 2, " 3 ", "1"], ("1", "2", "3")),
        ("1 2,3\n4", ("1", "2", "3", "4")),
        ([True, None, {}, [], 1.5, ""], ()),
        ("", ()),
        (None, ()),
        (5, ()),
        ({"1": True}, ()),
        (["x" * 65, "a\nb", 10**70], ()),
    ],
)
async def test_the_claim_may_be_a_list_or_a_text(
    scene: Scene,
    claim: object,
    channels: tuple[str, ...],
) -> None:
    scene.told = {"active": True, "twitch_channels": claim}
    assert (await scene.principal()).channels == channels


async def test_a_token_without_the_claim_is_linked_to_no_channel(scene: Scene) -> None:
    scene.told = {"active": True}
    assert (await scene.principal()).channels == ()


@pytest.mark.parametrize("active", ["true", 1, None, [], {"a": 1}, "yes"])
async def test_only_true_itself_is_active(scene: Scene, active: Any) -> None:  # noqa: ANN401
    scene.told = {"active": active, "twitch_channels": ["1"]}
    with pytest.raises(InvalidToken):
        await scene.principal()


@pytest.mark.parametrize("exp", ["soon", None, True, [], 1e308, {}, "1e400"])
async def test_an_odd_exp_counts_for_a_minute_at_most(scene: Scene, exp: Any) -> None:  # noqa: ANN401
    scene.told = {"active": True, "exp": exp, "twitch_channels": ["1"]}
    await scene.principal()
    scene.now += 60
    await scene.principal()
    assert len(scene.asked) == 2


@pytest.mark.parametrize(
    "told",
    ["", "no json", "[]", "null", '"active"', "[" * 50_000, "1", '{"active": true', "\ufffd"],
)
async def test_an_answer_that_tells_nothing_is_no_pass(scene: Scene, told: str) -> None:
    scene.told = told
    with pytest.raises(ProviderUnavailable):
        await scene.principal()


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 429, 500, 503])
async def test_another_status_is_no_pass(scene: Scene, status: int) -> None:
    scene.status = status
    with pytest.raises(ProviderUnavailable) as unavailable:
        await scene.principal()
    assert "login" not in str(unavailable.value).replace("client-secret", "")
    scene.status = 200
    assert (await scene.principal()).channels == ("1",), "it is asked again at once"


async def test_a_provider_that_is_slow_is_no_pass_and_what_is_known_counts(scene: Scene) -> None:
    await scene.principal("known")
    scene.delay = NEVER
    scene.authorizer._fetcher._timeout = MOMENT
    with pytest.raises(ProviderUnavailable):
        await scene.principal("unknown")
    assert (await scene.principal("known")).channels == ("1",)


async def test_many_who_come_with_one_token_ask_once(scene: Scene) -> None:
    scene.delay = 0.2
    tasks = [asyncio.create_task(scene.principal()) for _ in range(20)]
    await asyncio.sleep(0.05)
    tasks[0].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, Principal) for each in found[1:])
    assert len(scene.asked) == 1


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "é", "x" * 8193, "=", "a=b", "a\x00"])
async def test_what_cannot_be_a_token_is_asked_about_nobody(scene: Scene, token: str) -> None:
    with pytest.raises(InvalidToken):
        await scene.principal(token)
    assert scene.asked == []


async def test_a_provider_that_must_not_be_asked_is_not(scene: Scene) -> None:
    scene.provider = Provider(
        introspection_url=scene.provider.introspection_url, problem="annotate the Secret"
    )
    with pytest.raises(ProviderUnavailable, match="annotate"):
        await scene.principal()
    assert scene.asked == []


async def test_another_login_is_another_provider(scene: Scene) -> None:
    await scene.principal()
    scene.provider = Provider(
        introspection_url=scene.provider.introspection_url,
        client_id="gateway",
        client_secret=Sensitive("another"),
    )
    await scene.principal()
    assert len(scene.asked) == 2
