"""What is released: the locks of image and plugin, the workflow's own steps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from e2e.release import (
    ReleaseError,
    add_image,
    chart_versions,
    outputs,
    package_version,
    plugin_manifest,
)

ROOT = Path(__file__).parents[2]
SUM = "ab" * 32
ENVIRONMENT = {
    "GITHUB_REF_NAME": "v1.2.3",
    "REGISTRY": "registry.example.com",
    "GITHUB_REPOSITORY_OWNER": "Someone",
}


def locked(name: str) -> dict[str, set[str]]:
    """Hashes by `name==version`, with the marker."""
    found: dict[str, set[str]] = {}
    text = (ROOT / f"requirements{name}.lock").read_text("utf-8").replace("\\\n", "")
    for line in text.splitlines():
        if not line.startswith(("#", " ")):
            requirement, *hashes = line.split("--hash=")
            found[requirement.strip()] = {each.strip() for each in hashes}
    return found


def names(name: str) -> set[str]:
    return {re.split(r"[=\[ ]", each)[0].lower() for each in locked(name)}


def normalized(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@pytest.mark.parametrize("name", ["-runtime", "-build"])
def test_the_image_has_the_very_files_that_the_tests_ran_with(name: str) -> None:
    tested = {each.partition(" ;")[0]: hashes for each, hashes in locked("").items()}
    for requirement, hashes in locked(name).items():
        assert hashes
        assert tested[requirement.partition(" ;")[0]] == hashes, f"{requirement}: run make lock"


def test_the_runtime_lock_has_every_dependency_and_no_tool() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = {normalized(each) for each in project["project"]["dependencies"]}
    assert wanted <= names("-runtime"), "run make lock"
    groups = project["dependency-groups"]
    for group, lock in (("build", "-build"), ("plugin", "-plugin")):
        assert {normalized(each) for each in groups[group]} <= names(lock), "run make lock"
    assert not names("-runtime") & {"pytest", "mypy", "ruff", "hypothesis"}


def test_package_and_chart_have_one_version() -> None:
    assert chart_versions() == [package_version()] * 2


def test_a_release_knows_its_version_and_where_images_go() -> None:
    assert outputs(ENVIRONMENT, ["1.2.3"]) == {
        "version": "1.2.3",
        "registry": "registry.example.com/someone",
    }


@pytest.mark.parametrize(
    ("environment", "version", "told"),
    [
        (ENVIRONMENT, "1.2.4", "the tag is v1.2.3, and pyproject.toml"),
        ({}, "1.2.3", "the tag is missing"),
        (ENVIRONMENT | {"REGISTRY": ""}, "1.2.3", "REGISTRY: the repository variable"),
    ],
)
def test_a_release_that_cannot_be_says_why(
    environment: dict[str, str], version: str, told: str
) -> None:
    with pytest.raises(ReleaseError, match=re.escape(told)):
        outputs(environment, [version])


def test_the_released_chart_has_the_released_image_as_default() -> None:
    values = (ROOT / "charts/twitch-operator/values.yaml").read_text("utf-8")
    changed = add_image(values, "registry.example.com/someone/twitch-operator")
    assert 'repository: "registry.example.com/someone/twitch-operator"' in changed
    assert len(changed.splitlines()) == len(values.splitlines())
    with pytest.raises(ReleaseError):
        add_image(changed, "other")


def test_the_plugin_s_manifest_names_each_archive() -> None:
    sums = {f"kubectl-twitch-{each}.tar.gz": SUM for each in ("linux-arm64", "darwin-amd64")}
    manifest = plugin_manifest("1.2.3", "https://git.example.com/someone/it", sums)
    spec = manifest["spec"]
    assert isinstance(spec, dict)
    first, second = spec["platforms"]
    assert first["selector"] == {"matchLabels": {"os": "darwin", "arch": "amd64"}}
    assert second["uri"].endswith("/releases/download/v1.2.3/kubectl-twitch-linux-arm64.tar.gz")
    assert second["sha256"] == SUM
    with pytest.raises(ReleaseError):
        plugin_manifest("1.2.3", "https://git.example.com", {"kubectl-twitch.zip": SUM})
