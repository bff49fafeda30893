"""`twitch-operator run`: the operator itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import uuid
from contextlib import nullcontext
from typing import TYPE_CHECKING

from controller.channels.as_run import set_up_as_run_logging
from controller.clients.http import new_http_client
from controller.clients.kube import Kube
from controller.clients.kube.config import Configuration, find_namespace, load_configuration
from controller.commands.other_operators import say_who_is_beside
from controller.commands.start import say_start
from controller.feeds.registry import FEEDS
from controller.handlers.watch import Watch
from controller.logs import set_up_logging
from controller.operator import Operator
from controller.runtime.probes import serve_probes
from controller.settings import Settings
from controller.term import Term
from controller.tracing.start import traces

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from controller.tracing.tracer import Tracer

__all__ = ["run_operator"]

logger = logging.getLogger(__name__)

_LOOK = 0.5


def run_operator(context: str | None) -> int:
    """Run until SIGTERM or SIGINT.

    Args:
        context: Of the kubeconfig; None: the current one.

    Returns:
        The exit code: 0 after a signal, 1 when something that cannot be mended here ended it.
    """
    settings = Settings.from_environment(os.environ)
    set_up_logging(settings.log_level, settings.log_format)
    set_up_as_run_logging(settings.as_run_log)
    for name in Settings.unknown(os.environ):
        logger.warning("%s: no such setting; it has no effect", name)
    FEEDS.load()
    # The watch's thread gives way to a cue within half a millisecond.
    sys.setswitchinterval(0.0005)
    with traces(os.environ) as tracer:
        return asyncio.run(_run(settings, context, tracer))


async def _run(settings: Settings, context: str | None, tracer: Tracer) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    def load() -> Awaitable[Configuration]:
        return load_configuration(context)

    term = Term()
    settings, identity = _as_elected(settings, context)
    async with Kube(load, term) as kube, new_http_client(settings, term) as http:
        limits = (
            f"a feed is stale after {settings.feed_stale_after:.0f} s, a call to Twitch ends after"
            f" {settings.call_timeout:.0f} s, a status is written every"
            f" {settings.status_interval:.0f} s at most"
        )
        say_start("operator", kube.host, settings, limits)
        async with _alone(kube.host, settings):
            while True:
                operator = Operator(settings, kube, http, tracer, term, identity)
                code = await _serve(settings, operator, kube, context, stop)
                if code is not None:
                    return code
                logger.info("beginning anew, with other namespaces")
                term.end()


async def _serve(
    settings: Settings, operator: Operator, kube: Kube, context: str | None, stop: asyncio.Event
) -> int | None:
    """Run one operator to its end.

    Returns:
        The exit code; None: it is to begin anew, with other namespaces.
    """
    loop = asyncio.get_running_loop()

    def notify(kind: str, event: str | None, body: Mapping[str, Any]) -> None:
        loop.call_soon_threadsafe(operator.notify, kind, event, body)

    def log_in() -> Configuration:
        return asyncio.run(load_configuration(context))

    def discover() -> None:
        asyncio.run_coroutine_threadsafe(kube.discover(), loop).result()

    watch = Watch(
        notify, log_in, discover, namespaces=settings.watch_namespaces, kinds=operator.kinds
    )
    watch.on_restart = operator.watch_restarted

    def alive() -> bool:
        return watch.alive and (operator.healthy or not operator.synced)

    async with serve_probes(settings, operator.registry, alive, lambda: operator.ready):
        work = loop.create_task(operator.run())
        try:
            return await _until_the_end(operator, watch, work, stop)
        finally:
            try:
                await operator.drain()
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await operator.flush()
            finally:
                await asyncio.to_thread(watch.stop)


def _as_elected(settings: Settings, context: str | None) -> tuple[Settings, str]:
    """The settings with the place of the Lease, and the identity of this replica."""
    if not settings.leader_election:
        return settings, ""
    place = settings.lease_namespace or find_namespace(context)
    return settings.model_copy(update={"lease_namespace": place}), (
        settings.lease_identity or f"{socket.gethostname()}-{uuid.uuid4()}"
    )


def _alone(host: str, settings: Settings) -> AbstractAsyncContextManager[None]:
    """Notice another operator beside this one, unless the two elect a leader."""
    if settings.leader_election:
        return nullcontext()
    return say_who_is_beside(host, settings.watch_namespaces, os.environ)


async def _until_the_end(
    operator: Operator, watch: Watch, work: asyncio.Task[None], stop: asyncio.Event
) -> int | None:
    watching = False
    while not stop.is_set():
        if work.done():
            logger.error("the operator ended", exc_info=work.exception())
            return 1
        if operator.synced and not watching:
            # What the list brought is known; the watch goes on from there.
            watch.start()
            watching = True
            logger.info("running")
        if operator.lost is not None:
            logger.error("ending: %s", operator.lost)
            return 1
        if operator.moving:
            return None
        if watching and not watch.alive:
            logger.error("ending: %s", watch.problem)
            return 1
        try:
            async with asyncio.timeout(_LOOK):
                await stop.wait()
        except TimeoutError:
            continue
    logger.info("ending")
    return 0
