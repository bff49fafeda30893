"""Bringing the processes of a control plane up, one after the other, until it answers."""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import ssl
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import httpx

from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.kubeconfig import server_of, write_kubeconfig, write_private
from controller.sandbox.controlplane.processes import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from controller.sandbox.controlplane.locate import Programs
    from controller.sandbox.controlplane.processes import Processes

__all__ = ["Running", "launch"]

_READY_TIMEOUT = 60.0  # seconds for one process to become ready; it takes about three
_ADMIN = "sandbox-admin"
_MANAGER = "system:kube-controller-manager"
_CONTROLLERS = (  # what the sandbox and its tests can see the work of
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
)


@dataclass(frozen=True)
class Running:
    """A control plane that answers.

    Args:
        server: URL of its API server.
        kubeconfig: For its administrator.
    """

    server: str
    kubeconfig: Path


def launch(
    programs: Programs,
    folder: Path,
    processes: Processes,
    audit_log: Path | None = None,
    ports: Iterable[int] | None = None,
) -> Running:
    """Start everything in `folder` and wait until the API server says that it is ready.

    Args:
        programs: What to start.
        folder: For data and logs.
        processes: What ends it all.
        audit_log: File that gets one JSON line a request; None: none.
        ports: To be tried for the API server, one after the other; None: the last one of this
            folder, then free ones.

    Raises:
        ControlPlaneError: A process died or did not become ready in time; the message has the
            last lines of its log.
    """
    etcd = _start_etcd(programs, folder, processes)
    tokens = _tokens(folder / "tokens.csv")
    server = _start_apiserver(
        _apiserver_command(programs, folder, etcd, audit_log),
        folder,
        processes,
        tokens[_ADMIN],
        _ports(folder / "kubeconfig") if ports is None else ports,
    )
    authority = _authority(folder).encode()
    for user, name in ((_ADMIN, "kubeconfig"), (_MANAGER, "manager.kubeconfig")):
        write_kubeconfig(
            folder / name,
            server=server,
            certificate_authority=authority,
            user=user,
            token=tokens[user],
        )
    if programs.controller_manager is not None:
        _start_manager(programs.controller_manager, folder, processes)
        # Each namespace gets this account from it: it is at work, and pods can be made.
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        seen = partial(_get, server, path, folder, tokens[_ADMIN])
        _wait("kube-controller-manager", seen, processes, folder)
    return Running(server, folder / "kubeconfig")


def _start_etcd(programs: Programs, folder: Path, processes: Processes) -> str:
    """It takes free ports by itself, and its log tells which; returns its URL."""
    log = _fresh_log(folder, "etcd")
    anywhere = "http://127.0.0.1:0"
    command: list[str | Path] = [
        programs.etcd,
        f"--data-dir={folder / 'etcd-data'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={anywhere}",
        f"--advertise-client-urls={anywhere}",
        f"--listen-peer-urls={anywhere}",
    ]
    # It refuses to start if its own variables say something else than its arguments.
    env = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
    processes.start("etcd", command, log=log, cwd=folder, env=env)

    def address() -> str | None:
        told = re.search(r'serving client traffic .*"address":"([\d.:]+)"', _read(log))
        return told and f"http://{told[1]}"

    return _wait("etcd", address, processes, folder)


def _apiserver_command(
    programs: Programs, folder: Path, etcd: str, audit_log: Path | None
) -> list[str | Path]:
    # The server makes a key and a certificate for itself before it reads the key that signs the
    # tokens of service accounts: one key does for both.
    key = folder / "certificates" / "apiserver.key"
    command: list[str | Path] = [
        programs.kube_apiserver,
        f"--etcd-servers={etcd}",
        f"--cert-dir={folder / 'certificates'}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",  # no endpoint may be a loopback address
        "--authorization-mode=RBAC",
        # As hardened clusters have it: who may not delete an object may not change its owners.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--profiling=false",
    ]
    if audit_log is not None:
        policy = folder / "audit-policy.json"
        policy.write_text(
            json.dumps(
                {
                    "apiVersion": "audit.k8s.io/v1",
                    "kind": "Policy",
                    "omitStages": ["RequestReceived"],
                    "rules": [{"level": "Metadata"}],
                }
            )
        )
        command += [f"--audit-policy-file={policy}", f"--audit-log-path={audit_log.absolute()}"]
        command += ["--audit-log-maxsize=0"]  # one file, however long
    return command


