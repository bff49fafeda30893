"""A Go toolchain that is new enough: the machine's, or one from a Python package."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.pins import (
    TOOLCHAIN_REQUIREMENTS,
    machine,
    required_go,
    toolchain_version,
)
from controller.sandbox.controlplane.processes import Processes, last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.sandbox.controlplane.cache import Cache
    from controller.sandbox.controlplane.progress import Progress, Step

__all__ = ["Go", "go_version", "obtain_go"]


@dataclass(frozen=True)
class Go:
    """A toolchain to build with.

    Args:
        command: The `go` program.
        env: Environment to run it in.
        work: Folder of its downloads and intermediate results, if they are the sandbox's own.
    """

    command: Path
    env: Mapping[str, str]
    work: Path | None = None

    def forget_work(self) -> None:
        """Remove downloads and intermediate results (gigabytes), unless they are the user's."""
        if self.work is not None:
            shutil.rmtree(self.work, ignore_errors=True)


def obtain_go(environment: Mapping[str, str], cache: Cache, progress: Progress) -> Go:
    """The machine's Go if it is new enough, else the pinned one, fetched into the cache.

    Args:
        environment: Its PATH is looked at; its variables are what Go runs with.
        cache: Where a fetched toolchain stays. Hold the lock.
        progress: Told of the fetching.

    Raises:
        ControlPlaneError: There is none, and none can be fetched.
    """
    env = dict(environment) | {
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",  # never another one than the one chosen here
        "GOWORK": "off",
        "CGO_ENABLED": "0",  # no C compiler needed
    }
    on_path = shutil.which("go", path=environment.get("PATH", ""))
    if on_path and go_version(Path(on_path), env) >= required_go():
        return Go(Path(on_path), env)
    folder = f"go-{toolchain_version()}-{machine()}"
    command = cache.root / folder / "go" / "bin" / "go"
    if not command.is_file():
        wanted = ".".join(str(part) for part in required_go())
        progress.say(f"no Go {wanted} or newer on PATH; fetching Go {toolchain_version()}")
        with cache.temporary() as temporary, progress.step("fetching a Go toolchain") as step:
            _install(temporary, env, step)
            cache.put(temporary / "target" / "go", folder)
    work = cache.root / "go-work"
    # This machine's user has no use for Go's own folders in the home: keep out of there.
    env.setdefault("GOCACHE", str(work / "build"))
    env.setdefault("GOMODCACHE", str(work / "modules"))
    env["GOFLAGS"] += " -modcacherw"  # or they could not be removed
    env.pop("GOROOT", None)
    return Go(command, env, work)


def go_version(command: Path, env: Mapping[str, str]) -> tuple[int, ...]:
    """Version of a `go` program, such as `(1, 26, 8)`; empty if it does not tell."""
    try:
        told = subprocess.run(
            [command, "env", "GOVERSION"],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",  # no go.mod there that asks for another one
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.match(r"go(\d+(?:\.\d+)*)", told.stdout)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _install(folder: Path, env: Mapping[str, str], step: Step) -> None:
    """Install the package with the Go toolchain into `target`, with whatever installs packages."""
    wanted: list[str | Path] = ["--no-deps", "--target", folder / "target", "--require-hashes"]
    wanted += ["--only-binary", ":all:", "-r", TOOLCHAIN_REQUIREMENTS]
    log = folder / "log"
    with Processes() as processes:
        argv = [*_installer(folder, env), *wanted]
        processes.start("install", argv, log=log, cwd=folder, env=env)
        while (code := processes.exits(wait=0.2).get("install")) is None:
            step.update()
    if code != 0:
        msg = (
            f"the Go toolchain cannot be fetched:\n{last_lines(log)}\n"
            "Install Go yourself, or set KUBEBUILDER_ASSETS to a folder that has "
            "kube-apiserver, etcd and kubectl."
        )
        raise ControlPlaneError(msg)


def _installer(folder: Path, env: Mapping[str, str]) -> list[str | Path]:
    """`pip install` of this Python, or uv's, or that of a throwaway environment."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    if uv := shutil.which("uv", path=env.get("PATH", "")):
        return [uv, "pip", "install", "--python", sys.executable]
    try:
        venv.create(folder / "venv", with_pip=True)
    except subprocess.CalledProcessError:
        msg = "neither pip nor uv is there to fetch a Go toolchain with; install Go, pip or uv"
        raise ControlPlaneError(msg) from None
    return [folder / "venv" / "bin" / "python", "-m", "pip", "install"]
