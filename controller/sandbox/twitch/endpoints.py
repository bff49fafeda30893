"""The simulator's own endpoints, for a user or a test in another process.

They do what the methods of `Twitch` do. GET /_sandbox lists them with the fields of their bodies.
They are not recorded among the requests, and no fault strikes them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from controller.sandbox.twitch.bodies import (
    AdBody,
    AnyClientBody,
    AppBody,
    BroadcasterBody,
    ClientBody,
    ConsentBody,
    LiveBody,
    LoginBody,
    PointsBody,
    ScheduleBody,
    TypeBody,
)
from controller.sandbox.twitch.control import ROOT, Ask, Endpoint
from controller.sandbox.twitch.extension_control import EXTENSION_ENDPOINTS
from controller.sandbox.twitch.faults import Fault
from controller.sandbox.twitch.journal import show
from controller.sandbox.twitch.options import AdHabits, Options
from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from controller.sandbox.twitch.state import Broadcaster
    from controller.sandbox.twitch.wire import Call

__all__ = ["ENDPOINTS"]

_SHOWN = 100

Json = dict[str, Any]
T = TypeVar("T")


def _index(ask: Ask[None]) -> Json:
    return {
        "service": "simulated Twitch",
        "options": ask.twitch.options.model_dump(),
        "endpoints": [endpoint.describe() for endpoint in ENDPOINTS],
    }


def _requests(ask: Ask[None]) -> Json:
    call = ask.call
    found = ask.twitch.calls(call.value("method"), call.value("path"), call.value("login"))
    total = ask.twitch.journal.count
    return {"total": total, "requests": [show(one) for one in _last(found, call)]}


def _forget_requests(ask: Ask[None]) -> Json:
    forgotten = ask.twitch.journal.count
    ask.twitch.journal.clear()
    return {"forgotten": forgotten}


def _commercials(ask: Ask[None]) -> Json:
    login = ask.call.value("login")
    found = [one for one in ask.twitch.commercials if login in ("", one.login)]
    total = ask.twitch.ads.count
    return {"total": total, "commercials": [asdict(one) for one in _last(found, ask.call)]}


def _last(found: list[T], call: Call) -> list[T]:
    limit = call.value("limit") or str(_SHOWN)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 10 and int(limit) > 0):
        raise Refusal(400, "limit must be a whole number from 1")
    return found[-int(limit) :]


def _faults(ask: Ask[None]) -> list[Json]:
    return [
        {"id": order.id, "hits": order.hits, **order.fault.model_dump()}
        for order in ask.twitch.faults.pending()
    ]


def _order_fault(ask: Ask[Fault]) -> Json:
    return {"id": ask.twitch.order_fault(ask.body)}


def _clear_faults(ask: Ask[None]) -> Json:
    return {"cleared": ask.twitch.clear_faults()}


def _clear_fault(ask: Ask[None]) -> Json:
    cleared = ask.twitch.clear_faults(int(ask.name)) if ask.name.isdecimal() else 0
    if not cleared:
        raise Refusal(404, f"no fault {ask.name!r}: GET {ROOT}/faults lists them")
    return {"cleared": cleared}


def _options(ask: Ask[None]) -> Json:
    return ask.twitch.options.model_dump()


def _set_options(ask: Ask[Options]) -> Json:
    for name in ask.body.model_fields_set:
        setattr(ask.twitch.options, name, getattr(ask.body, name))
    return ask.twitch.options.model_dump()


def _apps(ask: Ask[None]) -> list[Json]:
    return [
        {
            "client_id": app.client_id,
            "public": app.secret is None,
            "one_time_refresh_tokens": app.one_time_refresh_tokens,
            "redirect_uris": app.redirect_uris,
        }
        for app in ask.twitch.grants.apps()
    ]


def _add_app(ask: Ask[AppBody]) -> Json:
    ask.twitch.add_app(**ask.body.model_dump())
    return {"client_id": ask.body.client_id}


def _new_secret(ask: Ask[None]) -> Json:
    return {"client_secret": ask.twitch.regenerate_client_secret(ask.name)}


def _broadcasters(ask: Ask[None]) -> list[Json]:
    now = ask.twitch.clock()
    for user in ask.twitch.channels.all():
        ask.twitch.ads.catch_up(user, now)
    return [_broadcaster(user) for user in ask.twitch.channels.all()]


def _broadcaster(user: Broadcaster) -> Json:
    return {
        "login": user.login,
        "broadcaster_id": user.id,
        "display_name": user.display_name,
        "broadcaster_type": user.type,
        "live": user.live_since is not None,
        "last_ad_at": user.last_ad,
        "next_ad_at": user.next_ad,
        "starts": user.starts,
        "ad_habits": user.ad_habits,
    }


def _add_broadcaster(ask: Ask[BroadcasterBody]) -> Json:
    return _broadcaster(ask.twitch.add_broadcaster(**ask.body.model_dump()))


def _consent(ask: Ask[ConsentBody]) -> Json:
    return asdict(ask.twitch.consent(ask.name, ask.body.client_id, ask.body.scopes))


def _change_password(ask: Ask[None]) -> Json:
    return {"grants_ended": ask.twitch.change_password(ask.name)}


def _disconnect(ask: Ask[ClientBody]) -> Json:
    return {"grants_ended": ask.twitch.disconnect(ask.name, ask.body.client_id)}


def _expire(ask: Ask[AnyClientBody]) -> Json:
    ended = ask.twitch.expire_access_tokens(ask.name, ask.body.client_id)
    return {"access_tokens_ended": ended}


def _set_live(ask: Ask[LiveBody]) -> Json:
    ask.twitch.set_live(ask.name, ask.body.live)
    return _broadcaster(ask.twitch.channels.named(ask.name))


def _set_type(ask: Ask[TypeBody]) -> Json:
    ask.twitch.set_type(ask.name, ask.body.broadcaster_type)
    return _broadcaster(ask.twitch.channels.named(ask.name))


def _rename(ask: Ask[LoginBody]) -> Json:
    ask.twitch.rename(ask.name, ask.body.login)
    return _broadcaster(ask.twitch.channels.named(ask.body.login))


def _new_stream_key(ask: Ask[None]) -> Json:
    return {"stream_key": ask.twitch.reset_stream_key(ask.name)}


def _schedule(ask: Ask[ScheduleBody]) -> Json:
    ask.twitch.schedule_ad(ask.name, **ask.body.model_dump())
    return _broadcaster(ask.twitch.channels.named(ask.name))


def _set_ad_habits(ask: Ask[AdHabits]) -> Json:
    ask.twitch.set_ad_habits(ask.name, ask.body)
    return _broadcaster(ask.twitch.channels.named(ask.name))


def _exhaust(ask: Ask[PointsBody]) -> Json:
    until = ask.twitch.exhaust_points(ask.name, ask.body.seconds, ask.body.client_id)
    return {"reset": until}


def _sign_in(ask: Ask[None]) -> Json:
    ask.twitch.sign_in(ask.name)
    return {"signed_in": ask.twitch.signed_in}


def _sign_out(ask: Ask[None]) -> Json:
    ask.twitch.sign_in(None)
    return {"signed_in": None}


def _approve_device(ask: Ask[LoginBody]) -> Json:
    ask.twitch.approve_device(ask.name, ask.body.login)
    return {"login": ask.body.login}


def _deny_device(ask: Ask[None]) -> Json:
    ask.twitch.logins.deny_device(ask.name, ask.twitch.clock())
    return {"login": None}


def _start_ad(ask: Ask[AdBody]) -> Json:
    return asdict(ask.twitch.start_ad(ask.body.login, ask.body.length))


_REQUESTS = (
    "What the simulator received, oldest first, credentials masked; the query parameters method, "
    "path, login and limit (the latest, default 100) choose."
)
_COMMERCIALS = "Commercials, oldest first; the query parameters login and limit choose."
_HABITS = "Let its commercials go otherwise than the options say; {}: as they say."
_ONE = f"{ROOT}/broadcasters/{{login}}"

ENDPOINTS = (
    Endpoint("GET", ROOT, "This list.", _index),
    Endpoint(
        "GET",
        f"{ROOT}/requests",
        _REQUESTS,
        _requests,
        query=("method", "path", "login", "limit"),
    ),
    Endpoint("DELETE", f"{ROOT}/requests", "Forget them.", _forget_requests),
    Endpoint("GET", f"{ROOT}/commercials", _COMMERCIALS, _commercials, query=("login", "limit")),
    Endpoint("GET", f"{ROOT}/faults", "Faults that may still strike.", _faults),
    Endpoint("POST", f"{ROOT}/faults", "Let calls go wrong.", _order_fault, Fault),
    Endpoint("DELETE", f"{ROOT}/faults", "Take back all faults.", _clear_faults),
    Endpoint("DELETE", f"{ROOT}/faults/{{id}}", "Take back one fault.", _clear_fault),
    Endpoint("GET", f"{ROOT}/options", "How the simulator behaves.", _options),
    Endpoint("POST", f"{ROOT}/options", "Change the options given.", _set_options, Options),
    Endpoint("GET", f"{ROOT}/apps", "The registered apps.", _apps),
    Endpoint("POST", f"{ROOT}/apps", "Register an app.", _add_app, AppBody),
    Endpoint("POST", f"{ROOT}/apps/{{client_id}}/secret", "Regenerate its secret.", _new_secret),
    Endpoint("GET", f"{ROOT}/broadcasters", "The broadcasters.", _broadcasters),
    Endpoint("POST", f"{ROOT}/broadcasters", "Add one.", _add_broadcaster, BroadcasterBody),
    Endpoint("POST", f"{_ONE}/consent", "Agree to an app: new tokens.", _consent, ConsentBody),
    Endpoint("POST", f"{_ONE}/password", "Change the password: grants die.", _change_password),
    Endpoint("POST", f"{_ONE}/disconnect", "Disconnect an app.", _disconnect, ClientBody),
    Endpoint("POST", f"{_ONE}/expire", "End access tokens early.", _expire, AnyClientBody),
    Endpoint("POST", f"{_ONE}/live", "Begin or end the stream.", _set_live, LiveBody),
    Endpoint("POST", f"{_ONE}/type", "Make it partner, affiliate or neither.", _set_type, TypeBody),
    Endpoint("POST", f"{_ONE}/rename", "Give it another login.", _rename, LoginBody),
    Endpoint("POST", f"{_ONE}/stream-key", "Reset its stream key.", _new_stream_key),
    Endpoint("POST", f"{_ONE}/schedule", "Plan the next ad: it will run.", _schedule, ScheduleBody),
    Endpoint("POST", f"{_ONE}/ad-habits", _HABITS, _set_ad_habits, AdHabits),
    Endpoint("POST", f"{_ONE}/points", "Use up its Helix points.", _exhaust, PointsBody),
    Endpoint("POST", f"{_ONE}/sign-in", "Sit at the browser, and agree.", _sign_in),
    Endpoint("POST", f"{ROOT}/sign-out", "Nobody sits at the browser.", _sign_out),
    Endpoint(
        "POST", f"{ROOT}/devices/{{code}}", "Type a device's code.", _approve_device, LoginBody
    ),
    Endpoint("POST", f"{ROOT}/devices/{{code}}/deny", "Say no to that device.", _deny_device),
    Endpoint("POST", f"{ROOT}/ads", "Run an ad by hand.", _start_ad, AdBody),
    *EXTENSION_ENDPOINTS,
)
