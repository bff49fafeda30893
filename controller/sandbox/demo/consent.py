"""The consent: `twitch-operator authorize` runs, and the demo does what a browser would do."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from typing import TYPE_CHECKING

import httpx

from controller.sandbox.controlplane.processes import Processes
from controller.sandbox.demo.cast import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["free_port", "free_redirect_uri", "play_consent"]

_NAME = "authorize"
_PAGE = re.compile(r"^ *(http://\S+/authorize\?\S+)$", re.MULTILINE)
_PATIENCE = 30.0  # seconds for the page to be asked for, and for the end; it takes about two
_TICK = 0.1


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def free_redirect_uri() -> str:
    """A redirect URI on a port that nobody uses: 3000, the usual one, may be taken."""
    return f"http://localhost:{free_port()}/auth/twitch/callback"


def play_consent(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str]
) -> tuple[str, str]:
    """Run the command, and consent as whoever is signed in at simulated Twitch.

    Args:
        arguments: Of `twitch-operator`.
        folder: It runs there, and writes `authorize.log` there.
        variables: Added to this process's environment.

    Returns:
        What it printed before the consent, and after.

    Raises:
        DemoError: It did not end well.
    """
    log = folder / f"{_NAME}.log"
    log.write_text("")
    with Processes() as processes:
        command = [sys.executable, "-m", "controller", *arguments]
        environment = os.environ | dict(variables)
        processes.start(_NAME, command, log=log, cwd=folder, env=environment)
        asked, page = _wait_for_page(processes, log)
        httpx.get(page, follow_redirects=True, trust_env=False)
        code = _wait_for_end(processes)
    told = log.read_text()
    if code != 0:
        msg = f"twitch-operator {_NAME} ended with exit code {code}:\n{told}"
        raise DemoError(msg)
    return asked, told.removeprefix(asked)


def _wait_for_page(processes: Processes, log: Path) -> tuple[str, str]:
    """What is printed until it waits for the browser, and the address of the consent page."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and _NAME not in processes.exits(_TICK):
        told = log.read_text()
        if (page := _PAGE.search(told)) and told.endswith("Ctrl-C ends it.\n"):
            return told, page[1]
    msg = f"twitch-operator {_NAME} asked for no consent:\n{log.read_text()}"
    raise DemoError(msg)


def _wait_for_end(processes: Processes) -> int | None:
    """Its exit code; None: it does not end."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if (code := processes.exits(_TICK).get(_NAME)) is not None:
            return code
    return None
