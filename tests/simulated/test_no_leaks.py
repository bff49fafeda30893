"""The clients tell no credential: in no log, error or traceback, whatever Twitch quotes."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Literal

import pytest

from controller.clients.helix import Credential, Helix
from controller.clients.http import new_http_client
from controller.clients.identity import Application, Identity
from controller.errors import OperatorError
from controller.logs import set_up_logging
from controller.sandbox.twitch import Fault, TwitchSimulator
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.leaks import answering, leaks, quoting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Call = Callable[[], Awaitable[object]]

REDIRECT = "http://localhost:3000/auth/twitch/callback"
SECRET, TOKEN = "a0c41b7de09f52a836", "b1c41b7de09f52a837/+="


@pytest.fixture(autouse=True)
def all_loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each record of each logger is written, as long as a test runs; then all is as before."""
    monkeypatch.setattr(logging.Logger, "isEnabledFor", lambda *_: True)
    monkeypatch.setattr(logging.Logger, "setLevel", lambda *_: None)
    root = logging.getLogger()
    handlers = root.handlers[:]
    yield
    root.handlers[:] = handlers


def faults(*sent: str) -> list[Fault]:
    """Whatever Twitch may quote, wherever it may stand."""
    whole = " ".join(sent)
    words = ("refresh token", "code", "redirect", "client", "authorization_pending")
    entry = {"id": "1", "message": whole, "stream_key": f"{whole}\n", "last_ad_at": whole}
    return [
        *(quoting(status, "I was told", *sent) for status in (200, 400, 401, 403, 404, 429, 500)),
        *(quoting(400, word, *sent) for word in words),
        *(quoting(400, "x" * length, *sent) for length in (285, 290, 295)),  # cut off within it
        answering(200, {"data": [entry], "access_token": 7, "refresh_token": whole}),
        answering(200, {"data": {"access_token": whole}, "device_code": [whole]}),
        answering(200, whole),
        answering(400, whole),
        Fault(drop=True),
    ]


def calls_of(identity: Identity, helix: Helix) -> list[tuple[Call, tuple[str, ...]]]:
    """Each call, and the credentials that Twitch is sent with it."""
    token = Sensitive(TOKEN)
    app, signed = Application("an-application", Sensitive(SECRET)), Credential("an-app", token)
    return [
        (lambda: identity.refresh(app, token), (TOKEN, SECRET)),
        (lambda: identity.exchange_code(app, token, REDIRECT), (SECRET, TOKEN)),
        (lambda: identity.poll_device(app, token, ["a"]), (TOKEN,)),
        (lambda: identity.validate(token), (TOKEN,)),
        (lambda: identity.revoke(app, token), (TOKEN,)),
        (lambda: helix.own_user(signed), (TOKEN,)),
        (lambda: helix.live_user_ids(signed, ["1"]), (TOKEN,)),
        (lambda: helix.ad_schedule(signed, "1"), (TOKEN,)),
        (lambda: helix.stream_key(signed, "1"), (TOKEN,)),
        (lambda: helix.start_commercial(signed, "1", 60), (TOKEN,)),
    ]


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_client_tells_a_credential_whatever_twitch_quotes(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging("DEBUG", form)
    told: list[str] = []
    async with TwitchSimulator() as twitch:
        urls = {"helix_url": twitch.helix_url, "identity_url": twitch.identity_url}
        settings = Settings.model_validate(urls)
        async with new_http_client(settings) as http:
            for call, sent in calls_of(Identity(http, settings), Helix(http, settings)):
                for fault in faults(*sent):
                    twitch.order_fault(fault)
                    try:
                        told.append(repr(await call()))
                    except OperatorError as error:
                        logging.getLogger("controller").exception("it failed")
                        told += traceback.format_exception(error)
    log = capsys.readouterr().err
    assert "httpx" in log
    assert "it failed" in log
    found = leaks([TOKEN, SECRET], {"log": log, "told": "\n".join(told)})
    assert not found, "\n".join(found)
