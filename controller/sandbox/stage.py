"""The whole sandbox: a control plane, and beside it what the operator and the gateway call."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from controller.sandbox.controlplane.kubeconfig import write_private
from controller.sandbox.hls import HlsSimulator
from controller.sandbox.oauth import OAuthSimulator
from controller.sandbox.pubnub import SUBSCRIBE_KEY, PubNubSimulator
from controller.sandbox.pubnub.access import KeySet
from controller.sandbox.twitch import Options, TwitchSimulator
from controller.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["Stage", "exports", "path_line", "signals_interrupt", "write_exports"]

_COMMANDS = ("twitch-operator", "kubectl-twitch")
_HOST = "127.0.0.1"
_MIN_SECRET_DELAY = 2  # seconds, where the real Twitch wants 300: nobody shall wait so long here
_SECRET_RETIREMENT = 30  # seconds, where it has an hour
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class Stage:
    """The simulators beside a control plane; a context manager that ends them.

    The simulators serve in a thread of their own, so that the caller may block; they are steered
    over HTTP, as from any other process.

    Args:
        plane: It is used, and not closed in the end.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self._twitch = TwitchSimulator(
            Options(min_secret_delay=_MIN_SECRET_DELAY, secret_retirement=_SECRET_RETIREMENT)
        )
        # As at the real one: a key that nobody was given is refused.
        self._pubnub = PubNubSimulator(keys=[KeySet(subscribe_key=SUBSCRIBE_KEY)])
        self._oauth = OAuthSimulator()
        self._hls = HlsSimulator()
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="simulators", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.result().call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def twitch(self) -> str:
        """URL of simulated Twitch; `/_sandbox` below it lists what it can be told."""
        return self._twitch.url

    @property
    def pubnub(self) -> str:
        """URL of simulated PubNub; `/_sandbox` below it lists what it can be told."""
        return self._pubnub.url

    @property
    def oauth(self) -> str:
        """URL of the simulated OAuth2 provider; `/_sandbox` below it lists what it can be told."""
        return self._oauth.url

    @property
    def hls(self) -> str:
        """URL of the simulated HLS origin; `/_sandbox` below it lists what it can be told."""
        return self._hls.url

    @property
    def subscribe_key(self) -> str:
        """The key whose topics `publish_url` posts to."""
        return SUBSCRIBE_KEY

    def publish_url(self, topic: str) -> str:
        """Where a message for a topic is posted to."""
        return f"{self.pubnub}/publish/demo/{SUBSCRIBE_KEY}/0/{topic}/0"

    @property
    def environment(self) -> dict[str, str]:
        """What to export, so that kubectl and the operator find all of it."""
        variables = {
            "KUBECONFIG": str(self.plane.kubeconfig),
            f"{PREFIX}HELIX_URL": self._twitch.helix_url,
            f"{PREFIX}IDENTITY_URL": self._twitch.identity_url,
            f"{PREFIX}PUBNUB_ORIGIN": self._pubnub.origin,
            f"{PREFIX}PUBNUB_TLS": "false",
            f"{PREFIX}MIN_ACTIVATION_DELAY": f"{_MIN_SECRET_DELAY}s",
            f"{PREFIX}ALLOWED_FETCH_HOSTS": _HOST,
            "SANDBOX_TWITCH": self.twitch,
            "SANDBOX_PUBNUB": self.pubnub,
            "SANDBOX_OAUTH": self.oauth,
            "SANDBOX_HLS": self.hls,
            "SANDBOX_KUBECTL": str(self.plane.kubectl),
        }
        if any(os.environ.get(name) for name in _PROXIES):  # httpx would send them loopback too
            before = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
            variables["no_proxy"] = f"{before},{_HOST}" if before else _HOST
        return variables

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with self._twitch, self._pubnub, self._oauth, self._hls:
            self._started.set_result(asyncio.get_running_loop())
            await self._stop.wait()


def path_line(kubectl: Path) -> str:
    """A line by which a shell finds the commands that are told to users; empty: it finds them.

    On PATH, and no aliases: `kubectl twitch` is found there alone.

    Args:
        kubectl: For those who have none.
    """
    own = Path(sys.executable).parent
    folders = [] if all(shutil.which(name) for name in _COMMANDS) else [own]
    if shutil.which("kubectl") is None:
        folders.append(kubectl.parent)
    told = ":".join(map(str, folders))
    return f'export PATH={shlex.quote(told)}:"$PATH"\n' if folders else ""


def exports(variables: Mapping[str, str], kubectl: Path) -> str:
    """Lines for a POSIX shell: one for each variable, and one by which it finds the commands."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "".join(lines) + path_line(kubectl)


def write_exports(file: Path, variables: Mapping[str, str], kubectl: Path) -> None:
    """Write a file for a shell to read with `.`; it is there whole or not at all."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    write_private(unfinished, exports(variables, kubectl))
    unfinished.replace(file)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, so that every ending cleans up alike.

    SIGINT too: a shell that starts a command with `&` has it ignored.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
