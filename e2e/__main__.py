"""`make e2e`: the chart on a real node of this machine, from `helm install` to `helm uninstall`.

It takes root, Linux, and Debian's packages of containerd, runc and others. Whatever it makes is
gone afterwards. Exit codes: 0; 1: something failed; 77: this machine lacks something, and nothing
was tested; 130: interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from controller.sandbox.stage import signals_interrupt
from e2e.binaries import obtain_binaries
from e2e.image import build_image
from e2e.namespaces import check_namespaces, run_in_namespaces, workplace
from e2e.tools import MISSING, Failure, Missing, require, run, say

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAMS = ("buildah", "containerd", "ctr", "runc", "dnsmasq", "ip", "iptables")
_BRIDGE = Path("/usr/lib/cni/bridge")


def main(arguments: Sequence[str]) -> int:
    """Check what is there, get what can be had, run, and say what came of it."""
    parser = argparse.ArgumentParser(prog="make e2e", description=__doc__)
    parser.add_argument("--install", action="store_true", help="install missing packages: apt-get")
    parser.add_argument("--base", help="image to build from, or debootstrap")
    given = parser.parse_args(arguments)
    with signals_interrupt():
        try:
            return _run(given.base, install=given.install)
        except Missing as missing:
            say(f"missing: {missing}")
            return MISSING
        except Failure as failure:
            say(f"failed: {failure}")
            return 1
        except KeyboardInterrupt:
            say("interrupted")
            return 130


def _run(base: str | None, *, install: bool) -> int:
    require(_PROGRAMS, install=install)
    _require_bridge(install=install)
    check_namespaces()
    obtain_binaries()
    with tempfile.TemporaryDirectory(prefix="twitch-operator-images-") as images:
        image = build_image(Path(images), base, pause=True)
        with workplace() as folder:
            archives = (image.archive, image.archive.with_name("pause.tar"))
            code = run_in_namespaces([sys.executable, "-m", "e2e.inside", folder, *archives])
    say("all that was made is removed" if code == 0 else f"ended with exit code {code}")
    return code


def _require_bridge(*, install: bool) -> None:
    package = "containernetworking-plugins"
    if install and not _BRIDGE.is_file():
        run("apt-get", "install", "--yes", "--no-install-recommends", package, timeout=600)
    if not _BRIDGE.is_file():
        msg = f"{_BRIDGE}: not on this machine. Install: apt-get install {package}"
        raise Missing(msg)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
