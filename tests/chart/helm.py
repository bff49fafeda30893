"""helm, kube-score and other projects' CRDs, from pinned Go modules, kept in the same cache."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from controller.sandbox.controlplane import Progress
from controller.sandbox.controlplane.build import build_tool
from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.pins import Tool, machine
from controller.sandbox.controlplane.toolchain import Go, obtain_go

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "CHART",
    "Manifest",
    "helm",
    "helm_environment",
    "obtain",
    "obtain_crds",
    "obtain_files",
    "obtain_helm",
    "pinned",
    "refusal",
    "render",
    "score",
]

Manifest = dict[str, Any]

CHART = Path(__file__).parents[2] / "charts" / "twitch-operator"
_HERE = Path(__file__).parent
_HELM = Tool("helm", _HERE / "gomodule", "helm.sh/helm/v4/cmd/helm")
_SCORE = Tool("kube-score", _HERE / "gomodule-score", "github.com/zegl/kube-score/cmd/kube-score")
_CRD_MODULES = _HERE / "gomodule-crds"
_CRDS = {
    "sigs.k8s.io/gateway-api": [
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ],
    "github.com/prometheus-operator/prometheus-operator": [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_IMAGE = {"image": {"registry": "registry.example.com", "repository": "tv/twitch-operator"}}


def obtain_helm() -> Path:
    """The program; the first call on a machine takes minutes.

    Raises:
        ControlPlaneError: There is no Go to build it with, or the build failed.
    """
    return _obtain_tool(_HELM)


@cache
def _obtain_tool(tool: Tool) -> Path:
    name = f"{tool.name}-{pinned(tool.module, tool.package.split('/cmd/')[0])}"

    def build(go: Go, folder: Path) -> None:
        with Progress().step(f"building {name}") as step:
            build_tool(go, tool, folder, step)

    return obtain(f"{name}-{machine()}", [tool.name], build)[0]


def obtain_crds() -> list[Path]:
    """CRDs of the Prometheus operator and of the Gateway API.

    Raises:
        ControlPlaneError: There is no Go to fetch them with.
    """

    return obtain_files(_CRD_MODULES, _CRDS)


def obtain_files(pins: Path, wanted: Mapping[str, Sequence[str]]) -> list[Path]:
    """Return files of Go modules: module → paths in it; `pins` has the go.mod with the versions.

    Raises:
        ControlPlaneError: There is no Go to fetch them with.
    """

    def fetch(go: Go, folder: Path) -> None:
        for module, files in wanted.items():
            argv = [str(go.command), "mod", "download", "-json", module]
            told = subprocess.check_output(argv, cwd=pins, env=go.env)
            for file in files:
                shutil.copyfile(Path(json.loads(told)["Dir"]) / file, folder / Path(file).name)

    name = "-".join(pinned(pins, module) for module in wanted)
    files = [Path(file).name for each in wanted.values() for file in each]
    return obtain(f"crds-{name}", files, fetch)


def obtain(folder: str, names: list[str], make: Callable[[Go, Path], None]) -> list[Path]:
    """Files of the cache, made where they are missing."""
    kept, progress = Cache.of_user(os.environ), Progress()
    files = [kept.root / folder / name for name in names]
    if not all(file.is_file() for file in files):
        with kept.locked(progress), kept.temporary() as temporary:
            if not all(file.is_file() for file in files):  # else another run made them meanwhile
                go = obtain_go(os.environ, kept, progress)
                make(go, temporary)
                for name in names:
                    kept.put(temporary / name, folder)
                go.forget_work()
    return files


def pinned(module: Path, name: str) -> str:
    found = re.search(rf"{re.escape(name)} (v\S+)", (module / "go.mod").read_text("utf-8"))
    assert found
    return found[1]


@cache
def helm_environment() -> dict[str, str]:
    """Nothing of the user's helm, and nothing kept about servers: their ports come again."""
    folder = Path(tempfile.mkdtemp(prefix="twitch-operator-helm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR")
    return {**os.environ, **{name: str(folder / name) for name in names}}


def helm(*arguments: str, values: Manifest | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm; `values` are given as with `-f`."""
    given = [] if values is None else ["--values", "-"]
    return subprocess.run(
        [obtain_helm(), *arguments, *given],
        input=None if values is None else json.dumps(values),
        env=helm_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def score(manifests: list[Manifest], options: Iterable[str]) -> list[str]:
    """What kube-score finds wrong with objects."""
    argv = [str(_obtain_tool(_SCORE)), "score", "--output-format", "ci", *options, "-"]
    text = yaml.safe_dump_all(manifests)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=60)
    lines = done.stdout.splitlines()
    assert any(line.startswith("[OK]") for line in lines), done.stderr
    return [line for line in lines if not line.startswith(("[OK]", "[SKIPPED]"))]


def render(values: Manifest, *options: str, namespace: str = "twitch") -> list[Manifest]:
    """Return what the chart makes of these values, with an image."""
    done = helm("template", "tw", str(CHART), "-n", namespace, *options, values=_IMAGE | values)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, _Loader) if each]


def refusal(values: Manifest, *options: str) -> str:
    """Return what helm says of values that it must refuse."""
    done = helm("template", "tw", str(CHART), *options, values=_IMAGE | values)
    assert done.returncode != 0, done.stdout
    return done.stderr
