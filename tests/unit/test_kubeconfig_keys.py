"""What a kubeconfig embeds is used, and written to no file that could stay behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from controller.clients.kube.memory_files import path_of_content

PROGRAM = """
import asyncio, os, signal
import kopf
from controller.clients.kube import Kube
from controller.clients.kube.config import load_configuration

async def main():
    async with Kube(load_configuration):
        found = await load_configuration()
        kopf.ConnectionInfo(
            server=found.host, ca_path=found.ssl_ca_cert, certificate_path=found.cert_file,
            private_key_path=found.key_file,
        ).as_ssl_context()
        print("loaded", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def pair() -> tuple[bytes, bytes]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    return certificate, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_killed_process_leaves_no_key_behind(tmp_path: Path) -> None:
    certificate, key = (base64.b64encode(part).decode() for part in pair())
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": certificate}
    user = {"client-certificate-data": certificate, "client-key-data": key}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    file, temporary = tmp_path / "kubeconfig", tmp_path / "temporary"
    file.write_text(json.dumps(config))
    temporary.mkdir()
    environment = os.environ | {"KUBECONFIG": str(file), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "loaded\n", done.stderr
    assert done.returncode == -signal.SIGKILL
    assert list(temporary.iterdir()) == []


def test_contents_keep_apart_and_old_ones_are_closed() -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    for number in range(100):
        path = path_of_content(f"content {number}")
        for _ in range(2):
            with open(path) as file:  # noqa: PTH123 - as OpenSSL opens it
                assert file.read() == f"content {number}"
    assert path_of_content(b"content 99") == path
    assert len(list(Path("/dev/fd").iterdir())) <= before + 40
