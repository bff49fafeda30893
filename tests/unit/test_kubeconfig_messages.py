"""What people are told about a kubeconfig, a context or a folder that is of no use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from controller.__main__ import main
from controller.clients.kube.config import _no_cluster, find_namespace, load_configuration
from controller.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

_GOOD = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: x}}]
contexts:
  - {name: here, context: {cluster: c, user: u, namespace: tv}}
  - {name: there, context: {cluster: c, user: u}}
"""


@pytest.mark.parametrize("text", ["kind: [\n", "a: b: c", "\t", "[]", "5", "kind: Config\n"])
async def test_a_broken_kubeconfig_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(OperatorError, match="config") as refusal:
        await load_configuration()
    assert "\n" not in str(refusal.value)
    assert " is no " not in str(refusal.value)
    with pytest.raises(OperatorError, match="config"):
        find_namespace()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["gone"], "there is no such file"),
        (["gone", "", "~nobody-of-this-name/x"], "none of these files exists"),
    ],
)
async def test_a_kubeconfig_that_does_not_exist_is_told_as_that(
    files: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = os.pathsep.join(files)
    monkeypatch.setenv("KUBECONFIG", given)
    wanted = f"KUBECONFIG={given}: {told}; let it name a kubeconfig, or unset it"
    with pytest.raises(OperatorError) as refusal:
        await load_configuration()
    assert str(refusal.value) == wanted
    with pytest.raises(OperatorError) as refusal:
        find_namespace("here")
    assert str(refusal.value) == wanted
    assert caplog.records == []


async def test_one_kubeconfig_of_several_that_exists_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(_GOOD)
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(tmp_path / "gone"), str(file)]))
    assert (await load_configuration()).host == "https://127.0.0.1:1"
    assert find_namespace() == "tv"


async def test_an_unknown_context_is_named_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(_GOOD)
    monkeypatch.setenv("KUBECONFIG", str(file))
    told = f"--context nope: {file} has no such context; it has here, there"
    with pytest.raises(OperatorError) as refusal:
        await load_configuration("nope")
    assert str(refusal.value) == told
    with pytest.raises(OperatorError) as refusal:
        find_namespace("nope")
    assert str(refusal.value) == told
    assert find_namespace() == "tv"
    assert find_namespace("there") == "default"


def test_the_words_of_the_client_end_in_one_full_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    told = str(_no_cluster(RuntimeError("Service host/port is not set."), None))
    assert "found: Service host/port is not set. Set KUBECONFIG" in told


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["crds", "--output-dir", str(file / "inside")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"--output-dir {file / 'inside'}: cannot be written to" in line
