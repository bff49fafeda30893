"""`twitch-operator gateway`: the extension backend service."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from controller.clients.extensions import Extensions
from controller.clients.fetch import Fetcher
from controller.clients.http import new_http_client
from controller.clients.kube import Kube
from controller.clients.kube.config import Configuration, load_configuration
from controller.commands.start import say_start
from controller.gateway.app import make_app
from controller.gateway.authorizer import Authorizer
from controller.gateway.catalog import Catalog
from controller.gateway.extension_watch import Apps
from controller.gateway.metrics import GatewayMetrics
from controller.gateway.server import Server
from controller.handlers.watch import Watch
from controller.logs import set_up_logging
from controller.runtime.gc_tuning import Garbage
from controller.runtime.probes import serve_probes
from controller.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

__all__ = ["run_gateway"]

logger = logging.getLogger(__name__)

_LOOK = 0.1
_FILES = 65_536  # open files at most: each connection is one


def run_gateway(context: str | None) -> int:
    """Serve until SIGTERM or SIGINT; a second one ends it without the wait before.

    Args:
        context: Of the kubeconfig; None: the current one.

    Returns:
        The exit code: 0 after a signal, 1 when something that cannot be mended here ended it.
    """
    settings = Settings.from_environment(os.environ)
    set_up_logging(settings.log_level, settings.log_format)
    for name in Settings.unknown(os.environ):
        logger.warning("%s: no such setting; it has no effect", name)
    _allow_many_files()
    # The watch's thread gives way to a request within half a millisecond.
    sys.setswitchinterval(0.0005)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(_run(settings, context))


async def _run(settings: Settings, context: str | None) -> int:
    def load() -> Awaitable[Configuration]:
        return load_configuration(context)

    def log_in() -> Configuration:
        return asyncio.run(load_configuration(context))

    loop = asyncio.get_running_loop()
    calls = settings.model_copy(update={"call_timeout": settings.gateway_timeout})
    catalog, metrics = Catalog(), GatewayMetrics()
    async with (
        Kube(load) as kube,
        new_http_client(calls) as http,
        Fetcher(settings.allowed_fetch_hosts, settings.gateway_timeout) as fetcher,
    ):
        limits = (
            f"a call ends after {settings.gateway_timeout:.0f} s, draining takes"
            f" {settings.gateway_drain:.0f} s"
        )
        say_start("gateway", kube.host, settings, limits)
        apps = Apps(settings, kube, catalog, metrics.forget)
        app = make_app(catalog, Authorizer(fetcher), Extensions(http, calls), metrics)

        def notify(kind: str, event: str | None, body: Mapping[str, Any]) -> None:
            loop.call_soon_threadsafe(apps.notify, kind, event, body)

        def discover() -> None:
            asyncio.run_coroutine_threadsafe(kube.discover(), loop).result()

        namespaces = settings.watch_namespaces
        watch = Watch(notify, log_in, discover, namespaces=namespaces, kinds=(apps.kind,))
        gateway = _Gateway(apps, catalog, watch, Server(app, settings))
        async with serve_probes(
            settings, metrics.registry, lambda: watch.alive, lambda: gateway.ready
        ):
            return await gateway.run()


class _Gateway:
    """Its life: learn what there is, then serve, then end."""

    def __init__(self, apps: Apps, catalog: Catalog, watch: Watch, server: Server) -> None:
        self._apps = apps
        self._catalog = catalog
        self._watch = watch
        self._server = server
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether requests may be sent here."""
        return self._server.started and not self._ending.is_set()

    async def run(self) -> int:
        """Run until a signal, or until something is gone without which it cannot go on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        learning = loop.create_task(self._apps.run())
        try:
            await self._until_known(learning)
            if not self._catalog.ready:
                self._server.close()
                return self._told(learning)
            return await self._serve(learning)
        finally:
            await asyncio.to_thread(self._watch.stop)
            learning.cancel()
            await asyncio.gather(learning, return_exceptions=True)

    def _signalled(self) -> None:
        if self._ending.is_set():
            self._hurry.set()
        self._ending.set()

    async def _until_known(self, learning: asyncio.Task[None]) -> None:
        """Wait for the extensions: a request that came before would be refused for no reason."""
        while not self._catalog.ready and not await self._ended(learning):
            pass

    async def _serve(self, learning: asyncio.Task[None]) -> int:
        # What the list brought is known; the watch goes on from there.
        self._watch.start()
        Garbage().look()  # a full collection would make each request wait that comes meanwhile
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self._server.run())
        telling = loop.create_task(self._tell_where())
        while not serving.done() and self._watch.alive and not await self._ended(learning):
            pass
        code = self._told(learning)
        self._ending.set()  # not ready any more
        if not serving.done():
            await self._drain()
            self._server.stop()
        telling.cancel()
        await serving
        return code

    async def _tell_where(self) -> None:
        await self._server.listens()
        logger.info("serving /send/, /setup/ on %s port %d", *self._server.address)

    async def _drain(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(self._server.drain()), group.create_task(self._hurry.wait())}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _ended(self, learning: asyncio.Task[None]) -> bool:
        """Whether it is time to end; waits for a moment."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await self._ending.wait()
        return self._ending.is_set() or learning.done()

    def _told(self, learning: asyncio.Task[None]) -> int:
        """Log why it ends; returns the exit code."""
        if self._ending.is_set():
            logger.info("ending")
            return 0
        if learning.done():
            logger.error("learning ended", exc_info=learning.exception())
        else:
            logger.error("ending: %s", self._watch.problem or "the server ended")
        return 1


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - there is none for every platform
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
