"""kstatus, Flux' health expressions and Argo CD's Lua, and the CRDs of both tools."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from lupa import lua51

from controller.sandbox.controlplane import Progress
from controller.sandbox.controlplane.build import build_tool
from controller.sandbox.controlplane.pins import Tool, machine
from tests.chart.helm import obtain, obtain_files, pinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.sandbox.controlplane.toolchain import Go

__all__ = ["GITOPS", "argo_health", "flux_health", "kstatus", "obtain_crds", "obtain_health"]

GITOPS = Path(__file__).parents[2] / "examples" / "gitops"
_HERE = Path(__file__).parent
_TOOL = Tool("health", _HERE / "gomodule-health", ".")
_CRDS = {
    "github.com/argoproj/argo-cd/v3": ["manifests/crds/application-crd.yaml"],
    "github.com/fluxcd/helm-controller": [
        "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"
    ],
    "github.com/fluxcd/kustomize-controller": [
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"
    ],
    "github.com/fluxcd/source-controller": [
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"
    ],
}
# What Argo CD gives a script: gopher-lua's base and table libraries.
_CLOSED = ("coroutine", "debug", "io", "math", "os", "string", "require", "package", "python")

Judged = tuple[str, str]
"""Health and message."""


@cache
def obtain_health() -> Path:
    """The program of `gomodule-health`; the first call on a machine takes minutes.

    Raises:
        ControlPlaneError: There is no Go to build it with, or the build failed.
    """
    modules = ("github.com/fluxcd/cli-utils", "github.com/fluxcd/pkg/runtime")
    name = "-".join(["health", *(pinned(_TOOL.module, each) for each in modules)])

    def build(go: Go, folder: Path) -> None:
        with Progress().step(f"building {name}") as step:
            build_tool(go, _TOOL, folder, step)

    return obtain(f"{name}-{machine()}", [_TOOL.name], build)[0]


def obtain_crds() -> list[Path]:
    """The CRDs of Argo CD and of Flux that the examples use."""
    return obtain_files(_HERE / "gomodule-crds", _CRDS)


def kstatus(objects: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """What kstatus says of objects."""
    return _judge(objects, [])


def flux_health(kind: str, objects: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """What Flux says of objects of a kind, by the example's healthCheckExprs."""
    manifests = yaml.safe_load_all((GITOPS / "flux" / "channels.yaml").read_text("utf-8"))
    checks = [check for each in manifests for check in each["spec"].get("healthCheckExprs", ())]
    [found] = [check for check in checks if check["kind"] == kind]
    wanted = ("inProgress", "failed", "current")
    return _judge(objects, [f"{name}={found[name]}" for name in wanted])


def _judge(objects: Sequence[Mapping[str, Any]], arguments: Sequence[str]) -> list[Judged]:
    lines = "".join(f"{json.dumps(each)}\n" for each in objects)
    done = subprocess.run(
        [obtain_health(), *arguments], input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return [(each["status"], each["message"]) for each in told]


def argo_health(objects: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """What Argo CD says of objects, by the example's script."""
    config = yaml.safe_load((GITOPS / "argocd" / "argocd-cm.yaml").read_text("utf-8"))
    customized = yaml.safe_load(config["data"]["resource.customizations"])
    script = customized["twitch-operator.dev/*"]["health.lua"]
    runtime = lua51.LuaRuntime(unpack_returned_tuples=False)
    judge: Any = runtime.eval(f"function(obj) {script} end")
    for name in _CLOSED:
        runtime.globals()[name] = None
    told = [judge(runtime.table_from(dict(each), recursive=True)) for each in objects]
    return [(each["status"], each["message"]) for each in told]
