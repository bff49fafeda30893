"""`make image`: build the container image, without a daemon where buildah is there.

The result is an archive in `build/image`, which `ctr images import`, `podman load` and
`skopeo copy` read. Exit codes: 0, 1 for a failure, 77 if this machine lacks a program.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from controller.folders import cache_folder
from controller.sandbox.stage import signals_interrupt
from e2e.tools import MISSING, Failure, Missing, complete, require, run, say

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NAME", "Image", "build_image", "image_version"]

ROOT = Path(__file__).parents[1]
NAME = "localhost/twitch-operator"
PAUSE = "localhost/pause:e2e"
_DEFAULT_BASE = "python:3.13-slim"
_DEBOOTSTRAP = "debootstrap"  # as a base: one that is made here, of the packages of this machine
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_BUILD_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Image:
    """An image in an archive.

    Args:
        archive: The file, in OCI's layout or as `docker save` writes it.
        name: With its tag.
        base: What it was built from.
    """

    archive: Path
    name: str
    base: str


def image_version() -> str:
    """The tag: the version of the package."""
    return version("twitch-operator")


def build_image(folder: Path, base: str | None = None, *, pause: bool = False) -> Image:
    """Build the image with the first of buildah, podman and docker that works here.

    Args:
        folder: Gets the archive.
        base: Image to build from, or `debootstrap`; None: the Dockerfile's default if it can be
            pulled, else debootstrap.
        pause: Add to the archive an image that only waits, for a node without registry (buildah).

    Raises:
        Missing: There is no program to build it with.
        Failure: The build failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / "twitch-operator.tar"
    archive.unlink(missing_ok=True)
    name = f"{NAME}:{image_version()}"
    path = complete(os.environ)["PATH"]
    if shutil.which("buildah", path=path):
        with tempfile.TemporaryDirectory(prefix="storage-", dir=folder) as storage:
            builder = _Buildah(Path(storage))
            try:
                base = builder.build(name, base)
                builder.save(name, archive)
                if pause:
                    builder.save_pause(name, folder / "pause.tar")
            finally:
                builder.remove_all()
        return Image(archive, name, base)
    for tool in ("podman", "docker"):
        if shutil.which(tool, path=path) and base != _DEBOOTSTRAP and _answers(tool):
            used = base or _DEFAULT_BASE
            say(f"building {name} from {used} with {tool}")
            run(tool, "build", *_arguments(used), "-t", name, ROOT, timeout=_BUILD_TIMEOUT)
            run(tool, "save", "-o", archive, name, timeout=300)
            return Image(archive, name, used)
    msg = "buildah, podman or docker with a daemon: none is here. Install: apt-get install buildah"
    raise Missing(msg)


