"""What the tests of the client of Twitch's OAuth share."""

from __future__ import annotations

import traceback

from controller.clients.identity import Application
from controller.sandbox.twitch import Fault, TwitchSimulator
from controller.sensitive import Sensitive

SECRET = "client-secret-0123456789"
APP = Application("client", Sensitive(SECRET))
PUBLIC = Application("public", None)
TOKEN, VALIDATE, REVOKE = "/oauth2/token", "/oauth2/validate", "/oauth2/revoke"
SCOPES = ("channel:edit:commercial", "channel:read:ads")


def short(case: object) -> str:
    if isinstance(case, Fault):
        case = case.model_dump(exclude_defaults=True)
    return repr(case)[:50]


def assert_tells_nothing(error: BaseException, *secrets: str) -> None:
    for secret in secrets:
        assert secret not in str(error)
        assert secret not in repr(error)
        assert secret not in "".join(traceback.format_exception(error))


def refresh_token(twitch: TwitchSimulator, client_id: str = "client") -> Sensitive:
    token = twitch.consent("mst3k", client_id).refresh_token
    assert token
    return Sensitive(token)
