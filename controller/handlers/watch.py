"""Watches the resources with kopf, on a thread and an event loop of its own.

Only `on.event` is used: it adds no finalizer and no annotation, writes nothing, and is called for
deletions. kopf cancels whatever it finds in its loop when it ends, so it has none of ours in it.

A kopf watcher can die while the process lives, and nothing restarts it. So its retries never end,
its requests all have timeouts, and a watchdog counts the watchers. When one is gone, kopf is ended
and started anew, here on its thread: feeds and cues do not notice. Only if that fails several times
in a row although the API server answers, the process ends, and its supervisor (the kubelet) starts
it anew. While the API server is away, nothing ends it: kopf discovers `/apis` before it has any
watcher, and does so for as long as there is no answer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import kopf

from controller.backoff import backoff
from controller.clients.kube import KubeError, KubeNotFound, KubeUnavailable
from controller.resources.kind import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from controller.clients.kube.config import Configuration
    from controller.resources.kind import Kind

__all__ = ["Patience", "Watch"]

logger = logging.getLogger(__name__)

_SERVER_TIMEOUT = 300  # whole seconds: the API server refuses 300.0
_WATCHDOG_INTERVAL = 2.0
_WATCHER_GRACE = 45.0  # after the start, and while kopf replaces a watcher
_MOST_PAUSE = 10.0  # between two tries of kopf, and between two starts of it
_MOST_STARTS = 3  # in a row that led to no watch although the API server answers
_STOP_WITHIN = 20.0
_IDENTITY: Any = "twitch-operator"  # among kopf's peers, of which there are none


class _EndlessBackoff:
    """Pauses between retries, iterated anew for each request: growing, spread, without an end."""

    def __iter__(self) -> Iterator[float]:
        for failures, _ in enumerate(repeat(None), start=1):
            yield backoff(failures, random.random(), first=0.5, most=_MOST_PAUSE)  # noqa: S311 - jitter


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the watch waits.

    Attributes:
        grace: Seconds for which watchers may be missing before kopf is started anew.
        most_pause: Seconds between two starts of kopf, at most.
    """

    grace: float = _WATCHER_GRACE
    most_pause: float = _MOST_PAUSE


class Watch:
    """The watching thread.

    Args:
        notify: Called from this thread's loop with the kind's name, event type and body.
        configuration: Where the API server is, and how to log in; read again after a 401.
        discover: Asks the API server for the kinds, and raises what `Kube.discover` does; called on
            this thread, and may block it.
        namespaces: Literal names; empty: all.
        kinds: What is watched.
        patience: How long it waits for watchers, and between two starts of kopf.

    Attributes:
        problem: Why it ended for good; None: it did not.
        on_restart: Called on this thread when it is to be started anew.
    """

    def __init__(
        self,
        notify: Callable[[str, str | None, Mapping[str, Any]], None],
        configuration: Callable[[], Configuration],
        discover: Callable[[], None],
        *,
        namespaces: tuple[str, ...],
        kinds: tuple[Kind, ...],
        patience: Patience = Patience(),
    ) -> None:
        self._notify = notify
        self._configuration = configuration
        self._discover = discover
        self._patience = patience
        self._namespaces = namespaces
        self._kinds = {kind.plural: kind.name for kind in kinds}
        self._ending = threading.Event()
        self._kopf_stop = threading.Event()
        self._whole = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.problem: str | None = None
        self.on_restart: Callable[[], None] = lambda: None

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
        self._ending.set()
        self._kopf_stop.set()
        if self._thread.ident is None:
            return
        self._thread.join(_STOP_WITHIN)
        if self._thread.is_alive():
            logger.warning("the watch did not end within %.0f s", _STOP_WITHIN)

    def _run(self) -> None:
        failures = starts = 0
        while not self._ending.is_set():
            self._kopf_stop, self._whole = threading.Event(), False
            if self._ending.is_set():
                return  # stop() may have set the former event
            problem = self._run_kopf()
            if self._ending.is_set():
                return
            if self._whole:
                failures = starts = 0
            failures += 1
            logger.warning("%s; restarting the watch", problem)
            self.on_restart()
            most = self._patience.most_pause
            pause = backoff(failures, random.random(), first=min(2.0, most), most=most)  # noqa: S311
            if self._ending.wait(pause):
                return
            starts = starts + 1 if self._answers() else 0
            if starts >= _MOST_STARTS:
                self.problem = f"{problem}, {starts} times in a row"
            if self.problem is not None:
                return

    def _answers(self) -> bool:
        """Whether the API server answers; without the CRDs, this is the end."""
        try:
            self._discover()
        except KubeUnavailable:
            return False
        except KubeNotFound as error:
            self.problem = str(error)
        except KubeError as error:
            logger.warning("the kinds cannot be discovered: %s", error)
        return True

    def _run_kopf(self) -> str:
        """Watch until something ends it; returns what did."""
        self._trouble = "the watch ended by itself"
        try:
            kopf.run(
                registry=self._registry(),
                settings=_settings(),
                standalone=True,
                # kopf would name the user, and a container's has no name.
                identity=_IDENTITY,
                namespaces=self._namespaces,
                clusterwide=not self._namespaces,
                stop_flag=self._kopf_stop,
            )
        except Exception as error:
            logger.debug("the watch ended", exc_info=True)
            return f"the watch ended: {error}"
        return self._trouble

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
        if not self._kopf_stop.is_set():
            # A watcher failed. kopf waits for the flag in a thread that it cannot cancel, and would
            # never come to its end.
            self._trouble = "a watcher failed"
            self._kopf_stop.set()

    async def _guard(self) -> None:
        """End this run of kopf when a watcher is gone for good."""
        wanted = len(self._kinds) * max(1, len(self._namespaces))
        whole = time.monotonic()
        while True:
            await asyncio.sleep(min(_WATCHDOG_INTERVAL, self._patience.grace / 2))
            running = sum(task.get_name().startswith("watcher for") for task in asyncio.all_tasks())
            now = time.monotonic()
            if running >= wanted:
                whole, self._whole = now, True
            elif now - whole > self._patience.grace:
                self._trouble = f"{running} of {wanted} watchers run"
                self._kopf_stop.set()
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
