"""Kubeconfig files: written for the sandbox's own control plane, or taken from the user's."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from typing import TYPE_CHECKING

from controller.sandbox.controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["server_of", "take_over", "write_kubeconfig", "write_private"]


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


def write_kubeconfig(
    file: Path, *, server: str, certificate_authority: bytes, user: str, token: str
) -> None:
    """Write a self-contained kubeconfig with one context (JSON, which is YAML).

    Args:
        file: Where to; it gets mode 0600.
        server: URL of the API server.
        certificate_authority: PEM that its certificate is verified against.
        user: Name of the user that the token stands for.
        token: The bearer token.
    """
    authority = base64.b64encode(certificate_authority).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "sandbox",
                "cluster": {"server": server, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
        "current-context": "sandbox",
    }
    write_private(file, json.dumps(config, indent=2) + "\n")


def take_over(kubectl: Path, kubeconfig: Path, context: str | None, file: Path) -> None:
    """Write one context of the user's kubeconfig, with all that it refers to, as a file.

    Args:
        kubectl: Reads the user's file.
        kubeconfig: The user's file.
        context: Which of its contexts; None: its current one.
        file: Where to; it gets mode 0600.

    Raises:
        ControlPlaneError: The user's file or the context cannot be used.
    """
    if not kubeconfig.is_file():
        msg = f"{kubeconfig}: there is no such kubeconfig file"
        raise ControlPlaneError(msg)
    command: list[str | Path] = [kubectl, f"--kubeconfig={kubeconfig}", "config", "view"]
    command += ["--minify", "--flatten", "--raw", "--output=json"]
    if context is not None:
        command.append(f"--context={context}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        msg = f"{kubeconfig}: {done.stderr.strip()}; choose a context that the file has"
        raise ControlPlaneError(msg)
    write_private(file, done.stdout)


def server_of(kubeconfig: Path) -> str:
    """URL of the API server in a file that `write_kubeconfig` or `take_over` has written."""
    config = json.loads(kubeconfig.read_text("utf-8"))
    return str(config["clusters"][0]["cluster"]["server"])
