"""Watches the resources with kopf, on a thread and an event loop of its own.

Only `on.event` is used: it adds no finalizer and no annotation, writes nothing, and is called for
deletions. kopf cancels whatever it finds in its loop when it ends, so it has none of ours in it.

A kopf watcher can die while the process lives, and nothing restarts it. So its retries never end,
its requests all have timeouts, and a watchdog counts the watchers; when one is gone, the operator
ends and its supervisor (the kubelet) starts it anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from itertools import repeat
from typing import TYPE_CHECKING, Any

import kopf

from controller.backoff import backoff
from controller.engine.resource import PLURALS, Kind
from controller.resources.kind import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kubernetes.aio.client.configuration import Configuration

__all__ = ["Watch"]

logger = logging.getLogger(__name__)

_SERVER_TIMEOUT = 300  # whole seconds: the API server refuses 300.0
_WATCHDOG_INTERVAL = 2.0
_WATCHER_GRACE = 30.0  # after the start, and while kopf replaces a watcher
_STOP_WITHIN = 20.0


class _EndlessBackoff:
    """Pauses between retries, iterated anew for each request: growing, spread, without an end."""

    def __iter__(self) -> Iterator[float]:
        for failures, _ in enumerate(repeat(None), start=1):
            yield backoff(failures, random.random(), first=0.5, most=30.0)  # noqa: S311 - jitter


class Watch:
    """The watching thread.

    Args:
        notify: Called from this thread's loop with kind, event type and body.
        configuration: Where the API server is, and how to log in; read again after a 401.
        namespaces: Literal names; empty: all.
        kinds: What is watched; by default all.
    """

    def __init__(
        self,
        notify: Callable[[Kind, str | None, Mapping[str, Any]], None],
        configuration: Callable[[], Configuration],
        namespaces: tuple[str, ...],
        kinds: tuple[Kind, ...] = tuple(PLURALS),
    ) -> None:
        self._notify = notify
        self._configuration = configuration
        self._namespaces = namespaces
        self._kinds: dict[str, Kind] = {PLURALS[kind]: kind for kind in kinds}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.problem: str | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether all watchers run, or were not started yet."""
        begun = self._thread.ident is not None
        return self.problem is None and (self._thread.is_alive() or not begun)

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_WITHIN)
        if self._thread.is_alive():
            logger.warning("the watch did not end within %.0f s", _STOP_WITHIN)

    def _run(self) -> None:
        try:
            kopf.run(
                registry=self._registry(),
                settings=_settings(),
                standalone=True,
                namespaces=self._namespaces,
                clusterwide=not self._namespaces,
                stop_flag=self._stop,
            )
        except Exception as error:
            logger.exception("the watch ended")
            self.problem = f"the watch ended: {type(error).__name__}"
        if not self._stop.is_set() and self.problem is None:
            self.problem = "the watch ended by itself"

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        for plural in self._kinds:
            kopf.on.event(GROUP, VERSION, plural, registry=registry)(self._event)
        kopf.on.login(registry=registry)(self._login)
        kopf.on.startup(registry=registry)(self._begin)
        kopf.on.cleanup(registry=registry)(self._end)
        return registry

    async def _event(
        self,
        type: str | None,  # noqa: A002 - kopf's name
        body: kopf.Body,
        resource: kopf.Resource,
        **_: Any,  # noqa: ANN401 - kopf's own
    ) -> None:
        # A coroutine: kopf would give a plain function a thread for each event.
        self._notify(self._kinds[resource.plural], type, dict(body))

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - kopf's own
        # kopf logs in at the start, and again after a 401: with what is valid then.
        configuration = await asyncio.to_thread(self._configuration)
        bearer = str(configuration.api_key.get("BearerToken") or "")
        kind, _space, token = bearer.rpartition(" ")
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            token=token or None,
            scheme=kind.capitalize() or "Bearer",
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )

    async def _begin(self, **_: Any) -> None:  # noqa: ANN401 - kopf's own
        self._watchdog = asyncio.get_running_loop().create_task(self._guard(), name="watchdog")

    async def _end(self, **_: Any) -> None:  # noqa: ANN401 - kopf's own
        # kopf would wait some seconds for it before it cancels it.
        self._watchdog.cancel()
        if not self._stop.is_set():
            # A watcher failed. kopf waits for the flag in a thread that it cannot cancel, and would
            # never come to its end.
            self.problem = self.problem or "a watcher failed"
            self._stop.set()

    async def _guard(self) -> None:
        """End the watch when a watcher is gone for good."""
        wanted = len(self._kinds) * max(1, len(self._namespaces))
        whole = time.monotonic()
        while True:
            await asyncio.sleep(_WATCHDOG_INTERVAL)
            running = sum(task.get_name().startswith("watcher for") for task in asyncio.all_tasks())
            now = time.monotonic()
            if running >= wanted:
                whole = now
            elif now - whole > _WATCHER_GRACE:
                self.problem = f"{running} of {wanted} watchers run"
                logger.error("%s; ending, to be started anew", self.problem)
                self._stop.set()
                return


class _NoEssence(kopf.DiffBaseStorage):
    """`on.event` compares nothing: kopf need not copy each resource to remember it."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 - kopf's own
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - kopf's own
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401 - kopf's own
        return


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = _NoEssence()
    # Kinds and namespaces are known: to look for them would need rights on the whole cluster.
    settings.scanning.disabled = True
    settings.watching.server_timeout = _SERVER_TIMEOUT
    settings.watching.client_timeout = _SERVER_TIMEOUT + 30
    settings.watching.connect_timeout = 10
    # kopf has a task for each resource from an event until it was idle for a while. For ten
    # thousand at once, with their bodies, that would take 200 MiB.
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 0.1
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = _EndlessBackoff()
    return settings
