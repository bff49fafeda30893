"""Bearer tokens, asked about at a provider (RFC 7662) over real HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from controller.clients.fetch import Fetcher
from controller.gateway.authorizer import Authorizer
from controller.gateway.providers import InvalidToken, Provider, ProviderUnavailable
from controller.sensitive import Sensitive
from tests.oauth_provider import HandMade, open_provider
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def made() -> AsyncIterator[HandMade]:
    async with open_provider() as provider:
        yield provider


@pytest.fixture
async def authorizer(clock: Clock) -> AsyncIterator[Authorizer]:
    async with Fetcher(["127.0.0.1"], PATIENCE) as fetcher:
        yield Authorizer(fetcher, clock)


async def refused(authorizer: Authorizer, provider: Provider, token: str = "t") -> None:
    with pytest.raises(InvalidToken):
        await authorizer.authorize(provider, token)


async def unavailable(authorizer: Authorizer, provider: Provider, token: str = "t") -> str:
    with pytest.raises(ProviderUnavailable) as problem:
        await authorizer.authorize(provider, token)
    return str(problem.value)


async def test_an_active_token_has_its_channels(authorizer: Authorizer, made: HandMade) -> None:
    principal = await authorizer.authorize(made.introspection(), "token")
    assert principal.channels == ("123456",)
    assert made.asked == [{"token": "token", "token_type_hint": "access_token"}]
    assert made.login() == "gateway:hush"


async def test_a_login_is_encoded_as_oauth_wants_it(authorizer: Authorizer, made: HandMade) -> None:
    provider = replace(made.introspection(), client_id="a:b c", client_secret=Sensitive("ü/%"))
    await authorizer.authorize(provider, "token")
    assert made.login() == "a%3Ab%20c:%C3%BC%2F%25"


@pytest.mark.parametrize(
    "active", [False, None, "true", "false", 1, 0, [], [True], {}, {"active": True}]
)
async def test_only_true_itself_is_active(
    authorizer: Authorizer, made: HandMade, active: object
) -> None:
    made.answer = {"active": active, "twitch_channels": ["123456"]}
    await refused(authorizer, made.introspection())


async def test_an_answer_without_active_is_a_refusal(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.answer = {"twitch_channels": ["123456"]}
    await refused(authorizer, made.introspection())


@pytest.mark.parametrize(
    ("claim", "channels"),
    [
        (["1", "2", "1"], ("1", "2")),
        ([1, 2], ("1", "2")),
        ([1, "1"], ("1",)),
        ([True, False, None, {}, [], 1.5, ["9"], "7"], ("7",)),
        (["", "  ", " 8 "], ("8",)),
        ("1 2", ("1", "2")),
        ("1,2, 3\t4", ("1", "2", "3", "4")),
        ("", ()),
        (" , ", ()),
        (None, ()),
        (123456, ()),
        (1.5, ()),
        (True, ()),
        ({"123456": True}, ()),
        (["x" * 65], ()),
        (["\ud800", "a\nb", "\x00"], ()),
        ([10**70, -(10**70)], ()),
        ([[["1"]]], ()),
    ],
)
async def test_the_claim_is_a_list_of_ids_or_a_text_of_them_and_anything_else_is_none(
    authorizer: Authorizer, made: HandMade, claim: object, channels: tuple[str, ...]
) -> None:
    made.answer = {"active": True, "twitch_channels": claim}
    assert (await authorizer.authorize(made.introspection(), "token")).channels == channels


async def test_an_active_token_without_the_claim_has_no_channels(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.answer = {"active": True}
    assert (await authorizer.authorize(made.introspection(), "token")).channels == ()


async def test_the_claim_has_the_name_that_is_configured(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.answer = {"active": True, "https://example.com/ch": ["5"], "twitch_channels": ["6"]}
    provider = replace(made.introspection(), channels_claim="https://example.com/ch")
    assert (await authorizer.authorize(provider, "token")).channels == ("5",)


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 429, 500, 503])
async def test_any_status_but_200_is_no_answer(
    authorizer: Authorizer, made: HandMade, status: int
) -> None:
    made.status = status
    message = await unavailable(authorizer, made.introspection())
    assert str(status) in message
    assert "client-secret" in message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"true",
        b"[]",
        b"null",
        b'"active"',
        b"{",
        b"\xff\xfe",
        b"<html>secret-of-the-provider</html>",
        b"[" * 60_000,
        b'{"active": true, "exp": ' + b"9" * 5000 + b"}",
        b'{"active": true}' + b" " * 70_000,
    ],
    ids=range(11),
)
async def test_a_body_that_is_no_object_is_no_answer_and_is_not_told(
    authorizer: Authorizer, made: HandMade, body: bytes
) -> None:
    made.answer = body
    assert "secret-of-the-provider" not in await unavailable(authorizer, made.introspection())


async def test_a_provider_that_is_not_there_is_unavailable(
    authorizer: Authorizer, made: HandMade
) -> None:
    provider = replace(made.introspection(), introspection_url="http://127.0.0.1:1/introspect")
    assert "127.0.0.1" in await unavailable(authorizer, provider)


async def test_a_provider_that_does_not_answer_is_unavailable(clock: Clock, made: HandMade) -> None:
    made.gate.clear()
    async with Fetcher(["127.0.0.1"], 0.2) as fetcher:
        await unavailable(Authorizer(fetcher, clock), made.introspection())


async def test_a_provider_inside_the_cluster_is_not_asked(clock: Clock, made: HandMade) -> None:
    async with Fetcher([], PATIENCE) as fetcher:
        assert "https" in await unavailable(Authorizer(fetcher, clock), made.introspection())
    assert made.seen == []


async def test_a_provider_with_a_problem_is_not_asked(
    authorizer: Authorizer, made: HandMade
) -> None:
    provider = replace(made.introspection(), problem="the Secret is missing")
    assert await unavailable(authorizer, provider) == "the Secret is missing"
    assert made.seen == []


@pytest.mark.parametrize(
    "token",
    ["", " ", "a b", "a\nb", "ä", "a=b", "a,b", '"', "x" * 8193, "{}", "\x00", "=", "a\u2028"],
)
async def test_what_cannot_be_a_bearer_token_is_refused_unasked(
    authorizer: Authorizer, made: HandMade, token: str
) -> None:
    await refused(authorizer, made.introspection(), token)
    assert made.asked == []


async def test_the_longest_token_and_all_its_characters_are_asked_about(
    authorizer: Authorizer, made: HandMade
) -> None:
    for token in ("x" * 8192, "aZ09-._~+/=="):
        await authorizer.authorize(made.introspection(), token)
    assert [form["token"] for form in made.asked] == ["x" * 8192, "aZ09-._~+/=="]


async def test_an_account_counts_for_sixty_seconds(
    authorizer: Authorizer, made: HandMade, clock: Clock
) -> None:
    provider = made.introspection()
    for wait, asked in ((0, 1), (59, 1), (1.1, 2)):
        clock.now += wait
        await authorizer.authorize(provider, "token")
        assert len(made.asked) == asked


async def test_an_account_counts_no_longer_than_its_token(
    authorizer: Authorizer, made: HandMade, clock: Clock
) -> None:
    provider = made.introspection()
    made.answer = {"active": True, "twitch_channels": ["1"], "exp": int(clock.now) + 10}
    await authorizer.authorize(provider, "token")
    clock.now = int(clock.now) + 10
    await refused(authorizer, provider, "token")
    assert len(made.asked) == 2


@pytest.mark.parametrize("exp", ["soon", None, True, [1], {}, "4102444800", 1e308, 10**400])
async def test_an_expiry_that_cannot_be_read_means_sixty_seconds(
    authorizer: Authorizer, made: HandMade, clock: Clock, exp: object
) -> None:
    made.answer = {"active": True, "twitch_channels": ["1"], "exp": exp}
    await authorizer.authorize(made.introspection(), "token")
    clock.now += 61
    made.answer = {"active": False}
    await refused(authorizer, made.introspection(), "token")


@pytest.mark.parametrize("text", ["1e400", "-1e400", "NaN", "Infinity"])
async def test_numbers_that_are_none_harm_nobody(
    authorizer: Authorizer, made: HandMade, text: str
) -> None:
    made.answer = b'{"active": true, "twitch_channels": [%s, "1"], "exp": %s}' % (
        text.encode(),
        text.encode(),
    )
    assert (await authorizer.authorize(made.introspection(), "token")).channels == ("1",)


@pytest.mark.parametrize("ago", [0, 1, 1e9, 1e300])
async def test_a_token_whose_time_is_over_is_refused_though_it_is_called_active(
    authorizer: Authorizer, made: HandMade, clock: Clock, ago: float
) -> None:
    made.answer = {"active": True, "twitch_channels": ["1"], "exp": clock.now - ago}
    await refused(authorizer, made.introspection())


async def test_a_refusal_counts_for_ten_seconds(
    authorizer: Authorizer, made: HandMade, clock: Clock
) -> None:
    provider = made.introspection()
    made.answer = {"active": False}
    await refused(authorizer, provider)
    made.answer = {"active": True}
    clock.now += 9
    await refused(authorizer, provider)
    clock.now += 1.1
    await authorizer.authorize(provider, "t")
    assert len(made.asked) == 2


async def test_nothing_counts_on_when_the_clock_is_set_back(
    authorizer: Authorizer, made: HandMade, clock: Clock
) -> None:
    await authorizer.authorize(made.introspection(), "token")
    clock.now -= 3600
    await authorizer.authorize(made.introspection(), "token")
    assert len(made.asked) == 2


async def test_what_is_known_counts_on_for_its_time_while_the_provider_is_down(
    authorizer: Authorizer, made: HandMade, clock: Clock
) -> None:
    provider = made.introspection()
    await authorizer.authorize(provider, "known")
    made.broken = True
    clock.now += 30
    assert (await authorizer.authorize(provider, "known")).channels == ("123456",)
    await unavailable(authorizer, provider, "unknown")
    clock.now += 31
    await unavailable(authorizer, provider, "known")
    made.broken = False
    await authorizer.authorize(provider, "known")


async def test_what_one_provider_says_counts_for_no_other(
    authorizer: Authorizer, made: HandMade
) -> None:
    async with open_provider() as other:
        other.answer = {"active": True, "twitch_channels": ["999"]}
        ours = await authorizer.authorize(made.introspection(), "token")
        theirs = await authorizer.authorize(other.introspection(), "token")
    assert (ours.channels, theirs.channels) == (("123456",), ("999",))


async def test_a_changed_provider_is_asked_anew(authorizer: Authorizer, made: HandMade) -> None:
    provider = made.introspection()
    await authorizer.authorize(provider, "token")
    await authorizer.authorize(replace(provider, client_secret=Sensitive("new")), "token")
    await authorizer.authorize(replace(provider, channels_claim="c"), "token")
    assert len(made.asked) == 3


async def test_those_who_come_at_once_with_one_token_share_one_question(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.gate.clear()
    provider = made.introspection()
    waiting = [asyncio.ensure_future(authorizer.authorize(provider, "t")) for _ in range(50)]
    await made.called.wait()
    made.gate.set()
    accounts = await asyncio.gather(*waiting)
    assert {principal.channels for principal in accounts} == {("123456",)}
    assert len(made.asked) == 1


async def test_a_client_that_goes_away_takes_the_answer_from_nobody_else(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.gate.clear()
    provider = made.introspection()
    first = asyncio.ensure_future(authorizer.authorize(provider, "t"))
    second = asyncio.ensure_future(authorizer.authorize(provider, "t"))
    await made.called.wait()
    first.cancel()
    made.gate.set()
    assert (await second).channels == ("123456",)
    assert len(made.asked) == 1


async def test_those_who_share_a_question_share_its_failure(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.broken = True
    provider = made.introspection()
    found = await asyncio.gather(
        *(authorizer.authorize(provider, "t") for _ in range(5)), return_exceptions=True
    )
    assert [type(problem) for problem in found] == [ProviderUnavailable] * 5


async def test_no_token_and_no_secret_is_in_what_a_failure_tells(
    authorizer: Authorizer, made: HandMade
) -> None:
    made.status, made.answer = 400, {"error": "tok-en hush"}
    message = await unavailable(authorizer, made.introspection(), "tok-en")
    assert "tok-en" not in message
    assert "hush" not in message
    assert "hush" not in repr(made.introspection())
    assert "hush" not in json.dumps(made.asked)
