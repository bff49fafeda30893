"""A simulated PubNub on loopback, without the endpoints that control it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from controller.sandbox.faults import CONTROL_PATH, FaultPlan, fault_middleware
from controller.sandbox.pubnub.access import Access, KeySet
from controller.sandbox.pubnub.handlers import Network
from controller.sandbox.pubnub.polls import Polls
from controller.sandbox.pubnub.store import Draft, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiohttp.typedefs import Handler

__all__ = ["SUBSCRIBE_KEY", "PubNubServer", "Seen"]

SUBSCRIBE_KEY = "sub-c-sandbox"
"""The subscribe key that the Python API means where none is given."""

_HOST = "127.0.0.1"
_LINE_LIMIT = 128 * 1024  # a publish by GET carries its message percent-encoded in the path


@dataclass(slots=True)
class Seen:
    """A request that reached the simulator.

    Args:
        time: When it came, seconds since the epoch.
        method: Such as GET.
        path: As on the wire, percent-encoded.
        query: As on the wire, percent-encoded, without the question mark.
        status: Of the answer; None while there is none.
    """

    time: float
    method: str
    path: str
    query: str
    status: int | None = None


class PubNubServer:
    """A network of its own.

    All methods belong to the event loop that started it.

    Args:
        keys: The key sets there are; none: every subscribe key is known, and open to all.
        hold: Seconds after which a long poll without messages is answered.
        clock: Seconds since the epoch; timetokens are made of it.
        store: The messages; another one for other buffer sizes.
        port: To listen on; 0: any that is free.
        remember: How many requests `requests` holds, the newest ones.
    """

    def __init__(
        self,
        *,
        keys: Iterable[KeySet] = (),
        hold: float = 280,
        clock: Callable[[], float] = time.time,
        store: Store | None = None,
        port: int = 0,
        remember: int = 1000,
    ) -> None:
        self.access = Access(keys)
        self.faults = FaultPlan()
        self.requests: deque[Seen] = deque(maxlen=remember)
        self._clock = clock
        self._polls = Polls()
        self._network = Network(store or Store(), self._polls, self.access, clock, hold)
        self._port = port
        self._silent = False
        self._reserved: socket.socket | None = None
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def origin(self) -> str:
        """Host and port, as `PNConfiguration.origin` wants them."""
        return f"{_HOST}:{self._port}"

    @property
    def url(self) -> str:
        """The base of all addresses."""
        return f"http://{self.origin}"

    async def start(self) -> None:
        """Begin to listen."""
        app = self._application()
        # Bound without listening for as long as the simulator runs, so that `refuse` keeps the
        # port: the kernel refuses connections to it.
        self._reserved = _bound(self._port)
        self._port = self._reserved.getsockname()[1]
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,  # a poll ends with its connection
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
            shutdown_timeout=1,
        )
        await self._runner.setup()
        await self.accept()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._record, self._hush, fault_middleware(self.faults)])
        self._network.add_routes(app)
        return app

    async def stop(self) -> None:
        """Close all connections and the port."""
        if self._runner is not None:
            await self.refuse()
            await self._runner.cleanup()
            self._runner = None
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def publish(
        self,
        channel: str,
        payload: Any,  # noqa: ANN401 - any JSON value
        *,
        subscribe_key: str = SUBSCRIBE_KEY,
        kind: int = 0,
    ) -> int:
        """Publish a message at once, whatever the access manager says.

        Args:
            channel: The channel's name, not encoded.
            payload: Any JSON value, not only an object.
            subscribe_key: The key that the channel belongs to.
            kind: 0 message, 1 signal, 2 object, 3 action, 4 file.

        Returns:
            The message's timetoken.
        """
        return self._network.publish(subscribe_key, channel, Draft(payload, kind=kind)).timetoken

    def deny(self, subscribe_key: str = SUBSCRIBE_KEY) -> None:
        """Answer 403 to every call with a key; open polls learn it at their next request."""
        self.access.deny(subscribe_key)

    def allow(self, subscribe_key: str = SUBSCRIBE_KEY) -> None:
        """Take a `deny` back."""
        self.access.deny(subscribe_key, denied=False)

    def persist(self, subscribe_key: str = SUBSCRIBE_KEY, *, history: bool = True) -> None:
        """Switch message persistence on, or (`history=False`) off: history is refused then."""
        self.access.persist(subscribe_key, history=history)

    def drop_polls(self) -> int:
        """Close the connections of all open long polls; return how many there were."""
        return self._polls.drop()

    def silence(self) -> None:
        """Accept requests and never answer them; open polls get no answer either."""
        self._silent = True

    def speak(self) -> None:
        """Answer again; what came during the silence stays without an answer."""
        self._silent = False

    async def refuse(self) -> None:
        """Refuse new connections and close those there are, until `accept`."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._runner is not None and self._runner.server is not None:
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()

    async def accept(self) -> None:
        """Take connections; also after `refuse`, on the same port."""
        if self._runner is None:
            msg = "the simulator does not run: start it first"
            raise RuntimeError(msg)
        if self._site is None:
            self._site = web.SockSite(self._runner, _bound(self._port))
            await self._site.start()

    def open_polls(self, subscribe_key: str = SUBSCRIBE_KEY) -> int:
        """Return how many long polls are open with a subscribe key."""
        return self._polls.count(subscribe_key)

    async def wait_for_polls(self, count: int, subscribe_key: str = SUBSCRIBE_KEY) -> None:
        """Wait until exactly so many long polls are open with a subscribe key."""
        await self._polls.wait_for(subscribe_key, count)

    def counters(self) -> dict[str, dict[str, int]]:
        """Return open_polls, subscribes and messages by subscribe key."""
        subscribes, messages = self._network.subscribes, self._network.messages
        return {
            key: {
                "open_polls": self._polls.count(key),
                "subscribes": subscribes[key],
                "messages": messages[key],
            }
            for key in sorted(subscribes.keys() | messages.keys())
        }

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        address = request.rel_url
        seen = Seen(self._clock(), request.method, address.raw_path, address.raw_query_string)
        self.requests.append(seen)
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            seen.status = refusal.status
            raise
        seen.status = response.status
        return response

    @web.middleware
    async def _hush(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PATH):
            return await handler(request)
        if not self._silent:
            response = await handler(request)
            if not self._silent:
                return response
        await asyncio.Event().wait()
        raise AssertionError  # the wait ends with the connection only


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((_HOST, port))
    except OSError:
        bound.close()
        raise
    return bound
