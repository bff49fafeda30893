"""The simulated https://id.twitch.tv/oauth2: POST token, device, revoke; GET authorize, validate.

Bodies are form-encoded. Errors are `{"status": 400, "message": "…"}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from controller.sandbox.twitch.wire import Answer, Refusal, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.twitch.grants import App, Tokens
    from controller.sandbox.twitch.wire import Call
    from controller.sandbox.twitch.world import Twitch

__all__ = ["handle", "whose"]

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def handle(twitch: Twitch, call: Call, now: float) -> Answer:
    """Answer one call to /oauth2/…, or to /activate, where a device's user types the code."""
    endpoint = _ENDPOINTS.get((call.method, call.path))
    try:
        if endpoint is None:
            raise Refusal(404, "not found")
        return endpoint(twitch, call, now)
    except Refusal as refusal:
        return json_answer(refusal.status, {"status": refusal.status, "message": refusal.message})


def whose(twitch: Twitch, call: Call) -> str:
    """Login of the broadcaster whose token the call carries, whether or not that is any good."""
    if call.path.startswith("/oauth2/"):
        form = call.form()
        token = form.get("refresh_token") or form.get("token") or call.token("oauth", "bearer")
    else:
        token = call.token("bearer")
    broadcaster = twitch.channels.by_id(twitch.grants.owner(token))
    return broadcaster.login if broadcaster else ""


def _token(twitch: Twitch, call: Call, now: float) -> Answer:
    form = call.form()
    app = _app(twitch, form)
    grant_type = _need(form, "grant_type", "missing grant type")
    if grant_type == "refresh_token":
        _check_secret(app, form)
        refresh_token = _need(form, "refresh_token", "missing refresh token")
        tokens = twitch.grants.refresh(app, refresh_token, now)
    elif grant_type == "authorization_code":
        _check_secret(app, form, needed=True)
        code = _need(form, "code", "missing code")
        redirect_uri = _need(form, "redirect_uri", "missing redirect uri")
        tokens = twitch.logins.trade_code(app, code, redirect_uri, now)
    elif grant_type == "client_credentials":
        _check_secret(app, form, needed=True)
        tokens = twitch.grants.app_token(app, now)
    elif grant_type == _DEVICE_GRANT:
        device_code = _need(form, "device_code", "missing device_code")
        tokens = twitch.logins.trade_device(app, device_code, now)
    else:
        raise Refusal(400, "invalid grant type")
    return json_answer(200, _token_body(tokens, with_scope=twitch.options.scope_in_token))


def _device(twitch: Twitch, call: Call, now: float) -> Answer:
    form = call.form()
    app = _app(twitch, form)
    device = twitch.logins.start_device(app, form.get("scopes", "").split(), now)
    host = call.headers.get("Host", "localhost")
    body = {
        "device_code": device.device_code,
        "expires_in": twitch.options.device_lifetime,
        "interval": device.interval,
        "user_code": device.user_code,
        # The real one names www.twitch.tv; here a click approves, see `_activate`.
        "verification_uri": f"http://{host}/activate?device-code={device.user_code}",
    }
    return json_answer(200, body)


def _activate(twitch: Twitch, call: Call, now: float) -> Answer:
    user = twitch.browser_user(call.value("login"))
    if user is None:
        raise Refusal(401, "nobody is signed in: add ?login= to the address")
    twitch.logins.approve_device(call.value("device-code"), user.id, now)
    return json_answer(200, {"message": f"{user.login} agreed"})


def _authorize(twitch: Twitch, call: Call, now: float) -> Answer:
    """Send the browser back at once: with a code where somebody is signed in, else an error.

    Who that is says `login=` (the simulator's own parameter) or `Twitch.sign_in`.
    """
    app = _app(twitch, {"client_id": call.value("client_id")})
    redirect_uri = call.value("redirect_uri")
    if redirect_uri not in app.redirect_uris:
        raise Refusal(400, "Parameter redirect_uri does not match registered URI")
    state = {"state": call.value("state")} if call.value("state") else {}
    user = twitch.browser_user(call.value("login"))
    if call.value("response_type") != "code":
        result = {
            "error": "unsupported_response_type",
            "error_description": "response_type must be code",
        }
    elif user is None:
        result = {"error": "access_denied", "error_description": "The user denied you access"}
    else:
        scopes = call.value("scope").split()
        code = twitch.logins.code(app, user.id, scopes, redirect_uri, now)
        result = {"code": code, "scope": " ".join(scopes)}
    separator = "&" if "?" in redirect_uri else "?"
    return Answer(302, headers={"Location": redirect_uri + separator + urlencode(result | state)})


def _validate(twitch: Twitch, call: Call, now: float) -> Answer:
    token = call.token("oauth", "bearer")
    if not token:
        raise Refusal(401, "missing authorization token")
    access = twitch.grants.access(token, now)
    if access is None:
        raise Refusal(401, "invalid access token")
    grant = access.grant
    body: dict[str, Any] = {"client_id": grant.app.client_id}
    if user := twitch.channels.by_id(grant.user_id):
        body |= {"login": user.login, "user_id": user.id}
    body |= {"scopes": list(grant.scopes) or None, "expires_in": int(access.expires - now)}
    return json_answer(200, body)


def _revoke(twitch: Twitch, call: Call, now: float) -> Answer:
    form = call.form()
    app = twitch.grants.app(_need(form, "client_id", "missing client id"))
    if app is None:
        raise Refusal(404, "client does not exist")
    twitch.grants.revoke(app, _need(form, "token", "missing oauth token"), now)
    return Answer(200)


def _need(form: dict[str, str], name: str, complaint: str) -> str:
    value = form.get(name, "")
    if not value:
        raise Refusal(400, complaint)
    return value


def _app(twitch: Twitch, form: dict[str, str]) -> App:
    app = twitch.grants.app(_need(form, "client_id", "missing client id"))
    if app is None:
        raise Refusal(400, "invalid client")
    return app


def _check_secret(app: App, form: dict[str, str], *, needed: bool = False) -> None:
    given = form.get("client_secret")
    if not given and (needed or app.secret is not None):
        raise Refusal(400, "missing client secret")
    if given and given != app.secret:
        raise Refusal(403, "invalid client secret")


def _token_body(tokens: Tokens, *, with_scope: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"access_token": tokens.access_token, "expires_in": tokens.expires_in}
    if tokens.refresh_token:
        body["refresh_token"] = tokens.refresh_token
    if tokens.scopes and with_scope:
        body["scope"] = list(tokens.scopes)
    return body | {"token_type": "bearer"}


_ENDPOINTS: dict[tuple[str, str], Callable[[Twitch, Call, float], Answer]] = {
    ("GET", "/activate"): _activate,
    ("GET", "/oauth2/authorize"): _authorize,
    ("GET", "/oauth2/validate"): _validate,
    ("POST", "/oauth2/device"): _device,
    ("POST", "/oauth2/revoke"): _revoke,
    ("POST", "/oauth2/token"): _token,
}
