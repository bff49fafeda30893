"""Who takes part: the programs as processes of their own, kubectl, and Twitch over HTTP."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Self

import httpx
from httpx import HTTPError

from controller.sandbox.controlplane.processes import Processes, last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane

__all__ = ["DemoError", "HTTPError", "Program", "post", "read_commercials", "read_resources"]

_KINDS = "twitchchannels,triggerrules,extensionapps"


class DemoError(Exception):
    """Why the demo cannot go on; the message has what the one at fault said."""


class Program:
    """A command of `twitch-operator`, started as a user would; a context manager that ends it.

    It ends with this process, whatever ends that.

    Args:
        name: What it is called here: the operator, or the gateway.
        command: Such as `run`.
        folder: It runs there, and writes `<name>.log` there.
        variables: Added to this process's environment.
    """

    def __init__(self, name: str, command: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.log = folder / f"{name}.log"
        self._name = name
        self._command = command
        self._folder = folder
        self._variables = variables
        self._processes = Processes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()

    def start(self) -> int:
        """Start it.

        Returns:
            Its process id.
        """
        command = [sys.executable, "-m", "controller", self._command]
        environment = os.environ | dict(self._variables)
        return self._processes.start(
            self._name, command, log=self.log, cwd=self._folder, env=environment
        )

    def check(self, wait: float = 0) -> None:
        """See that it runs.

        Args:
            wait: Seconds to watch it, at most.

        Raises:
            DemoError: It has ended.
        """
        code = self._processes.exits(wait).get(self._name)
        if code is not None:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            msg = f"the {self._name} {how}; the end of its log:\n{last_lines(self.log)}"
            raise DemoError(msg)

    def read_log(self) -> str:
        """All that it has logged."""
        return self.log.read_text("utf-8", "replace")


def post(url: str, body: str = "") -> httpx.Response:
    """What the curl of the demo does.

    Raises:
        DemoError: A simulator refused.
    """
    answer = httpx.post(url, content=body, trust_env=False)
    if answer.is_error:
        msg = f"{url} answered {answer.status_code}: {answer.text}"
        raise DemoError(msg)
    return answer


def read_commercials(twitch: str) -> list[dict[str, Any]]:
    """What simulated Twitch was asked to run, oldest first."""
    answer = httpx.get(f"{twitch}/_sandbox/commercials", trust_env=False)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["commercials"]
    return found


def read_resources(plane: ControlPlane) -> list[dict[str, Any]]:
    """All TwitchChannels, TriggerRules and ExtensionApps of the namespace, by kind and name.

    Raises:
        ControlPlaneError: The API server does not tell.
    """
    told = plane.run_kubectl("get", _KINDS, "-o", "json", check=True)
    found: list[dict[str, Any]] = json.loads(told.stdout)["items"]
    return found
