"""docs/install.md, word for word: its commands in their order, by one bash.

The machine has no node, no browser and no way to Twitch and PubNub. In place of the node, a Pod's
command runs as a process, and what a kubelet and the Deployment's controller would report is
written; in place of the browser, the broadcaster types the code at the simulated Twitch; and
PubNub's address is the simulator's. helm gets the simulators' addresses by values of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chart.helm import helm_environment, obtain_helm
from tests.cluster.kubectl import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.sandbox.controlplane import ControlPlane
    from tests.chart.helm import Manifest
    from tests.chart.pods import Pods

__all__ = ["Walk", "commands"]

_ROOT = Path(__file__).parents[2]
_PAGE = _ROOT / "docs" / "install.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WHOLE = 240.0  # seconds for the whole way; it takes some twenty
_CODE = re.compile(r"device-code=(\w+)")


def commands(section: str, given: Mapping[str, str]) -> str:
    """The commands of a section as a script.

    Args:
        section: Its title.
        given: Values for the variables that the first block sets, all of them.
    """
    text = _PAGE.read_text("utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    first, *blocks = _BLOCK.findall(text)
    assert set(re.findall(r"(\w+)=", first)) == set(given)
    own = [f"export {name}={shlex.quote(value)}" for name, value in given.items()]
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return "\n".join(["set -euo pipefail", *own, *lines])


class Walk:
    """One way through the page.

    Args:
        plane: The cluster.
        folder: For the programs that stand in for others.
        values: What helm adds to an installation.
    """

    def __init__(self, plane: ControlPlane, folder: Path, values: Manifest) -> None:
        self._plane = plane
        self._folder = folder
        self._opened = folder / "opened"
        (folder / "values.json").write_text(json.dumps(values), "utf-8")
        install = f'if [ "$1" = install ]; then set -- "$@" -f {folder}/values.json; fi\n'
        self._write("helm", f'{install}exec {obtain_helm()} "$@"')
        (folder / "kubectl").symlink_to(plane.kubectl)
        self._write("browser", f'echo "$1" > {self._opened}')

    def _write(self, name: str, script: str) -> None:
        file = self._folder / name
        file.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        file.chmod(0o755)

    async def run(self, script: str) -> str:
        """Run commands; returns what they printed.

        Raises:
            AssertionError: One of them failed.
        """
        path = [str(self._folder), str(Path(sys.executable).parent), os.environ["PATH"]]
        own = {
            "PATH": os.pathsep.join(path),
            "KUBECONFIG": str(self._plane.kubeconfig),
            "KUBERC": "off",
            "BROWSER": f"{self._folder}/browser %s",
        }
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", script], cwd=_ROOT, env=helm_environment() | own,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_WHOLE,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def code(self) -> str:
        """The device code of the page that was opened in the browser."""
        # All that comes before it on the page has to be done first.
        opened = self._opened
        await eventually(lambda: opened.is_file() and opened.read_text().strip(), within=_WHOLE)
        found = _CODE.search(self._opened.read_text())
        assert found, self._opened.read_text()
        return found[1]

    async def be_the_node(self, pods: Pods, namespace: str, name: str) -> None:
        """Run the Deployment's Pod, then the Pod of `helm test`, and report both."""
        await self._until_there("deployment", name, namespace)
        operator = await pods.start(name)
        ready = str((await operator.get("/readyz")).url)
        count = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
        self._report("deployment", name, namespace, {"observedGeneration": 1, **count})
        await self._until_there("pod", f"{name}-test", namespace)
        ended = await asyncio.to_thread(pods.check, f"{name}-test", ready)
        phase = "Succeeded" if ended.returncode == 0 else "Failed"
        self._report("pod", f"{name}-test", namespace, {"phase": phase})
        assert phase == "Succeeded", ended.stdout + ended.stderr

    async def _until_there(self, kind: str, name: str, namespace: str) -> None:
        wait = (
            "wait",
            "--for=create",
            f"{kind}/{name}",
            "-n",
            namespace,
            f"--timeout={_WHOLE:.0f}s",
        )
        await asyncio.to_thread(self._plane.run_kubectl, *wait, timeout=_WHOLE + 30, check=True)

    def _report(self, kind: str, name: str, namespace: str, status: Manifest) -> None:
        patch = ("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge")
        self._plane.run_kubectl(*patch, "-p", json.dumps({"status": status}), check=True)
