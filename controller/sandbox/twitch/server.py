"""The simulated Twitch on a port of this machine.

One request runs: read it, record it, let an ordered fault strike, else answer from the state.
Nothing on that way waits for anything but the body and an ordered delay.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from aiohttp import web

from controller.sandbox.twitch import control, helix, identity
from controller.sandbox.twitch.endpoints import ENDPOINTS
from controller.sandbox.twitch.wire import Answer, Call
from controller.sandbox.twitch.world import Twitch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from controller.sandbox.twitch.faults import Fault
    from controller.sandbox.twitch.options import Options

__all__ = ["TwitchSimulator"]

_HOST = "127.0.0.1"
_LONGEST_BODY = 16 * 1024  # bounds what the journal can hold, too
_SHUTDOWN_SECONDS = 0.05  # for calls that an ordered delay still holds


class TwitchSimulator(Twitch):
    """Twitch's identity and Helix servers, simulated on loopback.

    Use it as an async context manager, or call `start` and `stop`; what it knows survives a stop,
    and so does the port.

    Args:
        options: How it behaves; see `Options`.
        port: 0 for a free one.
        clock: Gives seconds since the epoch.
        keep: So many calls, and so many commercials, are remembered.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        keep: int = 10_000,
    ) -> None:
        super().__init__(options, clock=clock, keep=keep)
        self._port = port
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Such as `http://127.0.0.1:40123`; control endpoints are below `/_sandbox`."""
        return f"http://{_HOST}:{self._port}"

    @property
    def helix_url(self) -> str:
        """What stands for `https://api.twitch.tv/helix`."""
        return f"{self.url}/helix"

    @property
    def identity_url(self) -> str:
        """What stands for `https://id.twitch.tv/oauth2`."""
        return f"{self.url}/oauth2"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        server = web.Server(self._serve, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections; calls held by a delay are dropped."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        if len(body) > _LONGEST_BODY:
            return web.Response(status=413, text=f"bodies are at most {_LONGEST_BODY} bytes here")
        url = request.rel_url
        call = Call(
            self.clock(), request.method, url.path, url.raw_query_string, request.headers, body
        )
        if call.path == control.ROOT or call.path.startswith(control.ROOT + "/"):
            answer: Answer | None = control.handle(ENDPOINTS, self, call)
        else:
            call.login = identity.whose(self, call)
            self.journal.add(call)
            fault = self.faults.take(call.method, call.path, call.login)
            answer = self._act(call) if fault is None else await self._fail(call, fault)
        if answer is None:
            return _drop(request)
        call.status = answer.status
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _fail(self, call: Call, fault: Fault) -> Answer | None:
        """The answer under a fault; None: drop the connection."""
        real = self._act(call) if fault.when == "after" else None
        await asyncio.sleep(fault.delay)
        if fault.drop:
            return None
        answer = fault.answer() or real or self._act(call)
        ordered = {name.lower() for name in fault.headers}
        kept = {n: value for n, value in answer.headers.items() if n.lower() not in ordered}
        return replace(answer, headers=kept | fault.headers)

    def _act(self, call: Call) -> Answer:
        now = self.clock()
        if call.path.startswith("/helix/"):
            return helix.handle(self, call, now)
        return identity.handle(self, call, now)


def _drop(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # reaches nobody
