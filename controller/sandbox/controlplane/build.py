"""Building the programs from the pinned Go modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.pins import (
    TOOLS,
    Tool,
    etcd_version,
    kubernetes_version,
)
from controller.sandbox.controlplane.processes import Processes, last_lines
from controller.sandbox.controlplane.toolchain import Go, obtain_go

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from controller.sandbox.controlplane.cache import Cache
    from controller.sandbox.controlplane.progress import Progress, Step

__all__ = ["build", "build_tool"]


def build(
    names: Sequence[str],
    folder: str,
    environment: Mapping[str, str],
    cache: Cache,
    progress: Progress,
) -> None:
    """Build programs and put each into the cache as soon as it is done. Hold the cache's lock.

    Args:
        names: Of `TOOLS`, in the order to build them.
        folder: Name of the folder in the cache that they belong to.
        environment: Go's own variables in it (GOPROXY, GOCACHE, …) are respected.
        cache: Where they go.
        progress: Told of each step.

    Raises:
        ControlPlaneError: There is no Go, or a build failed; the message has its last lines.
    """
    progress.say("Building from source, once: 5 to 10 minutes on two cores.")
    go = obtain_go(environment, cache, progress)
    for number, name in enumerate(names, 1):
        tool = TOOLS[name]
        version = etcd_version() if name == "etcd" else kubernetes_version()
        title = f"building {name} {version}"
        with progress.step(title, number, len(names)) as step, cache.temporary() as temporary:
            build_tool(go, tool, temporary, step)
            cache.put(temporary / name, folder)
    go.forget_work()


def build_tool(go: Go, tool: Tool, folder: Path, step: Step) -> None:
    """Build one program into a folder.

    Args:
        go: What builds it.
        tool: Which program.
        folder: Gets the program, under its name.
        step: Told how far it is.

    Raises:
        ControlPlaneError: The build failed; the message has its last lines.
    """
    program = folder / tool.name
    env = {**go.env, "GOTMPDIR": str(folder)}  # or a killed build would leave its files in /tmp
    with Processes() as processes:  # a build does not go on when this process is killed

        def run(*arguments: str | Path, log: Path, total: int | None = None) -> int:
            argv = [go.command, *arguments, *_flags(tool), tool.package]
            processes.start("go", argv, log=log, cwd=tool.module, env=env)
            while (code := processes.exits(wait=0.2).get("go")) is None:
                step.update(_count_packages(log), total)
            return code

        # First what is yet to be compiled, which downloads the modules too: the bar's length.
        packages, log = folder / "packages", folder / "log"
        run("list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", log=packages)
        code = run("build", "-v", "-o", program, log=log, total=_count_packages(packages) or None)
    if code != 0 or not program.is_file():
        msg = (
            f"building {tool.name} with {go.command} failed:\n{last_lines(log)}\n"
            "Set KUBEBUILDER_ASSETS to a folder that has kube-apiserver, etcd and kubectl, "
            "or use a cluster that you have, by its kubeconfig."
        )
        raise ControlPlaneError(msg)


def _flags(tool: Tool) -> list[str]:
    set_at_link_time = ["-s", "-w"]
    if tool.package.startswith("k8s.io/kubernetes/"):  # else it calls itself v0.0.0
        version = kubernetes_version(tool.module)
        major, minor, _ = version.removeprefix("v").split(".", 2)
        for name, value in (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)):
            set_at_link_time += ["-X", f"k8s.io/component-base/version.{name}={value}"]
    return ["-trimpath", "-buildvcs=false", "-ldflags", " ".join(set_at_link_time)]


def _count_packages(log: Path) -> int:
    """How many import paths Go has written, a line each, among what else it tells."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return sum(1 for line in lines if line and not line.startswith("go: "))
