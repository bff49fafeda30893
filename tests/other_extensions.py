"""Extensions at the second Twitch (see `other_twitch`), written from the documents alone.

Where the documents leave room, it does otherwise than the simulator: it answers 201 to a new
secret, retires the former ones after 40 minutes, lists them in any order and those that have just
expired with them, tells times to the nanosecond or with an offset, and adds fields. It looks at
each JWT by hand and with no mercy: a wrong one is refused, and `wrong` tells why. What it holds to
is the state: which secrets there were and when each of them counted, how they were made, and what
arrived. Calls can be spoiled to order.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web

from tests.other_extension_jwt import Key, fault, new_text, signed_by, verified
from tests.other_identity import Refused
from tests.other_twitch import OtherTwitch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Answer", "Arrived", "Call", "Key", "Made", "OtherExtension", "OtherExtensions", "Trouble",
]  # fmt: skip

_LIMIT = 5 * 1024  # bytes of a message, and of a segment
_TOLD_AFTER = 60.0  # seconds that a secret is still listed after its end
_BUCKET, _WRITES_A_MINUTE = 100, 20
_SEGMENTS = ("broadcaster", "developer", "global")

CallKind = Literal["look", "make", "read", "write", "require", "message"]

Trouble = Literal[
    "down", "error-done", "lost", "lost-done", "slow-done", "late", "garbled", "short"
]
"""down: 503, and nothing done; error-done: done, and 500; lost: the connection breaks, before or
after it is done; slow-done: done at once, and answered after `slowness`; late: done after
`slowness`, whether anybody waits or not; garbled: done, and the answer has no list; short: done,
and the answer has the list as it was before."""


@dataclass(frozen=True)
class Answer:
    """An ordered answer, instead of doing anything."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A secret that was made by a call: when, which, and with which the call was signed."""

    time: float
    key: Key
    by: Key


@dataclass(frozen=True)
class Call:
    """A call for an extension: when it came, what it was, and its status."""

    time: float
    kind: CallKind
    client_id: str
    status: int


@dataclass(frozen=True)
class Arrived:
    """A message that was taken."""

    time: float
    channel: str
    target: str
    text: str


@dataclass(eq=False)
class OtherExtension:
    """One extension, and what is known of it.

    Attributes:
        keys: All secrets that ever were, oldest first.
        made: Those that calls have made.
        segments: What is configured, by (segment, channel).
        required: Required configuration by channel: (version of the extension, text).
        arrived: Messages.
    """

    client_id: str
    owner_id: str
    keys: list[Key] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    segments: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    required: dict[str, tuple[str, str]] = field(default_factory=dict)
    arrived: list[Arrived] = field(default_factory=list)

    def in_force(self, now: float) -> list[Key]:
        """The secrets that count."""
        return [key for key in self.keys if key.counts(now)]

    def living(self, now: float) -> list[Key]:
        """Those that count, or will."""
        return [key for key in self.keys if not key.deleted and now < key.ends]


@dataclass(frozen=True)
class _Signed:
    """A JWT that was found good."""

    by: OtherExtension
    key: Key
    claims: dict[str, Any]


