"""`twitch-operator sandbox` as a user's script runs it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.programs import Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.sandbox.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "controller", "sandbox"]
PATIENCE = 120.0  # seconds to start; it takes about six
QUICK = 60.0  # seconds to end; it takes about one


@contextmanager
def sandbox(env_file: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run it, ready to be used: the file is there."""
    with subprocess.Popen(
        [*COMMAND, "--env-file", str(env_file), *options],
        cwd=ROOT,
        # As a script's shell does it for what is started with &.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not env_file.exists():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def variables(env_file: Path) -> dict[str, str]:
    told = subprocess.check_output(["sh", "-c", f". {env_file} && env -0"], text=True)
    return dict(each.split("=", 1) for each in told.split("\0") if each)


def until_ready(process: subprocess.Popen[str]) -> str:
    """What it prints until it waits for the user."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return "".join(lines)


def end(process: subprocess.Popen[str], how: signal.Signals) -> None:
    process.send_signal(how)
    assert process.wait(QUICK) == 0


def curl(line: str) -> httpx.Response:
    """Do what a printed command does; its file is a message."""
    _, url, *data = shlex.split(line)
    if not data:
        return httpx.get(url)
    return httpx.post(url, content='{"hello": "there"}' if data[1][0] == "@" else data[1])


def kubectl(names: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [names["SANDBOX_KUBECTL"], *arguments]
    return subprocess.run(command, env=names, capture_output=True, text=True, check=False)


def test_a_script_gets_all_it_needs_and_nothing_stays(tmp_path: Path) -> None:
    env_file = tmp_path / "env"
    with sandbox(env_file) as process:
        names = variables(env_file)
        folder = Path(names["KUBECONFIG"]).parent
        assert "No resources found" in kubectl(names, "get", "twitchchannels,triggerrules").stderr
        twitch, pubnub = names["SANDBOX_TWITCH"], names["SANDBOX_PUBNUB"]
        assert httpx.get(f"{twitch}/_sandbox").is_success
        assert httpx.get(f"{names['SANDBOX_OAUTH']}/_sandbox").is_success
        assert names["TWITCH_OPERATOR_MIN_ACTIVATION_DELAY"] == "2s"
        assert names["TWITCH_OPERATOR_ALLOWED_FETCH_HOSTS"] == "127.0.0.1"
        assert httpx.get(f"{names['TWITCH_OPERATOR_IDENTITY_URL']}/validate").status_code == 401
        assert httpx.get(f"{names['TWITCH_OPERATOR_HELIX_URL']}/users").status_code == 401
        assert httpx.get(f"http://{names['TWITCH_OPERATOR_PUBNUB_ORIGIN']}/time/0").is_success
        assert names["TWITCH_OPERATOR_PUBNUB_TLS"] == "false"
        welcome = until_ready(process)
        assert env_file.read_text() in welcome
        for command in ("twitch-operator", "kubectl-twitch", "kubectl"):
            assert shutil.which(command, path=names["PATH"]), names["PATH"]
        answers = [curl(line) for line in welcome.splitlines() if line.startswith("curl ")]
        assert [answer.status_code for answer in answers] == [200] * 11
        assert answers[2].json()["refresh_token"]
        counters = httpx.get(f"{pubnub}/_sandbox/counters").json()
        assert counters["sub-c-sandbox"]["messages"] == 1
        end(process, signal.SIGTERM)
    assert "\x1b" not in welcome
    assert not env_file.exists()
    assert not folder.exists()


def test_the_users_own_cluster_gets_the_crds_and_runs_on(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    env_file = tmp_path / "env"
    own = ("--kubeconfig", str(control_plane.kubeconfig), "--context", "sandbox")
    with sandbox(env_file, *own) as process:
        names = variables(env_file)
        (cluster,) = json.loads(Path(names["KUBECONFIG"]).read_text())["clusters"]
        assert cluster["cluster"]["server"] == control_plane.server
        end(process, signal.SIGINT)
    assert control_plane.run_kubectl("get", "twitchchannels").returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--context", "nowhere"], "nowhere"),
        (["--kubeconfig", "/nowhere"], "/nowhere: there is no such kubeconfig file"),
        (["--kubeconfig", "/nowhere", "--folder", "/tmp/kept"], "leave it out, or else"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(
    control_plane: ControlPlane,
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    environment = os.environ | {"KUBECONFIG": str(control_plane.kubeconfig)}
    with (tmp_path / "out").open("wb") as out, (tmp_path / "errors").open("wb") as errors:
        process = Program(["sandbox", *options], environment, out, errors)
        assert process.wait(PATIENCE) == 1
    told = (tmp_path / "errors").read_text()
    assert told.startswith("twitch-operator sandbox: ")
    assert message in told
