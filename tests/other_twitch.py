"""A second Twitch, written from the documents alone: it shows what is owed to habits of the first.

Where the documents leave room, it does otherwise than `controller.sandbox.twitch`: it rotates
refresh tokens of confidential clients always (or never), leaves out `scope`, `expires_in` and
`interval` where it may, tells scopes as a text or a list, words and cases its messages in its own
way, quotes in them what it was sent, adds fields, sends chunks, and hangs up after each answer.
What it holds to is the state: codes and one-time tokens are good once, and dead grants stay dead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.other_identity import CALLBACK, Grant, OtherIdentity, Refused, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CALLBACK", "Commercial", "OtherTwitch", "TokenCall", "Tokens"]

_COOLDOWN = 480.0  # seconds
_CREDENTIALS = ("refresh_token", "code", "device_code", "token", "client_secret")


@dataclass(frozen=True)
class TokenCall:
    """One POST /token: when (seconds since the epoch), grant_type, for whom, and its status."""

    time: float
    kind: str
    login: str
    status: int


@dataclass(frozen=True)
class Commercial:
    """One that ran: for whom, the seconds asked for, and when (since the epoch)."""

    login: str
    length: int
    time: float


class OtherTwitch(OtherIdentity):
    """Identity and Helix on a free port of loopback; an async context manager."""

    def __init__(self, *, rotates: bool = True, null_scopes: bool = False) -> None:
        super().__init__(rotates=rotates, null_scopes=null_scopes)
        self.token_calls: list[TokenCall] = []
        self.commercials: list[Commercial] = []
        self._ads_told = 0
        self._runner: web.AppRunner | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        for name, form_of in (
            ("token", self._token),
            ("device", self.device),
            ("revoke", self.revoke),
        ):
            app.router.add_post(f"/id/{name}", partial(self._identity, form_of))
        app.router.add_get("/id/validate", self._validate)
        app.router.add_get("/id/authorize", self._authorize)
        for method, path, act in (
            ("GET", "/users", self._users_named),
            ("GET", "/streams", self._streams),
            ("GET", "/streams/key", self._stream_key),
            ("GET", "/channels/ads", self._ads),
            ("POST", "/channels/commercial", self._commercial),
        ):
            app.router.add_route(method, f"/api{path}", partial(self._helix, act))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def helix_url(self) -> str:
        return f"{self._url}/api"

    @property
    def identity_url(self) -> str:
        return f"{self._url}/id"

    # Identity

    async def _identity(
        self, act: Callable[[Mapping[str, str]], Any], request: web.Request
    ) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            return _answer(200, act(form))
        except Refused as no:
            quoted = "".join(f" «{form[name]}»" for name in _CREDENTIALS if name in form)
            return _answer(no.status, {"message": no.message + quoted, "status": no.status})

    def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        login, status = self.whose(form), 200
        try:
            return self.token(form)
        except Refused as no:
            status = no.status
            raise
        finally:
            kind = form.get("grant_type", "").rpartition(":")[2]
            self.token_calls.append(TokenCall(self.clock(), kind, login, status))

    async def _validate(self, request: web.Request) -> web.Response:
        try:
            return _answer(200, self.validate(request.headers.get("Authorization", "")))
        except Refused as no:
            return _answer(no.status, {"message": no.message, "status": no.status})

    async def _authorize(self, request: web.Request) -> web.Response:
        try:
            return _answer(303, None, {"location": self.authorize(request.query)})
        except Refused as no:
            return web.Response(status=no.status, text=f"<h1>{no.message}</h1>")

    # Helix

    async def _helix(
        self,
        act: Callable[[web.Request, Grant, dict[str, Any]], list[dict[str, Any]]],
        request: web.Request,
    ) -> web.Response:
        limits = {"ratelimit-limit": "800", "ratelimit-remaining": "799"}
        limits["ratelimit-reset"] = str(int(self.clock()) + 1)
        try:
            grant, _ = self.living(request.headers.get("Authorization", ""), "bearer")
            if request.headers.get("Client-Id") != grant.app.client_id:
                raise Refused(401, "Client-Id: another application's")
            body = await request.json() if request.can_read_body else {}
            return _answer(200, {"pagination": {}, "data": act(request, grant, body)}, limits)
        except Refused as no:
            told = {"message": no.message, "status": no.status, "error": "No"}
            return _answer(no.status, told, limits)

    def _users_named(
        self, request: web.Request, grant: Grant, _body: object
    ) -> list[dict[str, Any]]:
        ids, logins = request.query.getall("id", []), request.query.getall("login", [])
        asked = [u for u in self._users.values() if u.id in ids or u.login in logins]
        return [
            {"broadcaster_type": user.type, "login": user.login, "type": "", "id": user.id}
            for user in (asked if ids or logins else [grant.user])
        ]

    def _streams(self, request: web.Request, _grant: Grant, _body: object) -> list[dict[str, Any]]:
        asked = request.query.getall("user_id", [])
        started = {"type": "live", "viewer_count": 0, "started_at": "2020-01-01T00:00:00.5+00:00"}
        return [
            started | {"user_login": user.login, "user_id": user.id, "id": f"1{user.id}"}
            for user in reversed(self._users.values())
            if user.live and user.id in asked
        ]

    def _stream_key(
        self, request: web.Request, grant: Grant, _body: object
    ) -> list[dict[str, Any]]:
        _own(grant, request.query.get("broadcaster_id"), "channel:read:stream_key")
        return [{"stream_key": f"live_{grant.user.id}_{grant.user.stream_key}"}]

    def _ads(self, request: web.Request, grant: Grant, _body: object) -> list[dict[str, Any]]:
        _own(grant, request.query.get("broadcaster_id"), "channel:read:ads")
        last, self._ads_told = grant.user.last_ad, self._ads_told + 1
        moment = datetime.fromtimestamp(last, UTC).isoformat()  # with +00:00, and microseconds
        forms = (moment, int(last), str(int(last))) if last else ("", 0, "0")
        told = {"preroll_free_time": 0, "last_ad_at": forms[self._ads_told % 3], "duration": "60"}
        return [told | {"next_ad_at": "", "snooze_refresh_at": "", "snooze_count": "3"}]

    def _commercial(
        self, _request: web.Request, grant: Grant, body: dict[str, Any]
    ) -> list[dict[str, Any]]:
        user, length, now = grant.user, body.get("length"), self.clock()
        _own(grant, body.get("broadcaster_id"), "channel:edit:commercial")
        if type(length) is not int or length < 1:
            raise Refused(400, "Missing Required Parameter: length")
        if not user.live:
            raise Refused(400, "TO START A COMMERCIAL, THE BROADCASTER MUST BE STREAMING LIVE.")
        if now < user.last_ad + max(_COOLDOWN, min(length, 180)):
            raise Refused(429, "Too soon after the one before")
        if user.type:  # the others get the same answer, and no ad
            user.last_ad = now
            self.commercials.append(Commercial(user.login, length, now))
        return [{"retry_after": _COOLDOWN, "length": length, "message": ""}]


def _own(grant: Grant, broadcaster_id: object, scope: str) -> None:
    if scope not in grant.scopes:
        raise Refused(401, f"missing scope: {scope}")
    if broadcaster_id != grant.user.id:
        raise Refused(401, "broadcaster_id: not the user of this token")


def _answer(
    status: int, body: dict[str, Any] | None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Other order, fields that nobody promised, in chunks, and the connection closed after it."""
    text = ""
    if body is not None:
        text = json.dumps({"_trace": {"id": [1, None]}, **body, "beta": True}, indent=2)
    kind = {"content-type": "application/json;charset=UTF-8"} if body is not None else {}
    answer = web.Response(status=status, body=text.encode(), headers=kind | dict(headers or {}))
    answer.enable_chunked_encoding()
    answer.force_close()
    return answer
