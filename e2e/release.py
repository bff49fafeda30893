"""The steps of the release workflow that are more than a command; the standard library is enough.

`python3 -m e2e.release STEP ARGUMENT…`, in a checkout; `--help` lists the steps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["add_image", "chart_versions", "main", "outputs", "package_version", "plugin_manifest"]

_ROOT = Path(__file__).parents[1]
_CHART = _ROOT / "charts" / "twitch-operator"
_BUILD = _ROOT / "build" / "plugin"
_PLUGIN = "kubectl-twitch"
_PLATFORM = re.compile(r"kubectl-twitch-(?P<os>[a-z]+)-(?P<arch>[a-z0-9]+)\.tar\.gz")


class ReleaseError(Exception):
    """Why there can be no release; the message names the remedy."""


def package_version() -> str:
    """The version that pyproject.toml has."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


def chart_versions() -> list[str]:
    """`version` and `appVersion` of the chart."""
    return re.findall(
        r"^(?:appV|v)ersion: (\S+)$", (_CHART / "Chart.yaml").read_text("utf-8"), re.MULTILINE
    )


def outputs(environment: Mapping[str, str], versions: Sequence[str]) -> dict[str, str]:
    """What the other jobs need to know.

    Args:
        environment: GitHub's, with `REGISTRY`.
        versions: Those of the package and the chart, which must be the tag's.

    Raises:
        ReleaseError: They are not, or there is no registry.
    """
    tag = environment.get("GITHUB_REF_NAME", "")
    if any(tag != f"v{version}" for version in versions):
        msg = f"the tag is {tag or 'missing'}, and pyproject.toml and Chart.yaml say {versions}"
        raise ReleaseError(msg)
    if not environment.get("REGISTRY"):
        msg = "REGISTRY: the repository variable is not set; set it to the host of a registry"
        raise ReleaseError(msg)
    owner = environment["GITHUB_REPOSITORY_OWNER"].lower()  # names of images have no capitals
    return {"version": tag.removeprefix("v"), "registry": f"{environment['REGISTRY']}/{owner}"}


def add_image(values: str, image: str) -> str:
    """Return the chart's values with the released image as default.

    Raises:
        ReleaseError: They have no empty `image.repository`.
    """
    found = re.subn(
        r'\A(.*?^image:\n.*?^  repository: )""$',
        lambda match: match[1] + json.dumps(image),
        values,
        count=1,
        flags=re.MULTILINE | re.DOTALL,
    )
    if not found[1]:
        msg = 'values.yaml has no line `repository: ""` for the image'
        raise ReleaseError(msg)
    return found[0]


def plugin_manifest(version: str, url: str, sums: Mapping[str, str]) -> dict[str, object]:
    """The manifest of the kubectl plugin, as krew reads it (JSON is YAML).

    Args:
        version: Of the release.
        url: Of the repository on GitHub.
        sums: SHA-256 in hexadecimal of the archives, by their names.
    """
    platforms = []
    for name, checksum in sorted(sums.items()):
        if (found := _PLATFORM.fullmatch(name)) is None:
            msg = f"{name}: not named kubectl-twitch-OS-ARCH.tar.gz"
            raise ReleaseError(msg)
        platforms.append(
            {
                "selector": {"matchLabels": found.groupdict()},
                "uri": f"{url}/releases/download/v{version}/{name}",
                "sha256": checksum,
                "bin": _PLUGIN,
                "files": [{"from": f"{_PLUGIN}/*", "to": "."}],
            }
        )
    spec = {
        "version": f"v{version}",
        "homepage": url,
        "shortDescription": "Connect Twitch channels and explain cues",
        "description": "Obtains broadcasters' consent for twitch-operator, explains what its rules "
        "decide about a message, fires commercials by hand, and pauses rules.",
        "platforms": platforms,
    }
    meta = {"name": "twitch"}
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": meta,
        "spec": spec,
    }


def _check() -> None:
    found = outputs(os.environ, [package_version(), *chart_versions()])
    sys.stdout.writelines(f"{name}={value}\n" for name, value in found.items())


def _chart(image: str) -> None:
    file = _CHART / "values.yaml"
    file.write_text(add_image(file.read_text("utf-8"), image), "utf-8")


def _dist(python: str) -> None:
    """Build wheel and sdist with the hatchling of this Python."""
    subprocess.run([python, "-m", "hatchling", "build", "-d", "dist"], cwd=_ROOT, check=True)


def _plugin(platform: str, pyinstaller: str) -> None:
    """Build the plugin with its Python, for kubectl alone."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    start = _BUILD / "start.py"
    start.write_text(
        "import sys\nfrom controller.__main__ import kubectl_main\nsys.exit(kubectl_main())\n"
    )
    options = ["--noconfirm", "--onedir", "--name", _PLUGIN, "--contents-directory", "lib"]
    options += ["--collect-all", "controller", "--copy-metadata", "twitch-operator"]
    subprocess.run([Path(pyinstaller).absolute(), *options, start.name], cwd=_BUILD, check=True)
    archive = _BUILD / f"{_PLUGIN}-{platform}.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(_BUILD / "dist" / _PLUGIN, _PLUGIN)
        packed.add(_ROOT / "LICENSE", f"{_PLUGIN}/LICENSE")


def _krew(folder: str, url: str) -> None:
    archives = sorted(Path(folder).glob(f"{_PLUGIN}-*.tar.gz"))
    sums = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in archives}
    manifest = plugin_manifest(package_version(), url, sums)
    (Path(folder) / "twitch.yaml").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


_STEPS: dict[str, tuple[Callable[..., None], str]] = {
    "check": (_check, "print the version and the registry, if tag, package and chart agree"),
    "chart": (_chart, "IMAGE: make it the chart's default"),
    "dist": (_dist, "PYTHON: build wheel and sdist in dist/ with its hatchling"),
    "plugin": (_plugin, "PLATFORM PYINSTALLER: build the kubectl plugin in build/plugin/"),
    "krew": (_krew, "FOLDER URL: write the manifest of the plugin's archives in a folder"),
}


def main(arguments: Sequence[str]) -> int:
    """Run a step."""
    steps = "; ".join(f"{name}: {told}" for name, (_, told) in _STEPS.items())
    parser = argparse.ArgumentParser(prog="e2e.release", epilog=steps)
    parser.add_argument("step", choices=_STEPS)
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args(arguments)
    try:
        _STEPS[given.step][0](*given.arguments)
    except (ReleaseError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{given.step}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
