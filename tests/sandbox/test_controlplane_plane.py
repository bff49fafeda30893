"""The control plane itself: what it can do, how it fails, and that it goes without a trace."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from controller.sandbox import controlplane
from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.launch import launch
from controller.sandbox.controlplane.locate import obtain_programs
from controller.sandbox.controlplane.processes import Processes
from controller.sandbox.controlplane.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

_PATIENCE = 60.0  # seconds; a control plane starts in about four

_OWNER = """
import time
from controller.sandbox import controlplane
with controlplane.start() as plane:
    print(plane.folder, flush=True)
    time.sleep(300)
"""


def _eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _processes_of(folder: str) -> list[str]:
    """Command lines that name the folder: all programs of a control plane do."""
    listed = subprocess.check_output(["ps", "-axww", "-o", "args="], text=True)
    return [line for line in listed.splitlines() if folder in line]


def _create(plane: ControlPlane, namespace: str, name: str, owner: str = "") -> str:
    metadata: dict[str, object] = {"name": name}
    if owner:
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner}
        metadata["ownerReferences"] = [reference]
    manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    arguments = ("create", "-n", namespace, "-f", "-", "-o", "jsonpath={.metadata.uid}")
    return plane.run_kubectl(*arguments, input=manifest, check=True).stdout


def test_kubectl_is_the_planes_own_where_the_machine_has_none(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "of-the-user"))
    assert shutil.which("kubectl") is None
    told = control_plane.run_kubectl("auth", "whoami", "-o", "json", check=True)
    user = json.loads(told.stdout)["status"]["userInfo"]
    assert user["username"] == "sandbox-admin"
    assert "system:masters" in user["groups"]


def test_a_failing_kubectl_is_told_or_raised_as_asked(control_plane: ControlPlane) -> None:
    assert control_plane.run_kubectl("get", "nonsense").returncode == 1
    with pytest.raises(ControlPlaneError, match=r"kubectl get nonsense failed: .*nonsense"):
        control_plane.run_kubectl("get", "nonsense", check=True)


def test_the_kubeconfig_is_private_and_verifies_the_server(control_plane: ControlPlane) -> None:
    assert stat.S_IMODE(control_plane.kubeconfig.stat().st_mode) == 0o600
    (cluster,) = json.loads(control_plane.kubeconfig.read_text())["clusters"]
    assert set(cluster["cluster"]) == {"server", "certificate-authority-data"}
    assert cluster["cluster"]["server"] == control_plane.server


def test_what_an_owner_has_goes_with_it(control_plane: ControlPlane, namespace: str) -> None:
    assert control_plane.has_controller_manager
    _create(control_plane, namespace, "owned", _create(control_plane, namespace, "owner"))
    control_plane.run_kubectl("delete", "configmap", "owner", "-n", namespace, check=True)
    get = ("get", "configmap", "owned", "-n", namespace)
    _eventually(lambda: "NotFound" in control_plane.run_kubectl(*get).stderr)


def test_a_deleted_namespace_goes_away(control_plane: ControlPlane) -> None:
    control_plane.run_kubectl("create", "namespace", "short-lived", check=True)
    control_plane.run_kubectl("delete", "namespace", "short-lived", check=True)
    assert "NotFound" in control_plane.run_kubectl("get", "namespace", "short-lived").stderr


def test_service_accounts_get_tokens_and_no_more_rights_than_given(
    control_plane: ControlPlane, namespace: str
) -> None:
    control_plane.run_kubectl("create", "serviceaccount", "operator", "-n", namespace, check=True)
    create = ("create", "token", "operator", "-n", namespace)
    token = control_plane.run_kubectl(*create, check=True).stdout
    refused = control_plane.run_kubectl("get", "secrets", "-n", namespace, f"--token={token}")
    assert f"system:serviceaccount:{namespace}:operator" in refused.stderr


def test_the_users_cluster_is_used_and_left_running(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    config = json.loads(control_plane.kubeconfig.read_text())
    config["contexts"][0]["name"] = "of-the-user"
    config["current-context"] = ""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(json.dumps(config))
    with controlplane.use_existing(kubeconfig, "of-the-user") as plane:
        assert plane.server == control_plane.server
        assert stat.S_IMODE(plane.kubeconfig.stat().st_mode) == 0o600
        plane.run_kubectl("get", "namespace", "default", check=True)
    assert not plane.folder.exists()
    assert control_plane.run_kubectl("get", "namespace", "default").returncode == 0


def test_a_context_that_the_users_file_lacks_is_named(control_plane: ControlPlane) -> None:
    with pytest.raises(ControlPlaneError, match="elsewhere"):
        controlplane.use_existing(control_plane.kubeconfig, "elsewhere")
    with pytest.raises(ControlPlaneError, match="no such kubeconfig"):
        controlplane.use_existing(Path("/nowhere"))


def test_a_kept_folder_keeps_objects_address_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_DATA_DIR", "elsewhere")
    audit_log = tmp_path / "audit.log"
    with controlplane.start(folder=tmp_path / "plane", audit_log=audit_log) as plane:
        plane.run_kubectl("create", "configmap", "kept", check=True)
        kubeconfig = plane.kubeconfig.read_text()
    assert _processes_of(str(tmp_path)) == []
    with controlplane.start(folder=tmp_path / "plane") as plane:
        assert plane.kubeconfig.read_text() == kubeconfig
        assert plane.run_kubectl("get", "configmap", "kept").returncode == 0
    requests = [json.loads(line) for line in audit_log.read_text().splitlines()]
    (made,) = [each for each in requests if each.get("objectRef", {}).get("name") == "kept"]
    assert (made["verb"], made["level"]) == ("create", "Metadata")
    assert made["user"]["username"] == "sandbox-admin"


def test_a_port_that_is_taken_meanwhile_is_followed_by_the_next(tmp_path: Path) -> None:
    programs = obtain_programs(os.environ, Cache.of_user(os.environ), Progress())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        others = random.sample(range(20_000, 32_000), 5)
        ports = [taken.getsockname()[1], *others]
        with Processes() as processes:
            running = launch(programs, tmp_path, processes, ports=ports)
    assert running.server in {f"https://127.0.0.1:{port}" for port in others}


def test_a_server_that_dies_is_quoted(tmp_path: Path) -> None:
    programs = obtain_programs(os.environ, Cache.of_user(os.environ), Progress())
    assets = tmp_path / "assets"
    assets.mkdir()
    for program in (programs.etcd, programs.kubectl):
        (assets / program.name).symlink_to(program)
    broken = assets / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho unknown flag: --bind-address\nexit 4\n")
    broken.chmod(0o755)
    environment = os.environ | {"KUBEBUILDER_ASSETS": str(assets)}
    folder = tmp_path / "plane"
    with pytest.raises(
        ControlPlaneError, match=r"kube-apiserver ended with exit code 4; it said:\nunknown flag"
    ):
        controlplane.start(folder=folder, environment=environment)
    assert _processes_of(str(folder)) == []


def test_an_owner_that_is_killed_leaves_no_process_and_no_folder() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder = owner.stdout.readline().strip()
        assert folder
        assert len(_processes_of(folder)) >= 3
        owner.kill()
    _eventually(lambda: not _processes_of(folder) and not Path(folder).exists())