class OtherExtensions(OtherTwitch):
    """The second Twitch with extensions, on a free port of loopback.

    Attributes:
        retire_after: Seconds until the former secrets end, once another is made.
        least_delay: Least seconds until a new secret is active.
        far: Seconds that a new secret lives.
        slowness: Seconds that ordered slow calls take.
        reads_a_minute: Of configurations, for each extension.
        calls: All calls for extensions.
        spoilt: How many calls have gone wrong to order.
        wrong: What was wrong with those that were not signed as they must be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.retire_after, self.least_delay, self.far = 2400.0, 300.0, 92 * 365 * 86400.0
        self.reads_a_minute = 20.0
        self.calls: list[Call] = []
        self.spoilt = 0
        self.wrong: list[str] = []
        self._extensions: dict[str, OtherExtension] = {}
        self._troubles: dict[tuple[str, str], deque[Trouble | Answer]] = defaultdict(deque)
        self._spent: dict[tuple[str, ...], tuple[float, float]] = {}
        self._told = 0
        self._waiting: set[asyncio.Task[object]] = set()

    def add_routes(self, app: web.Application) -> None:
        super().add_routes(app)
        for method, path, kind, act in (
            ("GET", "/jwt/secrets", "look", self._look),
            ("POST", "/jwt/secrets", "make", self._make),
            ("GET", "/configurations", "read", self._read),
            ("PUT", "/configurations", "write", self._write),
            ("PUT", "/required_configuration", "require", self._require),
            ("POST", "/pubsub", "message", self._message),
        ):
            route = _Route(self, kind, act)  # type: ignore[arg-type] # a literal of the table
            app.router.add_route(method, f"/api/extensions{path}", route.answer)
        app.router.add_post("/api/extensions/pubsub/", self._never)

    async def __aexit__(self, *details: object) -> None:
        for task in self._waiting:
            task.cancel()
        await super().__aexit__(*details)

    # What people do

    def add_extension(self, client_id: str, owner_id: str) -> str:
        """Register an extension; a secret of it, as the console shows it."""
        self._extensions[client_id] = OtherExtension(client_id, owner_id)
        return self.make_at_console(client_id).text

    def make_at_console(self, client_id: str) -> Key:
        """The developer makes a secret, which is active at once; the others go on."""
        now = self.clock()
        key = Key(new_text(), now - 1, now + self.far)
        self._extensions[client_id].keys.append(key)
        return key

    def delete_all(self, client_id: str) -> None:
        """The developer deletes all secrets at the console."""
        for key in self._extensions[client_id].keys:
            key.deleted = True

    def extension(self, client_id: str) -> OtherExtension:
        """What is known of it."""
        return self._extensions[client_id]

    @property
    def secrets(self) -> set[str]:
        """The texts of all secrets that ever were."""
        return {key.text for each in self._extensions.values() for key in each.keys}

    def spoil(self, client_id: str, kind: CallKind, *troubles: Trouble | Answer) -> None:
        """How the next calls of a kind go wrong, one after the other."""
        self._troubles[client_id, kind].extend(troubles)

    def forget_troubles(self) -> None:
        """Nothing goes wrong any more."""
        self._troubles.clear()

    def next_trouble(self, client_id: str, kind: CallKind) -> Trouble | Answer | None:
        """Takes it off the queue."""
        waiting = self._troubles[client_id, kind]
        self.spoilt += bool(waiting)
        return waiting.popleft() if waiting else None

    def helper_token(self, client_id: str, **claims: object) -> str:
        """A JWT as the extension's helper hands it to a front end; None leaves a claim out."""
        now = self.clock()
        mine = self._extensions[client_id]
        key = max(mine.in_force(now), key=lambda each: each.ends)
        told = {"exp": int(now) + 3600, "opaque_user_id": "U1111", "role": "broadcaster"}
        told |= {"user_id": "1111", "channel_id": "1111", "is_unlinked": False} | claims
        told |= {"pubsub_perms": {"listen": ["broadcast", "global"]}}
        return signed_by(key, {k: v for k, v in told.items() if v is not None})

    # What calls do

    def signed(self, request: web.Request) -> _Signed:
        """Who signed a call.

        Raises:
            Refused: It is not signed as it must be.
        """
        now = self.clock()
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refused(401, "no bearer")
        signed, why = None, "signed with a secret that nobody knows"
        for extension in self._extensions.values():
            for key in extension.keys:
                if (claims := verified(token, key)) is None:
                    continue
                why = fault(extension.owner_id, key, claims, now)
                signed = _Signed(extension, key, claims)
        if signed is None or why:
            raise Refused(401, why)
        return signed

    def note(self, kind: CallKind, request: web.Request, status: int, why: str) -> None:
        """Remember a call; `why`: it was not signed as it must be."""
        client_id = request.headers.get("Client-Id", "")
        self.calls.append(Call(self.clock(), kind, client_id, status))
        if why:
            self.wrong.append(f"{kind} of {client_id}: {why}")

    def later(self, act: Callable[[], object]) -> None:
        """Do something after a while, whatever becomes of the caller."""

        async def wait() -> None:
            await asyncio.sleep(self.slowness)
            act()

        task = asyncio.get_running_loop().create_task(wait())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def listed(self, of: OtherExtension) -> dict[str, Any]:
        """The answer with all secrets."""
        now, self._told = self.clock(), self._told + 1
        told = [key for key in of.keys if not key.deleted and now < key.ends + _TOLD_AFTER]
        random.shuffle(told)
        entries = [
            {
                "note": None,
                "expires_at": self._time(key.ends),
                "content": key.text,
                "active_at": self._time(key.active),
            }
            for key in told
        ]
        return {"data": [{"secrets": entries, "extension": {}, "format_version": 1}], "total": 1}

    def _time(self, at: float) -> str:
        moment = datetime.fromtimestamp(at, UTC)
        forms = (
            moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z",
            moment.isoformat(timespec="microseconds"),
            moment.astimezone(timezone(timedelta(hours=-7))).isoformat(timespec="microseconds"),
        )
        return forms[self._told % 3]

    def _look(self, call: _Signed, request: web.Request, _body: object) -> _Outcome:
        _of(call, request.query.get("extension_id"))
        return 200, self.listed(call.by)

    def _make(self, call: _Signed, request: web.Request, _body: object) -> _Outcome:
        _of(call, request.query.get("extension_id"))
        delay = request.query.get("delay", "300")
        if not delay.isdecimal() or int(delay) < self.least_delay:
            raise Refused(400, f"delay: at least {self.least_delay:g}")
        now = self.clock()
        for key in call.by.keys:
            key.ends = min(key.ends, now + self.retire_after)
        new = Key(new_text(), now + int(delay), now + self.far)
        call.by.keys.append(new)
        call.by.made.append(Made(now, new, call.key))
        return 201, self.listed(call.by)

    def _read(self, call: _Signed, request: web.Request, _body: object) -> _Outcome:
        _of(call, request.query.get("extension_id"))
        most = self.reads_a_minute
        self._at_most(("read", call.by.client_id), most, most / 60)
        found = []
        for segment in request.query.getall("segment"):
            place = self._place(segment, request.query.get("broadcaster_id"))
            if place in call.by.segments:
                found.append({"segment": segment, "beta": 1} | call.by.segments[place])
        return 200, {"data": found}

    def _write(self, call: _Signed, _request: web.Request, body: dict[str, Any]) -> _Outcome:
        _of(call, body.get("extension_id"))
        self._at_most(("write", call.by.client_id), _WRITES_A_MINUTE, _WRITES_A_MINUTE / 60)
        content, version = body.get("content", ""), body.get("version", "")
        if not isinstance(content, str) or not isinstance(version, str):
            raise Refused(400, "content and version: texts")
        if len(content.encode()) > _LIMIT:
            raise Refused(400, "content: too long")
        place = self._place(body.get("segment"), body.get("broadcaster_id"))
        call.by.segments[place] = {"content": content, "version": version}
        return 204, None

    def _require(self, call: _Signed, request: web.Request, body: dict[str, Any]) -> _Outcome:
        _of(call, body.get("extension_id"))
        channel = request.query.get("broadcaster_id", "")
        version, text = body.get("extension_version"), body.get("required_configuration")
        if not channel.isdecimal() or not isinstance(version, str) or not isinstance(text, str):
            raise Refused(400, "broadcaster_id, extension_version, required_configuration: missing")
        call.by.required[channel] = (version, text)
        return 204, None

    def _message(self, call: _Signed, request: web.Request, body: dict[str, Any]) -> _Outcome:
        if request.headers.get("Client-Id") != call.by.client_id:
            raise Refused(500, "")
        everywhere = body.get("is_global_broadcast")
        channel = "all" if everywhere is True else body.get("broadcaster_id")
        target, text = body.get("target"), body.get("message")
        if not isinstance(text, str) or not isinstance(target, list) or not target:
            raise Refused(400, "target: a list, message: a text")
        perms = call.claims.get("pubsub_perms")
        allowed = perms.get("send", []) if isinstance(perms, dict) else []
        if call.claims.get("channel_id") != channel or not set(target) <= set(allowed):
            raise Refused(403, "the JWT does not allow it")
        if (target == ["global"]) is not (everywhere is True):
            raise Refused(403, "global goes to all, and nothing else does")
        if len(text.encode()) > _LIMIT:
            raise Refused(422, "message: too long")
        self._at_most(("message", call.by.client_id, str(channel)), _BUCKET, 1.0)
        for each in target:
            call.by.arrived.append(Arrived(self.clock(), str(channel), each, text))
        return 204, None

    async def _never(self, request: web.Request) -> web.Response:
        self.note("message", request, 403, "a slash at the end")
        return web.Response(status=403)

    def _place(self, segment: object, channel: object) -> tuple[str, str]:
        if segment not in _SEGMENTS or (segment == "global") is not (channel is None):
            raise Refused(400, "segment and broadcaster_id do not fit")
        return str(segment), str(channel or "")

    def _at_most(self, name: tuple[str, ...], most: float, a_second: float) -> None:
        now = self.clock()
        left, at = self._spent.get(name, (most, now))
        left = min(most, left + (now - at) * a_second)
        if left < 1:
            raise Refused(429, "Slow down")
        self._spent[name] = (left - 1, now)


