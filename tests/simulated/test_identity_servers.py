"""The client of Twitch's OAuth at the simulator, and at a server with the contract alone."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote, quote_plus

import pytest

from controller.clients.http import new_http_client
from controller.clients.identity import Application, DeviceWait, Identity
from controller.errors import (
    ClientRejected,
    CodeRefused,
    GrantRevoked,
    OperatorError,
    RateLimited,
    RedirectRefused,
    TransientError,
)
from controller.logs import set_up_logging
from controller.sandbox.twitch import Fault, TwitchSimulator
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.other_twitch import CALLBACK, OtherTwitch
from tests.simulated.harness import PATIENCE
from tests.simulated.identity_calls import (
    APP,
    PUBLIC,
    REVOKE,
    SCOPES,
    SECRET,
    TOKEN,
    assert_tells_nothing,
    short,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence


class Simulated(TwitchSimulator):
    """The simulator, told what to do in the words of the other one."""

    def code(self, login: str, client_id: str, scopes: Sequence[str]) -> str:
        app, user = self.grants.named_app(client_id), self.channels.named(login)
        return self.logins.code(app, user.id, scopes, CALLBACK, self.clock())

    def approve(self, user_code: str, login: str) -> None:
        self.approve_device(user_code, login)

    def deny(self, user_code: str) -> None:
        self.logins.deny_device(user_code, self.clock())


Server: TypeAlias = Simulated | OtherTwitch
KEEPING = partial(OtherTwitch, rotates=False)


@pytest.fixture(params=[Simulated, OtherTwitch, KEEPING], ids=["simulated", "other", "keeping"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with request.param() as running:
        running.add_app("client", SECRET)
        running.add_app("second", SECRET)
        running.add_app("public")
        running.add_broadcaster("mst3k")
        yield running


@pytest.fixture
async def caller(server: Server) -> AsyncIterator[Identity]:
    settings = Settings(identity_url=server.identity_url, identity_timeout=PATIENCE)
    async with new_http_client(settings) as client:
        yield Identity(client, settings)


def pass_time(server: Server, seconds: float) -> None:
    server.clock = lambda: time.time() + seconds


def new_code(server: Server) -> Sensitive:
    return Sensitive(server.code("mst3k", "client", SCOPES))


async def belongs_to(caller: Identity, access: Sensitive) -> str:
    told = await caller.validate(access)
    return told.login if told is not None else ""


@pytest.mark.parametrize("app", [APP, PUBLIC], ids=["confidential", "public"])
async def test_a_grant_lives_on_through_refreshes_that_may_rotate_its_token(
    server: Server, caller: Identity, app: Application
) -> None:
    first = refresh_token = Sensitive(server.consent("mst3k", app.client_id, SCOPES).refresh_token)
    for _ in range(3):
        tokens = await caller.refresh(app, refresh_token)
        assert tokens.scopes in (None, SCOPES)
        assert tokens.expires_in > 0
        assert await belongs_to(caller, tokens.access) == "mst3k"
        refresh_token = tokens.refresh or refresh_token
    if refresh_token != first:
        with pytest.raises(GrantRevoked):
            await caller.refresh(app, first)


async def test_a_changed_password_ends_a_grant_until_a_new_consent(
    server: Server, caller: Identity
) -> None:
    tokens = server.consent("mst3k", "client", SCOPES)
    server.change_password("mst3k")
    with pytest.raises(GrantRevoked) as failure:
        await caller.refresh(APP, Sensitive(tokens.refresh_token))
    assert type(failure.value) is GrantRevoked
    assert await caller.validate(Sensitive(tokens.access_token)) is None
    renewed = Sensitive(server.consent("mst3k", "client", SCOPES).refresh_token)
    assert await belongs_to(caller, (await caller.refresh(APP, renewed)).access) == "mst3k"


async def test_a_validation_tells_what_there_is_to_tell(server: Server, caller: Identity) -> None:
    told = await caller.validate(Sensitive(server.consent("mst3k", "client", SCOPES).access_token))
    assert told is not None
    assert (told.client_id, told.login, told.scopes) == ("client", "mst3k", SCOPES)
    assert told.expires_in == pytest.approx(14_400, abs=5)
    bare = await caller.validate(Sensitive(server.consent("mst3k", "client", ()).access_token))
    assert bare is not None
    assert bare.scopes == ()


@pytest.mark.parametrize(
    "app",
    [
        Application("client", Sensitive("wrong-secret-0123456789")),
        Application("client", None),
        Application("nobody", Sensitive(SECRET)),
        Application("nobody", None),
    ],
    ids=["wrong secret", "no secret", "wrong client", "wrong client, no secret"],
)
async def test_an_application_that_is_refused_is_no_dead_grant(
    server: Server, caller: Identity, app: Application
) -> None:
    token, code = server.consent("mst3k", "client", SCOPES).refresh_token, new_code(server)
    for call in (
        caller.refresh(app, Sensitive(token)),
        caller.exchange_code(app, code, CALLBACK),
    ):
        with pytest.raises(OperatorError) as failure:
            await call
        assert type(failure.value) is ClientRejected
        assert_tells_nothing(failure.value, token, code.reveal(), SECRET, "wrong-secret")
    await caller.refresh(APP, Sensitive(token))
    await caller.exchange_code(APP, code, CALLBACK)


# Authorization codes


async def test_a_code_is_exchanged_for_tokens_once(server: Server, caller: Identity) -> None:
    code = new_code(server)
    tokens = await caller.exchange_code(APP, code, CALLBACK)
    assert tokens.scopes == SCOPES
    assert await belongs_to(caller, tokens.access) == "mst3k"
    assert tokens.refresh is not None
    await caller.refresh(APP, tokens.refresh)
    with pytest.raises(CodeRefused) as failure:
        await caller.exchange_code(APP, code, CALLBACK)
    assert_tells_nothing(failure.value, code.reveal(), SECRET)


async def test_a_code_that_ran_out_is_refused(server: Server, caller: Identity) -> None:
    code = new_code(server)
    pass_time(server, 3600)
    with pytest.raises(CodeRefused) as failure:
        await caller.exchange_code(APP, code, CALLBACK)
    assert_tells_nothing(failure.value, code.reveal(), SECRET)


@pytest.mark.parametrize("code", ["code", "made-up-0123456789"])
async def test_what_is_no_code_is_refused(caller: Identity, code: str) -> None:
    with pytest.raises(CodeRefused):
        await caller.exchange_code(APP, Sensitive(code), CALLBACK)


async def test_a_wrong_redirect_uri_is_told_apart_and_the_code_stays_good(
    server: Server, caller: Identity
) -> None:
    code = new_code(server)
    with pytest.raises(RedirectRefused) as failure:
        await caller.exchange_code(APP, code, "http://localhost:3001/auth/twitch/callback")
    assert_tells_nothing(failure.value, code.reveal(), SECRET)
    await caller.exchange_code(APP, code, CALLBACK)


async def test_a_code_of_another_application_is_refused(server: Server, caller: Identity) -> None:
    with pytest.raises(CodeRefused):
        await caller.exchange_code(
            Application("second", Sensitive(SECRET)), new_code(server), CALLBACK
        )


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400, body={"message": "Invalid authorization code"}), CodeRefused),
        (Fault(status=401, body={"message": ""}), CodeRefused),
        (Fault(status=400, body={"message": "Parameter redirect_uri is odd"}), RedirectRefused),
        (Fault(status=400, body={"message": "invalid client"}), ClientRejected),
        (Fault(status=401, body={"message": "invalid client"}), ClientRejected),
        (Fault(status=403, body={"message": "invalid client secret"}), ClientRejected),
        (Fault(status=400, body={"message": "try later"}), TransientError),
        (Fault(status=400, body="<html>code</html>"), TransientError),
        (Fault(status=500, body={"message": "code"}), TransientError),
        (Fault(status=429, body={"message": "code"}), RateLimited),
        (Fault(drop=True, when="after"), TransientError),
    ],
    ids=short,
)
async def test_each_failure_of_an_exchange_is_what_it_means(
    identity: Identity, twitch: TwitchSimulator, fault: Fault, error: type[OperatorError]
) -> None:
    twitch.order_fault(fault.model_copy(update={"path": TOKEN}))
    with pytest.raises(OperatorError) as failure:
        await identity.exchange_code(APP, Sensitive("c" * 30), CALLBACK)
    assert type(failure.value) is error
    assert_tells_nothing(failure.value, "c" * 30, SECRET)


# Device codes


async def test_a_device_waits_until_the_broadcaster_agrees(
    server: Server, caller: Identity
) -> None:
    login = await caller.start_device(PUBLIC, SCOPES)
    assert login.user_code
    assert login.user_code in login.verification_uri
    assert login.interval == 5
    assert login.expires_in > 60
    poll = partial(caller.poll_device, PUBLIC, login.device_code, SCOPES)
    assert await poll() is DeviceWait.PENDING
    assert await poll() is DeviceWait.SLOW_DOWN
    pass_time(server, 20)
    assert await poll() is DeviceWait.PENDING
    server.approve(login.user_code, "mst3k")
    tokens = await poll()
    assert not isinstance(tokens, DeviceWait)
    assert tokens.scopes == SCOPES
    assert await belongs_to(caller, tokens.access) == "mst3k"
    assert tokens.refresh is not None
    await caller.refresh(PUBLIC, tokens.refresh)
    assert await poll() is DeviceWait.EXPIRED


async def test_a_denied_device_is_told_apart(server: Server, caller: Identity) -> None:
    login = await caller.start_device(APP, SCOPES)
    server.deny(login.user_code)
    assert await caller.poll_device(APP, login.device_code, SCOPES) is DeviceWait.DENIED


async def test_a_device_code_runs_out(server: Server, caller: Identity) -> None:
    login = await caller.start_device(APP, SCOPES)
    pass_time(server, login.expires_in + 1)
    assert await caller.poll_device(APP, login.device_code, SCOPES) is DeviceWait.EXPIRED


async def test_a_device_of_a_wrong_client_is_refused(server: Server, caller: Identity) -> None:
    login = await caller.start_device(APP, SCOPES)
    nobody = Application("nobody", None)
    with pytest.raises(ClientRejected):
        await caller.start_device(nobody, SCOPES)
    with pytest.raises(ClientRejected) as failure:
        await caller.poll_device(nobody, login.device_code, SCOPES)
    assert_tells_nothing(failure.value, login.device_code.reveal())
    server.approve(login.user_code, "mst3k")
    assert not isinstance(await caller.poll_device(APP, login.device_code, SCOPES), DeviceWait)


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("authorization_pending", DeviceWait.PENDING),
        ("Authorization_Pending: the device code waits", DeviceWait.PENDING),
        ("slow_down", DeviceWait.SLOW_DOWN),
        ("access_denied", DeviceWait.DENIED),
        ("expired_token", DeviceWait.EXPIRED),
        ("invalid device code", DeviceWait.EXPIRED),
    ],
)
async def test_a_device_is_told_why_it_waits_in_many_words(
    identity: Identity, twitch: TwitchSimulator, message: str, wait: DeviceWait
) -> None:
    twitch.order_fault(Fault(path=TOKEN, status=400, body={"message": message}))
    assert await identity.poll_device(APP, Sensitive("d" * 30), SCOPES) is wait


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400, body={"message": "invalid client"}), ClientRejected),
        (Fault(status=400, body={"message": "try later"}), TransientError),
        (Fault(status=400, body="authorization_pending"), TransientError),
        (Fault(status=429, body={"message": "slow_down"}), RateLimited),
        (Fault(status=502, body={"message": "expired_token"}), TransientError),
        (Fault(status=200, body={}), TransientError),
        (Fault(drop=True), TransientError),
    ],
    ids=short,
)
async def test_a_poll_that_fails_says_nothing_about_the_device(
    identity: Identity, twitch: TwitchSimulator, fault: Fault, error: type[OperatorError]
) -> None:
    twitch.order_fault(fault.model_copy(update={"path": TOKEN}))
    with pytest.raises(OperatorError) as failure:
        await identity.poll_device(APP, Sensitive("d" * 30), SCOPES)
    assert type(failure.value) is error


GOOD_DEVICE = {"device_code": "d" * 30, "user_code": "ABC", "verification_uri": "http://x/"}


@pytest.mark.parametrize("missing", GOOD_DEVICE)
async def test_a_device_answer_that_lacks_something_passes(
    identity: Identity, twitch: TwitchSimulator, missing: str
) -> None:
    for value in (None, 5, ["d" * 30]):
        body = GOOD_DEVICE | {missing: value}
        twitch.order_fault(Fault(path="/oauth2/device", status=200, body=body))
        with pytest.raises(TransientError, match="lacks what the contract promises") as failure:
            await identity.start_device(APP, SCOPES)
        assert_tells_nothing(failure.value, "d" * 30)


@pytest.mark.parametrize("told", [None, 0, -1, "soon", 1e300])
async def test_a_device_is_given_the_usual_times_where_none_that_make_sense_are_told(
    identity: Identity, twitch: TwitchSimulator, told: object
) -> None:
    body = GOOD_DEVICE | {"interval": told, "expires_in": told}
    twitch.order_fault(Fault(path="/oauth2/device", status=200, body=body))
    login = await identity.start_device(APP, SCOPES)
    assert (login.interval, login.expires_in) == (5, 1800)


# Revoking


async def test_a_revoked_token_is_dead_and_can_be_revoked_once(
    server: Server, caller: Identity
) -> None:
    access = Sensitive(server.consent("mst3k", "client", SCOPES).access_token)
    assert await caller.revoke(APP, access)
    assert await caller.validate(access) is None
    assert not await caller.revoke(APP, access)
    assert not await caller.revoke(APP, Sensitive("made-up-0123456789"))


async def test_a_wrong_client_revokes_nothing(server: Server, caller: Identity) -> None:
    access = Sensitive(server.consent("mst3k", "client", SCOPES).access_token)
    with pytest.raises(ClientRejected) as failure:
        await caller.revoke(Application("nobody", None), access)
    assert_tells_nothing(failure.value, access.reveal())
    assert not await caller.revoke(PUBLIC, access)
    assert await belongs_to(caller, access) == "mst3k"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=400, body="<html>"), Fault(status=401, body="<html>"),
        Fault(status=404, body="<html>"), Fault(status=500), Fault(status=429), Fault(drop=True),
    ],
    ids=short,
)  # fmt: skip
async def test_a_revocation_that_fails_is_not_taken_for_one(
    identity: Identity, twitch: TwitchSimulator, fault: Fault
) -> None:
    access = Sensitive(twitch.consent("mst3k", "client").access_token)
    twitch.order_fault(fault.model_copy(update={"path": REVOKE}))
    with pytest.raises(TransientError) as failure:
        await identity.revoke(APP, access)
    assert_tells_nothing(failure.value, access.reveal(), SECRET)
    assert await identity.revoke(APP, access)


# Nothing is told


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("hpack", "httpcore", "pubnub", "asyncio", "aiohttp", "kopf", "httpx")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


async def fail(call: Awaitable[object]) -> None:
    """Log a failure as loudly as it can be logged."""
    try:
        await call
    except OperatorError as error:
        logging.getLogger("test").exception("%s %r %s", error, error, vars(error))


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_credential_is_logged_though_libraries_log_all_they_can(
    server: Server,
    caller: Identity,
    form: Literal["text", "json"],
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging("DEBUG", form)
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    log = logging.getLogger("test")
    code, wrong = new_code(server), Application("client", Sensitive("wrong-secret-0123456789"))
    tokens = await caller.exchange_code(APP, code, CALLBACK)
    assert tokens.refresh is not None
    renewed = await caller.refresh(APP, tokens.refresh)
    login = await caller.start_device(APP, SCOPES)
    log.info("%s %r %s %r %r", code, APP, tokens, renewed, login)
    last = renewed.refresh or tokens.refresh
    for attempt in (
        caller.exchange_code(APP, code, CALLBACK),
        caller.exchange_code(wrong, code, CALLBACK),
        caller.refresh(wrong, last),
        caller.refresh(Application("second", Sensitive(SECRET)), last),
        caller.poll_device(APP, login.device_code, SCOPES),
        caller.poll_device(Application("nobody", Sensitive(SECRET)), login.device_code, SCOPES),
        caller.revoke(Application("nobody", Sensitive(SECRET)), renewed.access),
        caller.revoke(APP, renewed.access),
        caller.revoke(APP, renewed.access),
        caller.validate(renewed.access),
    ):
        await fail(attempt)
    told = capsys.readouterr().err
    assert "httpx" in told
    assert "HTTP Request: POST" in told
    assert told.count("Traceback") >= 5
    used = (code, tokens.access, tokens.refresh, renewed.access, last, login.device_code)
    for credential in (SECRET, "wrong-secret-0123456789", *(each.reveal() for each in used)):
        assert credential not in told


CALLS: dict[str, Callable[[Identity, Application, Sensitive], Awaitable[object]]] = {
    "refresh": lambda identity, app, token: identity.refresh(app, token),
    "exchange_code": lambda identity, app, code: identity.exchange_code(app, code, CALLBACK),
    "poll_device": lambda identity, app, code: identity.poll_device(app, code, SCOPES),
    "start_device": lambda identity, app, _: identity.start_device(app, SCOPES),
    "validate": lambda identity, _, token: identity.validate(token),
    "revoke": lambda identity, app, token: identity.revoke(app, token),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "written",
    [str, quote, partial(quote, safe=""), quote_plus],
    ids=["plain", "path", "query", "form"],
)
async def test_an_answer_that_quotes_what_was_sent_is_not_passed_on(
    identity: Identity,
    twitch: TwitchSimulator,
    call: str,
    written: Callable[[str], str],
) -> None:
    # The secret is the end of the token: masked first, it would leave the rest of it.
    token, secret = "4+b/c=d 0123456789", "0123456789"
    app = Application("client", Sensitive(token if call == "start_device" else secret))
    # In sight, and right where a long message is cut off
    for before in ("", "x" * 280, "x" * 290, "x" * 299):
        message = f"unknown {before}{written(token)}"
        twitch.order_fault(Fault(status=418, body={"message": message}))
        with pytest.raises(OperatorError) as failure:
            await CALLS[call](identity, app, Sensitive(token))
        assert str(failure.value).startswith("Twitch answered 418: unknown")
        assert_tells_nothing(failure.value, written(token)[:8], secret)
