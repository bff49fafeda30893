"""The cluster tests against other versions of Kubernetes: `make versions`.

Builds kube-apiserver and kube-controller-manager of each version from its Go module, once, keeps
them with the control plane's programs, and runs some of the tests against them. No checksum of
these modules is pinned; Go's checksum database has them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.sandbox.controlplane import Progress
from controller.sandbox.controlplane.build import build_tool
from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.locate import ASSETS, Programs, obtain_programs
from controller.sandbox.controlplane.pins import Tool, machine
from controller.sandbox.controlplane.toolchain import Go, obtain_go

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_ROOT = Path(__file__).parents[1]
_BUILT = ("kube-apiserver", "kube-controller-manager")
_LEFT = ("etcd", "kubectl")
_TESTS = (
    "tests/cluster/test_crds_extensions.py",
    "tests/cluster/test_crds_accepted.py",
    "tests/cluster/test_crds_changes.py",
    "tests/cluster/test_crds_refused.py",
    "tests/cluster/test_crds_status.py",
    "tests/cluster/test_operator_main_job.py",
    "tests/cluster/test_operator_refusals.py",
    "tests/chart/test_chart_install.py",
)


def main(versions: Sequence[str]) -> int:
    """Test with each version, such as `v1.37.2`; returns how many of them failed."""
    failed = 0
    for version in versions:
        assets = _obtain(version)
        Progress().say(f"testing with Kubernetes {version}, from {assets}")
        argv = [sys.executable, "-m", "pytest", "-q", *_TESTS]
        environment = os.environ | {ASSETS: str(assets)}
        failed += subprocess.run(argv, cwd=_ROOT, env=environment, check=False).returncode != 0
    return failed


def _obtain(version: str) -> Path:
    """The folder with the programs; the first call takes minutes."""
    kept, progress = Cache.of_user(os.environ), Progress()
    pinned = obtain_programs(os.environ, kept, progress)
    folder = kept.root / f"{version}-{machine()}"
    with kept.locked(progress):
        missing = [name for name in _BUILT if not (folder / name).is_file()]
        if missing:
            _build(missing, version, kept, progress)
    _link(folder, pinned)
    return folder


def _build(names: Sequence[str], version: str, kept: Cache, progress: Progress) -> None:
    go = obtain_go(os.environ, kept, progress)
    with kept.temporary() as temporary:
        _write_module(go, version, temporary)
        for number, name in enumerate(names, 1):
            tool = Tool(name, temporary, f"k8s.io/kubernetes/cmd/{name}")
            with progress.step(f"building {name} {version}", number, len(names)) as step:
                build_tool(go, tool, temporary, step)
            kept.put(temporary / name, f"{version}-{machine()}")
    go.forget_work()


def _write_module(go: Go, version: str, folder: Path) -> None:
    """A module that requires this version; Kubernetes requires its staging modules at v0.0.0."""
    told = _tell(go, folder, "mod", "download", "-json", f"k8s.io/kubernetes@{version}")
    text = Path(told["GoMod"]).read_text("utf-8")
    staged = sorted(set(re.findall(r"^\s*(k8s\.io/\S+) => \./staging/", text, re.MULTILINE)))
    [needed] = re.findall(r"^go (\S+)$", text, re.MULTILINE)
    lines = [f"go {needed}", *(f"tool k8s.io/kubernetes/cmd/{name}" for name in _BUILT)]
    lines += [f"require k8s.io/kubernetes {version}"]
    lines += [f"replace {each} => {each} v0{version.removeprefix('v1')}" for each in staged]
    (folder / "go.mod").write_text("\n".join(["module example.com/versions", *lines, ""]))
    subprocess.run(
        [go.command, "mod", "tidy"], cwd=folder, env={**go.env, "GOFLAGS": "-mod=mod"}, check=True
    )


def _tell(go: Go, folder: Path, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads(subprocess.check_output([go.command, *arguments], cwd=folder, env=go.env))


def _link(folder: Path, pinned: Programs) -> None:
    """What does not depend on the version is that of the pinned one."""
    for name in _LEFT:
        if not (folder / name).exists():
            (folder / name).symlink_to(getattr(pinned, name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
