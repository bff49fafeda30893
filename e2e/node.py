"""A node of Kubernetes in namespaces of its own: containerd, kubelet, kube-proxy, DNS.

Pods reach what listens on the loopback device of these namespaces at `WORLD`, at the same port.
"""

from __future__ import annotations

import base64
import json
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from controller.sandbox.controlplane.processes import last_lines
from e2e.tools import Failure, complete, run, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from controller.sandbox.controlplane import ControlPlane
    from controller.sandbox.controlplane.processes import Processes
    from e2e.binaries import Binaries

T = TypeVar("T")

__all__ = ["WORLD", "Node", "eventually", "prepare_namespaces"]

WORLD = "192.0.2.20"  # for Pods: whatever is outside of the cluster
_NODE = "192.0.2.10"
_NAME = "node"
_PODS = "10.88.0.0/24"
_KUBERNETES = "10.0.0.1"  # the first address of the control plane's range of Services
_SOCKET = "/run/containerd/containerd.sock"
_CNI = "/usr/lib/cni"
_SYSCTLS = (  # kubelet sets them, and they are not the namespaces' own
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip
_SANDBOX_CONTROLLERS = (  # run already
    "garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
    "clusterrole-aggregation-controller",
)  # fmt: skip


def eventually(what: str, outcome: Callable[[], T | None], timeout: float = 60) -> T:
    """Ask again and again until there is an outcome.

    Raises:
        Failure: There is none within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (found := outcome()):
        if time.monotonic() > deadline:
            msg = f"{what}: not within {timeout:.0f} s"
            raise Failure(msg)
        time.sleep(0.1)
    return found


def prepare_namespaces(folder: Path) -> None:
    """Give these namespaces devices, and folders and kernel settings that hide the machine's."""
    for mounted in ("/run", "/var/log"):
        run("mount", "-t", "tmpfs", "tmpfs", mounted)
    for sysctl in _SYSCTLS:
        copy = folder / sysctl.replace("/", ".")
        with open(f"/proc/sys/{sysctl}", encoding="ascii") as file:  # noqa: PTH123 - no size
            copy.write_text(file.read())
        run("mount", "--bind", copy, f"/proc/sys/{sysctl}")
    run("mount", "--make-rshared", "/")
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{_NODE}/32", "dev", "lo")
    for key in ("ip_forward", "conf/all/route_localnet", "conf/default/route_localnet"):
        with open(f"/proc/sys/net/ipv4/{key}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write("1")


class Node:
    """The node, and what a cluster with Pods needs beside it.

    Args:
        plane: Its control plane, in the same namespaces.
        binaries: What is started.
        folder: For logs, data and configuration. Its name is that of the cgroups.
        processes: What ends it all.
    """

    def __init__(
        self, plane: ControlPlane, binaries: Binaries, folder: Path, processes: Processes
    ) -> None:
        self._plane = plane
        self._binaries = binaries
        self._folder = folder
        self._processes = processes
        self._hosts = folder / "hosts"
        self._running: list[str] = []

    def start(self, archives: Sequence[Path]) -> None:
        """Start everything, with images, and wait until the node is Ready.

        Raises:
            Failure: A program ended or did not become ready.
        """
        self._forward()
        self._start_dns()
        self._start_containerd()
        for archive in archives:
            self.ctr("images", "import", "--snapshotter", self._snapshotter, archive)
        self._start_cluster()
        self._start_kubelet()
        say("containerd, kubelet, kube-scheduler and kube-proxy run")
        command = ("wait", "--for=condition=Ready", f"node/{_NAME}", "--timeout=1s")
        self.wait("node Ready", lambda: self._plane.run_kubectl(*command).returncode == 0)

    def wait(self, what: str, outcome: Callable[[], bool]) -> None:
        """Wait for an outcome, while all programs run."""

        def checked() -> bool:
            self.check()
            return outcome()

        eventually(what, checked, 120)

    def check(self) -> None:
        """See that all programs run.

        Raises:
            Failure: One ended; the message has the end of its log.
        """
        for name, code in self._processes.exits().items():
            said = last_lines(self._folder / f"{name}.log")
            msg = f"{name} ended with exit code {code}:\n{said}"
            raise Failure(msg)

    def name_service(self, name: str, namespace: str) -> None:
        """Let the DNS server know a Service."""
        path = "jsonpath={.spec.clusterIP}"
        got = self._plane.run_kubectl("get", "svc", name, "-n", namespace, "-o", path, check=True)
        line = f"{got.stdout} {name}.{namespace}.svc.cluster.local\n"
        (self._hosts / f"{namespace}.{name}").write_text(line, "ascii")

    def ctr(self, *arguments: str | Path) -> str:
        """Run containerd's client."""
        return run("ctr", "-a", _SOCKET, "-n", "k8s.io", *arguments, timeout=180)

    @property
    def _snapshotter(self) -> str:
        """`overlayfs` where it can be mounted in this folder, else whole copies."""
        lower, upper, work, merged = (self._folder / "overlay" / name for name in "luwm")
        for each in (lower, upper, work, merged):
            each.mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        try:
            run("mount", "-t", "overlay", "overlay", "-o", layers, merged)
        except Failure:
            return "native"
        run("umount", merged)
        return "overlayfs"

    def _forward(self) -> None:
        port = urlsplit(self._plane.server).port
        nat = ("iptables", "-w", "-t", "nat", "-A")
        for chain in ("PREROUTING", "OUTPUT"):
            to = ("-p", "tcp", "-j", "DNAT", "--to-destination")
            run(*nat, chain, "-d", WORLD, *to, "127.0.0.1")
            run(*nat, chain, "-d", _KUBERNETES, *to, f"127.0.0.1:{port}")

    def _start_dns(self) -> None:
        self._hosts.mkdir()
        line = f"{_KUBERNETES} kubernetes.default.svc.cluster.local\n"
        (self._hosts / "kubernetes").write_text(line, "ascii")
        self._start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            f"--hostsdir={self._hosts}", f"--listen-address={_NODE}", "--bind-interfaces",
            "--local=/cluster.local/", "--user=root", "--pid-file=",
        )  # fmt: skip

    def _start_containerd(self) -> None:
        networks = self._folder / "cni"
        networks.mkdir()
        (networks / "pods.conflist").write_text(json.dumps(_network(self._folder)))
        file = self._folder / "containerd.toml"
        file.write_text(_CONTAINERD.format(folder=self._folder, snapshotter=self._snapshotter))
        self._start("containerd", "--config", file)
        self.wait("containerd", lambda: os.path.exists(_SOCKET))  # noqa: PTH110 - no folder of ours

    def _start_cluster(self) -> None:
        authority = self._folder / "ca.crt"
        config = json.loads(self._plane.kubeconfig.read_text("utf-8"))
        encoded = config["clusters"][0]["cluster"]["certificate-authority-data"]
        authority.write_bytes(base64.b64decode(encoded))
        config = f"--kubeconfig={self._plane.kubeconfig}"
        others = ",".join(f"-{name}" for name in _SANDBOX_CONTROLLERS)
        self._start(
            self._binaries.controller_manager, config, f"--controllers=*,{others}",
            "--leader-elect=false", "--secure-port=0", f"--root-ca-file={authority}",
            "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip
        self._start(self._binaries.scheduler, config, "--leader-elect=false", "--secure-port=0")
        self._start(
            self._binaries.proxy, config, "--proxy-mode=iptables", "--masquerade-all",
            f"--cluster-cidr={_PODS}", f"--hostname-override={_NAME}", "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
        )  # fmt: skip

    def _start_kubelet(self) -> None:
        resolver = self._folder / "resolv.conf"
        resolver.write_text("")
        file = self._folder / "kubelet.json"
        file.write_text(json.dumps(_kubelet(self._folder, resolver)))
        self._start(
            self._binaries.kubelet, f"--config={file}", f"--kubeconfig={self._plane.kubeconfig}",
            f"--root-dir={self._folder / 'kubelet'}", f"--cert-dir={self._folder / 'certificates'}",
            f"--node-ip={_NODE}", f"--hostname-override={_NAME}",
        )  # fmt: skip

    def _start(self, program: str | Path, *arguments: str | Path) -> None:
        name = str(program).rpartition("/")[2]
        log = self._folder / f"{name}.log"
        env = complete(os.environ)
        self._processes.start(name, [program, *arguments], log=log, cwd=self._folder, env=env)


_CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:e2e"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{folder}/cni"
"""


def _network(folder: Path) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": _PODS}]],
        "dataDir": str(folder / "addresses"),
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "pods0", "isGateway": True, "hairpinMode": True}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{**bridge, "ipam": addresses}]}


def _kubelet(folder: Path, resolver: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": _NODE,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{folder.name}",
        "cgroupsPerQOS": False,
        "clusterDNS": [_NODE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "oomScoreAdj": 0,
        "podLogsDir": str(folder / "pods"),
        "resolvConf": str(resolver),
        "volumePluginDir": str(folder / "volume-plugins"),
    }
