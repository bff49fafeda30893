"""Shell completion, by the real commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(sys.executable).parent
PATH = f"{FOLDER}{os.pathsep}{os.environ.get('PATH', '')}"


def run(*command: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def kubectl(*typed: str) -> list[str]:
    return run(str(FOLDER / "kubectl_complete-twitch"), *typed).splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("command", ["twitch-operator", "kubectl-twitch"])
def test_each_shell_gets_code_for_both_commands(command: str, shell: str) -> None:
    code = run(str(FOLDER / command), "completion", shell)
    assert "twitch-operator" in code
    assert "kubectl-twitch" in code


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("twitch-operator tim", ["timeline"]),
        ("twitch-operator sand", ["sandbox"]),
        ("kubectl-twitch sand", []),
        ("kubectl-twitch timeline --sin", ["--since"]),
        ("twitch-operator explain -o ", ["table", "json"]),
    ],
)
def test_bash_completes_with_that_code(line: str, candidates: list[str]) -> None:
    program = line.split(maxsplit=1)[0]
    script = (
        'eval "$(twitch-operator completion bash)"; COMP_LINE=$1 COMP_POINT=${#1};'
        " _python_argcomplete $2 2>/dev/null;"
        ' for each in "${COMPREPLY[@]}"; do echo "$each"; done'
    )
    found = run("bash", "--norc", "-c", script, "bash", line, program).splitlines()
    assert [each.strip() for each in found] == candidates


def test_kubectl_gets_candidates_with_what_they_do_and_a_directive() -> None:
    *found, directive = kubectl("")
    assert directive == ":4"
    told = dict(each.split("\t") for each in found)
    assert {"authorize", "explain", "pause", "timeline"} <= told.keys()
    assert told["timeline"] == "on-air breaks of a channel beside its commercials"
    assert "sandbox" not in told


def test_kubectl_gets_the_rest_of_what_is_typed() -> None:
    assert [each.split("\t")[0] for each in kubectl("explain", "a b", "-o", "j")] == ["json", ":4"]
    assert kubectl("timeline", "mst3k", "--sin")[0].startswith("--since\t")


def test_the_shell_completes_files_where_there_is_no_candidate() -> None:
    assert kubectl("explain", "--event", "") == [":0"]
    assert kubectl("explain", "") == [":0"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_asks_the_plugin() -> None:
    done = subprocess.run(
        ["kubectl", "__complete", "twitch", "tim"],
        env={**os.environ, "PATH": PATH}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[0].startswith("timeline")