class _Buildah:
    """buildah with storage of its own, which needs no kernel support and is removed afterwards."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._env = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(storage)}

    def build(self, name: str, base: str | None) -> str:
        """Build the image; returns the base."""
        if base is None:
            base = _DEFAULT_BASE if self._pulls(_DEFAULT_BASE) else _DEBOOTSTRAP
        told = base
        if base == _DEBOOTSTRAP:
            tarball, told = _make_base()
            base = "localhost/base"
            container = self.run("from", "scratch").strip()
            self.run("add", container, tarball, "/", timeout=300)
            self.run("commit", "--rm", container, base, timeout=300)
        say(f"building {name} from {told} with buildah")
        arguments = [*_arguments(base), *_trust(), "--layers=false", "--format=oci"]
        self.run("build", *arguments, "-t", name, str(ROOT), timeout=_BUILD_TIMEOUT)
        return told

    def save(self, name: str, archive: Path) -> None:
        """Write an image to a file."""
        self.run("push", name, f"oci-archive:{archive}:{name}", timeout=300)
        size = self.run("images", "--format", "{{.Size}}", name).strip()
        packed = archive.stat().st_size / 1e6
        say(f"{archive}: {packed:.0f} MB as it is pulled, {size} unpacked")

    def save_pause(self, name: str, archive: Path) -> None:
        """Write an image that only waits, of the same layers."""
        container = self.run("from", "--pull-never", name).strip()
        entrypoint = '["/bin/sleep", "infinity"]'
        self.run("config", "--entrypoint", entrypoint, "--cmd", "", container)
        self.run("commit", "--rm", container, PAUSE, timeout=300)
        self.run("push", PAUSE, f"oci-archive:{archive}:{PAUSE}", timeout=300)

    def run(self, command: str, *arguments: str | Path, timeout: float = 60) -> str:
        """Run one of its commands."""
        storage = ("--storage-driver", "vfs", "--root", self._storage / "root")
        where = (*storage, "--runroot", self._storage / "run")
        return run("buildah", *where, command, *arguments, timeout=timeout, env=self._env)

    def remove_all(self) -> None:
        """Unmount whatever an interrupted build left, so that its folder can be removed."""
        self.run("rm", "--all", timeout=120)

    def _pulls(self, image: str) -> bool:
        try:
            self.run("pull", image, timeout=300)
        except Failure as failure:
            say(f"{image} cannot be pulled: {str(failure).splitlines()[-1]}")
            return False
        return True


def _make_base() -> tuple[Path, str]:
    """Return a small Debian or Ubuntu with Python as a tarball, and what it is, for the user."""
    require(["debootstrap"], install=False)
    if os.geteuid() != 0:
        msg = "root: debootstrap needs it. Run as root, or name a base: make image BASE=…"
        raise Missing(msg)
    wanted = ("indextargets", "--format", "$(REPO_URI) $(RELEASE)")
    told = run("apt-get", *wanted, "Created-By: Packages", "Component: main").split()
    if not told:
        msg = "a package archive: apt-get update finds none. Name a base: make image BASE=…"
        raise Missing(msg)
    mirror, suite = told[:2]
    kept = cache_folder(os.environ) / "image" / f"base-{suite}.tar"
    told_as = f"a base of {suite} by debootstrap"
    if kept.is_file():
        return kept, f"{told_as} ({kept})"
    say(f"making {told_as}, once")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=kept.parent) as made:
        tree, packages = Path(made) / "tree", "--include=python3,ca-certificates"
        run("debootstrap", "--variant=minbase", packages, suite, tree, mirror, timeout=900)
        _slim(tree)
        unfinished = Path(made) / "tar"
        run("tar", "--numeric-owner", "--one-file-system", "-cf", unfinished, "-C", tree, ".")
        unfinished.rename(kept)
    return kept, told_as


def _slim(tree: Path) -> None:
    """Remove what packages can be fetched and read with; licences stay."""
    for each in ("var/cache/apt", "var/lib/apt/lists", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(tree / each)
        (tree / each).mkdir()
    for file in (tree / "usr/share/doc").rglob("*"):
        if file.is_file() and file.name != "copyright":
            file.unlink()
    (tree / "etc/resolv.conf").unlink(missing_ok=True)


def _arguments(base: str) -> list[str]:
    revision = run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    values = {"BASE": base, "VERSION": image_version(), "REVISION": revision}
    return [part for key, value in values.items() for part in ("--build-arg", f"{key}={value}")]


def _trust() -> list[str]:
    """Mounts for the build alone: whom this machine's pip trusts, and where it looks."""
    files = [Path("/etc/pip.conf"), Path(_CERTIFICATES)]
    return [part for file in files if file.is_file() for part in ("-v", f"{file}:{file}:ro")]


def _answers(tool: str) -> bool:
    try:
        run(tool, "info")
    except Failure:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    """Build, and say what came of it."""
    parser = argparse.ArgumentParser(prog="make image", description=__doc__)
    parser.add_argument("--base", help=f"image to build from, or {_DEBOOTSTRAP}")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "image")
    given = parser.parse_args(arguments)
    with signals_interrupt():
        try:
            image = build_image(given.folder.absolute(), given.base)
        except Missing as missing:
            say(f"missing: {missing}")
            return MISSING
        except (Failure, KeyboardInterrupt) as failure:
            say(f"failed: {str(failure) or 'interrupted'}")
            return 1
    say(f"built {image.name} from {image.base}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
