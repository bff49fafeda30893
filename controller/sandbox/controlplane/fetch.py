"""The published archive of kube-apiserver, etcd and kubectl, checked against pinned checksums."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import httpx

from controller.sandbox.controlplane.pins import ENVTEST_SHA512, ENVTEST_VERSION, machine

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.sandbox.controlplane.progress import Progress

__all__ = ["BASE_URL", "BASE_URL_VARIABLE", "ArchiveUnavailable", "fetch_archive"]

BASE_URL_VARIABLE = "SANDBOX_ENVTEST_URL"  # empty: no archive is asked for
BASE_URL = "https://github.com/kubernetes-sigs/controller-tools/releases/download"
_TIMEOUT = httpx.Timeout(30, connect=3)  # a machine without internet learns it soon


class ArchiveUnavailable(Exception):
    """There is no archive to be had here; the message says why."""


def fetch_archive(
    environment: Mapping[str, str],
    folder: Path,
    names: Collection[str],
    progress: Progress,
    checksums: Mapping[str, str] = ENVTEST_SHA512,
) -> list[Path]:
    """Download the archive for this machine and take programs out of it.

    Args:
        environment: Its `SANDBOX_ENVTEST_URL` replaces the folder of releases that is asked.
        folder: Where the archive and the programs are put; empty, and the caller's.
        names: The programs.
        progress: Told of the download.
        checksums: SHA-512 in hexadecimal by machine.

    Returns:
        The programs' files, executable.

    Raises:
        ArchiveUnavailable: No archive for this machine, no network, or not the right bytes.
    """
    expected = checksums.get(machine())
    base = environment.get(BASE_URL_VARIABLE, BASE_URL).rstrip("/")
    if expected is None:
        msg = f"none is published for {machine()}"
        raise ArchiveUnavailable(msg)
    if not base:
        msg = f"{BASE_URL_VARIABLE} is empty"
        raise ArchiveUnavailable(msg)
    name = f"envtest-{ENVTEST_VERSION}-{machine()}.tar.gz"
    url = f"{base}/envtest-{ENVTEST_VERSION}/{name}"
    archive = folder / name
    try:
        found = _download(url, archive, progress)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = f"{url}: {str(error) or 'the connection failed, or took too long'}"
        raise ArchiveUnavailable(msg) from None
    if found != expected:
        msg = f"{url}: its SHA-512 begins {found[:16]}, and {expected[:16]} is expected"
        raise ArchiveUnavailable(msg)
    return _unpack(archive, folder, names)


def _download(url: str, archive: Path, progress: Progress) -> str:
    """Stream it to the file; returns its SHA-512. The step shows once there is an answer."""
    digest = hashlib.sha512()
    as_it_is = {"Accept-Encoding": "identity"}
    with httpx.stream(
        "GET", url, headers=as_it_is, timeout=_TIMEOUT, follow_redirects=True
    ) as answer:
        answer.raise_for_status()
        total = int(answer.headers.get("Content-Length", 0)) or None
        with progress.step(f"downloading {url}") as step, archive.open("wb") as out:
            for chunk in answer.iter_raw():
                out.write(chunk)
                digest.update(chunk)
                step.update(answer.num_bytes_downloaded, total)
    return digest.hexdigest()


def _unpack(archive: Path, folder: Path, names: Collection[str]) -> list[Path]:
    """Write out the wanted members by their last name alone, wherever they lie in the archive."""
    files = []
    with tarfile.open(archive) as members:
        for member in members:
            name = PurePosixPath(member.name).name
            source = members.extractfile(member) if name in names and member.isfile() else None
            if source is None:
                continue
            file = folder / name
            with source, file.open("wb") as out:
                shutil.copyfileobj(source, out)
            file.chmod(0o755)
            files.append(file)
    missing = set(names) - {file.name for file in files}
    if missing:
        msg = f"{archive.name} has no {', '.join(sorted(missing))}"
        raise ArchiveUnavailable(msg)
    return files
