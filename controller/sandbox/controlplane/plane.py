"""Starting a real control plane on this machine, and using it.

etcd and kube-apiserver, and kube-controller-manager where there is one; no containers, no root,
everything on 127.0.0.1 and in one folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.kubeconfig import server_of, take_over
from controller.sandbox.controlplane.launch import launch
from controller.sandbox.controlplane.locate import find_kubectl, obtain_programs
from controller.sandbox.controlplane.processes import Processes
from controller.sandbox.controlplane.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ControlPlane", "start", "use_existing"]

_ESTABLISHED = "--for=condition=Established"
_ESTABLISHED_TIMEOUT = 30.0


@dataclass
class ControlPlane:
    """A Kubernetes API to work with; a context manager that ends what `start` has started.

    Args:
        kubeconfig: Self-contained file with one context, mode 0600.
        kubectl: A kubectl that fits.
        folder: Logs, certificates and data; a temporary one is gone after `close`.
        server: URL of the API server.
        origin: Where its programs come from, for the user.
        has_controller_manager: Whether owner references are collected, deleted namespaces go
            away, and ClusterRoles are aggregated.
    """

    kubeconfig: Path
    kubectl: Path
    folder: Path
    server: str
    origin: str
    has_controller_manager: bool
    _processes: Processes = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started; a cluster that was there before goes on. Can be called twice."""
        self._processes.close()

    def describe(self) -> str:
        """One line for the user: where it is, what it is made of, what it cannot do."""
        text = f"Kubernetes at {self.server}, from {self.origin}"
        if not self.has_controller_manager:
            text += (
                "; without kube-controller-manager: owner references are not collected, "
                "and deleted namespaces stay Terminating"
            )
        return text

    def until_established(self, *crds: str) -> None:
        """Wait until custom resources are served.

        Args:
            crds: Such as `"crd/twitchchannels.twitch-operator.dev"`, or `"crd", "--all"`.

        Raises:
            ControlPlaneError: They are not, after half a minute; the message has what kubectl said.
        """
        deadline = time.monotonic() + _ESTABLISHED_TIMEOUT
        # A CRD that was made just now has `conditions: null`, which kubectl takes for an error.
        while (done := self.run_kubectl("wait", _ESTABLISHED, *crds, timeout=60)).returncode != 0:
            if time.monotonic() > deadline:
                msg = f"the CRDs are not served: {done.stderr.strip()}"
                raise ControlPlaneError(msg)
            time.sleep(0.1)

    def run_kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as subprocess.run names it
        timeout: float = 30,
        check: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl against this control plane.

        Args:
            args: Such as `"get", "pods"`.
            input: Text for its standard input.
            timeout: Seconds after which it is killed.
            check: Raise if it fails.

        Returns:
            Exit code, standard output and standard error.

        Raises:
            ControlPlaneError: It failed (with `check`); the message has what it said.
            subprocess.TimeoutExpired: It took too long.
        """
        command: list[str | Path] = [self.kubectl, f"--kubeconfig={self.kubeconfig}"]
        # What a kubectl keeps about a server it keeps by address, and ports come again.
        command += [f"--cache-dir={self.folder / 'kubectl-cache'}"]
        done = subprocess.run(
            [*command, *args],
            input=input,
            env=os.environ | {"KUBERC": "off"},  # no preferences of the user
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            msg = f"kubectl {' '.join(args)} failed: {done.stderr.strip()}"
            raise ControlPlaneError(msg)
        return done


def start(
    *,
    folder: Path | None = None,
    audit_log: Path | None = None,
    need_controller_manager: bool = False,
    progress: Progress | None = None,
    environment: Mapping[str, str] | None = None,
) -> ControlPlane:
    """Start a control plane; returns when it is ready, in seconds once the programs are there.

    Args:
        folder: Where it keeps everything, which stays there: a later start goes on with the same
            objects, and old kubeconfigs hold (if the port is still free). None: a temporary
            folder, removed in the end.
        audit_log: File that gets one JSON line a request, at level Metadata.
        need_controller_manager: Insist on kube-controller-manager, which may have to be built
            (minutes) where the rest is fetched; without it, it runs where it is there.
        progress: Where the user is told about what takes long; None: on standard error.
        environment: In place of `os.environ`.

    Raises:
        ControlPlaneError: It cannot be had or started; the message tells why, with the last
            lines of the log of what died, and the remedy.
    """
    environment = os.environ if environment is None else environment
    programs = obtain_programs(
        environment,
        Cache.of_user(environment),
        progress or Progress(),
        need_controller_manager=need_controller_manager,
    )
    place, processes = _place(folder)
    try:
        running = launch(programs, place, processes, audit_log)
    except BaseException:
        processes.close()
        raise
    return ControlPlane(
        kubeconfig=running.kubeconfig,
        kubectl=programs.kubectl,
        folder=place,
        server=running.server,
        origin=programs.origin,
        has_controller_manager=programs.controller_manager is not None,
        _processes=processes,
    )


def use_existing(
    kubeconfig: Path,
    context: str | None = None,
    *,
    progress: Progress | None = None,
    environment: Mapping[str, str] | None = None,
) -> ControlPlane:
    """Use a cluster that is there already, through the same interface.

    Args:
        kubeconfig: The user's file; it is read, not changed.
        context: Which of its contexts; None: its current one.
        progress: As in `start`.
        environment: As in `start`.

    Raises:
        ControlPlaneError: The file or the context cannot be used.
    """
    environment = os.environ if environment is None else environment
    kubectl = find_kubectl(environment, Cache.of_user(environment), progress or Progress())
    place, processes = _place(None)
    try:
        taken = place / "kubeconfig"
        take_over(kubectl, kubeconfig, context, taken)
        return ControlPlane(
            kubeconfig=taken,
            kubectl=kubectl,
            folder=place,
            server=server_of(taken),
            origin=str(kubeconfig),
            has_controller_manager=True,
            _processes=processes,
        )
    except BaseException:
        processes.close()
        raise


def _place(folder: Path | None) -> tuple[Path, Processes]:
    """Make the folder, and what ends with it."""
    if folder is not None:
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder, Processes()
    temporary = Path(tempfile.mkdtemp(prefix="twitch-operator-"))
    try:
        return temporary, Processes(remove=temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
