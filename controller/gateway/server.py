"""Serves an ASGI application over HTTP, within bounds, and ends without dropping a request.

uvicorn does the work. What is added: it is told when to end and not by a signal; and before that
it goes on for a while with `Connection: close` on each answer, so that clients move to other
replicas by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn

from controller.errors import SettingsError
from controller.gateway.connection import Connection, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from starlette.types import ASGIApp

    from controller.settings import Settings

__all__ = ["Server"]

_KEEP_ALIVE = 75.0
_CLOSING = 0.05  # seconds in which the event loop is sure to have closed a socket
_BACKLOG = 2048


class Server:
    """An HTTP server; GATEWAY_ADDRESS says where. It listens when `run` begins.

    Args:
        app: Answers.
        settings: Where, and how long the end may take.

    Attributes:
        address: Host and port that it listens on.

    Raises:
        SettingsError: The address cannot be listened on.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._drain = settings.gateway_drain
        self._socket = _bind(settings.gateway_address)
        host, port = self._socket.getsockname()[:2]
        self.address: tuple[str, int] = host, port
        # Two calls to the OAuth provider, one to Twitch, and some time to read and to write.
        last = round(3 * settings.gateway_timeout + 5)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=round(_KEEP_ALIVE),
                timeout_graceful_shutdown=last,
                backlog=_BACKLOG,
            )
        )
        # It tells of each client that speaks no HTTP.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)

    @property
    def started(self) -> bool:
        """Whether it listens, or did."""
        return self._uvicorn.started

    async def run(self) -> None:
        """Serve until `stop` has been called and all answers are given."""
        await self._uvicorn.serve(sockets=[self._socket])

    async def listens(self) -> None:
        """Wait until connections are taken; `run` is under way."""
        await self._uvicorn.listens.wait()

    async def drain(self) -> None:
        """Go on for GATEWAY_DRAIN, and let each client come back on another connection."""
        self._uvicorn.state.drain()
        await asyncio.sleep(self._drain)

    def stop(self) -> None:
        """Take no more connections; `run` ends when the requests that are there have answers."""
        self._uvicorn.state.drain()
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Give up the address, where `run` was never called."""
        self._socket.close()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.server_state = self.state = State()
        self.listens = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's business."""
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.state.connections):
                if isinstance(connection, Connection):
                    connection.break_off_if_stuck(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # To close a listening socket resets what the kernel has accepted and the loop has not. So
        # the loops' are closed first, and the last of it is emptied right before it is closed.
        last = [listener.dup() for listener in sockets or ()]
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        await asyncio.sleep(_CLOSING)
        for connection in _take_waiting(last):
            await asyncio.get_running_loop().connect_accepted_socket(self._new_protocol, connection)
        await super().shutdown()

    def _new_protocol(self) -> Connection:
        return Connection(self.config, self.state, self.lifespan.state)


def _take_waiting(listeners: Iterable[socket.socket]) -> list[socket.socket]:
    """Accept what waits, and close; without an await in between."""
    taken = []
    for listener in listeners:
        with suppress(BlockingIOError):
            while True:
                taken.append(listener.accept()[0])
        listener.close()
    for connection in taken:
        connection.setblocking(False)
    return taken


def _bind(address: str) -> socket.socket:
    """Take the address; connections are refused until the server listens."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    everywhere = host in {"", "::"} and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends each answer at once; else it may wait for 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if everywhere:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, _port(port)))
    except (OSError, ValueError) as error:
        bound.close()
        msg = f"TWITCH_OPERATOR_GATEWAY_ADDRESS: cannot listen on {address!r} (host:port): {error}"
        raise SettingsError(msg) from error
    return bound


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        msg = f"there is no port {number}"
        raise ValueError(msg)
    return number
