"""Finding the programs of a control plane, from the quickest place to the slowest.

In this order: the folder that `KUBEBUILDER_ASSETS` names, the cache, a published archive, a build
from the pinned Go modules.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controller.sandbox.controlplane.build import build
from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.fetch import ArchiveUnavailable, fetch_archive
from controller.sandbox.controlplane.pins import (
    ENVTEST_VERSION,
    TOOLS,
    etcd_version,
    kubernetes_version,
    machine,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.sandbox.controlplane.cache import Cache
    from controller.sandbox.controlplane.progress import Progress

__all__ = ["Programs", "find_kubectl", "find_programs", "obtain_programs"]

ASSETS = "KUBEBUILDER_ASSETS"
_NEEDED = ("kube-apiserver", "etcd", "kubectl")
_MANAGER = "kube-controller-manager"


@dataclass(frozen=True)
class Programs:
    """Where the programs are.

    Args:
        origin: Where they come from, for the user.
        controller_manager: None where there is none: then owner references are not collected,
            and a deleted namespace stays Terminating.
    """

    origin: str
    kube_apiserver: Path
    etcd: Path
    kubectl: Path
    controller_manager: Path | None


def built_folder() -> str:
    """Name of the folder of what is built from the pinned modules: versions and platform."""
    return f"{kubernetes_version()}-etcd-{etcd_version()}-{machine()}"


def archive_folder() -> str:
    """Name of the folder of what comes from the published archive."""
    return f"envtest-{ENVTEST_VERSION}-{machine()}"


def find_programs(environment: Mapping[str, str], cache: Cache) -> Programs | None:
    """What is there without fetching or building anything; None: not enough for a plane.

    Raises:
        ControlPlaneError: `KUBEBUILDER_ASSETS` names a folder that lacks a program.
    """
    built = cache.root / built_folder()
    manager = _program(built, _MANAGER)
    if assets := environment.get(ASSETS):
        folder = Path(assets)
        missing = [name for name in _NEEDED if _program(folder, name) is None]
        if missing:
            msg = f"{ASSETS}: {folder} has no {' or '.join(missing)}; fill it or unset {ASSETS}"
            raise ControlPlaneError(msg)
        return _programs(f"{ASSETS} ({folder})", folder, _program(folder, _MANAGER) or manager)
    for folder in (built, cache.root / archive_folder()):
        if all(_program(folder, name) for name in _NEEDED):
            return _programs(f"the cache ({folder})", folder, manager)
    return None


def obtain_programs(
    environment: Mapping[str, str],
    cache: Cache,
    progress: Progress,
    *,
    need_controller_manager: bool = False,
) -> Programs:
    """Find the programs, or else fetch or build them, and keep them in the cache.

    Args:
        environment: Such as `os.environ`.
        cache: Where they are kept.
        progress: Told what goes on, if anything slow does.
        need_controller_manager: Build kube-controller-manager, in minutes, where only it is
            missing (no published archive has it).

    Raises:
        ControlPlaneError: They cannot be had; the message tells the ways to help.
    """

    def found() -> Programs | None:
        programs = find_programs(environment, cache)
        lacks = programs and need_controller_manager and programs.controller_manager is None
        return None if lacks else programs

    if programs := found():
        return programs
    with cache.locked(progress):
        if programs := found():  # another run has made them meanwhile
            return programs
        if find_programs(environment, cache) is None:
            _fetch(environment, cache, progress)
        if programs := found():
            return programs
        have = find_programs(environment, cache)
        built = cache.root / built_folder()
        wanted = [_MANAGER] if have else list(TOOLS)
        missing = [name for name in wanted if _program(built, name) is None]
        build(missing, built_folder(), environment, cache, progress)
    programs = found()
    if programs is None:
        msg = f"the programs were built and are gone again; does something empty {cache.root}?"
        raise ControlPlaneError(msg)
    return programs


def find_kubectl(environment: Mapping[str, str], cache: Cache, progress: Progress) -> Path:
    """A kubectl for a cluster that is not the sandbox's: its own if at hand, else the machine's.

    Raises:
        ControlPlaneError: There is none, and none can be had.
    """
    if programs := find_programs(environment, cache):
        return programs.kubectl
    if on_path := shutil.which("kubectl", path=environment.get("PATH")):
        return Path(on_path)
    return obtain_programs(environment, cache, progress).kubectl


def _fetch(environment: Mapping[str, str], cache: Cache, progress: Progress) -> None:
    try:
        with cache.temporary() as folder:
            for file in fetch_archive(environment, folder, _NEEDED, progress):
                cache.put(file, archive_folder())
    except ArchiveUnavailable as reason:
        progress.say(f"no archive of the control plane ({reason}); building it from source")


def _program(folder: Path, name: str) -> Path | None:
    file = folder / name
    return file if file.is_file() and os.access(file, os.X_OK) else None


def _programs(origin: str, folder: Path, manager: Path | None) -> Programs:
    return Programs(
        origin=origin,
        kube_apiserver=folder / "kube-apiserver",
        etcd=folder / "etcd",
        kubectl=folder / "kubectl",
        controller_manager=manager,
    )
