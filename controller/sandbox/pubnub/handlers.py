"""The HTTP interface of the simulated network, as subscribers and publishers see it.

Not simulated, and refused where it would change what a subscriber gets: filter expressions and
channel groups. Accepted without effect: presence (`…-pnpres` channels stay silent, heartbeats and
leaves are answered), time to live, replication and signatures.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from aiohttp import web

from controller.sandbox.pubnub import wire
from controller.sandbox.pubnub.store import TICKS, Draft, Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.pubnub.access import Access, KeySet
    from controller.sandbox.pubnub.polls import Polls
    from controller.sandbox.pubnub.store import Message, Store

__all__ = ["Network"]

_TEXT = 'text/javascript; charset="UTF-8"'


class Network:
    """Answers the network's calls.

    Args:
        store: The messages.
        polls: The long polls that are open.
        access: The keys, and who may use them.
        clock: Seconds since the epoch.
        hold: Seconds after which a long poll without messages is answered.
    """

    def __init__(
        self, store: Store, polls: Polls, access: Access, clock: Callable[[], float], hold: float
    ) -> None:
        self._store = store
        self._polls = polls
        self._access = access
        self._clock = clock
        self._hold = hold
        self.subscribes: Counter[str] = Counter()
        """Subscribe calls that were let in, by subscribe key."""
        self.messages: Counter[str] = Counter()
        """Messages published, by subscribe key."""

    def add_routes(self, app: web.Application) -> None:
        """Put the interface on an application."""
        presence = "/v2/presence/sub-key/{key}/channel/{channels}"
        app.add_routes(
            [
                web.get("/time/0", self._time),
                web.get("/v2/subscribe/{key}/{channels}/0", self._subscribe),
                web.get("/publish/{publish_key}/{key}/0/{channel}/0/{message:.*}", self._publish),
                web.post("/publish/{publish_key}/{key}/0/{channel}/0", self._publish),
                web.get(presence + "/heartbeat", self._presence),
                web.get(presence + "/leave", self._presence),
                web.get("/v2/history/sub-key/{key}/channel/{channel}", self._history_v2),
                web.get("/v3/history/sub-key/{key}/channel/{channels}", self._history_v3),
            ]
        )

    def publish(self, subscribe_key: str, channel: str, draft: Draft) -> Message:
        """Take a message in and wake those who wait for it."""
        message = self._store.publish(self._clock(), subscribe_key, channel, draft)
        self.messages[subscribe_key] += 1
        self._polls.wake(subscribe_key, channel)
        return message

    async def _time(self, _request: web.Request) -> web.Response:
        return _answer([int(self._clock() * TICKS)])

    async def _subscribe(self, request: web.Request) -> web.Response:
        channels = _channels(request, 4)
        key = self._admit(request, channels).subscribe_key
        for unknown in ("filter-expr", "channel-group"):
            if request.query.get(unknown):
                raise _refusal(400, wire.invalid(f"{unknown} is not simulated", "Subscribe"))
        timetoken = _integer(request, "tt") or 0
        self.subscribes[key] += 1
        messages: list[Message] = []
        if timetoken:
            messages = await self._wait(request, key, channels, timetoken)
        if messages:
            timetoken = messages[-1].timetoken
        else:  # newer than all there was, older than all to come
            timetoken = max(timetoken, self._store.timetoken(self._clock()))
        return _answer(wire.subscribe_answer(key, timetoken, messages))

    async def _wait(
        self, request: web.Request, key: str, channels: list[str], after: int
    ) -> list[Message]:
        """Return what is newer than a timetoken, as soon as there is something."""
        messages = self._store.read(self._clock(), key, channels, after)
        if messages:
            return messages
        with self._polls.open(key, channels, request.transport) as poll:
            try:
                async with asyncio.timeout(self._hold):
                    while not messages:
                        await poll.wait()
                        messages = self._store.read(self._clock(), key, channels, after)
            except TimeoutError:
                pass
        return messages

    async def _publish(self, request: web.Request) -> web.Response:
        [channel] = _channels(request, 5) or [""]
        keys = self._admit(request, [channel])
        text = await self._text(request)
        try:
            payload = wire.read_json(text)
            metadata = wire.read_json(request.query.get("meta", "null").encode())
        except ValueError:
            raise self._unsent(400, "Invalid JSON") from None
        if keys.publish_key not in (None, request.match_info["publish_key"]):
            raise self._unsent(400, "Invalid Key")
        draft = Draft(
            payload,
            publisher=request.query.get("uuid", ""),
            metadata=metadata,
            custom_type=request.query.get("custom_message_type", ""),
            stored=request.query.get("store") != "0",
        )
        message = self.publish(keys.subscribe_key, channel, draft)
        return _answer([1, "Sent", str(message.timetoken)])

    async def _text(self, request: web.Request) -> bytes:
        if request.method == "POST":
            text = await request.read()
        else:
            text = unquote_to_bytes(request.rel_url.raw_path.split("/", 7)[7])
        if len(text) > wire.MESSAGE_LIMIT:
            raise self._unsent(413, "Message Too Large")
        return text

    def _unsent(self, status: int, reason: str) -> web.HTTPException:
        return _refusal(status, [0, reason, str(self._store.timetoken(self._clock()))])

    async def _presence(self, request: web.Request) -> web.Response:
        self._admit(request, _channels(request, 6))
        answer = {"status": 200, "message": "OK", "service": "Presence"}
        if request.path.endswith("/leave"):
            answer["action"] = "leave"
        return _answer(answer)

    async def _history_v2(self, request: web.Request) -> web.Response:
        [channel] = _channels(request, 6) or [""]
        keys = self._admit(request, [channel])
        if not keys.history:
            return _answer([wire.HISTORY_DISABLED, 0, 0])
        part = _slice(request, "count", reverse=request.query.get("reverse") == "true")
        messages = self._store.history(keys.subscribe_key, channel, part)
        with_timetokens = request.query.get("include_token") == "true"
        return _answer(wire.history_v2(messages, with_timetokens=with_timetokens))

    async def _history_v3(self, request: web.Request) -> web.Response:
        channels = _channels(request, 6)
        keys = self._admit(request, channels)
        if not keys.history:
            refused = {"status": 403, "error": True, "error_message": wire.HISTORY_DISABLED}
            return _answer({**refused, "channels": {}}, status=403)
        part = _slice(request, "max", limit=100 if len(channels) == 1 else 25)
        key = keys.subscribe_key
        found = {each: self._store.history(key, each, part) for each in channels}
        with_types = request.query.get("include_message_type") == "true"
        return _answer(wire.history_v3(found, with_types=with_types))

    def _admit(self, request: web.Request, channels: list[str]) -> KeySet:
        keys = self._access.find(request.match_info["key"])
        if keys is None:
            raise _refusal(400, wire.invalid("Invalid Subscribe Key"))
        if not self._access.admits(keys, request.query.get("auth")):
            raise _refusal(403, wire.forbidden(channels))
        return keys


def _answer(body: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - any JSON value
    text = wire.encode(body).encode()
    return web.Response(status=status, body=text, headers={"Content-Type": _TEXT})


def _refusal(status: int, body: Any) -> web.HTTPException:  # noqa: ANN401 - any JSON value
    kinds = {400: web.HTTPBadRequest, 403: web.HTTPForbidden}
    text = json.dumps(body, separators=(",", ":"))
    if status == 413:
        return web.HTTPRequestEntityTooLarge(max_size=wire.MESSAGE_LIMIT, text=text)
    return kinds[status](text=text, content_type="text/javascript")


def _channels(request: web.Request, segment: int) -> list[str]:
    """Read the channels of a path segment, before decoding makes commas of `%2C`."""
    return wire.channels_of(request.rel_url.raw_path.split("/")[segment])


def _integer(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise _refusal(400, wire.invalid(f"Invalid {name}", "Subscribe"))
    return int(text)


def _slice(request: web.Request, counted: str, *, limit: int = 100, reverse: bool = False) -> Slice:
    count = _integer(request, counted)
    return Slice(
        start=_integer(request, "start"),
        end=_integer(request, "end"),
        count=limit if count is None else min(count, limit),
        reverse=reverse,
    )
