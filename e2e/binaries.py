"""The programs of a node and the scheduler, built once and kept with the control plane's."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.sandbox.controlplane import ControlPlaneError, Progress
from controller.sandbox.controlplane.build import build_tool
from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.locate import built_folder, obtain_programs
from controller.sandbox.controlplane.pins import kubernetes_tool
from controller.sandbox.controlplane.toolchain import obtain_go
from e2e.tools import Failure
from tests.chart.helm import obtain_helm

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Binaries", "obtain_binaries"]

_NODE = ("kubelet", "kube-scheduler", "kube-proxy")


@dataclass(frozen=True)
class Binaries:
    """The programs of Kubernetes that the sandbox does not start itself."""

    controller_manager: Path
    kubelet: Path
    scheduler: Path
    proxy: Path


def obtain_binaries() -> Binaries:
    """Find them in the cache, or build them, and also what the sandbox and helm are.

    Raises:
        Failure: There is no Go to build them with, or a build failed.
    """
    cache, progress = Cache.of_user(os.environ), Progress()
    try:
        programs = obtain_programs(os.environ, cache, progress, need_controller_manager=True)
        obtain_helm()
        folder = cache.root / built_folder()
        if not all((folder / name).is_file() for name in _NODE):
            with cache.locked(progress):
                _build(folder, cache, progress)
    except ControlPlaneError as error:
        raise Failure(str(error)) from error
    if programs.controller_manager is None:
        msg = f"kube-controller-manager was built and is gone again; is {cache.root} emptied?"
        raise Failure(msg)
    return Binaries(programs.controller_manager, *(folder / name for name in _NODE))


def _build(folder: Path, cache: Cache, progress: Progress) -> None:
    go = obtain_go(os.environ, cache, progress)
    missing = [name for name in _NODE if not (folder / name).is_file()]
    for number, name in enumerate(missing, 1):
        title = f"building {name}"
        with progress.step(title, number, len(missing)) as step, cache.temporary() as temporary:
            build_tool(go, kubernetes_tool(name), temporary, step)
            cache.put(temporary / name, folder.name)
    go.forget_work()
