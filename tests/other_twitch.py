"""A second Twitch, written from the documents alone: it shows what is owed to habits of the first.

Where the documents leave room, it does otherwise than `controller.sandbox.twitch`: it rotates
refresh tokens of confidential clients always (or never), leaves out `scope`, `expires_in` and
`interval` where it may, tells scopes as a text or a list, words and cases its messages in its own
way, quotes in them what it was sent, adds fields, sends chunks, and hangs up after each answer.
What it holds to is the state: codes and one-time tokens are good once, and dead grants stay dead.
Calls for a commercial can be spoiled to order: see `other_ads`.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from tests.other_ads import Commercial, CommercialCall, OtherAds, own
from tests.other_identity import CALLBACK, Grant, Refused, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CALLBACK", "Commercial", "OtherTwitch", "TokenCall", "Tokens"]

_CREDENTIALS = ("refresh_token", "code", "device_code", "token", "client_secret")


@dataclass(frozen=True)
class TokenCall:
    """One POST /token: when (seconds since the epoch), grant_type, for whom, and its status."""

    time: float
    kind: str
    login: str
    status: int


class OtherTwitch(OtherAds):
    """Identity and Helix on a free port of loopback; an async context manager."""

    def __init__(self, *, rotates: bool = True) -> None:
        super().__init__(rotates=rotates)
        self.token_calls: list[TokenCall] = []
        self._runner: web.AppRunner | None = None
        self._url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        self.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def add_routes(self, app: web.Application) -> None:
        """Name all paths; for those who know more of them."""
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
        ):
            app.router.add_route(method, f"/api{path}", partial(self._helix, act))
        app.router.add_post("/api/channels/commercial", self._spoiled_commercial)

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
            until = self.limited_until(grant.user.login)
            if self.clock() < until:
                limits |= {"ratelimit-remaining": "0", "ratelimit-reset": str(math.ceil(until))}
                raise Refused(429, "Slow down")
            if request.headers.get("Client-Id") != grant.app.client_id:
                raise Refused(401, "Client-Id: another application's")
            body = await request.json() if request.body_exists else {}
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
        own(grant, request.query.get("broadcaster_id"), "channel:read:stream_key")
        return [{"stream_key": f"live_{grant.user.id}_{grant.user.stream_key}"}]

    def _ads(self, request: web.Request, grant: Grant, _body: object) -> list[dict[str, Any]]:
        own(grant, request.query.get("broadcaster_id"), "channel:read:ads")
        return [self.ad_schedule(grant)]

    def _commercial(
        self, _request: web.Request, grant: Grant, body: dict[str, Any]
    ) -> list[dict[str, Any]]:
        own(grant, body.get("broadcaster_id"), "channel:edit:commercial")
        return [self.start(grant, body.get("length"))]

    async def _spoiled_commercial(self, request: web.Request) -> web.Response:
        """A call for a commercial, with the outcome that was ordered for it."""
        try:
            grant, _ = self.living(request.headers.get("Authorization", ""), "bearer")
        except Refused:
            return await self._helix(self._commercial, request)
        body, login = await request.json(), grant.user.login
        call = CommercialCall(self.clock(), login, body.get("length"))
        self.commercial_calls.append(call)
        outcome = self.next_outcome(login)
        if outcome == "slow":
            await asyncio.sleep(self.slowness)
        refused = self.refused(outcome)
        acts = outcome != "lost" and (refused is None or outcome == "error-ran")
        answer = await self._helix(self._commercial, request) if acts else web.Response()
        if outcome == "slow-ran":
            await asyncio.sleep(self.slowness)
        if outcome in {"lost", "lost-ran"} and request.transport is not None:
            request.transport.abort()
            return answer  # reaches nobody
        if refused is not None:
            told = {"message": refused.message, "status": refused.status}
            answer = _answer(refused.status, told, {"ratelimit-remaining": "7"})
        call.status = answer.status
        return answer


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
