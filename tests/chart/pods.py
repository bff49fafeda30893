"""A Pod's part, where no node is: what the chart installed runs as a process of this machine.

A process gets the container's own command and environment and nothing else: as whom it calls the
API server is the Pod's ServiceAccount. Only addresses differ, for Pods have an address each.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.gateway_harness import Gateway

if TYPE_CHECKING:
    from controller.sandbox.controlplane import ControlPlane
    from tests.cluster.operator_harness import Operator

__all__ = ["Pods"]

_SCRIPTS = Path(sys.executable).parent


class Pods:
    """The Pods of the Deployments in a namespace.

    Args:
        plane: Where the chart is installed.
        namespace: Of the Deployments.
        folder: For kubeconfigs and logs.
    """

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self._plane = plane
        self._namespace = namespace
        self._folder = folder
        self._started: list[Operator] = []

    @property
    def logs(self) -> list[str]:
        """What each Pod logged."""
        return [pod.log for pod in self._started]

    async def start(self, deployment: str) -> Gateway:
        """Start a Pod, and wait until its program runs."""
        spec = self._get("deployment", deployment)["spec"]["template"]["spec"]
        [container] = spec["containers"]
        log = self._folder / f"{deployment}-{len(self._started)}.log"
        environment = {each["name"]: _elsewhere(each) for each in container["env"]}
        environment["KUBECONFIG"] = str(self.kubeconfig(spec["serviceAccountName"]))
        pod = Gateway(self._run(container, environment, log), log)
        self._started.append(pod)
        await (pod.serving() if "gateway" in container["command"] else pod.running())
        return pod

    def kubeconfig(self, account: str) -> Path:
        """A kubeconfig of a ServiceAccount."""
        create = ("create", "token", account, "-n", self._namespace)
        config = json.loads(self._plane.kubeconfig.read_text("utf-8"))
        token = self._plane.run_kubectl(*create, check=True).stdout.strip()
        config["users"][0]["user"] = {"token": token}
        file = self._folder / f"kubeconfig-of-{account}"
        file.write_text(json.dumps(config), "utf-8")
        return file

    def check(self, pod: str, ready: str) -> subprocess.CompletedProcess[str]:
        """Run what the Pod of `helm test` runs, and return how it ended.

        Args:
            pod: Its name.
            ready: Where the operator's readiness probe is; in a cluster, a Service leads there.
        """
        spec = self._get("pod", pod)["spec"]
        config = json.loads(self.kubeconfig(spec["serviceAccountName"]).read_text("utf-8"))
        cluster = config["clusters"][0]["cluster"]
        (self._folder / "token").write_text(config["users"][0]["user"]["token"], "utf-8")
        authority = base64.b64decode(cluster["certificate-authority-data"])
        (self._folder / "ca.crt").write_bytes(authority)
        _, *arguments = spec["containers"][0]["command"]
        where = [cluster["server"], str(self._folder), ready]
        argv = [sys.executable, *arguments[: -len(where)], *where]
        return subprocess.run(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=30,
        )

    async def close(self) -> None:
        """End all that still run."""
        for pod in self._started:
            if not pod.ended:
                await pod.kill()

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        asked = ("get", kind, name, "-n", self._namespace, "-o", "json")
        return dict(json.loads(self._plane.run_kubectl(*asked, check=True).stdout))

    def _run(
        self, container: dict[str, Any], environment: dict[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        # A root file system that is read-only has no home; the search path is the image's.
        own = {"PATH": f"{_SCRIPTS}{os.pathsep}{os.defpath}", "HOME": "/nonexistent"}
        with log.open("wb") as out:
            return subprocess.Popen(
                container["command"], env=own | environment, cwd="/", stdout=out, stderr=out
            )


def _elsewhere(variable: dict[str, str]) -> str:
    """The value of a variable; an address is free on this machine and reached from it alone."""
    return "127.0.0.1:0" if variable["name"].endswith("_ADDRESS") else variable["value"]
