"""Programs of the machine: which are missing, how to get them, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["MISSING", "Failure", "Missing", "complete", "require", "run", "say"]

MISSING = 77  # exit code: this machine lacks something; nothing was tested
_PACKAGES = {  # Debian's and Ubuntu's, by program
    "buildah": "buildah",
    "containerd": "containerd",
    "ctr": "containerd",
    "debootstrap": "debootstrap",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "iptables": "iptables",
    "runc": "runc",
}
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_BEGAN = time.monotonic()


class Failure(Exception):
    """Something went wrong; the message has what the program at fault said."""


class Missing(Exception):
    """This machine lacks something; the message names it and the remedy."""


def say(text: str) -> None:
    """Write a line of progress, with the seconds since the start."""
    sys.stdout.write(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}\n")
    sys.stdout.flush()


def complete(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that finds the programs of administrators, too."""
    path = os.pathsep.join([environment.get("PATH", os.defpath), *_SBIN])
    return {**environment, "PATH": path}


def require(programs: Sequence[str], *, install: bool) -> None:
    """See that programs are there.

    Args:
        programs: Names, such as `runc`.
        install: Install the packages of those that lack, with apt-get.

    Raises:
        Missing: One is not there; the message has the command that installs it.
        Failure: apt-get failed.
    """
    path = complete(os.environ)["PATH"]
    lacking = [name for name in programs if shutil.which(name, path=path) is None]
    if not lacking:
        return
    packages = sorted({_PACKAGES[name] for name in lacking})
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if not install:
        msg = f"{', '.join(lacking)}: not on this machine. Install: {' '.join(command)}"
        raise Missing(msg)
    say(" ".join(command))
    run("apt-get", "update", timeout=300)
    run(*command, timeout=600, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    require(programs, install=False)


def run(
    *argv: str | Path,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        Failure: It failed or took longer than `timeout` seconds.
    """
    whole = complete(os.environ if env is None else env)
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
            env=whole,
            cwd=cwd,
        )
    except subprocess.TimeoutExpired:
        msg = f"{argv[0]} {' '.join(map(str, argv[1:4]))} … took longer than {timeout:.0f} s"
        raise Failure(msg) from None
    except OSError as error:
        raise Failure(str(error)) from error
    if done.returncode != 0:
        said = "\n".join((done.stderr or done.stdout).splitlines()[-25:])
        msg = f"{' '.join(map(str, argv))} ended with exit code {done.returncode}:\n{said}"
        raise Failure(msg)
    return done.stdout