_Outcome = tuple[int, dict[str, Any] | None]


class _Route:
    """One kind of call: who signed it, what goes wrong, what it does."""

    def __init__(
        self,
        twitch: OtherExtensions,
        kind: CallKind,
        act: Callable[[_Signed, web.Request, dict[str, Any]], _Outcome],
    ) -> None:
        self._twitch, self._kind, self._act = twitch, kind, act

    async def answer(self, request: web.Request) -> web.Response:
        twitch, kind = self._twitch, self._kind
        try:
            call = twitch.signed(request)
            if kind != "message" and request.headers.get("Client-Id") != call.by.client_id:
                raise Refused(401, "Client-Id: another extension's")
        except Refused as no:
            twitch.note(kind, request, no.status, no.message)
            return _json(no.status, {"error": "Unauthorized", "status": no.status})
        trouble = twitch.next_trouble(call.by.client_id, kind)
        if isinstance(trouble, Answer):
            twitch.note(kind, request, trouble.status, "")
            return web.Response(
                status=trouble.status, body=trouble.body, headers=dict(trouble.headers)
            )
        status, told = await self._do(call, request, trouble)
        twitch.note(kind, request, status, "")
        if status == 0 and request.transport is not None:
            request.transport.abort()
        return _json(status or 500, told)

    async def _do(self, call: _Signed, request: web.Request, trouble: Trouble | None) -> _Outcome:
        """What it does and tells; status 0: it tells nothing."""
        body = await _object_of(request)
        if trouble == "down":
            return 503, {"message": "unavailable"}
        if trouble == "lost":
            return 0, None
        before = self._twitch.listed(call.by)
        if trouble == "late":
            self._twitch.later(lambda: self._act(call, request, body))
            await asyncio.sleep(self._twitch.slowness)
            return 0, None
        try:
            status, told = self._act(call, request, body)
        except Refused as no:
            return no.status, {"message": no.message, "status": no.status, "error": "No"}
        if trouble == "slow-done":
            await asyncio.sleep(self._twitch.slowness)
        return {
            "error-done": (500, {"message": "internal"}),
            "lost-done": (0, None),
            "garbled": (200, {"data": "none"}),
            "short": (200, before),
        }.get(trouble or "", (status, told))


async def _object_of(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json() if request.body_exists else {}
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _json(status: int, told: dict[str, Any] | None) -> web.Response:
    if told is None:
        return web.Response(status=status)
    kind = {"content-type": "application/json;charset=UTF-8"}
    return web.Response(status=status, body=json.dumps(told, indent=2).encode(), headers=kind)


def _of(call: _Signed, client_id: object) -> None:
    if client_id != call.by.client_id:
        raise Refused(400, "extension_id: another extension's, or none")