def _start_apiserver(
    command: Sequence[str | Path],
    folder: Path,
    processes: Processes,
    token: str,
    ports: Iterable[int],
) -> str:
    """Start it; returns its URL once it is ready.

    A port that was free can be taken by another process before it is bound: then the next is tried.
    """
    name = "kube-apiserver"
    failure = ControlPlaneError("no port to try")
    for port in ports:
        server = f"https://127.0.0.1:{port}"
        log = _fresh_log(folder, name)
        processes.start(name, [*command, f"--secure-port={port}"], log=log, cwd=folder)
        try:
            _wait(name, partial(_get, server, "/readyz", folder, token), processes, folder)
        except ControlPlaneError as error:
            if "address already in use" not in _read(log):
                raise
            failure = error
        else:
            return server
    raise failure


def _start_manager(program: Path, folder: Path, processes: Processes) -> None:
    command: list[str | Path] = [
        program,
        f"--kubeconfig={folder / 'manager.kubeconfig'}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    log = _fresh_log(folder, "kube-controller-manager")
    processes.start("kube-controller-manager", command, log=log, cwd=folder)


def _wait(name: str, outcome: Callable[[], str | None], processes: Processes, folder: Path) -> str:
    """Ask again and again until there is an outcome, a process is dead, or time is up."""
    deadline = time.monotonic() + _READY_TIMEOUT
    while not (exits := processes.exits(wait=0.05)):
        if found := outcome():
            return found
        if time.monotonic() > deadline:
            said = last_lines(folder / f"{name}.log")
            msg = f"{name} was not ready within {_READY_TIMEOUT:.0f} s; it said:\n{said}"
            raise ControlPlaneError(msg)
    dead, code = next(iter(exits.items()))
    msg = f"{dead} ended with exit code {code}; it said:\n{last_lines(folder / f'{dead}.log')}"
    raise ControlPlaneError(msg)


def _get(server: str, path: str, folder: Path, token: str) -> str | None:
    """What the API answers; None: an error, or it does not serve yet."""
    try:
        trusting = ssl.create_default_context(cadata=_authority(folder))
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(verify=trusting, headers=headers, trust_env=False) as client:
            answer = client.get(server + path)
    except (OSError, httpx.HTTPError):
        return None
    return answer.text if answer.is_success else None


def _authority(folder: Path) -> str:
    """PEM of the authority that the API server made for itself: the last in its chain.

    Raises:
        OSError: It has not been written yet.
    """
    begin = "-----BEGIN CERTIFICATE-----"
    chain = (folder / "certificates" / "apiserver.crt").read_text("ascii")
    return begin + chain.rpartition(begin)[2]


def _ports(kubeconfig: Path) -> Iterator[int]:
    """The port of the last start in this folder, so that its clients find it again; other ones.

    They lie below those that kernels hand out, so that nobody gets one between two starts.
    """
    if kubeconfig.is_file():
        yield int(server_of(kubeconfig).rpartition(":")[2])
    yield from random.sample(range(20_000, 32_000), 20)


def _tokens(file: Path) -> dict[str, str]:
    """Tokens by user, all-powerful, made at the first start in this folder."""
    if not file.is_file():
        made = {user: secrets.token_urlsafe(32) for user in (_ADMIN, _MANAGER)}
        lines = [f'{token},{user},{user},"system:masters"\n' for user, token in made.items()]
        write_private(file, "".join(lines))
    fields = (line.split(",") for line in file.read_text("utf-8").splitlines())
    return {user: token for token, user, *_ in fields}


def _fresh_log(folder: Path, name: str) -> Path:
    log = folder / f"{name}.log"
    log.unlink(missing_ok=True)
    return log


def _read(log: Path) -> str:
    return log.read_text("utf-8", "replace")
