"""Calls for commercials: what each answer means, and none that comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any, Literal

import pytest

from controller.clients.helix import Credential, Helix
from controller.clients.http import new_http_client
from controller.errors import TransientError
from controller.events import Answer, AnswerKind
from controller.sandbox.twitch import Fault
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import MOMENT, NEVER, PATIENCE
from tests.simulated.helix_calls import STRANGE, channel, short, start

if TYPE_CHECKING:
    from controller.sandbox.twitch import TwitchSimulator


COMMERCIAL = "/helix/channels/commercial"
When = Literal["before", "after"]


async def test_an_accepted_commercial(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind.ACCEPTED, 480.0)
    assert answer.length == 125
    assert answer.message.startswith("Starting commercial break.")
    [call] = twitch.calls("POST", COMMERCIAL)
    assert call.json() == {"broadcaster_id": channel(twitch), "length": 125}
    assert type(call.json()["length"]) is int
    assert call.headers["User-Agent"].startswith("twitch-operator/")
    assert [commercial.ran for commercial in twitch.commercials] == [125]


@pytest.mark.parametrize("status", [400, 429])
async def test_a_cooldown_by_both_of_its_statuses(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, status: Literal[400, 429]
) -> None:
    twitch.options.cooldown_status = status
    await start(helix, credential, twitch)
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind.COOLDOWN, None)
    assert answer.message.startswith(f"Twitch answered {status}: ")


async def test_a_channel_off_air(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    twitch.set_live("mst3k", False)
    assert (await start(helix, credential, twitch)).kind is AnswerKind.NOT_LIVE


async def test_a_dead_token(helix: Helix, credential: Credential, twitch: TwitchSimulator) -> None:
    twitch.expire_access_tokens()
    assert (await start(helix, credential, twitch)).kind is AnswerKind.UNAUTHORIZED


async def test_a_missing_scope(helix: Helix, twitch: TwitchSimulator) -> None:
    token = twitch.consent("mst3k", "client", ["channel:read:ads"]).access_token
    answer = await start(helix, Credential("client", Sensitive(token)), twitch)
    assert answer.kind is AnswerKind.SCOPE_MISSING


async def test_a_rate_limit_tells_when_it_ends(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    twitch.options.rate_limit = 1
    await helix.own_user(credential)
    answer = await start(helix, credential, twitch)
    assert answer.kind is AnswerKind.RATE_LIMITED
    assert answer.retry_after == pytest.approx(60, abs=3)
    assert twitch.commercials == []


async def test_a_length_that_is_refused(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    twitch.options.standard_lengths_only = True
    answer = await start(helix, credential, twitch)
    assert answer.kind is AnswerKind.LENGTH_REFUSED
    assert answer.message == 'Twitch answered 400: Missing required parameter "length"'
    assert (await start(helix, credential, twitch, 120)).kind is AnswerKind.ACCEPTED


REFUSALS = [
    (400, 'channel for id "1" has recently ran a commercial', AnswerKind.COOLDOWN),
    (400, "The channel has recently run a commercial of this length", AnswerKind.COOLDOWN),
    (429, "Too soon after the one before", AnswerKind.COOLDOWN),
    (403, "channel for id 1 recently ran a commercial", AnswerKind.COOLDOWN),
    (400, "No commercial until the cooldown period expires", AnswerKind.COOLDOWN),
    (403, "The channel is cooling down", AnswerKind.COOLDOWN),
    (400, "Please try again later", AnswerKind.COOLDOWN),
    (400, "Please wait for another 20", AnswerKind.COOLDOWN),
    (400, "Please wait for 3:20", AnswerKind.COOLDOWN),
    (400, "Try again in 8", AnswerKind.COOLDOWN),
    (400, "The length is invalid, try again with 30", AnswerKind.LENGTH_REFUSED),
    (400, "User is not currently live and must be to run commercials", AnswerKind.NOT_LIVE),
    (403, "The broadcaster must be live", AnswerKind.NOT_LIVE),
    (400, "The broadcaster isn't streaming", AnswerKind.NOT_LIVE),
    (400, "Length is an invalid value", AnswerKind.LENGTH_REFUSED),
    (400, "broadcaster_id and user_id do not match.", AnswerKind.OTHER_USER),
    (403, "The user ID does not match the broadcaster ID", AnswerKind.OTHER_USER),
    (400, "Deliver it live, or not at all", AnswerKind.REFUSED),
    (404, "recently ran a commercial", AnswerKind.REFUSED),
    (400, "To start a commercial, the broadcaster must be streaming live.", AnswerKind.NOT_LIVE),
    (400, "TO START A COMMERCIAL, THE BROADCASTER MUST BE STREAMING LIVE", AnswerKind.NOT_LIVE),
    (400, "The channel is offline.", AnswerKind.NOT_LIVE),
    (400, "The broadcaster must be an Affiliate or Partner.", AnswerKind.NOT_ELIGIBLE),
    (403, "The user must be a partner or affiliate", AnswerKind.NOT_ELIGIBLE),
    (404, "The partner is not found", AnswerKind.REFUSED),
    (403, "Forbidden", AnswerKind.REFUSED),
    (400, "Missing required parameter", AnswerKind.LENGTH_REFUSED),
    (400, "Missing Required Parameter: length", AnswerKind.LENGTH_REFUSED),
    (400, "The length is invalid: it must be one of 30, 60, 90", AnswerKind.LENGTH_REFUSED),
    (400, 'Missing required parameter "broadcaster_id"', AnswerKind.REFUSED),
    (400, "Bad Content-Length", AnswerKind.REFUSED),
    (400, "Wavelengths", AnswerKind.REFUSED),
    (422, "The length is invalid", AnswerKind.REFUSED),
    (400, "Something that nobody has seen", AnswerKind.REFUSED),
    (400, "Missing scope: channel:edit:commercial", AnswerKind.SCOPE_MISSING),
    (401, "missing scope: channel:edit:commercial", AnswerKind.SCOPE_MISSING),
    (403, "Missing scope: channel:edit:commercial", AnswerKind.SCOPE_MISSING),
    (401, "Invalid OAuth token", AnswerKind.UNAUTHORIZED),
    (401, "The ID in broadcaster_id must match the user ID", AnswerKind.OTHER_USER),
    (401, "Missing required scope", AnswerKind.SCOPE_MISSING),
    (403, "missing required scopes", AnswerKind.SCOPE_MISSING),
    (400, "A commercial was run recently", AnswerKind.COOLDOWN),
    (400, "Commercial already in progress", AnswerKind.COOLDOWN),
    (429, "User is not currently live", AnswerKind.NOT_LIVE),
    (429, "Length is an invalid value", AnswerKind.LENGTH_REFUSED),
    (503, "recently ran", AnswerKind.UNAVAILABLE),
    (500, "recently ran", AnswerKind.ERROR),
]


@pytest.mark.parametrize(("status", "text", "kind"), REFUSALS)
async def test_refusals_are_told_apart_by_their_words(
    helix: Helix,
    credential: Credential,
    twitch: TwitchSimulator,
    *,
    status: int,
    text: str,
    kind: AnswerKind,
) -> None:
    body = {"error": "No", "status": status, "message": text}
    twitch.order_fault(Fault(path=COMMERCIAL, status=status, body=body))
    answer = await start(helix, credential, twitch)
    assert answer == Answer(kind, f"Twitch answered {status}: {text}")


@pytest.mark.parametrize(
    ("words", "pause"),
    [
        ("You must wait 432 seconds", 432.0),
        ("You must wait 9999 seconds", 480.0),
        ("You must wait 0 seconds", None),
        ("You must wait 432", None),
        ("wait for another 20 seconds", 20.0),
        ("wait 8 minutes", 480.0),
        ("wait at least one more minute", None),
        ("Wait another 7 minutes and 12 seconds", 432.0),
        ("Try again in 7m12s", 432.0),
        ("try again after 5 min.", 300.0),
        ("Please try again later: wait 20 ms", None),
    ],
)
async def test_words_may_tell_how_long_a_cooldown_lasts(
    helix: Helix,
    credential: Credential,
    twitch: TwitchSimulator,
    *,
    words: str,
    pause: float | None,
) -> None:
    body = {"message": f"A cooldown is on. {words}"}
    twitch.order_fault(Fault(path=COMMERCIAL, status=400, body=body))
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind.COOLDOWN, pause)


DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("headers", "text", "kind", "retry_after"),
    [
        ({}, "", "Cooldown", None),
        ({"Ratelimit-Remaining": "1", "Ratelimit-Reset": f"{NOW + 9}"}, "", "Cooldown", None),
        ({"Ratelimit-Reset": f"{NOW + 9}"}, "", "Cooldown", None),
        ({"Ratelimit-Remaining": "0", "Ratelimit-Reset": f"{NOW + 9}"}, "", "RateLimited", 9.0),
        ({"Ratelimit-Remaining": "0", "Ratelimit-Reset": f"{NOW - 9}"}, "", "RateLimited", 0.0),
        ({"Ratelimit-Remaining": "0", "Ratelimit-Reset": "1e300"}, "", "RateLimited", None),
        ({"Ratelimit-Remaining": "0", "Ratelimit-Reset": "nan"}, "", "RateLimited", None),
        ({"Ratelimit-Remaining": "0", "Ratelimit-Reset": "soon"}, "", "RateLimited", None),
        ({"Ratelimit-Remaining": "0"}, "", "RateLimited", None),
        ({"Ratelimit-Remaining": "0", "Retry-After": "7"}, "", "RateLimited", 7.0),
        ({"Ratelimit-Remaining": "0"}, "has recently ran a commercial", "Cooldown", None),
        ({"Ratelimit-Remaining": "0"}, "Slow down, and try again later", "RateLimited", None),
        ({"Retry-After": "86400000"}, "", "Cooldown", 480.0),
        ({"Retry-After": "90"}, "", "Cooldown", 90.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:14:20 GMT"}, "", "Cooldown", 60.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:12:20 GMT"}, "", "Cooldown", None),
        ({"Retry-After": "0"}, "", "Cooldown", None),
        ({"Retry-After": "-5"}, "", "Cooldown", None),
        ({"Retry-After": "inf"}, "", "Cooldown", None),
        ({"Retry-After": "later"}, "", "Cooldown", None),
    ],
)
async def test_a_429_is_a_cooldown_unless_the_points_are_used_up(
    helix: Helix,
    credential: Credential,
    twitch: TwitchSimulator,
    *,
    headers: dict[str, str],
    text: str,
    kind: str,
    retry_after: float | None,
) -> None:
    fault = Fault(
        path=COMMERCIAL, status=429, body={"message": text}, headers={"Date": DATE, **headers}
    )
    twitch.order_fault(fault)
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind(kind), retry_after)


@pytest.mark.parametrize("date", ["", "soon"])
async def test_a_reset_without_a_date_says_no_time(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, date: str
) -> None:
    headers = {"Date": date, "Ratelimit-Remaining": "0", "Ratelimit-Reset": "1700000009"}
    twitch.order_fault(Fault(path=COMMERCIAL, status=429, headers=headers))
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind.RATE_LIMITED, None)


@pytest.mark.parametrize("status", [400, 403, 500, 503])
async def test_any_refusal_may_say_when_to_come_again(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, status: int
) -> None:
    twitch.order_fault(Fault(path="*", status=status, headers={"Retry-After": "33"}, times=2))
    assert (await start(helix, credential, twitch)).retry_after == 33.0
    with pytest.raises(TransientError) as failure:
        await helix.own_user(credential)
    assert failure.value.retry_after == 33.0


@pytest.mark.parametrize(
    ("length", "read"),
    [
        ("125", 125), ('"125"', 125), ("124.5", 125), ("180", 180), ("300", None), ("90", 90),
        ("-30", None), ("true", None), ("null", None), ('"long"', None), ("NaN", None),
        ("1e999", None), ("[30]", None),
    ],
)  # fmt: skip
async def test_the_length_of_an_accepting_answer_is_believed_if_it_can_be(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, length: str, read: int | None
) -> None:
    body = f'{{"data": [{{"length": {length}, "retry_after": "480"}}]}}'
    twitch.order_fault(Fault(path=COMMERCIAL, status=200, body=body))
    answer = await start(helix, credential, twitch)
    assert answer == Answer(AnswerKind.ACCEPTED, "", 480.0, read)


LATER = "Please try again later"


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(
    ("entry", "retry_after"),
    [
        ('"length": 0, "retry_after": 432', 432.0),
        ('"length": "0", "retry_after": "432"', 432.0),
        ('"length": 0.0, "retry_after": 431.5', 431.5),
        ('"length": 0', None),
        ('"length": 0, "retry_after": 0', None),
        ('"length": 0, "retry_after": "soon"', None),
        ('"length": 0, "retry_after": -1', None),
        ('"retry_after": 432', 432.0),  # no length: the words tell
        ('"length": null, "retry_after": 432', 432.0),
        ('"length": "none", "retry_after": 432', 432.0),
    ],
)
async def test_a_200_of_length_0_is_a_cooldown_and_nothing_runs(
    helix: Helix,
    credential: Credential,
    twitch: TwitchSimulator,
    *,
    status: int,
    entry: str,
    retry_after: float | None,
) -> None:
    body = f'{{"data": [{{{entry}, "message": "{LATER}"}}]}}'
    twitch.order_fault(Fault(path=COMMERCIAL, status=status, body=body))
    said = f"Twitch answered {status}, and started nothing: {LATER}"
    assert await start(helix, credential, twitch) == Answer(
        AnswerKind.COOLDOWN, said, retry_after, length=None
    )


async def test_words_of_a_cooldown_with_a_length_that_runs_are_no_cooldown(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    entry = {"length": 60, "message": LATER, "retry_after": 480}
    twitch.order_fault(Fault(path=COMMERCIAL, status=200, body={"data": [entry]}))
    assert await start(helix, credential, twitch) == Answer(AnswerKind.ACCEPTED, LATER, 480.0, 60)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, AnswerKind.REFUSED),
        (302, AnswerKind.REFUSED),
        (400, AnswerKind.REFUSED),
        (403, AnswerKind.REFUSED),
        (404, AnswerKind.REFUSED),
        (418, AnswerKind.REFUSED),
        (401, AnswerKind.UNAUTHORIZED),
        (429, AnswerKind.COOLDOWN),
        (500, AnswerKind.ERROR),
        (502, AnswerKind.ERROR),
        (503, AnswerKind.UNAVAILABLE),
        (504, AnswerKind.ERROR),
        (599, AnswerKind.ERROR),
        (201, AnswerKind.NO_ANSWER),
        (202, AnswerKind.NO_ANSWER),
        (204, AnswerKind.NO_ANSWER),
    ],
)
async def test_a_status_alone_has_a_meaning(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, status: int, kind: AnswerKind
) -> None:
    headers = {"Location": twitch.url + "/elsewhere"} if status < 400 else {}
    twitch.order_fault(Fault(path=COMMERCIAL, status=status, body="", headers=headers))
    assert (await start(helix, credential, twitch)).kind is kind
    assert not twitch.calls(path="/elsewhere")


@pytest.mark.parametrize("body", STRANGE, ids=short)
async def test_a_200_counts_as_accepted_only_with_an_entry(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, status=200, body=body, when="after"))
    answer = await start(helix, credential, twitch)
    text = body if isinstance(body, str) else json.dumps(body)
    if "[{" in text and "9" * 5000 not in text:  # which is no number to the parser
        assert answer == Answer(AnswerKind.ACCEPTED, "", None)
    else:
        unclear = "Twitch answered 200 with a body that is not understood"
        assert answer == Answer(AnswerKind.NO_ANSWER, unclear)


@pytest.mark.parametrize(
    ("body", "kind", "retry_after"),
    [
        ({"length": 0, "message": LATER, "retry_after": 432}, "Cooldown", 432.0),
        ({"data": {"length": 0, "message": LATER, "retry_after": 432}}, "Cooldown", 432.0),
        ({"error": "Too Many Requests", "status": 429, "message": LATER}, "Cooldown", None),
        ({"status": 400, "message": "The channel is offline."}, "NotLive", None),
        ({"error": "Too Many Requests", "status": 429}, "Cooldown", None),
        ({"error": "Too Many Requests", "status": 429, "retry_after": 432}, "Cooldown", 432.0),
        ({"status": 400, "message": "Please wait for another 20 seconds"}, "Cooldown", 20.0),
        ({"error": "Unauthorized", "status": 401}, "Unauthorized", None),
        ({"error": "Internal Server Error", "status": 500}, "Error", None),
        ({"error": "Bad Request", "status": 400}, "Refused", None),
        ({"status": 200, "message": "fine"}, "NoAnswer", None),
        ({"status": "bad"}, "NoAnswer", None),
        ({"data": {"length": 60, "retry_after": 480}}, "Accepted", 480.0),
        ({"error": "Oops", "message": "Something else"}, "NoAnswer", None),
    ],
)
async def test_a_200_without_a_list_is_told_by_its_length_and_words(
    helix: Helix,
    credential: Credential,
    twitch: TwitchSimulator,
    *,
    body: dict[str, Any],
    kind: str,
    retry_after: float | None,
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, status=200, body=body))
    answer = await start(helix, credential, twitch)
    assert (answer.kind, answer.retry_after) == (AnswerKind(kind), retry_after)


@pytest.mark.parametrize("body", STRANGE, ids=short)
async def test_a_refusal_with_a_strange_body_is_still_one(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path="*", status=400, body=body, times=2))
    assert await start(helix, credential, twitch) == Answer(
        AnswerKind.REFUSED, "Twitch answered 400"
    )
    with pytest.raises(TransientError, match="with 400"):
        await helix.own_user(credential)


async def test_long_words_of_twitch_are_shortened(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    long = {"message": "x" * 5000, "data": [{"message": "x" * 5000}]}
    for status in (200, 400):
        twitch.order_fault(Fault(path=COMMERCIAL, status=status, body=long))
        assert len((await start(helix, credential, twitch)).message) <= 330


@pytest.mark.parametrize(("when", "ran"), [("before", 0), ("after", 1)])
async def test_a_dropped_connection_is_no_answer_whether_it_acted_or_not(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, when: When, ran: int
) -> None:
    twitch.order_fault(Fault(path=COMMERCIAL, drop=True, when=when))
    answer = await start(helix, credential, twitch)
    assert answer.kind is AnswerKind.NO_ANSWER
    assert len(twitch.commercials) == ran


async def test_an_answer_beyond_the_timeout_is_no_answer(
    helix: Helix, hasty: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    await helix.own_user(credential)  # it is connected
    twitch.order_fault(Fault(path=COMMERCIAL, delay=NEVER, when="after"))
    assert (await start(hasty, credential, twitch)).kind is AnswerKind.NO_ANSWER


async def test_an_answer_that_drips_is_bounded_too(credential: Credential) -> None:
    over, ended = asyncio.Event(), asyncio.Semaphore(0)

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.05)  # less than any phase of the client may take
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.release()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(helix_url=f"http://127.0.0.1:{port}", call_timeout=MOMENT)
    async with server, new_http_client(settings) as http:
        helix = Helix(http, settings)
        async with asyncio.timeout(PATIENCE):
            answer = await helix.start_commercial(credential, "1", 30)
            assert answer.kind is AnswerKind.NO_ANSWER
            with pytest.raises(TransientError, match="no answer in time"):
                await helix.ad_schedule(credential, "1")
        over.set()
        await ended.acquire()
        await ended.acquire()


async def test_a_call_that_cannot_connect_was_not_sent(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    await twitch.stop()
    assert (await start(helix, credential, twitch)).kind is AnswerKind.NOT_SENT
    with pytest.raises(TransientError, match="did not answer GET /users: connection refused"):
        await helix.own_user(credential)


async def test_a_call_that_connects_too_slowly_was_not_sent(credential: Credential) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):  # the kernel drops what does not fit into the backlog
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        settings = Settings(helix_url=f"http://127.0.0.1:{port}", call_timeout=0.3)
        async with new_http_client(settings) as http:
            answer = await Helix(http, settings).start_commercial(credential, "1", 30)
    assert answer == Answer(AnswerKind.NOT_SENT, "Twitch was not reached: the connection timed out")


async def test_a_handshake_without_an_end_is_a_call_that_was_not_sent(
    credential: Credential,
) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()
        ended.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(helix_url=f"https://127.0.0.1:{port}", call_timeout=0.3)
    async with server, new_http_client(settings) as http:
        answer = await Helix(http, settings).start_commercial(credential, "1", 30)
        await ended.wait()
    assert answer == Answer(AnswerKind.NOT_SENT, "Twitch was not reached: the connection timed out")


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"])
async def test_a_connection_that_ends_once_the_call_arrived_is_no_answer(
    credential: Credential, begun: bytes
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(begun)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings(helix_url=f"http://127.0.0.1:{port}", call_timeout=PATIENCE)
    async with server, new_http_client(settings) as http:
        answer = await Helix(http, settings).start_commercial(credential, "1", 30)
    assert answer == Answer(
        AnswerKind.NO_ANSWER, "Twitch did not answer: the connection was broken off"
    )


async def test_a_kept_connection_that_twitch_closed_does_not_cost_a_commercial(
    helix: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    await helix.own_user(credential)
    await twitch.stop()
    await twitch.start()
    assert (await start(helix, credential, twitch)).kind is AnswerKind.ACCEPTED
